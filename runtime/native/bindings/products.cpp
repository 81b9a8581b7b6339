// Sums of products, of residues as they are and packed.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "arrays.hpp"
#include "kernels.hpp"
#include "modulus.hpp"
#include "native_module.hpp"
#include "packing.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

// Every run of `words` packed residues, `bytes` in all, in the first `used` runs of each row of an array is one of
// residues.
void check_packed(const Bytes& packed, std::size_t used, std::size_t bytes, std::size_t words, const Modulus& modulus) {
  const std::size_t runs = packed.shape(0) == 0 ? 0 : packed.size() / packed.shape(0) / bytes;
  std::vector<std::uint64_t> residues(words);
  with_packed_bytes(packed_bytes(modulus.value), [&](auto width) {
    for (std::size_t row = 0; row < packed.shape(0); ++row) {
      for (std::size_t run = 0; run < used; ++run) {
        const std::uint8_t* const begin = packed.data() + (row * runs + run) * bytes;
        for (std::size_t i = 0; i < words; ++i) residues[i] = packed_word<width.value>(begin, words, i);
        check_below(residues.data(), words, modulus.value, "residue");
      }
    }
  });
}

void check_few(std::size_t terms) {
  if (terms >= kMaxTerms) refuse("a sum has at most " + std::to_string(kMaxTerms - 1) + " terms");
}

void inner_product(const KernelSet& set, const Words& a, const Words& b, const Output& out, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t terms = rows_of("a", a), count = count_of("a", a);
  check_shape("a", a, {terms, count});
  check_shape("b", b, {terms, count});
  check_shape("out", out, {count});
  check_apart(out, a);
  check_apart(out, b);
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  check_reduced(b, q);
  set.kernels->inner_product(rows(a).data(), rows(b).data(), terms, out.data(), count, q);
}

void key_products(const KernelSet& set, const Words& digits, const Bytes& key, const std::optional<Words>& addend,
                  std::uint64_t factor, const Output& out, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t terms = rows_of("digits", digits), count = count_of("digits", digits);
  const std::size_t bytes = kKeyRun * packed_bytes(modulus);
  check_few(terms);
  check_shape("digits", digits, {terms, count});
  // A key may have more digits than are used: those of higher levels.
  const std::size_t own = key.ndim() == 4 ? std::max(terms, key.shape(1)) : terms;
  check_shape("key", key, {count / kKeyRun, own, 2, bytes});
  check_shape("out", out, {2, count});
  check_apart(out, digits);
  check_apart(out, key);
  if (addend) {
    check_shape("addend", *addend, {count});
    check_apart(out, *addend);
    check_below(&factor, 1, modulus, "residue");
  }
  const nb::gil_scoped_release release;
  check_reduced(digits, q);
  if (addend) check_reduced(*addend, q);
  check_packed(key, 2 * terms, bytes, kKeyRun, q);
  set.kernels->key_products(rows(digits).data(), terms, key.data(), own * 2 * bytes, addend ? addend->data() : nullptr,
                            factor, out.data(), out.data() + count, count, q);
}

// Of all runs of a polynomial.
void diagonal_products(const KernelSet& set, const Bytes& values, std::size_t repeats, bool apart, const Words& rotated,
                       const Indices& rotations, const Output& out, bool added, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t terms = rotations.size(), count = count_of("out", out), runs = count / (2 * kDiagonalRun);
  if (!std::has_single_bit(repeats)) refuse("repeats are " + std::to_string(repeats) + ", not a power of two");
  check_few(terms);
  const std::size_t words = repeats < kDiagonalRun ? kDiagonalRun / repeats : 1;
  const std::size_t shared = repeats < kDiagonalRun ? 1 : repeats / kDiagonalRun;  // runs of coefficients
  const std::size_t ends = apart ? 2 : 1, bytes = ends * words * packed_bytes(modulus);
  // There may be more diagonals and more rotations than are used.
  const std::size_t own = values.ndim() == 3 ? std::max(terms, values.shape(1)) : terms;
  check_shape("values", values, {(runs - 1) / shared + 1, own, bytes});
  const std::size_t images = rotated.ndim() == 3 ? rotated.shape(1) : 0;
  check_shape("rotated", rotated, {runs, images, 4 * kDiagonalRun});
  check_alignment(rotations.data());
  check_shape("out", out, {2, count});
  check_apart(out, values);
  check_apart(out, rotated);
  check_apart(out, rotations);
  for (std::size_t t = 0; t < terms; ++t) {
    if (rotations.data()[t] >= images) {
      refuse("rotation " + std::to_string(rotations.data()[t]) + " is not one of " + std::to_string(images));
    }
  }
  const nb::gil_scoped_release release;
  check_packed(values, ends * terms, bytes / ends, words, q);
  check_reduced(rotated, q);
  if (added) check_reduced(out, q);
  std::uint64_t* const second = out.data() + count;
  std::uint64_t* const outputs[] = {out.data(), second - kDiagonalRun, second, second + count - kDiagonalRun};
  set.kernels->diagonal_products(values.data(), own * bytes, repeats, apart, rotated.data(), images * 4 * kDiagonalRun,
                                 rotations.data(), terms, runs, added, outputs, q);
}

void matrix_product(const KernelSet& set, const Words& weights, const Words& x, const Output& out,
                    std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t terms = rows_of("x", x), outputs = rows_of("weights", weights), count = count_of("x", x);
  check_shape("weights", weights, {outputs, terms});
  check_shape("x", x, {terms, count});
  check_shape("out", out, {outputs, count});
  check_apart(out, weights);
  check_apart(out, x);
  const nb::gil_scoped_release release;
  check_reduced(weights, q);
  check_reduced(x, q);
  set.kernels->matrix_product(weights.data(), rows(x).data(), outputs, terms, rows(out).data(), count, q);
}

// Each row of words becomes a packed run.
void pack(const Words& words, const BytesOutput& out, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t runs = rows_of("words", words), count = words.shape(1), bytes = count * packed_bytes(modulus);
  check_shape("words", words, {runs, count});
  check_shape("out", out, {runs, bytes});
  check_apart(out, words);
  const nb::gil_scoped_release release;
  check_reduced(words, q);
  with_packed_bytes(packed_bytes(modulus), [&](auto width) {
    for (std::size_t run = 0; run < runs; ++run) {
      pack_run<width.value>(words.data() + run * count, count, out.data() + run * bytes);
    }
  });
}

}  // namespace

void bind_products(nb::module_& module, KernelsClass& kernels) {
  module.def(
      "packed_bytes", [](std::uint64_t modulus) { return packed_bytes(make_modulus(modulus).value); }, "modulus"_a);
  module.def("pack", pack, "words"_a.noconvert(), "out"_a.noconvert(), "modulus"_a);

  kernels.def("inner_product", inner_product, "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def("key_products", key_products, "digits"_a.noconvert(), "key"_a.noconvert(), "addend"_a.noconvert().none(),
           "factor"_a, "out"_a.noconvert(), "modulus"_a)
      .def("diagonal_products", diagonal_products, "values"_a.noconvert(), "repeats"_a, "apart"_a,
           "rotated"_a.noconvert(), "rotations"_a.noconvert(), "out"_a.noconvert(), "added"_a, "modulus"_a)
      .def("matrix_product", matrix_product, "weights"_a.noconvert(), "x"_a.noconvert(), "out"_a.noconvert(),
           "modulus"_a);
}

}  // namespace hecc

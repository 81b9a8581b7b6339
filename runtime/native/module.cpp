// The Python module hecc.runtime.native._native. What is checked here is everything that memory safety and correctness
// rest on: sizes, layouts, overlaps, and that residues are reduced. The kernels behind it check nothing.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/complex.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "aligned.hpp"
#include "kernels.hpp"
#include "packing.hpp"
#include "timing.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace hecc {
namespace {

// C-contiguous, native-endian. Anything else is a TypeError: `noconvert` below forbids a silent copy.
using Words = nb::ndarray<const std::uint64_t, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<std::uint64_t, nb::c_contig, nb::device::cpu>;  // writable too
using Bytes = nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu>;
using BytesOutput = nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu>;
using Indices = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Slots = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Coefficients = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

template <class Array>
std::string shape_of(const Array& array) {
  std::string text = "(";
  for (std::size_t i = 0; i < array.ndim(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(array.shape(i));
  return text + (array.ndim() == 1 ? ",)" : ")");
}

template <class T>
void check_alignment(const T* p) {
  if (reinterpret_cast<std::uintptr_t>(p) % alignof(T) != 0) {
    refuse("an array is not aligned to " + std::to_string(alignof(T)) + " bytes");
  }
}

template <class Array>
void check_shape(const char* name, const Array& array, std::initializer_list<std::size_t> shape) {
  check_alignment(array.data());
  bool equal = array.ndim() == shape.size();
  std::size_t i = 0;
  for (const std::size_t size : shape) equal = equal && array.shape(i++) == size;
  if (equal) return;
  std::string wanted;
  for (const std::size_t size : shape) wanted += (wanted.empty() ? "(" : ", ") + std::to_string(size);
  refuse(std::string(name) + " must have shape " + wanted + (shape.size() == 1 ? ",)" : ")") + ", not " +
         shape_of(array));
}

template <class Array>
std::size_t rows_of(const char* name, const Array& array) {
  if (array.ndim() != 2) refuse(std::string(name) + " must have two dimensions, not shape " + shape_of(array));
  return array.shape(0);
}

// The words of a polynomial, or of each row of several.
template <class Array>
std::size_t count_of(const char* name, const Array& array) {
  const std::size_t count = array.ndim() == 0 ? 0 : array.shape(array.ndim() - 1);
  if (count == 0 || count % kBlock != 0) {
    refuse("the last dimension of " + std::string(name) + " must be a multiple of " + std::to_string(kBlock) +
           ", not shape " + shape_of(array));
  }
  return count;
}

void check_below(const std::uint64_t* values, std::size_t count, std::uint64_t bound, const char* what) {
  bool below = true;  // without a branch, so that the compiler vectorises the loop
  for (std::size_t i = 0; i < count; ++i) below &= values[i] < bound;
  if (below) return;
  const std::uint64_t* const found =
      std::find_if(values, values + count, [bound](std::uint64_t value) { return value >= bound; });
  refuse(std::string(what) + " " + std::to_string(*found) + " at flat index " + std::to_string(found - values) +
         " is not below " + (what == std::string("residue") ? "the modulus " : "") + std::to_string(bound));
}

template <class Array>
void check_reduced(const Array& array, const Modulus& modulus) {
  check_below(array.data(), array.size(), modulus.value, "residue");
}

// Row i of an array is a limb modulo moduli[i].
void check_limbs(const Words& limbs, const std::vector<std::uint64_t>& moduli) {
  const std::size_t count = limbs.shape(1);
  for (std::size_t i = 0; i < moduli.size(); ++i) check_below(limbs.data() + i * count, count, moduli[i], "residue");
}

template <class A, class B>
bool overlap(const A& a, const B& b) {
  const std::less<const void*> before;
  return before(a.data(), b.data() + b.size()) && before(b.data(), a.data() + a.size());
}

// An output is an input as a whole, or apart from it.
template <class Array>
void check_in_place(const Output& out, const Array& input) {
  const bool same = static_cast<const void*>(out.data()) == static_cast<const void*>(input.data());
  if (overlap(out, input) && !(same && out.size() == input.size())) refuse("an output overlaps an input in part");
}

template <class A, class B>
void check_apart(const A& a, const B& b) {
  if (overlap(a, b)) refuse("an output overlaps another array");
}

template <class T, class Array>
std::vector<T*> row_pointers(const Array& array, T* data) {
  std::vector<T*> rows;
  for (std::size_t i = 0; i < array.shape(0); ++i) rows.push_back(data + i * array.shape(1));
  return rows;
}
std::vector<const std::uint64_t*> rows(const Words& array) { return row_pointers(array, array.data()); }
std::vector<std::uint64_t*> rows(const Output& array) { return row_pointers(array, array.data()); }

// One implementation, as an object of Python.
struct KernelSet {
  const Kernels* kernels;

  explicit KernelSet(const std::optional<std::string>& name)
      : kernels(name ? &kernels_named(*name) : &default_kernels()) {}
};

// --- Pointwise ------------------------------------------------------------------------------------------------------

using Binary = decltype(PointwiseKernels::add);

void binary(Binary kernel, const Words& a, const Words& b, const Output& out, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("b", b, {count});
  check_shape("out", out, {count});
  check_in_place(out, a);
  check_in_place(out, b);
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  check_reduced(b, q);
  kernel(a.data(), b.data(), out.data(), count, q);
}

void subtract_multiply_scalar(const KernelSet& set, const Words& a, const Words& b, std::uint64_t scalar,
                              const Output& out, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("b", b, {count});
  check_shape("out", out, {count});
  check_in_place(out, a);
  check_in_place(out, b);
  check_below(&scalar, 1, modulus, "residue");
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  check_reduced(b, q);
  set.kernels->subtract_multiply_scalar(a.data(), b.data(), scalar, out.data(), count, q);
}

template <class Call>
void unary(const Words& a, const Output& out, std::uint64_t modulus, std::uint64_t bound, Call call) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("out", out, {count});
  check_in_place(out, a);
  const nb::gil_scoped_release release;
  check_below(a.data(), count, bound, bound == modulus ? "residue" : "word");
  call(a.data(), out.data(), count, q);
}

void encode_factors(const KernelSet& set, const Words& a, const Output& values, const Output& quotients,
                    std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("values", values, {count});
  check_shape("quotients", quotients, {count});
  check_in_place(values, a);
  check_apart(quotients, a);
  check_apart(quotients, values);
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  set.kernels->encode_factors(a.data(), values.data(), quotients.data(), count, q);
}

void multiply_encoded(const KernelSet& set, const Words& a, const Words& values, const Words& quotients,
                      const Output& out, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("values", values, {count});
  check_shape("quotients", quotients, {count});
  check_shape("out", out, {count});
  for (const Words* const input : {&a, &values, &quotients}) check_in_place(out, *input);
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  set.kernels->multiply_encoded(a.data(), values.data(), quotients.data(), out.data(), count, q);
}

// Every run of `words` packed residues in the first `used` runs of each row of an array of shape (rows, runs, bytes) is
// one of residues.
void check_packed(const Bytes& packed, std::size_t used, std::size_t words, const Modulus& modulus) {
  const std::size_t bytes = packed.shape(packed.ndim() - 1);
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
  check_packed(key, 2 * terms, kKeyRun, q);
  set.kernels->key_products(rows(digits).data(), terms, key.data(), own * 2 * bytes, addend ? addend->data() : nullptr,
                            factor, out.data(), out.data() + count, count, q);
}

// Of all runs of a polynomial.
void diagonal_products(const KernelSet& set, const Bytes& values, std::size_t repeats, const Words& rotated,
                       const Indices& rotations, const Output& out, bool added, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t terms = rotations.size(), count = count_of("out", out), runs = count / (2 * kDiagonalRun);
  if (!std::has_single_bit(repeats)) refuse("repeats are " + std::to_string(repeats) + ", not a power of two");
  check_few(terms);
  const std::size_t words = repeats < kDiagonalRun ? kDiagonalRun / repeats : 1;
  const std::size_t shared = repeats < kDiagonalRun ? 1 : repeats / kDiagonalRun;  // runs of coefficients
  const std::size_t bytes = words * packed_bytes(modulus);
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
  check_packed(values, terms, words, q);
  check_reduced(rotated, q);
  if (added) check_reduced(out, q);
  std::uint64_t* const second = out.data() + count;
  std::uint64_t* const ends[] = {out.data(), second - kDiagonalRun, second, second + count - kDiagonalRun};
  set.kernels->diagonal_products(values.data(), own * bytes, repeats, rotated.data(), images * 4 * kDiagonalRun,
                                 rotations.data(), terms, runs, added, ends, q);
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

// --- Transforms -----------------------------------------------------------------------------------------------------

// Tables together with the kernels whose format they have.
struct Tables {
  const Kernels* kernels;
  std::shared_ptr<const NttTables> shared;

  Tables(std::uint64_t degree, std::uint64_t modulus, const std::optional<std::string>& name)
      : kernels(KernelSet(name).kernels) {
    const nb::gil_scoped_release release;
    shared = shared_ntt_tables(degree, modulus, kernels->format);
  }
};

using Transform = decltype(NttKernels::ntt_forward);

void transform(const Tables& tables, const Output& residues, bool sparse, Transform kernel) {
  const std::size_t degree = tables.shared->degree();
  const std::size_t size = residues.ndim() == 0 ? 0 : residues.shape(residues.ndim() - 1);
  if (sparse) {
    if (!std::has_single_bit(size) || size > degree || size < std::size_t{1} << kMinLogTransform) {
      refuse("the last dimension is not a power of two from 64 to the degree " + std::to_string(degree));
    }
  } else if (size != degree) {
    refuse("the last dimension is not the degree " + std::to_string(degree));
  }
  std::uint64_t* const values = residues.data();
  check_alignment(values);
  const std::size_t count = residues.size();
  const nb::gil_scoped_release release;
  check_reduced(residues, tables.shared->modulus());
  for (std::size_t start = 0; start < count; start += size) {
    kernel(tables.shared->view(), std::countr_zero(size), values + start, values + start);
  }
}

// The first half of the values, from what the first stage leaves.
void transform_half(const Tables& tables, const Output& residues) {
  const std::size_t degree = tables.shared->degree();
  const std::size_t size = residues.ndim() == 0 ? 0 : residues.shape(residues.ndim() - 1);
  if (!std::has_single_bit(size) || size > degree / 2 || size < std::size_t{1} << kMinLogTransform) {
    refuse("the last dimension is not a power of two from 64 to half the degree " + std::to_string(degree));
  }
  std::uint64_t* const values = residues.data();
  check_alignment(values);
  const std::size_t count = residues.size();
  const nb::gil_scoped_release release;
  check_reduced(residues, tables.shared->modulus());
  for (std::size_t start = 0; start < count; start += size) {
    tables.kernels->ntt_forward_half(tables.shared->view(), std::countr_zero(size) + 1, values + start, values + start);
  }
}

// --- Residue number systems -----------------------------------------------------------------------------------------

struct Conversion {
  const Kernels* kernels;
  std::vector<std::uint64_t> sources, targets;
  BasisConversion constants;

  static std::vector<Modulus> moduli(const std::vector<std::uint64_t>& values) {
    std::vector<Modulus> result;
    for (const std::uint64_t value : values) result.push_back(make_modulus(value));
    return result;
  }

  Conversion(const KernelSet& set, std::vector<std::uint64_t> from, std::vector<std::uint64_t> to, bool centred)
      : kernels(set.kernels),
        sources(std::move(from)),
        targets(std::move(to)),
        constants(moduli(sources), moduli(targets), centred, set.kernels->format) {}

  void convert(const Words& residues, const Output& out) const {
    const std::size_t count = count_of("residues", residues);
    check_shape("residues", residues, {sources.size(), count});
    check_shape("out", out, {targets.size(), count});
    check_apart(out, residues);
    const nb::gil_scoped_release release;
    check_limbs(residues, sources);
    AlignedBuffer<std::uint64_t> scratch(conversion_scratch(sources.size()));
    kernels->convert(constants.view(), rows(residues).data(), rows(out).data(), count, scratch.data());
  }
};

void lift(const KernelSet& set, const Words& residues, std::uint64_t source, const Output& out, std::uint64_t target) {
  const Modulus q = make_modulus(source), p = make_modulus(target);
  const std::size_t count = count_of("residues", residues);
  check_shape("residues", residues, {count});
  check_shape("out", out, {count});
  check_in_place(out, residues);
  const nb::gil_scoped_release release;
  check_reduced(residues, q);
  set.kernels->lift(residues.data(), q, out.data(), count, p);
}

struct Division {
  const Kernels* kernels;
  std::vector<std::shared_ptr<const NttTables>> tables;
  std::vector<std::uint64_t> moduli;
  ModDown constants;

  static std::vector<const NttTables*> pointers(const std::vector<Tables>& all, const Kernels* kernels) {
    std::vector<const NttTables*> result;
    for (const Tables& one : all) {
      if (one.kernels != kernels) refuse("the tables are of different implementations");
      result.push_back(one.shared.get());
    }
    return result;
  }

  Division(const KernelSet& set, const std::vector<Tables>& kept, const std::vector<Tables>& dropped)
      : kernels(set.kernels),
        constants(pointers(kept, set.kernels), pointers(dropped, set.kernels), set.kernels->format) {
    for (const std::vector<Tables>* const group : {&kept, &dropped}) {
      for (const Tables& one : *group) {
        tables.push_back(one.shared);
        moduli.push_back(one.shared->modulus().value);
      }
    }
  }

  void apply(const Words& residues, const Output& out) const {
    const std::size_t kept = constants.kept(), degree = constants.degree();
    check_shape("residues", residues, {moduli.size(), degree});
    check_shape("out", out, {kept, degree});
    const bool same = static_cast<const void*>(out.data()) == static_cast<const void*>(residues.data());
    if (!same) check_apart(out, residues);
    const nb::gil_scoped_release release;
    check_limbs(residues, moduli);
    AlignedBuffer<std::uint64_t> scratch(constants.scratch_words());
    constants.apply(*kernels, rows(residues).data(), rows(out).data(), scratch.data());
  }
};

// --- Automorphisms --------------------------------------------------------------------------------------------------

void permute(const GaloisPermutation& permutation, const KernelSet& set, const Words& residues, const Output& out) {
  const std::size_t degree = permutation.view().degree;
  check_shape("residues", residues, {degree});
  check_shape("out", out, {degree});
  check_apart(out, residues);
  const nb::gil_scoped_release release;
  set.kernels->permute(permutation.view(), residues.data(), out.data());
}

// Image `index` of those that `out` has room for.
void permute_to_runs(const GaloisPermutation& permutation, const KernelSet& set, const Words& residues,
                     const Output& out, std::size_t index) {
  const std::size_t degree = permutation.view().degree;
  check_shape("residues", residues, {2, degree});
  const std::size_t images = out.ndim() == 3 ? out.shape(1) : 0;
  check_shape("out", out, {degree / (2 * kDiagonalRun), images, 4 * kDiagonalRun});
  check_apart(out, residues);
  if (index >= images) refuse("image " + std::to_string(index) + " is not one of " + std::to_string(images));
  const nb::gil_scoped_release release;
  set.kernels->permute_to_runs(permutation.view(), residues.data(), residues.data() + degree,
                               out.data() + index * 4 * kDiagonalRun, images * 4 * kDiagonalRun);
}

void automorphism_coefficients(const KernelSet& set, const Words& residues, const Output& out, std::uint64_t element,
                               std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t degree = count_of("residues", residues);
  check_shape("residues", residues, {degree});
  check_shape("out", out, {degree});
  check_apart(out, residues);
  if (!std::has_single_bit(degree)) refuse("the degree " + std::to_string(degree) + " is not a power of two");
  if (element % 2 == 0 || element >= 2 * degree) {
    refuse("the Galois element " + std::to_string(element) + " is not odd and below " + std::to_string(2 * degree));
  }
  const nb::gil_scoped_release release;
  check_reduced(residues, q);
  set.kernels->automorphism_coefficients(residues.data(), out.data(), degree, element, q);
}

// --- Encoding -------------------------------------------------------------------------------------------------------

void fold_conjugates(const KernelSet& set, const Words& residues, std::uint64_t root, const Output& out,
                     std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("out", out);
  check_shape("residues", residues, {count + 1});
  check_shape("out", out, {count});
  check_apart(out, residues);
  check_below(&root, 1, modulus, "residue");
  if (residues.data()[count] != 0) refuse("the last of the residues is not zero");
  const nb::gil_scoped_release release;
  check_reduced(residues, q);
  set.kernels->fold_conjugates(residues.data(), root, out.data(), count, q);
}

struct RingEncoder {
  Encoder encoder;

  RingEncoder(const KernelSet& set, std::uint64_t degree) : encoder{*set.kernels, static_cast<std::size_t>(degree)} {
    if (!std::has_single_bit(degree) || std::countr_zero(degree) < kMinLogDegree ||
        std::countr_zero(degree) > kMaxLogDegree) {
      refuse("the degree " + std::to_string(degree) + " is not a power of two from 2^11 to 2^17");
    }
  }

  template <class T>
  void check_values(const Slots<T>& values, double scale) const {
    const std::size_t slots = values.shape(0);
    if (!std::has_single_bit(slots) || slots > encoder.degree / 2) {
      refuse("the number of slots " + std::to_string(slots) + " is not a power of two up to " +
             std::to_string(encoder.degree / 2));
    }
    if (reinterpret_cast<std::uintptr_t>(values.data()) % alignof(T) != 0) refuse("the slot values are not aligned");
    if (!std::isfinite(scale) || !(scale > 0)) refuse("the scale " + std::to_string(scale) + " is not positive");
    for (std::size_t i = 0; i < slots; ++i) {
      if (!std::isfinite(std::abs(values.data()[i]))) refuse("slot value " + std::to_string(i) + " is not finite");
    }
  }

  static void refuse_large() { refuse("a coefficient of the encoded values is 2^148 or more: the scale is too large"); }

  template <class T>
  auto embed(const Slots<T>& values, double scale) const {
    check_values<T>(values, scale);
    const std::size_t count = Encoder::coefficient_count(values.shape(0));
    auto coefficients = std::make_unique<AlignedBuffer<double>>(count);
    {
      const nb::gil_scoped_release release;
      AlignedBuffer<double> scratch(count);
      if (encoder.embed(values.data(), values.shape(0), scale, coefficients->data(), scratch.data()) == 0) {
        refuse_large();
      }
    }
    double* const data = coefficients->data();
    nb::capsule owner(coefficients.release(), [](void* p) noexcept { delete static_cast<AlignedBuffer<double>*>(p); });
    return nb::ndarray<nb::numpy, double, nb::ndim<1>>(data, {count}, owner);
  }

  void check_tables(const std::vector<Tables>& tables) const {
    for (const Tables& one : tables) {
      if (one.kernels != &encoder.kernels) refuse("the tables are of another implementation");
      if (one.shared->degree() != encoder.degree) refuse("the tables are of another degree");
    }
  }

  // Coefficients that may come from anywhere.
  void limbs(const Coefficients& coefficients, const std::vector<Tables>& tables, const Output& out) const {
    const std::size_t count = coefficients.shape(0);
    if (!std::has_single_bit(count) || count > encoder.degree || count < std::size_t{1} << kMinLogTransform) {
      refuse("the number of coefficients " + std::to_string(count) + " is not a power of two from 64 to the degree");
    }
    check_alignment(coefficients.data());
    check_tables(tables);
    check_shape("out", out, {tables.size(), encoder.degree});
    check_apart(out, coefficients);
    double largest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double x = coefficients.data()[i];
      if (!std::isfinite(x) || std::trunc(x) != x) refuse("coefficient " + std::to_string(i) + " is not an integer");
      largest = std::max(largest, std::abs(x));
    }
    const int words = word_count(largest);
    if (words == 0) refuse_large();
    const nb::gil_scoped_release release;
    write_limbs(coefficients.data(), count, words, tables, out);
  }

  template <class T>
  void encode(const Slots<T>& values, double scale, const std::vector<Tables>& tables, const Output& out) const {
    check_values<T>(values, scale);
    check_tables(tables);
    check_shape("out", out, {tables.size(), encoder.degree});
    check_apart(out, values);
    const std::size_t count = Encoder::coefficient_count(values.shape(0));
    const nb::gil_scoped_release release;
    AlignedBuffer<double> coefficients(count), scratch(count);
    const int words = encoder.embed(values.data(), values.shape(0), scale, coefficients.data(), scratch.data());
    if (words == 0) refuse_large();
    write_limbs(coefficients.data(), count, words, tables, out);
  }

  void write_limbs(const double* coefficients, std::size_t count, int words, const std::vector<Tables>& tables,
                   const Output& out) const {
    AlignedBuffer<std::uint64_t> scratch(count);
    for (std::size_t i = 0; i < tables.size(); ++i) {
      encoder.limb(coefficients, count, words, tables[i].shared->view(), out.data() + i * encoder.degree,
                   scratch.data());
    }
  }
};

std::vector<std::string> implementations() {
  std::vector<std::string> names;
  for (const Kernels* const kernels : available_kernels()) names.emplace_back(kernels->name);
  return names;
}

void define_kernels(nb::module_& module) {
  nb::class_<KernelSet>(module, "Kernels")
      .def(nb::init<const std::optional<std::string>&>(), "implementation"_a = nb::none())
      .def_prop_ro("implementation", [](const KernelSet& set) { return set.kernels->name; })
      .def(
          "add",
          [](const KernelSet& set, const Words& a, const Words& b, const Output& out, std::uint64_t modulus) {
            binary(set.kernels->add, a, b, out, modulus);
          },
          "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def(
          "subtract",
          [](const KernelSet& set, const Words& a, const Words& b, const Output& out, std::uint64_t modulus) {
            binary(set.kernels->subtract, a, b, out, modulus);
          },
          "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def(
          "multiply",
          [](const KernelSet& set, const Words& a, const Words& b, const Output& out, std::uint64_t modulus) {
            binary(set.kernels->multiply, a, b, out, modulus);
          },
          "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def(
          "negate",
          [](const KernelSet& set, const Words& a, const Output& out, std::uint64_t modulus) {
            unary(a, out, modulus, modulus, set.kernels->negate);
          },
          "a"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def(
          "reduce",
          [](const KernelSet& set, const Words& a, const Output& out, std::uint64_t modulus) {
            unary(a, out, modulus, std::uint64_t{1} << 52, set.kernels->reduce);
          },
          "a"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def(
          "multiply_scalar",
          [](const KernelSet& set, const Words& a, std::uint64_t scalar, const Output& out, std::uint64_t modulus) {
            check_below(&scalar, 1, modulus, "residue");
            unary(a, out, modulus, modulus,
                  [&](const std::uint64_t* x, std::uint64_t* y, std::size_t count, const Modulus& q) {
                    set.kernels->multiply_scalar(x, scalar, y, count, q);
                  });
          },
          "a"_a.noconvert(), "scalar"_a, "out"_a.noconvert(), "modulus"_a)
      .def("subtract_multiply_scalar", subtract_multiply_scalar, "a"_a.noconvert(), "b"_a.noconvert(), "scalar"_a,
           "out"_a.noconvert(), "modulus"_a)
      .def("encode_factors", encode_factors, "a"_a.noconvert(), "values"_a.noconvert(), "quotients"_a.noconvert(),
           "modulus"_a)
      .def("multiply_encoded", multiply_encoded, "a"_a.noconvert(), "values"_a.noconvert(), "quotients"_a.noconvert(),
           "out"_a.noconvert(), "modulus"_a)
      .def("inner_product", inner_product, "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def("key_products", key_products, "digits"_a.noconvert(), "key"_a.noconvert(), "addend"_a.noconvert().none(),
           "factor"_a, "out"_a.noconvert(), "modulus"_a)
      .def("diagonal_products", diagonal_products, "values"_a.noconvert(), "repeats"_a, "rotated"_a.noconvert(),
           "rotations"_a.noconvert(), "out"_a.noconvert(), "added"_a, "modulus"_a)
      .def("matrix_product", matrix_product, "weights"_a.noconvert(), "x"_a.noconvert(), "out"_a.noconvert(),
           "modulus"_a)
      .def("lift", lift, "residues"_a.noconvert(), "source"_a, "out"_a.noconvert(), "target"_a)
      .def("fold_conjugates", fold_conjugates, "residues"_a.noconvert(), "root"_a, "out"_a.noconvert(), "modulus"_a)
      .def("automorphism_coefficients", automorphism_coefficients, "residues"_a.noconvert(), "out"_a.noconvert(),
           "element"_a, "modulus"_a);
}

void define_transforms(nb::module_& module) {
  nb::class_<Tables>(module, "NttTables")
      .def(nb::init<std::uint64_t, std::uint64_t, const std::optional<std::string>&>(), "degree"_a.noconvert(),
           "modulus"_a.noconvert(), "implementation"_a = nb::none())
      .def_prop_ro("degree", [](const Tables& tables) { return tables.shared->degree(); })
      .def_prop_ro("modulus", [](const Tables& tables) { return tables.shared->modulus().value; })
      .def_prop_ro("root", [](const Tables& tables) { return tables.shared->root(); })
      .def_prop_ro("implementation", [](const Tables& tables) { return tables.kernels->name; })
      .def(
          "forward",
          [](const Tables& tables, const Output& residues, bool sparse) {
            transform(tables, residues, sparse, tables.kernels->ntt_forward);
          },
          "residues"_a.noconvert(), "sparse"_a = false)
      .def("forward_half", transform_half, "residues"_a.noconvert())
      .def(
          "inverse",
          [](const Tables& tables, const Output& residues, bool sparse) {
            transform(tables, residues, sparse, tables.kernels->ntt_inverse);
          },
          "residues"_a.noconvert(), "sparse"_a = false);
}

}  // namespace
}  // namespace hecc

NB_MODULE(_native, module) {
  using namespace hecc;  // NOLINT: the whole module is hecc's
  module.doc() = "hecc's native kernels; use them through hecc.runtime.native";
  module.def("implementations", implementations);
  module.def(
      "packed_bytes", [](std::uint64_t modulus) { return packed_bytes(make_modulus(modulus).value); }, "modulus"_a);
  module.def("pack", pack, "words"_a.noconvert(), "out"_a.noconvert(), "modulus"_a);
  module.def(
      "time_kernels",
      [](const KernelSet& set, std::uint64_t degree, std::size_t limbs, int bits, std::size_t repeats) {
        return time_kernels(*set.kernels, degree, limbs, bits, repeats);
      },
      "kernels"_a, "degree"_a, "limbs"_a, "bits"_a, "repeats"_a, nb::call_guard<nb::gil_scoped_release>());
  define_kernels(module);
  define_transforms(module);

  nb::class_<Conversion>(module, "BasisConversion")
      .def(nb::init<const KernelSet&, std::vector<std::uint64_t>, std::vector<std::uint64_t>, bool>(), "kernels"_a,
           "sources"_a, "targets"_a, nb::kw_only(), "centred"_a)
      .def("convert", &Conversion::convert, "residues"_a.noconvert(), "out"_a.noconvert());

  nb::class_<Division>(module, "ModDown")
      .def(nb::init<const KernelSet&, const std::vector<Tables>&, const std::vector<Tables>&>(), "kernels"_a, "kept"_a,
           "dropped"_a)
      .def("apply", &Division::apply, "residues"_a.noconvert(), "out"_a.noconvert());

  nb::class_<GaloisPermutation>(module, "GaloisPermutation")
      .def(nb::init<std::uint64_t, std::uint64_t>(), "degree"_a, "element"_a)
      .def_prop_ro("element", &GaloisPermutation::element)
      .def("apply", permute, "kernels"_a, "residues"_a.noconvert(), "out"_a.noconvert())
      .def("apply_to_runs", permute_to_runs, "kernels"_a, "residues"_a.noconvert(), "out"_a.noconvert(), "index"_a);

  nb::class_<RingEncoder>(module, "Encoder")
      .def(nb::init<const KernelSet&, std::uint64_t>(), "kernels"_a, "degree"_a)
      .def("embed", &RingEncoder::embed<double>, "values"_a.noconvert(), "scale"_a)
      .def("embed", &RingEncoder::embed<float>, "values"_a.noconvert(), "scale"_a)
      .def("embed", &RingEncoder::embed<std::complex<double>>, "values"_a.noconvert(), "scale"_a)
      .def("limbs", &RingEncoder::limbs, "coefficients"_a.noconvert(), "tables"_a, "out"_a.noconvert())
      .def("encode", &RingEncoder::encode<double>, "values"_a.noconvert(), "scale"_a, "tables"_a, "out"_a.noconvert())
      .def("encode", &RingEncoder::encode<float>, "values"_a.noconvert(), "scale"_a, "tables"_a, "out"_a.noconvert())
      .def("encode", &RingEncoder::encode<std::complex<double>>, "values"_a.noconvert(), "scale"_a, "tables"_a,
           "out"_a.noconvert());
}

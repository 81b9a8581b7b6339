// Arithmetic modulo powers of two.
#include "ring.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "aligned.hpp"
#include "arrays.hpp"
#include "kernels.hpp"
#include "native_module.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

constexpr int kMostDigit = 6;

// Rows may lie apart.
using PackedRows = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::device::cpu>;

void check_bits(const char* name, int bits, int most) {
  if (bits < 1 || bits > most) {
    refuse(std::string(name) + " must be from 1 to " + std::to_string(most) + ", not " + std::to_string(bits));
  }
}

// The largest of some offsets, of which there is one at least.
std::uint64_t largest(const Words& offsets) {
  return *std::max_element(offsets.data(), offsets.data() + offsets.size());
}

void ring_product(const KernelSet& set, const Words& a, const Words& b, const Words& down, const Words& across,
                  const Output& out, int bits) {
  check_bits("bits", bits, 64);
  if (a.ndim() != 3 || b.ndim() != 3) refuse("a and b must have three dimensions");
  const std::size_t matrices = a.shape(0), rows = a.shape(1), terms = a.shape(2), examples = b.shape(0);
  const std::size_t size = b.shape(2), columns = across.size();
  check_shape("a", a, {matrices, rows, terms});
  check_shape("b", b, {examples, matrices, size});
  check_shape("down", down, {terms});
  check_shape("across", across, {columns});
  check_shape("out", out, {examples, matrices, rows, columns});
  check_apart(out, a);
  check_apart(out, b);
  check_apart(out, down);
  check_apart(out, across);
  const nb::gil_scoped_release release;
  if (out.size() == 0) return;
  if (terms == 0) {
    std::fill(out.data(), out.data() + out.size(), 0);
    return;
  }
  const std::uint64_t deepest = largest(down), widest = largest(across);
  if (deepest >= size || widest >= size - deepest) refuse("offsets lead out of b");
  AlignedBuffer<std::uint64_t> scratch(kRingColumns * terms);
  for (std::size_t example = 0; example < examples; ++example) {
    for (std::size_t matrix = 0; matrix < matrices; ++matrix) {
      const std::size_t at = example * matrices + matrix;
      set.kernels->ring_product(a.data() + matrix * rows * terms, b.data() + at * size, down.data(), across.data(),
                                out.data() + at * rows * columns, rows, terms, columns, bits, scratch.data());
    }
  }
}

std::size_t field_bytes(std::size_t count, int width) { return (count * static_cast<std::size_t>(width) + 7) / 8; }

void pack_field(const KernelSet& set, const Words& words, const BytesOutput& out, int width) {
  check_bits("width", width, 64);
  const std::size_t rows = rows_of("words", words), count = words.shape(1), bytes = field_bytes(count, width);
  check_shape("words", words, {rows, count});
  check_shape("out", out, {rows, bytes});
  check_apart(out, words);
  const nb::gil_scoped_release release;
  for (std::size_t row = 0; row < rows; ++row) {
    set.kernels->pack_field(words.data() + row * count, out.data() + row * bytes, count, width);
  }
}

void unpack_field(const KernelSet& set, const PackedRows& packed, const Output& out, int width) {
  check_bits("width", width, 64);
  const std::size_t rows = rows_of("out", out), count = out.shape(1), bytes = field_bytes(count, width);
  check_shape("packed", packed, {rows, bytes});
  check_shape("out", out, {rows, count});
  if (bytes > 1 && packed.stride(1) != 1) refuse("the bytes of a packed row must be neighbours");
  const nb::gil_scoped_release release;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint8_t* const from = packed.data() + static_cast<std::ptrdiff_t>(row) * packed.stride(0);
    set.kernels->unpack_field(from, out.data() + row * count, count, width);
  }
}

void look_up(const KernelSet& set, const Words& words, const Words& v, const BytesOutput& above,
             const BytesOutput& equal, int shift, int width, bool first) {
  check_bits("width", width, kMostDigit);
  if (shift < 0 || shift > 64 - width) refuse("shift must be from 0 to " + std::to_string(64 - width));
  const std::size_t count = words.ndim() == 0 ? 0 : words.shape(0);
  check_shape("words", words, {count});
  check_shape("v", v, {count});
  check_shape("above", above, {count});
  check_shape("equal", equal, {count});
  check_apart(above, words);
  check_apart(above, v);
  check_apart(above, equal);
  check_apart(equal, words);
  check_apart(equal, v);
  const nb::gil_scoped_release release;
  set.kernels->look_up(words.data(), v.data(), above.data(), equal.data(), count, shift, width, first);
}

}  // namespace

void bind_ring(KernelsClass& kernels) {
  kernels
      .def("ring_product", ring_product, "a"_a.noconvert(), "b"_a.noconvert(), "down"_a.noconvert(),
           "across"_a.noconvert(), "out"_a.noconvert(), "bits"_a)
      .def("pack_field", pack_field, "words"_a.noconvert(), "out"_a.noconvert(), "width"_a)
      .def("unpack_field", unpack_field, "packed"_a.noconvert(), "out"_a.noconvert(), "width"_a)
      .def("look_up", look_up, "words"_a.noconvert(), "v"_a.noconvert(), "above"_a.noconvert(), "equal"_a.noconvert(),
           "shift"_a, "width"_a, "first"_a);
}

}  // namespace hecc

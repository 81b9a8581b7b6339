// Arrays of Python and what is checked of them: sizes, layouts, overlaps, and that residues are reduced. A wrong array
// is a std::invalid_argument here, and a ValueError in Python.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "modulus.hpp"
#include "pointwise.hpp"

namespace hecc {

namespace nb = nanobind;

// C-contiguous, native-endian. Anything else is a TypeError: `noconvert` of the bindings forbids a silent copy.
using Words = nb::ndarray<const std::uint64_t, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<std::uint64_t, nb::c_contig, nb::device::cpu>;  // writable too
using Bytes = nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu>;
using BytesOutput = nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu>;
using Indices = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Slots = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Coefficients = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

[[noreturn]] inline void refuse(const std::string& message) { throw std::invalid_argument(message); }

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

inline void check_below(const std::uint64_t* values, std::size_t count, std::uint64_t bound, const char* what) {
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
inline void check_limbs(const Words& limbs, const std::vector<std::uint64_t>& moduli) {
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
inline std::vector<const std::uint64_t*> rows(const Words& array) { return row_pointers(array, array.data()); }
inline std::vector<std::uint64_t*> rows(const Output& array) { return row_pointers(array, array.data()); }

}  // namespace hecc

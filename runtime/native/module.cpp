// The Python module hecc.runtime.native._native. Its callers are the typed faces in this folder, which check types and
// shapes and word the errors; what is checked here is everything that memory safety and correctness rest on.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "ntt.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace hecc {
namespace {

// Writable, C-contiguous, native-endian. Anything else is a TypeError: `noconvert` below forbids a silent copy.
using Residues = nb::ndarray<std::uint64_t, nb::c_contig, nb::device::cpu>;
using Transform = void (*)(const NttTables&, std::uint64_t*);

void check_reduced(const std::uint64_t* values, std::size_t count, std::uint64_t modulus) {
  bool reduced = true;  // without a branch, so that the compiler vectorises the loop
  for (std::size_t i = 0; i < count; ++i) reduced &= values[i] < modulus;
  if (reduced) return;
  const std::uint64_t* const found =
      std::find_if(values, values + count, [modulus](std::uint64_t value) { return value >= modulus; });
  throw std::invalid_argument("residue " + std::to_string(*found) + " at flat index " + std::to_string(found - values) +
                              " is not below the modulus " + std::to_string(modulus));
}

void transform(const NttTables& tables, const Residues& residues, Transform kernel) {
  if (residues.ndim() == 0 || residues.shape(residues.ndim() - 1) != tables.degree()) {
    throw std::invalid_argument("the last dimension is not the degree " + std::to_string(tables.degree()));
  }
  std::uint64_t* const values = residues.data();
  if (reinterpret_cast<std::uintptr_t>(values) % alignof(std::uint64_t) != 0) {
    throw std::invalid_argument("the array is not aligned to 8 bytes");
  }
  const std::size_t count = residues.size();
  const nb::gil_scoped_release release;
  check_reduced(values, count, tables.modulus());
  for (std::size_t start = 0; start < count; start += tables.degree()) kernel(tables, values + start);
}

}  // namespace
}  // namespace hecc

NB_MODULE(_native, module) {
  using hecc::NttTables;
  using hecc::Residues;
  module.doc() = "hecc's native kernels; use them through hecc.runtime.native";
  nb::class_<NttTables>(module, "NttTables")
      .def(nb::init<std::uint64_t, std::uint64_t>(), "degree"_a.noconvert(), "modulus"_a.noconvert(),
           nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("degree", &NttTables::degree)
      .def_prop_ro("modulus", &NttTables::modulus)
      .def_prop_ro("root", &NttTables::root)
      .def(
          "forward",
          [](const NttTables& tables, const Residues& residues) {
            hecc::transform(tables, residues, hecc::ntt_forward_portable);
          },
          "residues"_a.noconvert())
      .def(
          "inverse",
          [](const NttTables& tables, const Residues& residues) {
            hecc::transform(tables, residues, hecc::ntt_inverse_portable);
          },
          "residues"_a.noconvert());
}

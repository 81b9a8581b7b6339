// Number-theoretic transforms.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "arrays.hpp"
#include "kernels.hpp"
#include "native_module.hpp"
#include "ntt.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

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

}  // namespace

void bind_transforms(nb::module_& module) {
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

}  // namespace hecc

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

std::size_t last_dimension(const Output& residues) {
  return residues.ndim() == 0 ? 0 : residues.shape(residues.ndim() - 1);
}

bool is_transform_size(std::size_t size, std::size_t most) {
  return std::has_single_bit(size) && size <= most && size >= std::size_t{1} << kMinLogTransform;
}

// Transforms every run of `size` residues in place; 2^log_size is the size of the whole transform.
void transform_runs(const Tables& tables, const Output& residues, std::size_t size, int log_size, Transform kernel) {
  std::uint64_t* const values = residues.data();
  check_alignment(values);
  const std::size_t count = residues.size();
  const nb::gil_scoped_release release;
  check_reduced(residues, tables.shared->modulus());
  for (std::size_t start = 0; start < count; start += size) {
    kernel(tables.shared->view(), log_size, values + start, values + start);
  }
}

void transform(const Tables& tables, const Output& residues, bool sparse, Transform kernel) {
  const std::size_t degree = tables.shared->degree(), size = last_dimension(residues);
  if (sparse && !is_transform_size(size, degree)) {
    refuse("the last dimension is not a power of two from 64 to the degree " + std::to_string(degree));
  }
  if (!sparse && size != degree) refuse("the last dimension is not the degree " + std::to_string(degree));
  transform_runs(tables, residues, size, std::countr_zero(size), kernel);
}

// The first half of the values, from what the first stage leaves.
void transform_half(const Tables& tables, const Output& residues) {
  const std::size_t degree = tables.shared->degree(), size = last_dimension(residues);
  if (!is_transform_size(size, degree / 2)) {
    refuse("the last dimension is not a power of two from 64 to half the degree " + std::to_string(degree));
  }
  transform_runs(tables, residues, size, std::countr_zero(size) + 1, tables.kernels->ntt_forward_half);
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

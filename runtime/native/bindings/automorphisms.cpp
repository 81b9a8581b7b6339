// Automorphisms of the ring, of values and of coefficients.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "arrays.hpp"
#include "automorphism.hpp"
#include "kernels.hpp"
#include "modulus.hpp"
#include "native_module.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

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

}  // namespace

void bind_automorphisms(nb::module_& module, KernelsClass& kernels) {
  kernels.def("automorphism_coefficients", automorphism_coefficients, "residues"_a.noconvert(), "out"_a.noconvert(),
              "element"_a, "modulus"_a);

  nb::class_<GaloisPermutation>(module, "GaloisPermutation")
      .def(nb::init<std::uint64_t, std::uint64_t>(), "degree"_a, "element"_a)
      .def_prop_ro("element", &GaloisPermutation::element)
      .def("apply", permute, "kernels"_a, "residues"_a.noconvert(), "out"_a.noconvert())
      .def("apply_to_runs", permute_to_runs, "kernels"_a, "residues"_a.noconvert(), "out"_a.noconvert(), "index"_a);
}

}  // namespace hecc

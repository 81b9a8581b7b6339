// The Python module hecc.runtime.native._native, put together.
#include "native_module.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels.hpp"
#include "timing.hpp"

namespace hecc {
namespace {

std::vector<std::string> implementations() {
  std::vector<std::string> names;
  for (const Kernels* const kernels : available_kernels()) names.emplace_back(kernels->name);
  return names;
}

}  // namespace
}  // namespace hecc

NB_MODULE(_native, module) {
  using namespace hecc;          // NOLINT: the whole module is hecc's
  using namespace nb::literals;  // NOLINT: "name"_a
  // Objects that are left when a signal ends the process are no fault to report to a user.
  nb::set_leak_warnings(false);
  module.doc() = "hecc's native kernels; use them through hecc.runtime.native";
  module.def("implementations", implementations);

  KernelsClass kernels(module, "Kernels");
  kernels.def(nb::init<const std::optional<std::string>&>(), "implementation"_a = nb::none())
      .def_prop_ro("implementation", [](const KernelSet& set) { return set.kernels->name; });
  bind_pointwise(kernels);
  bind_products(module, kernels);
  bind_transforms(module);
  bind_ring(kernels);
  bind_rns(module, kernels);
  bind_automorphisms(module, kernels);
  bind_encoding(module, kernels);
  bind_series(kernels);
  bind_normals(module);

  module.def(
      "time_kernels",
      [](const KernelSet& set, std::uint64_t degree, std::size_t limbs, int bits, std::size_t repeats) {
        return time_kernels(*set.kernels, degree, limbs, bits, repeats);
      },
      "kernels"_a, "degree"_a, "limbs"_a, "bits"_a, "repeats"_a, nb::call_guard<nb::gil_scoped_release>());
}

// Chebyshev series at many points.
#include <cstddef>

#include "arrays.hpp"
#include "kernels.hpp"
#include "native_module.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

using Points = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Values = nb::ndarray<double, nb::c_contig, nb::device::cpu>;  // writable

void chebyshev_series(const KernelSet& set, const Points& x, const Coefficients& coefficients, const Values& out) {
  check_alignment(x.data());
  check_alignment(coefficients.data());
  check_alignment(out.data());
  if (coefficients.size() == 0) refuse("a series of no coefficients");
  if (x.size() != out.size()) {
    refuse("out has " + std::to_string(out.size()) + " numbers for " + std::to_string(x.size()) + " points");
  }
  const bool same = x.data() == out.data();
  if ((overlap(out, x) && !same) || overlap(out, coefficients)) refuse("an output overlaps an input in part");
  const nb::gil_scoped_release release;
  set.kernels->chebyshev_series(x.data(), x.size(), coefficients.data(), coefficients.size(), out.data());
}

}  // namespace

void bind_series(KernelsClass& kernels) {
  kernels.def("chebyshev_series", chebyshev_series, "x"_a.noconvert(), "coefficients"_a.noconvert(),
              "out"_a.noconvert());
}

}  // namespace hecc

// Chebyshev series at many points, in double precision: what the compiler and the simulator evaluate most.
#pragma once

#include <cstddef>

namespace hecc {

struct SeriesKernels {
  // out[i] = sum over k of coefficients[k] T_k(x[i]), by Clenshaw's recurrence as numpy.polynomial.chebyshev.chebval
  // does it: the same operations in the same order, and no fused ones, so the results are equal to the bit. `terms` is
  // one at least; `out` is `x` or does not overlap it, nor the coefficients.
  void (*chebyshev_series)(const double* x, std::size_t count, const double* coefficients, std::size_t terms,
                           double* out);
};

}  // namespace hecc

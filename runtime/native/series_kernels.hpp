// Chebyshev series, written once for all implementations (see ntt_kernels.hpp on linkage).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "series.hpp"

namespace hecc {
namespace {

template <class Isa>
struct Series {
  using Doubles = typename Isa::Doubles;
  static constexpr std::size_t kWidth = Isa::kWidth;
  // A step of the recurrence waits for a multiplication and an addition; so many vectors hide that, and fit registers.
  static constexpr std::size_t kVectors = kWidth == 8 ? 8 : 4;
  static constexpr std::size_t kPoints = kWidth * kVectors;

  static void points(const double* x, const double* coefficients, std::size_t terms, double* out) {
    Doubles twice[kVectors], low[kVectors], high[kVectors];
    const double last = coefficients[terms - 1];
    for (std::size_t v = 0; v < kVectors; ++v) {
      const Doubles value = Isa::load_doubles(x + v * kWidth);
      twice[v] = Isa::add(value, value);
      low[v] = Isa::broadcast_double(terms > 1 ? coefficients[terms - 2] : last);
      high[v] = Isa::broadcast_double(terms > 1 ? last : 0.0);
    }
    for (std::size_t k = terms > 2 ? terms - 2 : 0; k-- > 0;) {
      const Doubles coefficient = Isa::broadcast_double(coefficients[k]);
      for (std::size_t v = 0; v < kVectors; ++v) {
        const Doubles before = low[v];
        low[v] = Isa::subtract(coefficient, high[v]);
        high[v] = Isa::add(before, Isa::multiply(high[v], twice[v]));
      }
    }
    for (std::size_t v = 0; v < kVectors; ++v) {
      const Doubles value = Isa::load_doubles(x + v * kWidth);
      Isa::store_doubles(out + v * kWidth, Isa::add(low[v], Isa::multiply(high[v], value)));
    }
  }

  static void chebyshev_series(const double* x, std::size_t count, const double* coefficients, std::size_t terms,
                               double* out) {
    for (; count >= kPoints; count -= kPoints, x += kPoints, out += kPoints) points(x, coefficients, terms, out);
    if (count == 0) return;
    std::array<double, kPoints> rest{};
    std::copy_n(x, count, rest.begin());
    points(rest.data(), coefficients, terms, rest.data());
    std::copy_n(rest.begin(), count, out);
  }

  static constexpr SeriesKernels kernels() { return {chebyshev_series}; }
};

}  // namespace
}  // namespace hecc

// The transforms in portable C++: Harvey's butterflies with lazy reduction.
#include "modular.hpp"
#include "ntt.hpp"

namespace hecc {

// Cooley-Tukey, natural to bit-reversed order. A product is below 2q whatever its word operand, so each stage adds at
// most 2q to the largest value and nothing is reduced on the way: after 17 stages values are below 35q < 2^56.
void ntt_forward_portable(const NttTables& tables, std::uint64_t* values) {
  const std::uint64_t q = tables.modulus();
  const std::uint64_t two_q = 2 * q;
  const std::size_t degree = tables.degree();
  for (std::size_t blocks = 1, half = degree / 2; half != 0; blocks *= 2, half /= 2) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::uint64_t w = tables.powers()[blocks + block];
      const std::uint64_t quotient = tables.quotients()[blocks + block];
      std::uint64_t* const upper = values + 2 * half * block;
      std::uint64_t* const lower = upper + half;
      for (std::size_t i = 0; i < half; ++i) {
        const std::uint64_t u = upper[i];
        const std::uint64_t v = multiply_lazy(lower[i], w, quotient, q);
        upper[i] = u + v;
        lower[i] = u + two_q - v;
      }
    }
  }
  const Factor one = tables.one();
  for (std::size_t i = 0; i < degree; ++i) {
    values[i] = subtract_if_above(multiply_lazy(values[i], one.value, one.quotient, q), q);
  }
}

// Gentleman-Sande, bit-reversed to natural order. Sums would double at each stage, so they are brought back below 2q;
// the last stage divides by the degree as well.
void ntt_inverse_portable(const NttTables& tables, std::uint64_t* values) {
  const std::uint64_t q = tables.modulus();
  const std::uint64_t two_q = 2 * q;
  const std::size_t degree = tables.degree();
  for (std::size_t blocks = degree / 2, half = 1; blocks > 1; blocks /= 2, half *= 2) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::uint64_t w = tables.inverse_powers()[blocks + block];
      const std::uint64_t quotient = tables.inverse_quotients()[blocks + block];
      std::uint64_t* const upper = values + 2 * half * block;
      std::uint64_t* const lower = upper + half;
      for (std::size_t i = 0; i < half; ++i) {
        const std::uint64_t u = upper[i];
        const std::uint64_t v = lower[i];
        upper[i] = subtract_if_above(u + v, two_q);
        lower[i] = multiply_lazy(u + two_q - v, w, quotient, q);
      }
    }
  }
  const Factor sum = tables.inverse_degree();
  const Factor difference = tables.inverse_degree_times_root();
  std::uint64_t* const lower = values + degree / 2;
  for (std::size_t i = 0; i < degree / 2; ++i) {
    const std::uint64_t u = values[i];
    const std::uint64_t v = lower[i];
    values[i] = subtract_if_above(multiply_lazy(u + v, sum.value, sum.quotient, q), q);
    lower[i] = subtract_if_above(multiply_lazy(u + two_q - v, difference.value, difference.quotient, q), q);
  }
}

}  // namespace hecc

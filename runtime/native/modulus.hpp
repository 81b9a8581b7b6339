// A prime modulus and everything that depends on nothing else: what a kernel needs to reduce by it.
#pragma once

#include <cstdint>

#include "modular.hpp"

namespace hecc {

// Plain data, so that kernels read it without calling anything.
struct Modulus {
  std::uint64_t value;    // q, an odd prime below 2^50
  int bits;               // n, with 2^(n-1) < q < 2^n
  std::uint64_t barrett;  // floor(2^(2n) / q), below 2^(n+1) (Barrett, CRYPTO 1986)
  // Powers of two modulo q: what the parts of a lazy sum weigh.
  Factor one, power_48, power_51, power_52, power_64, power_96, power_99, power_104;
  double reciprocal;  // 1/q, rounded to nearest
};

// Throws std::invalid_argument, with a sentence for the user, unless q is an odd prime below 2^50.
Modulus make_modulus(std::uint64_t q);

// Whether n < 2^50 is prime.
bool is_prime(std::uint64_t n);

// w with its Shoup quotient for w < q, without a division.
static inline Factor make_factor(std::uint64_t w, const Modulus& modulus) {
  // w * 2^64 / q = w * floor(2^64 / q) + w * (2^64 mod q) / q, and the last quotient is off by at most one.
  const std::uint64_t rest = modulus.power_64.value;
  const std::uint64_t estimate = multiply_high(w, modulus.power_64.quotient);
  const std::uint64_t correction = w * rest - estimate * modulus.value >= modulus.value ? 1 : 0;
  return {w, w * modulus.one.quotient + estimate + correction};
}

// a * b mod q, fully reduced, for a, b < q, without a division.
static inline std::uint64_t multiply_modulo(std::uint64_t a, std::uint64_t b, const Modulus& modulus) {
  // floor(a * b * 2^64 / 2^(2n)), then the quotient to within 2 below: see docs/explanation/kernels.md, "Barrett".
  const int shift = 64 - modulus.bits;
  const std::uint64_t high = multiply_high(a << shift, b << shift);
  const std::uint64_t rest = a * b - multiply_high(high, modulus.barrett) * modulus.value;
  return subtract_if_above(subtract_if_above(rest, 2 * modulus.value), modulus.value);
}

}  // namespace hecc

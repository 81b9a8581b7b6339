#include "modulus.hpp"

#include <bit>
#include <stdexcept>
#include <string>

namespace hecc {

Modulus make_modulus(std::uint64_t q) {
  const std::string subject = "the modulus " + std::to_string(q);
  if (q >> kModulusBits != 0) throw std::invalid_argument(subject + " is not below 2^" + std::to_string(kModulusBits));
  if (q == 2 || !is_prime(q)) throw std::invalid_argument(subject + " is not a prime above 2");
  Modulus modulus{};
  modulus.value = q;
  modulus.bits = std::bit_width(q);
  const std::uint64_t rest = (std::uint64_t{1} << modulus.bits) - q;  // 2^(2n) / q = 2^n + (2^n - q) * 2^n / q
  modulus.barrett = (std::uint64_t{1} << modulus.bits) + (shoup_quotient(rest, q) >> (64 - modulus.bits));
  const auto power_of_two = [q](std::uint64_t exponent) { return make_factor(power_modulo(2, exponent, q), q); };
  modulus.one = make_factor(1, q);
  modulus.power_48 = power_of_two(48);
  modulus.power_51 = power_of_two(51);
  modulus.power_52 = power_of_two(52);
  modulus.power_64 = power_of_two(64);
  modulus.power_96 = power_of_two(96);
  modulus.power_99 = power_of_two(99);
  modulus.power_104 = power_of_two(104);
  modulus.reciprocal = 1.0 / static_cast<double>(q);
  return modulus;
}

// Miller-Rabin with the twelve prime bases that decide every n < 2^64 (Sorenson and Webster, "Strong pseudoprimes to
// twelve prime bases", 2015).
bool is_prime(std::uint64_t n) {
  constexpr std::uint64_t kBases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
  if (n < 2) return false;
  for (const std::uint64_t base : kBases) {
    if (n % base == 0) return n == base;
  }
  const int twos = std::countr_zero(n - 1);
  const std::uint64_t odd = (n - 1) >> twos;
  for (const std::uint64_t base : kBases) {
    std::uint64_t power = power_modulo(base, odd, n);
    if (power == 1) continue;
    bool composite = true;
    for (int i = 0; i < twos && composite; ++i) {
      composite = power != n - 1;
      power = multiply_modulo(power, power, n);
    }
    if (composite) return false;
  }
  return true;
}

}  // namespace hecc

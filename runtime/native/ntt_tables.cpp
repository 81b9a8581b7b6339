// Roots of unity and their Shoup quotients, in the order in which the transforms read them.
#include <bit>
#include <stdexcept>
#include <string>

#include "modular.hpp"
#include "ntt.hpp"

namespace hecc {
namespace {

std::size_t checked_degree(std::uint64_t degree) {
  if (!std::has_single_bit(degree) || std::countr_zero(degree) < kMinLogDegree ||
      std::countr_zero(degree) > kMaxLogDegree) {
    throw std::invalid_argument("the degree " + std::to_string(degree) + " is not a power of two from 2^" +
                                std::to_string(kMinLogDegree) + " to 2^" + std::to_string(kMaxLogDegree));
  }
  return static_cast<std::size_t>(degree);
}

std::uint64_t checked_modulus(std::uint64_t degree, std::uint64_t modulus) {
  const std::string subject = "the modulus " + std::to_string(modulus);
  if (modulus >> kModulusBits != 0) {
    throw std::invalid_argument(subject + " is not below 2^" + std::to_string(kModulusBits));
  }
  if (modulus % (2 * degree) != 1) {
    throw std::invalid_argument(subject + " is not 1 modulo " + std::to_string(2 * degree) + ", twice the degree");
  }
  if (!is_prime(modulus)) throw std::invalid_argument(subject + " is not a prime");
  return modulus;
}

// The smallest psi with psi^degree = -1.
std::uint64_t minimal_primitive_root(std::uint64_t degree, std::uint64_t modulus) {
  std::uint64_t root = 0;
  for (std::uint64_t base = 2;; ++base) {  // half of all bases are non-residues, so this ends after a few
    root = power_modulo(base, (modulus - 1) / (2 * degree), modulus);
    if (power_modulo(root, degree, modulus) == modulus - 1) break;
  }
  const std::uint64_t square = multiply_modulo(root, root, modulus);
  const std::uint64_t quotient = shoup_quotient(square, modulus);
  std::uint64_t minimal = root;
  for (std::uint64_t i = 1; i < degree; ++i) {  // the primitive roots are the odd powers of any one of them
    root = subtract_if_above(multiply_lazy(root, square, quotient, modulus), modulus);
    if (root < minimal) minimal = root;
  }
  return minimal;
}

Factor make_factor(std::uint64_t value, std::uint64_t modulus) { return {value, shoup_quotient(value, modulus)}; }

// The powers base^0 ... base^(degree - 1) in bit-reversed order, and their quotients.
void fill_powers(std::uint64_t base, std::size_t degree, std::uint64_t modulus, std::vector<std::uint64_t>& powers,
                 std::vector<std::uint64_t>& quotients) {
  powers.resize(degree);
  quotients.resize(degree);
  const Factor factor = make_factor(base, modulus);
  std::uint64_t power = 1;
  std::size_t reversed = 0;
  for (std::size_t i = 0; i < degree; ++i) {
    powers[reversed] = power;
    quotients[reversed] = shoup_quotient(power, modulus);
    power = subtract_if_above(multiply_lazy(power, factor.value, factor.quotient, modulus), modulus);
    std::size_t bit = degree >> 1;  // count upwards from the top bit
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
}

}  // namespace

NttTables::NttTables(std::uint64_t degree, std::uint64_t modulus)
    : degree_(checked_degree(degree)),
      modulus_(checked_modulus(degree, modulus)),
      root_(minimal_primitive_root(degree, modulus)) {
  fill_powers(root_, degree_, modulus_, powers_, quotients_);
  fill_powers(power_modulo(root_, modulus_ - 2, modulus_), degree_, modulus_, inverse_powers_, inverse_quotients_);
  const std::uint64_t inverse_degree = power_modulo(degree_, modulus_ - 2, modulus_);
  one_ = make_factor(1, modulus_);
  inverse_degree_ = make_factor(inverse_degree, modulus_);
  inverse_degree_times_root_ = make_factor(multiply_modulo(inverse_degree, inverse_powers_[1], modulus_), modulus_);
}

}  // namespace hecc

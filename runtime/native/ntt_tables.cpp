// Roots of unity and their quotients, in the order in which the transforms read them.
#include <bit>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>

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

Modulus checked_modulus(std::uint64_t degree, std::uint64_t modulus) {
  if (modulus >> kModulusBits == 0 && modulus % (2 * degree) != 1) {
    throw std::invalid_argument("the modulus " + std::to_string(modulus) + " is not 1 modulo " +
                                std::to_string(2 * degree) + ", twice the degree");
  }
  return make_modulus(modulus);
}

// The smallest psi with psi^degree = -1.
std::uint64_t minimal_primitive_root(std::uint64_t degree, const Modulus& modulus) {
  const std::uint64_t q = modulus.value;
  std::uint64_t root = 0;
  for (std::uint64_t base = 2;; ++base) {  // half of all bases are non-residues, so this ends after a few
    root = power_modulo(base, (q - 1) / (2 * degree), q);
    if (power_modulo(root, degree, q) == q - 1) break;
  }
  const Factor square = make_factor(multiply_modulo(root, root, modulus), modulus);
  std::uint64_t minimal = root;
  for (std::uint64_t i = 1; i < degree; ++i) {  // the primitive roots are the odd powers of any one of them
    root = multiply_by(root, square, q);
    if (root < minimal) minimal = root;
  }
  return minimal;
}

}  // namespace

Encoded encode_factor(std::uint64_t w, const Modulus& modulus, FactorFormat format) {
  const Factor factor = make_factor(w, modulus);
  switch (format) {
    case FactorFormat::kWord:
      return {factor.value, factor.quotient};
    case FactorFormat::kWord52:
      return {factor.value, factor.quotient >> 12};
    case FactorFormat::kDouble:
      break;
  }
  const bool upper = w > modulus.value / 2;
  const double centred = upper ? -static_cast<double>(modulus.value - w) : static_cast<double>(w);
  return {std::bit_cast<std::uint64_t>(centred),
          std::bit_cast<std::uint64_t>(centred / static_cast<double>(modulus.value))};
}

NttTables::NttTables(std::uint64_t degree, std::uint64_t modulus, FactorFormat format) {
  view_.degree = checked_degree(degree);
  view_.modulus = checked_modulus(degree, modulus);
  const std::uint64_t q = modulus;
  root_ = minimal_primitive_root(degree, view_.modulus);
  powers_ = AlignedBuffer<std::uint64_t>(view_.degree);
  quotients_ = AlignedBuffer<std::uint64_t>(view_.degree);
  view_.powers = powers_.data();
  view_.quotients = quotients_.data();

  const Factor psi = make_factor(root_, view_.modulus);
  std::uint64_t power = 1;
  std::size_t reversed = 0;
  for (std::size_t i = 0; i < view_.degree; ++i) {
    const Encoded encoded = encode_factor(power, view_.modulus, format);
    powers_[reversed] = encoded.value;
    quotients_[reversed] = encoded.quotient;
    power = multiply_by(power, psi, q);
    std::size_t bit = view_.degree >> 1;  // count upwards from the top bit
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }

  root_of_minus_one_ = power_modulo(root_, degree / 2, q);  // its inverse is its negative
  const std::uint64_t half = (q + 1) / 2;
  std::uint64_t inverse = 1;
  for (int k = 0; k <= kMaxLogDegree; ++k) {
    view_.inverse_size[k] = encode_factor(inverse, view_.modulus, format);
    view_.inverse_size_times_root[k] =
        encode_factor(multiply_modulo(inverse, root_of_minus_one_, view_.modulus), view_.modulus, format);
    inverse = multiply_modulo(inverse, half, view_.modulus);
  }
}

std::shared_ptr<const NttTables> shared_ntt_tables(std::uint64_t degree, std::uint64_t modulus, FactorFormat format) {
  using Key = std::tuple<std::uint64_t, std::uint64_t, FactorFormat>;
  static std::mutex mutex;
  static std::map<Key, std::weak_ptr<const NttTables>> cache;
  const Key key{degree, modulus, format};
  {
    const std::lock_guard lock(mutex);
    if (const auto entry = cache.find(key); entry != cache.end()) {
      if (auto found = entry->second.lock()) return found;
    }
  }
  auto made = std::make_shared<const NttTables>(degree, modulus, format);  // outside the lock: it takes milliseconds
  const std::lock_guard lock(mutex);
  auto& entry = cache[key];
  if (auto found = entry.lock()) return found;
  entry = made;
  return made;
}

}  // namespace hecc

#include "context.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <stdexcept>

namespace hecc {
namespace {

constexpr std::size_t kMaxPrimes = 256;

std::uint64_t inverse_modulo(std::uint64_t value, const Modulus& modulus) {
  return power_modulo(value, modulus.value - 2, modulus.value);
}

std::uint64_t next_identity() {
  static std::atomic<std::uint64_t> counter{0};
  return ++counter;
}

}  // namespace

Context::Context(std::uint64_t degree, const std::vector<std::uint64_t>& data_primes,
                 const std::vector<std::uint64_t>& special_primes, std::size_t digit_limbs, std::size_t threads,
                 const std::string& implementation)
    : identity_(next_identity()),
      degree_(static_cast<std::size_t>(degree)),
      data_limbs_(data_primes.size()),
      digit_limbs_(digit_limbs),
      log_degree_(std::bit_width(degree) - 1),
      kernels_(implementation.empty() ? &default_kernels() : &kernels_named(implementation)),
      pool_(std::make_unique<ThreadPool>(threads)),
      memory_(std::make_shared<BufferPool>()) {
  if (data_primes.empty() || special_primes.empty() || data_primes.size() + special_primes.size() > kMaxPrimes) {
    throw std::invalid_argument("there must be a data prime and a special prime, and at most " +
                                std::to_string(kMaxPrimes) + " primes in all");
  }
  if (digit_limbs < 1 || digit_limbs > data_limbs_) {
    throw std::invalid_argument("a digit of " + std::to_string(digit_limbs) + " limbs is outside 1.." +
                                std::to_string(data_limbs_));
  }
  std::vector<std::uint64_t> sorted = data_primes;
  sorted.insert(sorted.end(), special_primes.begin(), special_primes.end());
  std::vector<std::uint64_t> all = sorted;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    throw std::invalid_argument("the primes are not distinct");
  }
  for (const std::uint64_t prime : all) primes_.push_back(shared_ntt_tables(degree, prime, kernels_->format));

  std::vector<std::size_t> specials;
  std::vector<Modulus> special_moduli, data_moduli;
  for (std::size_t i = data_limbs_; i < primes_.size(); ++i) {
    specials.push_back(i);
    special_moduli.push_back(modulus(i));
  }
  for (std::size_t i = 0; i < data_limbs_; ++i) data_moduli.push_back(modulus(i));
  digit_conversions_.resize(digits(data_limbs_) * digit_limbs_);
  for (std::size_t digit = 0; digit < digits(data_limbs_); ++digit) {
    const std::size_t first = digit * digit_limbs_;
    for (std::size_t last = first + 2; last <= std::min(first + digit_limbs_, data_limbs_); ++last) {
      const auto at = [&](std::size_t i) { return data_moduli.begin() + static_cast<std::ptrdiff_t>(i); };
      std::vector<Modulus> targets = special_moduli;
      targets.insert(targets.end(), at(0), at(first));
      targets.insert(targets.end(), at(last), data_moduli.end());
      digit_conversions_[last - 1] = std::make_unique<const BasisConversion>(std::vector<Modulus>(at(first), at(last)),
                                                                             targets, true, kernels_->format);
    }
  }
  if (specials.size() > 1) {
    special_conversion_ = std::make_unique<const BasisConversion>(special_moduli, data_moduli, true, kernels_->format);
  }
  for (std::size_t i = 0; i < data_limbs_; ++i) {
    std::uint64_t product = 1;
    for (const std::size_t special : specials) {
      product = multiply_modulo(product, modulus(special).value % modulus(i).value, modulus(i).value);
    }
    special_products_.push_back(product);
    inverse_special_products_.push_back(inverse_modulo(product, modulus(i)));
  }
  inverse_primes_.resize(data_limbs_ * data_limbs_);
  for (std::size_t prime = 0; prime < data_limbs_; ++prime) {
    for (std::size_t i = 0; i < prime; ++i) {
      inverse_primes_[prime * data_limbs_ + i] = inverse_modulo(modulus(prime).value % modulus(i).value, modulus(i));
    }
  }
}

void Context::check_limbs(std::size_t limbs) const {
  if (limbs < 1 || limbs > data_limbs_) {
    throw std::invalid_argument(std::to_string(limbs) + " limbs are outside 1.." + std::to_string(data_limbs_));
  }
}

const PermutationView& Context::permutation(std::uint64_t element) const {
  const std::lock_guard<std::mutex> lock(permutations_mutex_);
  const auto found = permutations_.find(element);
  if (found != permutations_.end()) return found->second.view();
  return permutations_.emplace(element, GaloisPermutation(degree_, element)).first->second.view();
}

}  // namespace hecc

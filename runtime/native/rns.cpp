#include "rns.hpp"

#include <stdexcept>
#include <string>

#include "kernels.hpp"

namespace hecc {
namespace {

constexpr std::size_t kMaxSources = 64;
constexpr std::size_t kMaxTargets = 256;

// The product of all moduli but the one at `without`, modulo q.
std::uint64_t product(const std::vector<Modulus>& moduli, std::size_t without, const Modulus& q) {
  std::uint64_t result = 1;
  for (std::size_t i = 0; i < moduli.size(); ++i) {
    if (i != without) result = multiply_modulo(result, moduli[i].value % q.value, q);
  }
  return result;
}

std::uint64_t inverse(std::uint64_t a, const Modulus& q) { return power_modulo(a, q.value - 2, q.value); }

std::uint64_t negative(std::uint64_t a, const Modulus& q) { return a == 0 ? 0 : q.value - a; }

// (D - 1) / 2 modulo q, for the odd D that is given modulo q.
std::uint64_t half(std::uint64_t d, const Modulus& q) {
  return multiply_modulo(d == 0 ? q.value - 1 : d - 1, (q.value + 1) / 2, q);
}

void check_distinct(const std::vector<Modulus>& sources, const std::vector<Modulus>& targets) {
  std::vector<Modulus> all(sources);
  all.insert(all.end(), targets.begin(), targets.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[i].value == all[j].value) {
        throw std::invalid_argument("the prime " + std::to_string(all[i].value) + " occurs twice in a conversion");
      }
    }
  }
}

std::size_t degree_of(const std::vector<const NttTables*>& dropped) {
  if (dropped.empty()) throw std::invalid_argument("no limbs are dropped");
  return dropped[0]->degree();
}

std::vector<Modulus> moduli_of(const std::vector<const NttTables*>& tables) {
  std::vector<Modulus> moduli;
  for (const NttTables* const table : tables) moduli.push_back(table->modulus());
  return moduli;
}

std::vector<const NttView*> views_of(const std::vector<const NttTables*>& tables, std::size_t degree) {
  std::vector<const NttView*> views;
  for (const NttTables* const table : tables) {
    if (table->degree() != degree) throw std::invalid_argument("the limbs have different degrees");
    views.push_back(&table->view());
  }
  return views;
}

}  // namespace

BasisConversion::BasisConversion(const std::vector<Modulus>& sources, const std::vector<Modulus>& targets, bool centred,
                                 FactorFormat format)
    : source_(sources), target_(targets) {
  if (sources.empty() || sources.size() > kMaxSources) {
    throw std::invalid_argument("a conversion has 1 to " + std::to_string(kMaxSources) + " source primes, not " +
                                std::to_string(sources.size()));
  }
  if (targets.size() > kMaxTargets) {
    throw std::invalid_argument("a conversion has at most " + std::to_string(kMaxTargets) + " target primes, not " +
                                std::to_string(targets.size()));
  }
  check_distinct(sources, targets);
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Modulus& q = source_[i];
    scale_.push_back(encode_factor(inverse(product(sources, i, q), q), q, format));
    offset_.push_back(centred ? half(0, q) : 0);
  }
  for (const Modulus& p : target_) {
    for (std::size_t i = 0; i < sources.size(); ++i) weights_.push_back(product(sources, i, p));
    const std::uint64_t whole = product(sources, kNone, p);
    weights_.push_back(negative(whole, p));
    counter_.push_back(centred ? negative(half(whole, p), p) : 0);
  }
  view_ = {source_.size(), target_.size(), source_.data(),  target_.data(),
           scale_.data(),  offset_.data(), weights_.data(), counter_.data()};
}

ModDown::ModDown(const std::vector<const NttTables*>& kept, const std::vector<const NttTables*>& dropped,
                 FactorFormat format)
    : degree_(degree_of(dropped)),
      kept_(views_of(kept, degree_)),
      dropped_(views_of(dropped, degree_)),
      conversion_(moduli_of(dropped), moduli_of(kept), true, format) {
  for (const NttTables* const table : kept) {
    const Modulus& q = table->modulus();
    inverse_.push_back(inverse(product(moduli_of(dropped), static_cast<std::size_t>(-1), q), q));
  }
}

void ModDown::apply(const Kernels& kernels, const std::uint64_t* const* input, std::uint64_t* const* output,
                    std::uint64_t* scratch) const {
  int log_degree = 0;
  while (std::size_t{1} << log_degree < degree_) ++log_degree;
  const std::uint64_t* dropped[kMaxSources];
  std::uint64_t* converted[kMaxTargets];
  for (std::size_t i = 0; i < dropped_.size(); ++i) {
    std::uint64_t* const coefficients = scratch + i * degree_;
    kernels.ntt_inverse(*dropped_[i], log_degree, input[kept_.size() + i], coefficients);
    dropped[i] = coefficients;
  }
  scratch += dropped_.size() * degree_;
  for (std::size_t j = 0; j < kept_.size(); ++j) converted[j] = scratch + j * degree_;
  kernels.convert(conversion_.view(), dropped, converted, degree_, scratch + kept_.size() * degree_);
  for (std::size_t j = 0; j < kept_.size(); ++j) {
    std::uint64_t* const c = converted[j];
    kernels.ntt_forward(*kept_[j], log_degree, c, c);
    kernels.subtract_multiply_scalar(input[j], c, inverse_[j], output[j], degree_, kept_[j]->modulus);
  }
}

}  // namespace hecc

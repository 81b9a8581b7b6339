#include "ciphertexts.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "seal_random.hpp"

namespace hecc {
namespace {

std::size_t checked_words(const Context& context, std::size_t count, std::size_t polynomials, std::size_t limbs) {
  context.check_limbs(limbs);
  if (count < 1 || polynomials < 1 || polynomials > 3) {
    throw std::invalid_argument(std::to_string(count) + " ciphertexts of " + std::to_string(polynomials) +
                                " polynomials: there must be one at least, of one to three");
  }
  const std::size_t each = polynomials * limbs * context.degree();
  if (count > std::numeric_limits<std::size_t>::max() / 16 / each) throw std::bad_array_new_length();
  return count * each;
}

// residues[first], residues[first + 1], ...
void check_below(const std::uint64_t* residues, std::size_t first, std::size_t count, std::uint64_t modulus) {
  const std::uint64_t* const begin = residues + first;
  const std::uint64_t* const end = begin + count;
  bool reduced = true;  // without a branch, so that the compiler vectorises the loop
  for (std::size_t i = 0; i < count; ++i) reduced &= begin[i] < modulus;
  if (reduced) return;
  const std::uint64_t* const found =
      std::find_if(begin, end, [modulus](std::uint64_t value) { return value >= modulus; });
  throw std::invalid_argument("residue " + std::to_string(*found) + " at flat index " +
                              std::to_string(found - residues) + " is not below the modulus " +
                              std::to_string(modulus));
}

}  // namespace

Ciphertexts::Ciphertexts(const Context& context, std::size_t count, std::size_t polynomials, std::size_t limbs)
    : count_(count),
      polynomials_(polynomials),
      limbs_(limbs),
      degree_(context.degree()),
      context_(context.identity()),
      buffer_(context.borrow(checked_words(context, count, polynomials, limbs))) {}

void check_places(const Context& context, std::span<const Place> places) {
  if (places.empty()) throw std::invalid_argument("there are no ciphertexts");
  const Ciphertexts& first = *places.front().array;
  for (const Place& place : places) {
    const Ciphertexts& x = *place.array;
    if (!x.belong_to(context)) throw std::invalid_argument("an operand was made by another context");
    if (place.index >= x.count()) {
      throw std::invalid_argument("ciphertext " + std::to_string(place.index) + " of an array of " +
                                  std::to_string(x.count()));
    }
    if (x.polynomials() != first.polynomials() || x.limbs() != first.limbs()) {
      throw std::invalid_argument("the operands differ in polynomials or limbs");
    }
  }
}

Ciphertexts gather(const Context& context, std::span<const Place> places) {
  check_places(context, places);
  const Ciphertexts& first = *places.front().array;
  Ciphertexts result(context, places.size(), first.polynomials(), first.limbs());
  const std::size_t words = first.polynomials() * first.limbs() * context.degree();
  context.pool().run(places.size(), [&](std::size_t i, std::size_t) {
    std::memcpy(result.limb(i, 0, 0), places[i].limb(0, 0), words * sizeof(std::uint64_t));
  });
  return result;
}

Ciphertexts read_ciphertext(const Context& context, std::span<const std::uint8_t> residues, std::size_t polynomials,
                            std::size_t limbs, const std::uint8_t* seed) {
  Ciphertexts result(context, 1, polynomials, limbs);
  const std::size_t stored = seed == nullptr ? polynomials : polynomials - 1, degree = context.degree();
  if (stored == 0 || residues.size() != stored * limbs * degree * sizeof(std::uint64_t)) {
    throw std::invalid_argument(std::to_string(residues.size()) + " bytes are not the residues of " +
                                std::to_string(stored) + " polynomials");
  }
  // Copied first, so that what has been checked cannot change any more.
  std::memcpy(result.limb(0, 0, 0), residues.data(), residues.size());
  for (std::size_t i = 0; i < stored * limbs; ++i) {
    check_below(result.limb(0, 0, 0), i * degree, degree, context.modulus(i % limbs).value);
  }
  if (seed == nullptr) return result;
  std::uint8_t bytes[kSeedBytes];
  std::memcpy(bytes, seed, kSeedBytes);
  std::vector<Modulus> moduli;
  for (std::size_t limb = 0; limb < limbs; ++limb) moduli.push_back(context.modulus(limb));
  ThreadPool alone(1);
  expand_seed(context.kernels(), alone, bytes, moduli, degree, result.limb(0, stored, 0));
  return result;
}

void check_residues(const Context& context, const std::uint64_t* residues, std::size_t rows,
                    const std::vector<std::size_t>& primes) {
  const std::size_t degree = context.degree();
  context.pool().run(rows * primes.size(), [&](std::size_t index, std::size_t) {
    check_below(residues, index * degree, degree, context.modulus(primes[index % primes.size()]).value);
  });
}

void check_residues(const Context& context, const SwitchingKey& key) {
  const std::size_t runs = context.degree() / kKeyRun;
  context.pool().run((key.limbs + key.special) * runs, [&](std::size_t index, std::size_t) {
    const std::size_t limb = index / runs;
    const std::uint64_t modulus = context.modulus(context.prime_of(limb, key.limbs)).value;
    const std::size_t size = key.run_bytes(context, limb);
    const std::uint8_t* const begin = key.residues + key.offset(context, limb) + index % runs * size;
    with_packed_bytes(packed_bytes(modulus), [&](auto bytes) {
      bool reduced = true;
      for (const std::uint8_t* run = begin; run < begin + size; run += kKeyRun * bytes.value) {
        for (std::size_t i = 0; i < kKeyRun; ++i) {
          reduced &= packed_word<bytes.value>(run, kKeyRun, i) < modulus;
        }
      }
      if (!reduced) {
        throw std::invalid_argument("a residue of limb " + std::to_string(limb) + " is not below the modulus " +
                                    std::to_string(modulus));
      }
    });
  });
}

}  // namespace hecc

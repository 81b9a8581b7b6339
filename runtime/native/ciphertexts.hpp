// Arrays of ciphertexts, switching keys and plaintexts: the operands. All residues are in NTT form, in SEAL's order,
// and below their primes: what comes from outside is checked once, when it becomes one of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "buffer_pool.hpp"
#include "context.hpp"
#include "packing.hpp"

namespace hecc {

// `count` ciphertexts of `polynomials` polynomials of `limbs` limbs, C-contiguous in this order.
class Ciphertexts {
 public:
  // The contents are whatever was in the memory.
  Ciphertexts(const Context& context, std::size_t count, std::size_t polynomials, std::size_t limbs);

  std::size_t count() const { return count_; }
  std::size_t polynomials() const { return polynomials_; }
  std::size_t limbs() const { return limbs_; }
  std::size_t degree() const { return degree_; }
  // Whether they were made by this very context: residues modulo other primes mean nothing to it.
  bool belong_to(const Context& context) const { return context.identity() == context_; }
  std::size_t words() const { return count_ * polynomials_ * limbs_ * degree_; }

  std::uint64_t* limb(std::size_t index, std::size_t polynomial, std::size_t limb) {
    return buffer_.data() + ((index * polynomials_ + polynomial) * limbs_ + limb) * degree_;
  }
  const std::uint64_t* limb(std::size_t index, std::size_t polynomial, std::size_t limb) const {
    return buffer_.data() + ((index * polynomials_ + polynomial) * limbs_ + limb) * degree_;
  }

 private:
  std::size_t count_, polynomials_, limbs_, degree_;
  std::uint64_t context_;
  BufferPool::Buffer buffer_;
};

// One ciphertext of an array.
struct Place {
  const Ciphertexts* array;
  std::size_t index;

  const std::uint64_t* limb(std::size_t polynomial, std::size_t limb) const {
    return array->limb(index, polynomial, limb);
  }
};

// Throws std::invalid_argument unless there is a place at least, and all are within arrays of this context and alike in
// polynomials and limbs.
void check_places(const Context& context, std::span<const Place> places);

// Ciphertexts from anywhere, copied into one array.
Ciphertexts gather(const Context& context, std::span<const Place> places);

// One ciphertext from the bytes of its residues, which need no alignment; `words` of them are of `polynomials`
// polynomials. With a seed the last polynomial is sampled from it instead. Computed by the calling thread alone, so
// that several may read at once. Throws std::invalid_argument unless every residue is below its prime.
Ciphertexts read_ciphertext(const Context& context, std::span<const std::uint8_t> residues, std::size_t polynomials,
                            std::size_t limbs, const std::uint8_t* seed);

// A switching key for up to `limbs` data limbs, in memory that somebody else owns, such as a mapped file. For every
// limb of the key's own basis, so many data primes and the first `special` special ones, for every kKeyRun
// coefficients, for every digit, for both polynomials there is a packed run of residues, in the order in which inner
// products read them.
struct SwitchingKey {
  const std::uint8_t* residues;
  std::size_t limbs, digits, special;

  // For digits of as many data primes as the context has in one: rotations and relinearisation.
  static SwitchingKey hybrid(const Context& context, const std::uint8_t* residues, std::size_t limbs) {
    return {residues, limbs, context.digits(limbs), context.special_limbs()};
  }
  // Of one digit: for a polynomial of small integers, which needs no decomposition.
  static SwitchingKey of_one_digit(const Context& context, const std::uint8_t* residues, std::size_t limbs) {
    return {residues, limbs, 1, context.special_limbs()};
  }
  // From one limb to another secret, with the first special prime alone.
  static SwitchingKey of_one_limb(const std::uint8_t* residues) { return {residues, 1, 1, 1}; }

  bool is_hybrid(const Context& context) const {
    return digits == context.digits(limbs) && special == context.special_limbs();
  }
  // Bytes of both polynomials of all digits for one run of coefficients, at one limb of the key's own basis.
  std::size_t run_bytes(const Context& context, std::size_t limb) const {
    return digits * 2 * kKeyRun * packed_bytes(context.modulus(context.prime_of(limb, limbs)).value);
  }
  std::size_t bytes(const Context& context) const { return offset(context, limbs + special); }
  // Where a limb of the key's own basis begins.
  std::size_t offset(const Context& context, std::size_t limb) const {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < limb; ++i) bytes += context.degree() / kKeyRun * run_bytes(context, i);
    return bytes;
  }
  // The limb of the key's own basis that is limb `limb` of basis QP at `used` <= limbs data limbs. At fewer limbs
  // the last digits of every run stay unread.
  std::size_t own_limb(std::size_t limb, std::size_t used) const { return limb < used ? limb : limbs + limb - used; }
};

// Throws std::invalid_argument, naming the first one, unless every residue of a key is below the prime of its limb.
void check_residues(const Context& context, const SwitchingKey& key);

// Throws std::invalid_argument, naming the first one, unless every residue is below the prime of its limb. `residues`
// has shape (rows, limbs, N); limb i belongs to the prime of index primes[i].
void check_residues(const Context& context, const std::uint64_t* residues, std::size_t rows,
                    const std::vector<std::size_t>& primes);

}  // namespace hecc

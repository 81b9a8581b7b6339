// Arrays of ciphertexts, switching keys and plaintexts: the operands. All residues are in NTT form, in SEAL's order,
// and below their primes: what comes from outside is checked once, when it becomes one of these.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer_pool.hpp"
#include "context.hpp"

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

// A switching key for up to `limbs` data limbs, in memory that somebody else owns, such as a mapped file: residues of
// shape (digits, 2, limbs + special limbs, N).
struct SwitchingKey {
  const std::uint64_t* residues;
  std::size_t limbs;

  // The residues of one polynomial of one digit, at limb `limb` of basis QP at `used` <= limbs data limbs.
  const std::uint64_t* limb(const Context& context, std::size_t digit, std::size_t polynomial, std::size_t limb,
                            std::size_t used) const {
    const std::size_t width = limbs + context.special_limbs();
    const std::size_t index = limb < used ? limb : limbs + limb - used;
    return residues + ((2 * digit + polynomial) * width + index) * context.degree();
  }
};

// Throws std::invalid_argument, naming the first one, unless every residue is below the prime of its limb. `residues`
// has shape (rows, limbs, N); limb i belongs to the prime of index primes[i].
void check_residues(const Context& context, const std::uint64_t* residues, std::size_t rows,
                    const std::vector<std::size_t>& primes);

}  // namespace hecc

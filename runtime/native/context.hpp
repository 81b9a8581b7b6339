// Everything that operations on ciphertexts depend on and that is the same for all of them: ring, primes, tables,
// constants of base conversions, threads and memory.
//
// Data primes have the indices 0, 1, ..., in SEAL's order, and the special primes follow. A ciphertext of l limbs is
// modulo Q = the product of the first l data primes; key switching works modulo Q P with P the product of the special
// primes. In basis QP limb i < l is data prime i, and limb l + i special prime i.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "buffer_pool.hpp"
#include "kernels.hpp"
#include "ntt.hpp"
#include "rns.hpp"
#include "thread_pool.hpp"

namespace hecc {

class Context {
 public:
  // `digit_limbs` is alpha, the number of data primes of a digit in key switching. Throws std::invalid_argument, with a
  // sentence for the user, unless the ring and the primes are what NttTables asks for and all distinct, there is a data
  // and a special prime at least, and 1 <= digit_limbs <= number of data primes.
  Context(std::uint64_t degree, const std::vector<std::uint64_t>& data_primes,
          const std::vector<std::uint64_t>& special_primes, std::size_t digit_limbs, std::size_t threads,
          const std::string& implementation);

  // Different for every context of a process.
  std::uint64_t identity() const { return identity_; }
  std::size_t degree() const { return degree_; }
  std::size_t data_limbs() const { return data_limbs_; }
  std::size_t special_limbs() const { return primes_.size() - data_limbs_; }
  std::size_t digit_limbs() const { return digit_limbs_; }
  std::size_t digits(std::size_t limbs) const { return (limbs + digit_limbs_ - 1) / digit_limbs_; }
  // Whether keys are of the shape that SEAL's own have. Then a single key switch takes its digits as SEAL does, from 0
  // to q - 1, and gives SEAL's result to the bit; in all other cases digits are centred around zero, which is less
  // noise.
  bool seal_shaped() const { return digit_limbs_ == 1 && special_limbs() == 1; }

  const NttTables& tables(std::size_t prime) const { return *primes_[prime]; }
  const Modulus& modulus(std::size_t prime) const { return primes_[prime]->modulus(); }
  // The index of the prime of limb `limb` in basis QP at `limbs` data limbs.
  std::size_t prime_of(std::size_t limb, std::size_t limbs) const {
    return limb < limbs ? limb : data_limbs_ + limb - limbs;
  }

  // From the `limbs` primes of digit `digit`, two at least, centred around zero. The targets are the special primes and
  // then all data primes but those of the digit, in order.
  const BasisConversion& digit_conversion(std::size_t digit, std::size_t limbs) const {
    return *digit_conversions_[digit * digit_limbs_ + limbs - 1];
  }
  // From the special primes, two at least, centred around zero, to the data primes.
  const BasisConversion& special_conversion() const { return *special_conversion_; }
  // P and its inverse modulo a data prime.
  std::uint64_t special_product(std::size_t prime) const { return special_products_[prime]; }
  std::uint64_t inverse_special_product(std::size_t prime) const { return inverse_special_products_[prime]; }
  // The inverse of a data prime modulo an earlier one.
  std::uint64_t inverse_prime(std::size_t prime, std::size_t modulus) const {
    return inverse_primes_[prime * data_limbs_ + modulus];
  }

  const Kernels& kernels() const { return *kernels_; }
  ThreadPool& pool() const { return *pool_; }
  // One limb from coefficients to values and back; input and output may be the same.
  void forward(std::size_t prime, const std::uint64_t* input, std::uint64_t* output) const {
    kernels_->ntt_forward(tables(prime).view(), log_degree_, input, output);
  }
  void inverse(std::size_t prime, const std::uint64_t* input, std::uint64_t* output) const {
    kernels_->ntt_inverse(tables(prime).view(), log_degree_, input, output);
  }
  // The permutation of an automorphism, made when it is first wanted and kept. Throws std::invalid_argument unless the
  // element is odd and below 2N.
  const PermutationView& permutation(std::uint64_t element) const;
  BufferPool::Buffer borrow(std::size_t words) const { return memory_->borrow(words); }

  // Throws std::invalid_argument unless 1 <= limbs <= data_limbs().
  void check_limbs(std::size_t limbs) const;

 private:
  std::uint64_t identity_;
  std::size_t degree_, data_limbs_, digit_limbs_;
  int log_degree_;
  const Kernels* kernels_;
  std::vector<std::shared_ptr<const NttTables>> primes_;
  std::vector<std::unique_ptr<const BasisConversion>> digit_conversions_;
  std::unique_ptr<const BasisConversion> special_conversion_;
  std::vector<std::uint64_t> special_products_, inverse_special_products_, inverse_primes_;
  std::unique_ptr<ThreadPool> pool_;
  std::shared_ptr<BufferPool> memory_;
  mutable std::mutex permutations_mutex_;
  mutable std::map<std::uint64_t, GaloisPermutation> permutations_;
};

}  // namespace hecc

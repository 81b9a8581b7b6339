// Hybrid key switching (Han and Ki, "Better bootstrapping for approximate homomorphic encryption", CT-RSA 2020, section
// 3) in the pieces from which rotations, relinearisation and linear transforms are made: decomposition into digits in
// basis QP, inner products with keys, and division by P.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "buffer_pool.hpp"
#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// Which integers a digit, known modulo its primes, stands for.
struct Representative {
  enum class Kind {
    kCentred,   // those closest to zero: least noise, and it commutes with automorphisms
    kFromZero,  // 0 to q - 1, as SEAL relinearises; one prime per digit
    kRotated,   // those that are 0 to q - 1 after the automorphism of `element`, as SEAL rotates; one prime per digit
  };
  Kind kind = Kind::kCentred;
  std::uint64_t element = 1;
};

// Polynomials ready to be cut into digits: everything of a decomposition but the transforms.
class Decomposition {
 public:
  // Of polynomials in NTT form, each `limbs` contiguous limbs, which must outlive this.
  Decomposition(const Context& context, std::vector<const std::uint64_t*> polynomials, std::size_t limbs,
                Representative representative);
  // Of `count` polynomials in coefficient form, of shape (count, limbs, N).
  Decomposition(const Context& context, BufferPool::Buffer coefficients, std::size_t count, std::size_t limbs);

  std::size_t polynomials() const { return count_; }
  std::size_t limbs() const { return limbs_; }
  std::size_t digits() const { return digits_; }
  std::size_t width() const { return width_; }

  // One limb, of basis QP, of one digit, in NTT form: in `target`, or where the polynomial has it already.
  const std::uint64_t* limb(std::size_t polynomial, std::size_t digit, std::size_t limb, std::uint64_t* target) const;

 private:
  void prepare(Representative representative);
  std::size_t digit_limbs(std::size_t digit) const;
  std::vector<const std::uint64_t*> scaled(std::size_t polynomial, std::size_t digit) const;

  const Context& context_;
  std::vector<const std::uint64_t*> values_;  // the polynomials in NTT form, or empty
  std::size_t count_, limbs_, digits_, width_;
  BufferPool::Buffer coefficients_, scaled_, multiples_;
};

// The digits of several polynomials, NTT form, in basis QP: what hoisting computes once.
class Digits {
 public:
  Digits() = default;
  // Refers to the polynomials' own memory where a digit is a limb.
  Digits(const Context& context, const Decomposition& decomposition);

  std::size_t digits() const { return digits_; }
  const std::uint64_t* limb(std::size_t polynomial, std::size_t digit, std::size_t limb) const {
    return pointers_[(polynomial * digits_ + digit) * width_ + limb];
  }

 private:
  std::size_t digits_ = 0, width_ = 0;
  std::vector<const std::uint64_t*> pointers_;
  BufferPool::Buffer buffer_;
};

// For every polynomial both inner products of its digits with a key, keys[polynomial]: `sums` has the shape
// (polynomials, 2, limbs of basis QP, N). Digits are used as soon as they are made and then forgotten.
void switch_keys(const Context& context, const Decomposition& decomposition, const std::vector<SwitchingKey>& keys,
                 std::uint64_t* sums);

// Parts [begin, begin + size) of limb `limb` of both inner products of the digits of a polynomial with a key.
void inner_products(const Context& context, const Digits& digits, std::size_t polynomial, const SwitchingKey& key,
                    std::size_t limbs, std::size_t limb, std::size_t begin, std::size_t size, std::uint64_t* first,
                    std::uint64_t* second);

// Pointwise work on a limb is cut into pieces of this many words: small enough for the first-level cache, and many
// enough for all threads. It divides every degree.
inline constexpr std::size_t kPiece = 1024;

// first = sum of left[t] * first_right[t], second = sum of left[t] * second_right[t], `size` residues each, a multiple
// of kSums. No output may be an input.
void sum_products(const Kernels& kernels, const std::uint64_t* const* left, const std::uint64_t* const* first_right,
                  const std::uint64_t* const* second_right, std::size_t terms, std::uint64_t* first,
                  std::uint64_t* second, std::size_t size, const Modulus& modulus);

// Division by the product of some primes, rounded to nearest.
struct Division {
  const BaseConversion* conversion;     // from the primes divided by
  std::vector<std::size_t> kept;        // indices of the other primes
  std::vector<std::uint64_t> inverses;  // of the divisor, modulo each of them
};
// By P, in basis QP at `limbs` data limbs.
Division division_by_special(const Context& context, std::size_t limbs);
// By the last of `limbs` data primes.
Division division_by_last(const Context& context, std::size_t limbs);

// Divides polynomials in NTT form. The limbs of an input are contiguous: first those kept, then those divided by. An
// output has the kept ones.
void divide(const Context& context, const Division& division, const std::vector<const std::uint64_t*>& inputs,
            const std::vector<std::uint64_t*>& outputs);

// The same with results in coefficient form, of shape (inputs, limbs kept, N).
BufferPool::Buffer divide_to_coefficients(const Context& context, const Division& division,
                                          const std::vector<const std::uint64_t*>& inputs);

}  // namespace hecc

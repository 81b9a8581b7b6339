// Hybrid key switching (Han and Ki, "Better bootstrapping for approximate homomorphic encryption", CT-RSA 2020, section
// 3) in the pieces from which rotations, relinearisation and linear transforms are made: decomposition into digits in
// basis QP, inner products with keys, and division by P.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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

  // Digits of several primes are converted a few coefficients at a time to all primes, so that each is read once: this
  // makes those of polynomials [first, first + count) at limbs [first_limb, last_limb) of basis QP, in coefficient
  // form. `output` has the shape (count, digits, limbs, N); what limb() does not take from it is left as it is.
  void convert(std::size_t first, std::size_t count, std::size_t first_limb, std::size_t last_limb,
               std::uint64_t* output) const;
  // One limb of one digit, in NTT form: in `target`, or where the polynomial has it already. `target` is what convert()
  // made of it.
  const std::uint64_t* limb(std::size_t polynomial, std::size_t digit, std::size_t limb, std::uint64_t* target) const;

 private:
  std::size_t digit_limbs(std::size_t digit) const;
  bool own(std::size_t digit, std::size_t limb) const {
    return limb < limbs_ && limb / context_.digit_limbs() == digit;
  }

  const Context& context_;
  std::vector<const std::uint64_t*> values_;  // the polynomials in NTT form, or empty
  std::size_t count_, limbs_, digits_, width_;
  Representative::Kind kind_ = Representative::Kind::kCentred;
  BufferPool::Buffer coefficients_, masks_;
};

// The digits of several polynomials, NTT form, in basis QP: what hoisting computes once.
class Digits {
 public:
  Digits() = default;
  // At limbs [first, last) of basis QP. Refers to the polynomials' own memory where a digit is a limb.
  Digits(const Context& context, const Decomposition& decomposition, std::size_t first, std::size_t last);

  std::size_t digits() const { return digits_; }
  const std::uint64_t* limb(std::size_t polynomial, std::size_t digit, std::size_t limb) const {
    return pointers_[(polynomial * digits_ + digit) * limbs_ + limb - first_];
  }

 private:
  std::size_t digits_ = 0, first_ = 0, limbs_ = 0;
  std::vector<const std::uint64_t*> pointers_;
  BufferPool::Buffer buffer_;
};

// For every polynomial both inner products of its digits with a key, keys[polynomial]: `sums` has the shape
// (polynomials, 2, limbs of basis QP, N). Digits are used as soon as they are made and then forgotten.
void switch_keys(const Context& context, const Decomposition& decomposition, const std::vector<SwitchingKey>& keys,
                 std::uint64_t* sums);

// Limb `limb` of both inner products of the digits of a polynomial with a key, addend * factor added to the first
// unless `addend` is null.
void inner_products(const Context& context, const Digits& digits, std::size_t polynomial, const SwitchingKey& key,
                    std::size_t limbs, std::size_t limb, const std::uint64_t* addend, std::uint64_t factor,
                    std::uint64_t* first, std::uint64_t* second);

// Division by the product of some primes, rounded to nearest.
struct Division {
  std::vector<std::size_t> sources;     // indices of the primes divided by
  const BasisConversion* conversion;    // from them to the others; null where it is one prime
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

// The same, one limb of one quotient at a time: consume(input, limb, values) gets it in memory that it may overwrite
// and that is another's afterwards, and runs in parallel.
void divide(const Context& context, const Division& division, const std::vector<const std::uint64_t*>& inputs,
            const std::function<void(std::size_t input, std::size_t limb, std::uint64_t* values)>& consume);

// The same with results in coefficient form, of shape (inputs, limbs kept, N).
BufferPool::Buffer divide_to_coefficients(const Context& context, const Division& division,
                                          const std::vector<const std::uint64_t*>& inputs);

}  // namespace hecc

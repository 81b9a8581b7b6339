// The instructions on whole arrays of ciphertexts, apart from linear transforms. Each works on residues in NTT form and
// throws std::invalid_argument, with a sentence for the user, when its operands do not fit one another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// Sums; where one operand has a third polynomial, so has the result.
Ciphertexts add(const Context& context, const Ciphertexts& x, const Ciphertexts& y);
Ciphertexts subtract(const Context& context, const Ciphertexts& x, const Ciphertexts& y);
Ciphertexts negate(const Context& context, const Ciphertexts& x);

// With plaintexts: as many polynomials of their own as there are ciphertexts.
Ciphertexts add_plain(const Context& context, const Ciphertexts& x, const Ciphertexts& plain);
Ciphertexts multiply_plain(const Context& context, const Ciphertexts& x, const Ciphertexts& plain);

// Products of two polynomials each, with three.
Ciphertexts multiply(const Context& context, const Ciphertexts& x, const Ciphertexts& y);
Ciphertexts square(const Context& context, const Ciphertexts& x);

// Three polynomials to two, with the key of the secret's square.
Ciphertexts relinearize(const Context& context, const Ciphertexts& x, const SwitchingKey& key);

// A Galois key, permuted beforehand by the inverse of its automorphism.
struct GaloisKey {
  std::uint64_t element;
  SwitchingKey key;
};

// The automorphism X -> X^element.
Ciphertexts rotate(const Context& context, const Ciphertexts& x, const GaloisKey& key);

// One rotation per key, of which each argument is decomposed only once (Halevi and Shoup, "Faster homomorphic linear
// transformations in HElib", CRYPTO 2018, section 4.2).
std::vector<Ciphertexts> rotate_hoisted(const Context& context, const Ciphertexts& x,
                                        const std::vector<GaloisKey>& keys);

// For each key in turn, the sum of what there is and its rotation.
Ciphertexts rotate_and_add(const Context& context, const Ciphertexts& x, const std::vector<GaloisKey>& keys);

// Real vectors a and b from a + X^(N/2) b: twice each of `count` vectors, of which a ciphertext holds two; the last may
// hold one. The key is that of conjugation, by which a stays and X^(N/2) b becomes its negative.
Ciphertexts separate(const Context& context, const Ciphertexts& x, const GaloisKey& key, std::size_t count);

// Division by the last `dropped` primes, one after the other, each rounded to nearest as in SEAL.
Ciphertexts rescale(const Context& context, const Ciphertexts& x, std::size_t dropped);

// Without the last `dropped` limbs.
Ciphertexts drop_limbs(const Context& context, const Ciphertexts& x, std::size_t dropped);

}  // namespace hecc

// Automorphisms X -> X^g of the ring, for odd g: what rotations and conjugation do to a ciphertext.
#pragma once

#include <cstddef>
#include <cstdint>

#include "aligned.hpp"
#include "modulus.hpp"

namespace hecc {

// Plain data, see GaloisPermutation.
struct PermutationView {
  std::size_t degree;
  const std::uint32_t* blocks;   // per block of eight outputs: 8 * (source block) + pattern
  const std::uint64_t* pattern;  // eight patterns of eight lanes
};

// Residues in SEAL's NTT order are permuted: value i is the one at psi^e(i), and its image is the value at psi^(g
// e(i)). In bit-reversed order eight consecutive exponents differ by multiples of N/4, and so do their images: a block
// of eight comes from one block of eight, its lanes in one of eight orders.
class GaloisPermutation {
 public:
  // Throws std::invalid_argument unless the degree is a power of two from 2^11 to 2^17 and the element odd and below
  // twice the degree.
  GaloisPermutation(std::uint64_t degree, std::uint64_t element);

  const PermutationView& view() const { return view_; }
  std::uint64_t element() const { return element_; }

 private:
  std::uint64_t element_;
  AlignedBuffer<std::uint32_t> blocks_;
  AlignedBuffer<std::uint64_t> pattern_;
  PermutationView view_{};
};

// `input` and `output` hold `degree` words each and do not overlap.
struct AutomorphismKernels {
  // In NTT form: words are moved, whatever they are.
  void (*permute)(const PermutationView& permutation, const std::uint64_t* input, std::uint64_t* output);
  // The same for two polynomials, with the results in runs: for every run of kDiagonalRun coefficients of the first
  // half, at `output` and every `stride` words, the run of the first image, its counterpart from the end of that image,
  // which is run N / kDiagonalRun - 1 - r for run r, and the same of the second image.
  void (*permute_to_runs)(const PermutationView& permutation, const std::uint64_t* first, const std::uint64_t* second,
                          std::uint64_t* output, std::size_t stride);
  // In coefficient form: coefficient i goes to i * element modulo 2N, negated above N. Residues below q; the degree is
  // a power of two, the element odd.
  void (*automorphism_coefficients)(const std::uint64_t* input, std::uint64_t* output, std::size_t degree,
                                    std::uint64_t element, const Modulus& q);
};

}  // namespace hecc

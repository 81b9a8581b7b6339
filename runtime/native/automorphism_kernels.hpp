// Automorphisms, written once for all implementations (see ntt_kernels.hpp on linkage).
#pragma once

#include <cstddef>
#include <cstdint>

#include "automorphism.hpp"

namespace hecc {
namespace {

template <class Isa>
struct Automorphism {
  static void permute(const PermutationView& permutation, const std::uint64_t* input, std::uint64_t* output) {
    for (std::size_t block = 0; block < permutation.degree / 8; ++block) {
      const std::size_t entry = permutation.blocks[block];
      Isa::permute_block(input + (entry & ~std::size_t{7}), permutation.pattern + 8 * (entry & 7), output + 8 * block);
    }
  }

  // A scatter with a stride: no implementation has a better way.
  static void automorphism_coefficients(const std::uint64_t* input, std::uint64_t* output, std::size_t degree,
                                        std::uint64_t element, const Modulus& q) {
    std::size_t target = 0;
    for (std::size_t i = 0; i < degree; ++i) {
      const std::uint64_t x = input[i];
      const bool negated = (target & degree) != 0 && x != 0;
      output[target & (degree - 1)] = negated ? q.value - x : x;
      target += element;
    }
  }

  static constexpr AutomorphismKernels kernels() { return {permute, automorphism_coefficients}; }
};

}  // namespace
}  // namespace hecc

// Automorphisms, written once for all implementations (see ntt_kernels.hpp on linkage).
#pragma once

#include <cstddef>
#include <cstdint>

#include "automorphism.hpp"
#include "pointwise.hpp"

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

  static void permute_to_runs(const PermutationView& permutation, const std::uint64_t* first,
                              const std::uint64_t* second, std::uint64_t* output, std::size_t stride) {
    constexpr std::size_t kBlocks = kDiagonalRun / 8;
    const std::size_t blocks = permutation.degree / 8;
    for (std::size_t run = 0; run < blocks / 2; run += kBlocks, output += stride) {
      for (std::size_t i = 0; i < kBlocks; ++i) {
        for (const bool mirrored : {false, true}) {
          const std::size_t entry = permutation.blocks[(mirrored ? blocks - kBlocks - run : run) + i];
          const std::size_t source = entry & ~std::size_t{7};
          const std::uint64_t* const lanes = permutation.pattern + 8 * (entry & 7);
          std::uint64_t* const target = output + (mirrored ? kDiagonalRun : 0) + 8 * i;
          Isa::permute_block(first + source, lanes, target);
          Isa::permute_block(second + source, lanes, target + 2 * kDiagonalRun);
        }
      }
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

  static constexpr AutomorphismKernels kernels() { return {permute, permute_to_runs, automorphism_coefficients}; }
};

}  // namespace
}  // namespace hecc

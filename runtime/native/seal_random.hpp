// Microsoft SEAL's expansion of a seed: ciphertexts made with the secret key travel with a seed in place of their
// second polynomial, which is uniform and public.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "context.hpp"

namespace hecc {

inline constexpr std::size_t kSeedBytes = 64;

// The uniform polynomial that SEAL 4 samples from a seed with its BLAKE2Xb generator, modulo the first `limbs` data
// primes: `limbs` limbs of N residues in NTT form.
void expand_seed(const Context& context, const std::uint8_t (&seed)[kSeedBytes], std::size_t limbs,
                 std::uint64_t* output);

}  // namespace hecc

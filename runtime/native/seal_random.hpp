// Microsoft SEAL's expansion of a seed: ciphertexts made with the secret key travel with a seed in place of their
// second polynomial, which is uniform and public.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "modulus.hpp"
#include "thread_pool.hpp"

namespace hecc {

inline constexpr std::size_t kSeedBytes = 64;
// The generator's output comes in blocks of so many words: what the degree has to be a multiple of.
inline constexpr std::size_t kSeedDegree = 512;

// The uniform polynomial that SEAL 4 samples from a seed with its BLAKE2Xb generator: for each modulus `degree`
// residues, NTT form.
void expand_seed(const Kernels& kernels, ThreadPool& pool, const std::uint8_t (&seed)[kSeedBytes],
                 const std::vector<Modulus>& moduli, std::size_t degree, std::uint64_t* output);

}  // namespace hecc

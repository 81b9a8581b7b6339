// BLAKE2b (RFC 7693) and BLAKE2Xb, its extension to outputs of any length ("BLAKE2X", Aumasson, Neves, Wilcox-O'Hearn
// and Winnerlein, 2016). Public data only: Microsoft SEAL expands the seed of a ciphertext's random half with it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.hpp"

namespace hecc {

// `output_size` < 2^32 - 1 bytes of BLAKE2Xb of an input under a key of at most 64 bytes, not empty. Most of the time
// goes into the output's parts of 64 bytes, which the vector implementations compute several at a time.
void blake2xb(const Kernels& kernels, std::uint8_t* output, std::size_t output_size, const std::uint8_t* input,
              std::size_t input_size, const std::uint8_t* key, std::size_t key_size);

}  // namespace hecc

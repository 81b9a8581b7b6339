// Integers modulo powers of two, in the low bits of words: products of matrices, packed fields, threshold words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hecc {

// Columns that a matrix product makes at a time; its scratch holds so many words for every term of a sum.
inline constexpr std::size_t kRingColumns = 64;

// A party's shares of [t > v] and [t = v] are one bit each, in a byte.
struct RingKernels {
  // out[r * columns + j] = sum over t of a[r * terms + t] * b[down[t] + across[j]], modulo 2^bits, for r < rows. With
  // down[t] = t * columns and across[j] = j, `b` is a matrix; with others a convolution reads its image, padded with
  // zeros, without a copy of every window. bits is from 1 to 64; up to 32 the arithmetic is that of half words.
  // `scratch` has kRingColumns * terms words, at an alignment of 64 bytes.
  void (*ring_product)(const std::uint64_t* a, const std::uint64_t* b, const std::uint64_t* down,
                       const std::uint64_t* across, std::uint64_t* out, std::size_t rows, std::size_t terms,
                       std::size_t columns, int bits, std::uint64_t* scratch);

  // The low `width` bits of each word, one behind the other from the lowest bit of the first byte; the last byte ends
  // in zeros. `out` has (count * width + 7) / 8 bytes.
  void (*pack_field)(const std::uint64_t* words, std::uint8_t* out, std::size_t count, int width);
  // The words of a packed field.
  void (*unpack_field)(const std::uint8_t* packed, std::uint64_t* out, std::size_t count, int width);

  // Bits v[i] and v[i] - 1 of share i of a threshold word of a digit of `width` bits, of which v has `shift` bits less
  // significant: `above` gets the first, `equal` the sum of the two. Bit -1 is `first`, bit 2^width - 1 is zero. width
  // is at most 6.
  void (*look_up)(const std::uint64_t* words, const std::uint64_t* v, std::uint8_t* above, std::uint8_t* equal,
                  std::size_t count, int shift, int width, bool first);
};

}  // namespace hecc

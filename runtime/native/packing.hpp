// Residues that are read once per use, and from memory each time, are kept in as few bytes as their prime needs: what
// such work costs is what it reads. Switching keys are packed in their files already.
//
// All of it has internal linkage: the vector translation units include it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace hecc {

// Bytes of a packed residue below a modulus: 4, 5, 6 or 8.
static constexpr std::size_t packed_bytes(std::uint64_t modulus) {
  const int bits = std::bit_width(modulus - 1);
  return bits <= 32 ? 4 : bits <= 40 ? 5 : bits <= 48 ? 6 : 8;
}

// A packed run of `count` words: first the low four bytes of each, then the one or two others of each; words of eight
// bytes stay as they are. All little-endian. Residue i of such a run.
template <std::size_t kBytes>
static std::uint64_t packed_word(const std::uint8_t* run, std::size_t count, std::size_t i) {
  if constexpr (kBytes == 8) {
    std::uint64_t word;
    std::memcpy(&word, run + 8 * i, sizeof word);
    return word;
  }
  std::uint32_t low;
  std::memcpy(&low, run + 4 * i, sizeof low);
  if constexpr (kBytes == 5) return low | std::uint64_t{run[4 * count + i]} << 32;
  if constexpr (kBytes == 6) {
    std::uint16_t high;
    std::memcpy(&high, run + 4 * count + 2 * i, sizeof high);
    return low | std::uint64_t{high} << 32;
  }
  return low;
}

template <std::size_t kBytes>
static void pack_run(const std::uint64_t* words, std::size_t count, std::uint8_t* run) {
  if constexpr (kBytes == 8) {
    std::memcpy(run, words, 8 * count);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t low = static_cast<std::uint32_t>(words[i]);
    std::memcpy(run + 4 * i, &low, sizeof low);
  }
  if constexpr (kBytes == 5) {
    for (std::size_t i = 0; i < count; ++i) run[4 * count + i] = static_cast<std::uint8_t>(words[i] >> 32);
  }
  if constexpr (kBytes == 6) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t high = static_cast<std::uint16_t>(words[i] >> 32);
      std::memcpy(run + 4 * count + 2 * i, &high, sizeof high);
    }
  }
}

// body(std::integral_constant<std::size_t, bytes>()) for one of the numbers of bytes there are.
template <class Body>
static void with_packed_bytes(std::size_t bytes, const Body& body) {
  switch (bytes) {
    case 4:
      return body(std::integral_constant<std::size_t, 4>());
    case 5:
      return body(std::integral_constant<std::size_t, 5>());
    case 6:
      return body(std::integral_constant<std::size_t, 6>());
    default:
      return body(std::integral_constant<std::size_t, 8>());
  }
}

}  // namespace hecc

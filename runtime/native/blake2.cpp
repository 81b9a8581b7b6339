#include "blake2.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace hecc {
namespace {

constexpr std::size_t kBlockBytes = 128;
constexpr std::size_t kDigestBytes = 64;

constexpr std::uint64_t kInitial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                       0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

constexpr std::uint8_t kOrder[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

std::uint64_t load_word(const std::uint8_t* bytes) {
  std::uint64_t word = 0;
  for (int i = 7; i >= 0; --i) word = word << 8 | bytes[i];
  return word;
}

void store_word(std::uint8_t* bytes, std::uint64_t word) {
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(word >> (8 * i));
}

inline void mix(std::uint64_t& a, std::uint64_t& b, std::uint64_t& c, std::uint64_t& d, std::uint64_t x,
                std::uint64_t y) {
  a += b + x;
  d = std::rotr(d ^ a, 32);
  c += d;
  b = std::rotr(b ^ c, 24);
  a += b + y;
  d = std::rotr(d ^ a, 16);
  c += d;
  b = std::rotr(b ^ c, 63);
}

// The compression function; `total` counts the bytes up to the end of this block.
void compress(std::uint64_t (&state)[8], const std::uint8_t* block, std::uint64_t total, bool last) {
  std::uint64_t message[16], v[16];
  for (int i = 0; i < 16; ++i) message[i] = load_word(block + 8 * i);
  std::copy(state, state + 8, v);
  std::copy(kInitial, kInitial + 8, v + 8);
  v[12] ^= total;
  if (last) v[14] = ~v[14];
  for (int round = 0; round < 12; ++round) {
    const std::uint8_t* const order = kOrder[round % 10];
    for (int i = 0; i < 4; ++i) {
      mix(v[i], v[4 + i], v[8 + i], v[12 + i], message[order[2 * i]], message[order[2 * i + 1]]);
    }
    for (int i = 0; i < 4; ++i) {
      mix(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4], message[order[8 + 2 * i]],
          message[order[9 + 2 * i]]);
    }
  }
  for (int i = 0; i < 8; ++i) state[i] ^= v[i] ^ v[8 + i];
}

// The fields of the parameter block that differ between the uses here.
struct Parameters {
  std::uint8_t digest_size, key_size, fanout, depth;
  std::uint32_t leaf_size, node_offset, output_size;
  std::uint8_t inner_size;
};

// Of an input, after a block of its own for the key if there is one.
void blake2b(const Parameters& parameters, const std::uint8_t* key, const std::uint8_t* input, std::size_t input_size,
             std::uint8_t* output) {
  std::uint64_t state[8];
  std::copy(kInitial, kInitial + 8, state);
  state[0] ^= parameters.digest_size | parameters.key_size << 8 | std::uint64_t{parameters.fanout} << 16 |
              std::uint64_t{parameters.depth} << 24 | std::uint64_t{parameters.leaf_size} << 32;
  state[1] ^= parameters.node_offset | std::uint64_t{parameters.output_size} << 32;
  state[2] ^= std::uint64_t{parameters.inner_size} << 8;

  std::uint8_t block[kBlockBytes];
  std::uint64_t total = 0;
  if (parameters.key_size != 0) {
    std::memset(block, 0, kBlockBytes);
    std::memcpy(block, key, parameters.key_size);
    total = kBlockBytes;
    compress(state, block, total, input_size == 0);
  }
  while (input_size != 0 || total == 0) {
    const std::size_t taken = std::min(input_size, kBlockBytes);
    std::memset(block, 0, kBlockBytes);
    std::memcpy(block, input, taken);
    input += taken;
    input_size -= taken;
    total += taken;
    compress(state, block, total, input_size == 0);
    if (input_size == 0) break;
  }
  std::uint8_t digest[kDigestBytes];
  for (int i = 0; i < 8; ++i) store_word(digest + 8 * i, state[i]);
  std::memcpy(output, digest, parameters.digest_size);
}

}  // namespace

void blake2xb(std::uint8_t* output, std::size_t output_size, const std::uint8_t* input, std::size_t input_size,
              const std::uint8_t* key, std::size_t key_size) {
  const auto length = static_cast<std::uint32_t>(output_size);
  std::uint8_t root[kDigestBytes];
  blake2b({kDigestBytes, static_cast<std::uint8_t>(key_size), 1, 1, 0, 0, length, 0}, key, input, input_size, root);
  for (std::uint32_t node = 0; output_size != 0; ++node) {
    const std::size_t part = std::min(output_size, kDigestBytes);
    blake2b({static_cast<std::uint8_t>(part), 0, 0, 0, kDigestBytes, node, length, kDigestBytes}, nullptr, root,
            kDigestBytes, output);
    output += part;
    output_size -= part;
  }
}

}  // namespace hecc

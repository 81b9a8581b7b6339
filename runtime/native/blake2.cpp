#include "blake2.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "blake2_lanes.hpp"

namespace hecc {
namespace {

constexpr std::size_t kBlockBytes = 128;

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
  std::copy(kBlake2Initial, kBlake2Initial + 8, v + 8);
  v[12] ^= total;
  if (last) v[14] = ~v[14];
  for (int round = 0; round < 12; ++round) {
    const std::uint8_t* const order = kBlake2Order[round % 10];
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
  std::copy(kBlake2Initial, kBlake2Initial + 8, state);
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
  std::uint8_t digest[kBlake2DigestBytes];
  for (int i = 0; i < 8; ++i) store_word(digest + 8 * i, state[i]);
  std::memcpy(output, digest, parameters.digest_size);
}

struct LeafKernel {
  std::size_t width;
  Blake2Leaves* leaves;
};

// None for the portable implementation.
LeafKernel leaf_kernel([[maybe_unused]] const Kernels& kernels) {
#if HECC_X86_KERNELS
  if (&kernels == &kAvx512IfmaKernels) return {8, blake2_leaves_avx512};
  if (&kernels == &kAvx2Kernels) return {4, blake2_leaves_avx2};
#endif
  return {0, nullptr};
}

}  // namespace

void blake2xb(const Kernels& kernels, std::uint8_t* output, std::size_t output_size, const std::uint8_t* input,
              std::size_t input_size, const std::uint8_t* key, std::size_t key_size) {
  const auto length = static_cast<std::uint32_t>(output_size);
  std::uint8_t root[kBlake2DigestBytes];
  blake2b({kBlake2DigestBytes, static_cast<std::uint8_t>(key_size), 1, 1, 0, 0, length, 0}, key, input, input_size,
          root);
  std::uint32_t node = 0;
  const LeafKernel lanes = leaf_kernel(kernels);
  if (lanes.leaves != nullptr) {
    std::uint64_t words[8];
    for (int i = 0; i < 8; ++i) words[i] = load_word(root + 8 * i);
    for (const std::size_t size = lanes.width * kBlake2DigestBytes; output_size >= size; output_size -= size) {
      lanes.leaves(words, node, length, output);
      node += static_cast<std::uint32_t>(lanes.width);
      output += size;
    }
  }
  for (; output_size != 0; ++node) {
    const std::size_t part = std::min(output_size, kBlake2DigestBytes);
    blake2b({static_cast<std::uint8_t>(part), 0, 0, 0, kBlake2DigestBytes, node, length, kBlake2DigestBytes}, nullptr,
            root, kBlake2DigestBytes, output);
    output += part;
    output_size -= part;
  }
}

}  // namespace hecc

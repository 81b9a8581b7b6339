#include "seal_random.hpp"

#include <limits>

#include "blake2.hpp"

namespace hecc {
namespace {

// The generator's output is a sequence of blocks: block i is BLAKE2Xb of i, a little-endian word, under the seed.
constexpr std::size_t kBlockWords = kSeedDegree;

void generate_block(const Kernels& kernels, const std::uint8_t* seed, std::uint64_t index, std::uint64_t* words) {
  std::uint8_t counter[8], bytes[8 * kBlockWords];
  for (int i = 0; i < 8; ++i) counter[i] = static_cast<std::uint8_t>(index >> (8 * i));
  blake2xb(kernels, bytes, sizeof bytes, counter, sizeof counter, seed, kSeedBytes);
  for (std::size_t i = 0; i < kBlockWords; ++i) {
    words[i] = 0;
    for (int k = 7; k >= 0; --k) words[i] = words[i] << 8 | bytes[8 * i + static_cast<std::size_t>(k)];
  }
}

}  // namespace

void expand_seed(const Kernels& kernels, ThreadPool& pool, const std::uint8_t (&seed)[kSeedBytes],
                 const std::vector<Modulus>& moduli, std::size_t degree, std::uint64_t* output) {
  const std::size_t blocks = moduli.size() * degree / kBlockWords;
  pool.run(blocks,
           [&](std::size_t block, std::size_t) { generate_block(kernels, seed, block, output + block * kBlockWords); });
  // A word at or above the largest multiple of the prime is drawn again, from what follows all the words above.
  std::uint64_t next = blocks, words[kBlockWords];
  std::size_t used = kBlockWords;
  for (const Modulus& modulus : moduli) {
    constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t bound = kLargest - kLargest % modulus.value - 1;
    for (std::uint64_t* const end = output + degree; output != end; ++output) {
      while (*output >= bound) {
        if (used == kBlockWords) {
          generate_block(kernels, seed, next++, words);
          used = 0;
        }
        *output = words[used++];
      }
      *output = multiply_by(*output, modulus.one, modulus.value);
    }
  }
}

}  // namespace hecc

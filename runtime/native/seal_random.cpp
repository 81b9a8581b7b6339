#include "seal_random.hpp"

#include <algorithm>
#include <limits>

#include "blake2.hpp"

namespace hecc {
namespace {

// The generator's output is a sequence of blocks: block i is BLAKE2Xb of i, a little-endian word, under the seed.
constexpr std::size_t kBlockWords = 512;

void generate_block(const std::uint8_t* seed, std::uint64_t index, std::uint64_t (&words)[kBlockWords]) {
  std::uint8_t counter[8], bytes[8 * kBlockWords];
  for (int i = 0; i < 8; ++i) counter[i] = static_cast<std::uint8_t>(index >> (8 * i));
  blake2xb(bytes, sizeof bytes, counter, sizeof counter, seed, kSeedBytes);
  for (std::size_t i = 0; i < kBlockWords; ++i) {
    words[i] = 0;
    for (int k = 7; k >= 0; --k) words[i] = words[i] << 8 | bytes[8 * i + static_cast<std::size_t>(k)];
  }
}

}  // namespace

void expand_seed(const Context& context, const std::uint8_t (&seed)[kSeedBytes], std::size_t limbs,
                 std::uint64_t* output) {
  context.check_limbs(limbs);
  const std::size_t degree = context.degree(), blocks = limbs * degree / kBlockWords;
  context.pool().run(blocks, [&](std::size_t block, std::size_t) {
    std::uint64_t words[kBlockWords];
    generate_block(seed, block, words);
    std::copy(words, words + kBlockWords, output + block * kBlockWords);
  });
  // A word at or above the largest multiple of the prime is drawn again, from what follows all the words above.
  std::uint64_t next = blocks, words[kBlockWords];
  std::size_t used = kBlockWords;
  for (std::size_t limb = 0; limb < limbs; ++limb) {
    const std::uint64_t modulus = context.modulus(limb).value;
    constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t bound = kLargest - kLargest % modulus - 1;
    const Factor one = context.modulus(limb).one;
    for (std::uint64_t* word = output + limb * degree; word != output + (limb + 1) * degree; ++word) {
      while (*word >= bound) {
        if (used == kBlockWords) {
          generate_block(seed, next++, words);
          used = 0;
        }
        *word = words[used++];
      }
      *word = multiply_by(*word, one, modulus);
    }
  }
}

}  // namespace hecc

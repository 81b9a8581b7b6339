#include "automorphism.hpp"

#include <bit>
#include <stdexcept>
#include <string>

#include "ntt.hpp"

namespace hecc {
namespace {

std::size_t reverse_bits(std::size_t value, int width) {
  std::size_t reversed = 0;
  for (int i = 0; i < width; ++i) reversed |= ((value >> i) & 1) << (width - 1 - i);
  return reversed;
}

}  // namespace

GaloisPermutation::GaloisPermutation(std::uint64_t degree, std::uint64_t element) : element_(element) {
  if (!std::has_single_bit(degree) || std::countr_zero(degree) < kMinLogDegree ||
      std::countr_zero(degree) > kMaxLogDegree) {
    throw std::invalid_argument("the degree " + std::to_string(degree) + " is not a power of two from 2^11 to 2^17");
  }
  if (element % 2 == 0 || element >= 2 * degree) {
    throw std::invalid_argument("the Galois element " + std::to_string(element) + " is not odd and below " +
                                std::to_string(2 * degree));
  }
  const std::size_t blocks = static_cast<std::size_t>(degree) / 8;
  const int width = std::countr_zero(blocks);
  blocks_ = AlignedBuffer<std::uint32_t>(blocks);
  pattern_ = AlignedBuffer<std::uint64_t>(64);
  for (std::size_t block = 0; block < blocks; ++block) {
    // Output 8 * block is at the exponent 2r + 1; its source is at the exponent (2r + 1) * element = 2s + 1, and what s
    // has above N/8 decides the lanes.
    const std::size_t r = reverse_bits(block, width);
    const std::size_t s = (((2 * r + 1) * static_cast<std::size_t>(element)) >> 1) & (8 * blocks - 1);
    blocks_[block] = static_cast<std::uint32_t>(8 * reverse_bits(s % blocks, width) + s / blocks);
  }
  for (std::size_t first = 0; first < 8; ++first) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
      const std::size_t source = (first + static_cast<std::size_t>(element) * reverse_bits(lane, 3)) & 7;
      pattern_[8 * first + lane] = reverse_bits(source, 3);
    }
  }
  view_ = {static_cast<std::size_t>(degree), blocks_.data(), pattern_.data()};
}

}  // namespace hecc

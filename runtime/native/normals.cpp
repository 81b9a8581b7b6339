#include "normals.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hecc {
namespace {

// SplitMix64, which fills the states: no lane is all zeros, and neighbouring seeds have nothing in common.
std::uint64_t split_mix(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// The natural logarithm of a positive normal float, as in Moshier's Cephes: of a mantissa between the roots of 1/2
// and 2.
inline float log_of(float x) {
  constexpr std::int32_t kRootOfHalf = 0x3f3504f3;
  const std::int32_t bits = std::bit_cast<std::int32_t>(x) - kRootOfHalf;
  const float exponent = static_cast<float>(bits >> 23);
  const float f = std::bit_cast<float>((bits & 0x007fffff) + kRootOfHalf) - 1.0f;
  const float square = f * f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  return (f + (p * f * square - 2.12194440e-4f * exponent - 0.5f * square)) + 0.693359375f * exponent;
}

}  // namespace

NormalStream::NormalStream(std::uint64_t seed, std::uint64_t stream) {
  std::uint64_t state = seed ^ std::rotl(split_mix(stream), 32);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    for (std::size_t i = 0; i < 4; i += 2) {
      const std::uint64_t word = split_mix(state);
      state_[i][lane] = static_cast<std::uint32_t>(word);
      state_[i + 1][lane] = static_cast<std::uint32_t>(word >> 32);
    }
  }
}

void NormalStream::next(Lanes& words) {
  auto& [a, b, c, d] = state_;
  for (std::size_t i = 0; i < kLanes; ++i) {
    words[i] = std::rotl(a[i] + d[i], 7) + a[i];
    const std::uint32_t t = b[i] << 9;
    c[i] ^= a[i];
    d[i] ^= b[i];
    b[i] ^= c[i];
    a[i] ^= d[i];
    c[i] ^= t;
    d[i] = std::rotl(d[i], 11);
  }
}

void NormalStream::next_block(double* out) {
  Lanes lengths, angles;
  next(lengths);
  next(angles);
  for (std::size_t i = 0; i < kLanes; ++i) {
    // Of 31 bits, away from zero; and an angle of a quarter turn around zero, which the highest two bits turn on.
    const float uniform = (static_cast<float>(static_cast<std::int32_t>(lengths[i] >> 1)) + 0.5f) * 0x1p-31f;
    const float length = std::sqrt(-2.0f * std::min(log_of(uniform), 0.0f));
    const float angle = static_cast<float>(static_cast<std::int32_t>(angles[i] << 2)) * (0.785398163397f * 0x1p-31f);
    const float square = angle * angle;
    const float sine =
        angle + angle * square * (-1.6666654611e-1f + square * (8.3321608736e-3f - square * 1.9515295891e-4f));
    const float cosine = 1.0f - 0.5f * square +
                         square * square * (4.1666645683e-2f + square * (2.4433157118e-5f * square - 1.3887316255e-3f));
    // By a quarter turn the two change places, by half a turn both change signs.
    const std::uint32_t swapped = 0u - (angles[i] >> 31);
    const std::uint32_t sign = (angles[i] << 1) & 0x80000000u;
    const std::uint32_t s = std::bit_cast<std::uint32_t>(sine), c = std::bit_cast<std::uint32_t>(cosine);
    const std::uint32_t first = (((c & ~swapped) | (s & swapped)) ^ (swapped & 0x80000000u)) ^ sign;
    const std::uint32_t second = ((s & ~swapped) | (c & swapped)) ^ sign;
    out[i] = static_cast<double>(length * std::bit_cast<float>(first));
    out[i + kLanes] = static_cast<double>(length * std::bit_cast<float>(second));
  }
}

void NormalStream::fill(double* out, std::size_t count) {
  constexpr std::size_t kBlock = 2 * kLanes;
  for (; count >= kBlock; count -= kBlock, out += kBlock) next_block(out);
  if (count == 0) return;
  std::array<double, kBlock> rest;
  next_block(rest.data());
  std::copy_n(rest.begin(), count, out);
}

}  // namespace hecc

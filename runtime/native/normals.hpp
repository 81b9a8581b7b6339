// Standard normal numbers, many at a time, for simulations of noise. Nothing secret may be made of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hecc {

// A stream of independent standard normal numbers, the same on every machine for the same seed. Uniform words come from
// xoshiro128++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021), one
// generator a lane, and become normal by the transform of Box and Muller. All is written so that compilers make vectors
// of the lanes, with no function of the C library but the square root, which IEEE 754 says to the bit. Numbers have the
// precision of a float and reach to 6.7.
class NormalStream {
 public:
  NormalStream(std::uint64_t seed, std::uint64_t stream);

  void fill(double* out, std::size_t count);

 private:
  static constexpr std::size_t kLanes = 16;
  using Lanes = std::array<std::uint32_t, kLanes>;

  void next(Lanes& words);
  // Two normal numbers for each lane.
  void next_block(double* out);

  std::array<Lanes, 4> state_;
};

}  // namespace hecc

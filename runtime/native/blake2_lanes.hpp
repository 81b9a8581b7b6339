// BLAKE2b's constants, and the leaves of BLAKE2Xb several at a time: all of them hash the same 64 bytes, and differ
// only in their number.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hecc {

inline constexpr std::size_t kBlake2DigestBytes = 64;

inline constexpr std::uint64_t kBlake2Initial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                                    0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                                    0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

inline constexpr std::uint8_t kBlake2Order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

// As many leaves as there are lanes, from number `node`, of 64 bytes each, one after the other. `root` is the root's
// digest, `length` the size of the whole output.
using Blake2Leaves = void(const std::uint64_t (&root)[8], std::uint32_t node, std::uint32_t length,
                          std::uint8_t* output);
Blake2Leaves blake2_leaves_avx2, blake2_leaves_avx512;

namespace {

template <class Lanes>
void blake2_mix(typename Lanes::Word& a, typename Lanes::Word& b, typename Lanes::Word& c, typename Lanes::Word& d,
                typename Lanes::Word x, typename Lanes::Word y) {
  a = Lanes::add(Lanes::add(a, b), x);
  d = Lanes::template rotate<32>(Lanes::exclusive_or(d, a));
  c = Lanes::add(c, d);
  b = Lanes::template rotate<24>(Lanes::exclusive_or(b, c));
  a = Lanes::add(Lanes::add(a, b), y);
  d = Lanes::template rotate<16>(Lanes::exclusive_or(d, a));
  c = Lanes::add(c, d);
  b = Lanes::template rotate<63>(Lanes::exclusive_or(b, c));
}

// Lane i of every word belongs to leaf `node` + i.
template <class Lanes>
void blake2_leaves(const std::uint64_t (&root)[8], std::uint32_t node, std::uint32_t length, std::uint8_t* output) {
  using Word = typename Lanes::Word;
  std::uint64_t numbers[Lanes::kWidth];
  for (std::uint32_t i = 0; i < Lanes::kWidth; ++i) numbers[i] = node + i;

  // The parameter block: digest and leaf size; number and length of the output; inner digest size.
  Word state[8];
  for (int i = 0; i < 8; ++i) state[i] = Lanes::broadcast(kBlake2Initial[i]);
  constexpr std::uint64_t kSize = kBlake2DigestBytes;
  state[0] = Lanes::broadcast(kBlake2Initial[0] ^ kSize ^ kSize << 32);
  state[1] =
      Lanes::exclusive_or(Lanes::broadcast(kBlake2Initial[1] ^ std::uint64_t{length} << 32), Lanes::load(numbers));
  state[2] = Lanes::broadcast(kBlake2Initial[2] ^ kSize << 8);

  // One block, the last, of 64 bytes and zeros.
  Word message[16], v[16];
  for (int i = 0; i < 16; ++i) message[i] = Lanes::broadcast(i < 8 ? root[i] : 0);
  for (int i = 0; i < 8; ++i) {
    v[i] = state[i];
    v[8 + i] = Lanes::broadcast(i == 4 ? kBlake2Initial[i] ^ kSize : i == 6 ? ~kBlake2Initial[i] : kBlake2Initial[i]);
  }
  for (int round = 0; round < 12; ++round) {
    const std::uint8_t* const order = kBlake2Order[round % 10];
    const auto mix = [&](int a, int b, int c, int d, int place) {
      blake2_mix<Lanes>(v[a], v[b], v[c], v[d], message[order[place]], message[order[place + 1]]);
    };
    mix(0, 4, 8, 12, 0);
    mix(1, 5, 9, 13, 2);
    mix(2, 6, 10, 14, 4);
    mix(3, 7, 11, 15, 6);
    mix(0, 5, 10, 15, 8);
    mix(1, 6, 11, 12, 10);
    mix(2, 7, 8, 13, 12);
    mix(3, 4, 9, 14, 14);
  }
  for (int i = 0; i < 8; ++i) {
    std::uint64_t words[Lanes::kWidth];
    Lanes::store(words, Lanes::exclusive_or(state[i], Lanes::exclusive_or(v[i], v[8 + i])));
    for (std::size_t lane = 0; lane < Lanes::kWidth; ++lane) {
      std::uint8_t* const bytes = output + kBlake2DigestBytes * lane + 8 * static_cast<std::size_t>(i);
      for (int k = 0; k < 8; ++k) bytes[k] = static_cast<std::uint8_t>(words[lane] >> (8 * k));
    }
  }
}

}  // namespace
}  // namespace hecc

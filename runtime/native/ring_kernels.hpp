// Arithmetic modulo powers of two, written once for all implementations (see ntt_kernels.hpp on linkage). Loops over
// neighbours are what compilers make vectors of, as wide as the flags of the translation unit allow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ring.hpp"

namespace hecc {
namespace {

template <class Isa>
struct Ring {
  // Rows whose sums stay in registers at once.
  static constexpr std::size_t kRows = 4;

  static std::uint64_t low_bits(int bits) { return ~std::uint64_t{0} >> (64 - bits); }

  template <class Lane>
  static void gather(const std::uint64_t* b, const std::uint64_t* down, const std::uint64_t* across, std::size_t terms,
                     std::size_t columns, Lane* panel) {
    // Runs of neighbours: rows of an image, or of the whole matrix.
    std::size_t begins[kRingColumns + 1], runs = 0;
    for (std::size_t j = 0; j < columns; ++j) {
      if (j == 0 || across[j] != across[j - 1] + 1) begins[runs++] = j;
    }
    begins[runs] = columns;
    for (std::size_t t = 0; t < terms; ++t, panel += kRingColumns) {
      const std::uint64_t* const row = b + down[t];
      for (std::size_t run = 0; run < runs; ++run) {
        const std::size_t begin = begins[run], size = begins[run + 1] - begin;
        const std::uint64_t* const from = row + across[begin];
        Lane* const to = panel + begin;
        for (std::size_t j = 0; j < size; ++j) to[j] = static_cast<Lane>(from[j]);
      }
      for (std::size_t j = columns; j < kRingColumns; ++j) panel[j] = 0;
    }
  }

  // kColumns columns of kCount rows.
  template <class Lane, std::size_t kCount, std::size_t kColumns>
  static void sums(const std::uint64_t* a, const Lane* panel, std::size_t terms, Lane (&sum)[kRows][kRingColumns],
                   std::size_t start) {
    Lane kept[kCount][kColumns] = {};
    for (std::size_t t = 0; t < terms; ++t) {
      const Lane* const b = panel + t * kRingColumns + start;
      for (std::size_t r = 0; r < kCount; ++r) {
        const Lane factor = static_cast<Lane>(a[r * terms + t]);
        for (std::size_t j = 0; j < kColumns; ++j) kept[r][j] += factor * b[j];
      }
    }
    for (std::size_t r = 0; r < kCount; ++r) std::memcpy(sum[r] + start, kept[r], sizeof kept[r]);
  }

  template <class Lane>
  static void product(const std::uint64_t* a, const std::uint64_t* b, const std::uint64_t* down,
                      const std::uint64_t* across, std::uint64_t* out, std::size_t rows, std::size_t terms,
                      std::size_t columns, int bits, Lane* panel) {
    // What fits into the registers of the implementation.
    constexpr std::size_t kColumns = Isa::kRingBytes / sizeof(Lane);
    const std::uint64_t mask = low_bits(bits);
    for (std::size_t first = 0; first < columns; first += kRingColumns) {
      const std::size_t some = columns - first < kRingColumns ? columns - first : kRingColumns;
      gather(b, down, across + first, terms, some, panel);
      for (std::size_t r = 0; r < rows; r += kRows) {
        const std::size_t count = rows - r < kRows ? rows - r : kRows;
        Lane sum[kRows][kRingColumns];
        for (std::size_t start = 0; start < some; start += kColumns) {
          if (count == kRows) {
            sums<Lane, kRows, kColumns>(a + r * terms, panel, terms, sum, start);
          } else {
            for (std::size_t i = 0; i < count; ++i) {
              Lane one[kRows][kRingColumns];
              sums<Lane, 1, kColumns>(a + (r + i) * terms, panel, terms, one, start);
              std::memcpy(sum[i] + start, one[0] + start, kColumns * sizeof(Lane));
            }
          }
        }
        for (std::size_t i = 0; i < count; ++i) {
          std::uint64_t* const to = out + (r + i) * columns + first;
          for (std::size_t j = 0; j < some; ++j) to[j] = sum[i][j] & mask;
        }
      }
    }
  }

  static void ring_product(const std::uint64_t* a, const std::uint64_t* b, const std::uint64_t* down,
                           const std::uint64_t* across, std::uint64_t* out, std::size_t rows, std::size_t terms,
                           std::size_t columns, int bits, std::uint64_t* scratch) {
    if (bits <= 32) {
      product(a, b, down, across, out, rows, terms, columns, bits, reinterpret_cast<std::uint32_t*>(scratch));
    } else {
      product(a, b, down, across, out, rows, terms, columns, bits, scratch);
    }
  }

  static void pack_field(const std::uint64_t* words, std::uint8_t* out, std::size_t count, int width) {
    const std::uint64_t mask = low_bits(width);
    std::uint64_t pending = 0;
    int filled = 0;  // bits of it, below 64
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t word = words[i] & mask;
      pending |= word << filled;
      const int total = filled + width;
      if (total >= 64) {
        std::memcpy(out, &pending, 8);
        out += 8;
        pending = filled == 0 ? 0 : word >> (64 - filled);
        filled = total - 64;
      } else {
        filled = total;
      }
    }
    for (; filled > 0; filled -= 8, pending >>= 8) *out++ = static_cast<std::uint8_t>(pending);
  }

  static void unpack_field(const std::uint8_t* packed, std::uint64_t* out, std::size_t count, int width) {
    const std::uint64_t mask = low_bits(width);
    const std::size_t bytes = (count * static_cast<std::size_t>(width) + 7) / 8;
    const auto bits = static_cast<std::size_t>(width);
    // Words that are read as eight bytes, and a ninth, without leaving the field.
    const std::size_t inside = bytes < 9 ? 0 : ((bytes - 9) * 8 + 7) / bits + 1;
    const std::size_t whole = inside < count ? inside : count;
    std::size_t i = 0;
    if (width <= 56) {
      for (; i < whole; ++i) {
        std::uint64_t word;
        std::memcpy(&word, packed + i * bits / 8, 8);
        out[i] = word >> (i * bits % 8) & mask;
      }
    }
    for (; i < whole; ++i) {
      const std::uint8_t* const from = packed + i * bits / 8;
      const std::size_t shift = i * bits % 8;
      std::uint64_t word;
      std::memcpy(&word, from, 8);
      // Twice, as a shift by 64 has no meaning.
      out[i] = (word >> shift | std::uint64_t{from[8]} << 1 << (63 - shift)) & mask;
    }
    for (; i < count; ++i) {
      std::uint64_t word = 0;
      for (std::size_t k = 0; k < bits; ++k) {
        const std::size_t at = i * bits + k;
        word |= std::uint64_t{(packed[at / 8] >> (at % 8)) & 1u} << k;
      }
      out[i] = word;
    }
  }

  static void look_up(const std::uint64_t* words, const std::uint64_t* v, std::uint8_t* above, std::uint8_t* equal,
                      std::size_t count, int shift, int width, bool first) {
    const std::uint64_t mask = low_bits(width);
    const std::uint64_t start = first ? 1 : 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t digit = v[i] >> shift & mask;
      // The word, of at most 63 bits, with bit -1 below it.
      const std::uint64_t reached = (words[i] << 1 | start) >> digit & 1;
      const std::uint64_t greater = words[i] >> digit & 1;
      above[i] = static_cast<std::uint8_t>(greater);
      equal[i] = static_cast<std::uint8_t>(greater ^ reached);
    }
  }

  static constexpr RingKernels kernels() { return {ring_product, pack_field, unpack_field, look_up}; }
};

}  // namespace
}  // namespace hecc

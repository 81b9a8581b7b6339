// The pointwise kernels, written once for all implementations (see ntt_kernels.hpp on linkage).
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "packing.hpp"
#include "pointwise.hpp"

namespace hecc {
namespace {

template <class Isa>
struct Pointwise {
  using Word = typename Isa::Word;
  using Mod = typename Isa::Mod;
  using Operand = typename Isa::Operand;
  using Accumulator = typename Isa::Accumulator;
  static constexpr std::size_t kWidth = Isa::kWidth;
  // Vectors of a lazy sum in flight: enough to hide the latency of a multiplication, few enough for the registers.
  static constexpr std::size_t kVectors = kWidth == 8 ? 4 : 2;
  static constexpr std::size_t kRows = kWidth == 8 ? 4 : 2;

  static void add(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t count,
                  const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth)
      Isa::store(out + i, Isa::add(Isa::load(a + i), Isa::load(b + i), m));
  }

  static void subtract(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t count,
                       const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) {
      Isa::store(out + i, Isa::subtract(Isa::load(a + i), Isa::load(b + i), m));
    }
  }

  static void negate(const std::uint64_t* a, std::uint64_t* out, std::size_t count, const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) Isa::store(out + i, Isa::negate(Isa::load(a + i), m));
  }

  static void multiply(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t count,
                       const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) {
      Isa::store(out + i, Isa::multiply(Isa::load(a + i), Isa::load(b + i), m));
    }
  }

  static void multiply_scalar(const std::uint64_t* a, std::uint64_t scalar, std::uint64_t* out, std::size_t count,
                              const Modulus& q) {
    const Mod m(q);
    Word value;
    const Word quotient = Isa::encode_quotient(Isa::broadcast(scalar), m, value);
    for (std::size_t i = 0; i < count; i += kWidth) {
      Isa::store(out + i, Isa::multiply_encoded(Isa::load(a + i), value, quotient, m));
    }
  }

  static void subtract_multiply_scalar(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t scalar,
                                       std::uint64_t* out, std::size_t count, const Modulus& q) {
    const Mod m(q);
    Word value;
    const Word quotient = Isa::encode_quotient(Isa::broadcast(scalar), m, value);
    for (std::size_t i = 0; i < count; i += kWidth) {
      const Word difference = Isa::subtract(Isa::load(a + i), Isa::load(b + i), m);
      Isa::store(out + i, Isa::multiply_encoded(difference, value, quotient, m));
    }
  }

  static void reduce(const std::uint64_t* a, std::uint64_t* out, std::size_t count, const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) Isa::store(out + i, Isa::reduce(Isa::load(a + i), m));
  }

  static void encode_factors(const std::uint64_t* a, std::uint64_t* values, std::uint64_t* quotients, std::size_t count,
                             const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) {
      Word value;
      Isa::store(quotients + i, Isa::encode_quotient(Isa::load(a + i), m, value));
      Isa::store(values + i, value);
    }
  }

  static void multiply_encoded(const std::uint64_t* a, const std::uint64_t* values, const std::uint64_t* quotients,
                               std::uint64_t* out, std::size_t count, const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) {
      const Word product = Isa::multiply_encoded(Isa::load(a + i), Isa::load(values + i), Isa::load(quotients + i), m);
      Isa::store(out + i, product);
    }
  }

  // --- Lazy sums ----------------------------------------------------------------------------------------------------

  static Operand load_operand(const std::uint64_t* p) { return Isa::operand(Isa::load(p)); }
  static Accumulator zero() { return {Isa::broadcast(0), Isa::broadcast(0)}; }

  // Add terms [first, last) to kVectors vectors of sums from word `i` on.
  static void add_terms(const std::uint64_t* const* a, const std::uint64_t* const* b, std::size_t first,
                        std::size_t last, std::size_t i, Accumulator (&sums)[kVectors]) {
    for (std::size_t t = first; t < last; ++t) {
      const std::uint64_t* const x = a[t] + i;
      const std::uint64_t* const y = b[t] + i;
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) {
        Isa::accumulate(sums[v], load_operand(x + v * kWidth), load_operand(y + v * kWidth));
      }
    }
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) Isa::end_terms(sums[v], last - first);
  }
  static void fold_sums(Accumulator (&sums)[kVectors], const Mod& m) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) sums[v] = {Isa::reduce(sums[v], m), Isa::broadcast(0)};
  }

  static void inner_product(const std::uint64_t* const* a, const std::uint64_t* const* b, std::size_t terms,
                            std::uint64_t* out, std::size_t count, const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kVectors * kWidth) {
      Accumulator sums[kVectors];
      for (std::size_t v = 0; v < kVectors; ++v) sums[v] = zero();
      for (std::size_t first = 0; first < terms; first += kMaxTerms - 1) {
        const std::size_t last = terms - first > kMaxTerms - 1 ? first + kMaxTerms - 1 : terms;
        if (first != 0) fold_sums(sums, m);
        add_terms(a, b, first, last, i, sums);
      }
      for (std::size_t v = 0; v < kVectors; ++v) Isa::store(out + i + v * kWidth, Isa::reduce(sums[v], m));
    }
  }

  static void key_products(const std::uint64_t* const* digits, std::size_t terms, const std::uint8_t* key,
                           std::size_t stride, const std::uint64_t* addend, std::uint64_t factor, std::uint64_t* out0,
                           std::uint64_t* out1, std::size_t count, const Modulus& q) {
    with_packed_bytes(packed_bytes(q.value), [&](auto bytes) {
      if (terms < kFewTerms) {  // the addend is a term, too
        key_products_of<bytes.value, true>(digits, terms, key, stride, addend, factor, out0, out1, count, q);
      } else {
        key_products_of<bytes.value, false>(digits, terms, key, stride, addend, factor, out0, out1, count, q);
      }
    });
  }

  template <bool kFew>
  static Word reduced(const Accumulator& sum, const Mod& m) {
    return kFew ? Isa::reduce_few(sum, m) : Isa::reduce(sum, m);
  }

  template <std::size_t kBytes, bool kFew>
  static void key_products_of(const std::uint64_t* const* digits, std::size_t terms, const std::uint8_t* key,
                              std::size_t stride, const std::uint64_t* addend, std::uint64_t factor,
                              std::uint64_t* out0, std::uint64_t* out1, std::size_t count, const Modulus& q) {
    const Mod m(q);
    const Operand scalar = Isa::operand(Isa::broadcast(factor));
    for (std::size_t run = 0; run < count; run += kKeyRun, key += stride) {
      for (std::size_t i = 0; i < kKeyRun; i += kVectors * kWidth) {
        Accumulator sums0[kVectors], sums1[kVectors];
        for (std::size_t v = 0; v < kVectors; ++v) sums0[v] = sums1[v] = zero();
        for (std::size_t t = 0; t < terms; ++t) {
          const std::uint64_t* const x = digits[t] + run + i;
          const std::uint8_t* const y = key + 2 * t * kKeyRun * kBytes;
          prefetch<2 * kKeyRun * kBytes>(y + kAhead);
#pragma GCC unroll 4
          for (std::size_t v = 0; v < kVectors; ++v) {
            const Operand digit = load_operand(x + v * kWidth);
            const Word first = Isa::template load_packed<kBytes, 1>(y, kKeyRun, i + v * kWidth);
            const Word second = Isa::template load_packed<kBytes, 1>(y + kKeyRun * kBytes, kKeyRun, i + v * kWidth);
            Isa::accumulate(sums0[v], digit, Isa::operand(first));
            Isa::accumulate(sums1[v], digit, Isa::operand(second));
          }
        }
        if (addend != nullptr) {
#pragma GCC unroll 4
          for (std::size_t v = 0; v < kVectors; ++v) {
            Isa::accumulate(sums0[v], load_operand(addend + run + i + v * kWidth), scalar);
          }
        }
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kVectors; ++v) {
          Isa::end_terms(sums0[v], terms + (addend != nullptr ? 1 : 0));
          Isa::end_terms(sums1[v], terms);
          Isa::store(out0 + run + i + v * kWidth, reduced<kFew>(sums0[v], m));
          Isa::store(out1 + run + i + v * kWidth, reduced<kFew>(sums1[v], m));
        }
      }
    }
  }

  // Keys are read from memory, once: so far ahead of their use that they arrive in time, and across pages, where the
  // processor's own prefetching ends.
  static constexpr std::size_t kAhead = 3072;
  template <std::size_t kSize>
  static void prefetch(const std::uint8_t* bytes) {
#if defined(__GNUC__)
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kSize; i += 64) __builtin_prefetch(bytes + i);
#else
    (void)bytes;
#endif
  }

  static void diagonal_products(const std::uint8_t* values, std::size_t stride, std::size_t repeats, bool apart,
                                const std::uint64_t* rotated, std::size_t rotated_stride,
                                const std::uint32_t* rotations, std::size_t terms, std::size_t runs, bool added,
                                std::uint64_t* const* out, const Modulus& q) {
    const Rotations x{rotated, rotated_stride, rotations, terms};
    const auto run_all = [&](auto ends) {
      with_packed_bytes(packed_bytes(q.value), [&](auto bytes) {
        constexpr std::size_t kEnds = ends.value, kBytes = bytes.value;
        switch (repeats) {
          case 1:
            return diagonal_products_of<kEnds, kBytes, 1>({values, stride, 1}, x, runs, added, out, q);
          case 2:
            return diagonal_products_of<kEnds, kBytes, 2>({values, stride, 1}, x, runs, added, out, q);
          case 4:
            return diagonal_products_of<kEnds, kBytes, 4>({values, stride, 1}, x, runs, added, out, q);
          case 8:
            return diagonal_products_of<kEnds, kBytes, 8>({values, stride, 1}, x, runs, added, out, q);
          default:
            return diagonal_products_of<kEnds, kBytes, kDiagonalRun>({values, stride, repeats / kDiagonalRun}, x, runs,
                                                                     added, out, q);
        }
      });
    };
    if (apart) return run_all(std::integral_constant<std::size_t, 2>());
    run_all(std::integral_constant<std::size_t, 1>());
  }

  struct Rotations {
    const std::uint64_t* words;
    std::size_t stride;
    const std::uint32_t* indices;
    std::size_t terms;
  };
  // A run of packed words stands for `runs` times kDiagonalRun coefficients.
  struct Diagonals {
    const std::uint8_t* values;
    std::size_t stride, runs;
  };

  // A word of a diagonal stands for kRepeats coefficients. It meets both polynomials, and at both ends where these have
  // it in common: it is loaded once for four products, or for two.
  template <std::size_t kEnds, std::size_t kBytes, std::size_t kRepeats>
  static void diagonal_products_of(const Diagonals& diagonals, const Rotations& rotations, std::size_t runs, bool added,
                                   std::uint64_t* const* out, const Modulus& q) {
    constexpr std::size_t kVectorsNow = kWidth == 8 ? 2 : 1, kWords = kDiagonalRun / kRepeats;
    const Mod m(q);
    for (std::size_t run = 0; run < runs; ++run) {
      const std::uint8_t* const values = diagonals.values + run / diagonals.runs * diagonals.stride;
      const std::uint64_t* const words = rotations.words + run * rotations.stride;
      for (std::size_t j = 0; j < kDiagonalRun; j += kVectorsNow * kWidth) {
        // Vector v of the run begins at j + v kWidth, and its mirror image at `mirror` - v kWidth.
        const std::size_t mirror = kDiagonalRun - kWidth - j;
        std::uint64_t* targets[4][kVectorsNow];
        Accumulator sums[4][kVectorsNow];
#pragma GCC unroll 4
        for (std::size_t k = 0; k < 4; ++k) {
#pragma GCC unroll 2
          for (std::size_t v = 0; v < kVectorsNow; ++v) {
            targets[k][v] = k % 2 == 0 ? out[k] + run * kDiagonalRun + j + v * kWidth
                                       : out[k] - run * kDiagonalRun + mirror - v * kWidth;
            sums[k][v] = zero();
            if (added) sums[k][v].low = Isa::load(targets[k][v]);
          }
        }
        for (std::size_t t = 0; t < rotations.terms; ++t) {
          const std::uint64_t* const rotation = words + rotations.indices[t] * 4 * kDiagonalRun;
          const std::uint8_t* const value = values + t * kEnds * kWords * kBytes;
          // Diagonals come from memory, a short stretch at a time of each group: what the next call reads of them.
          if constexpr (kRepeats < kDiagonalRun) prefetch<kEnds * kWords * kBytes>(value + runs * diagonals.stride);
#pragma GCC unroll 2
          for (std::size_t v = 0; v < kVectorsNow; ++v) {
            const std::size_t word = (j + v * kWidth) / kRepeats;
            const Operand x = Isa::operand(Isa::template load_packed<kBytes, kRepeats>(value, kWords, word));
            Operand mirrored = Isa::reverse(x);
            if constexpr (kEnds == 2) {
              const std::uint8_t* const last = value + kWords * kBytes;
              mirrored = Isa::reverse(Isa::operand(Isa::template load_packed<kBytes, kRepeats>(last, kWords, word)));
            }
            const std::uint64_t* const y = rotation + j + v * kWidth;
            const std::uint64_t* const z = rotation + kDiagonalRun + mirror - v * kWidth;
            Isa::accumulate(sums[0][v], x, load_operand(y));
            Isa::accumulate(sums[1][v], mirrored, load_operand(z));
            Isa::accumulate(sums[2][v], x, load_operand(y + 2 * kDiagonalRun));
            Isa::accumulate(sums[3][v], mirrored, load_operand(z + 2 * kDiagonalRun));
          }
        }
#pragma GCC unroll 4
        for (std::size_t k = 0; k < 4; ++k) {
#pragma GCC unroll 2
          for (std::size_t v = 0; v < kVectorsNow; ++v) {
            Isa::end_terms(sums[k][v], rotations.terms);
            Isa::store(targets[k][v], Isa::reduce(sums[k][v], m));
          }
        }
      }
    }
  }

  // A tile of kRowsNow outputs by two vectors stays in registers while all terms stream by; the tile's inputs, one
  // cache line or two per term, stay in the cache for the next rows.
  template <std::size_t kRowsNow>
  static void matrix_tile(const std::uint64_t* weights, const std::uint64_t* const* x, std::size_t terms,
                          std::uint64_t* const* out, std::size_t i, const Mod& m) {
    constexpr std::size_t kTile = 2;
    Accumulator sums[kRowsNow][kTile];
    for (std::size_t r = 0; r < kRowsNow; ++r) {
      for (std::size_t v = 0; v < kTile; ++v) sums[r][v] = zero();
    }
    for (std::size_t first = 0; first < terms; first += kMaxTerms - 1) {
      const std::size_t last = terms - first > kMaxTerms - 1 ? first + kMaxTerms - 1 : terms;
      if (first != 0) {
        for (std::size_t r = 0; r < kRowsNow; ++r) {
          for (std::size_t v = 0; v < kTile; ++v) sums[r][v] = {Isa::reduce(sums[r][v], m), Isa::broadcast(0)};
        }
      }
      for (std::size_t t = first; t < last; ++t) {
        Operand factors[kTile];
#pragma GCC unroll 2
        for (std::size_t v = 0; v < kTile; ++v) factors[v] = load_operand(x[t] + i + v * kWidth);
#pragma GCC unroll 4
        for (std::size_t r = 0; r < kRowsNow; ++r) {
          const Operand weight = Isa::operand(Isa::broadcast(weights[r * terms + t]));
#pragma GCC unroll 2
          for (std::size_t v = 0; v < kTile; ++v) Isa::accumulate(sums[r][v], weight, factors[v]);
        }
      }
      for (std::size_t r = 0; r < kRowsNow; ++r) {
        for (std::size_t v = 0; v < kTile; ++v) Isa::end_terms(sums[r][v], last - first);
      }
    }
    for (std::size_t r = 0; r < kRowsNow; ++r) {
      for (std::size_t v = 0; v < kTile; ++v) Isa::store(out[r] + i + v * kWidth, Isa::reduce(sums[r][v], m));
    }
  }

  static void matrix_product(const std::uint64_t* weights, const std::uint64_t* const* x, std::size_t rows,
                             std::size_t terms, std::uint64_t* const* out, std::size_t count, const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += 2 * kWidth) {
      std::size_t r = 0;
      for (; r + kRows <= rows; r += kRows) matrix_tile<kRows>(weights + r * terms, x, terms, out + r, i, m);
      for (; r < rows; ++r) matrix_tile<1>(weights + r * terms, x, terms, out + r, i, m);
    }
  }

  static constexpr PointwiseKernels kernels() {
    return {add,           subtract,       negate,           multiply,      multiply_scalar, subtract_multiply_scalar,
            reduce,        encode_factors, multiply_encoded, inner_product, key_products,    diagonal_products,
            matrix_product};
  }
};

}  // namespace
}  // namespace hecc

// The pointwise kernels, written once for all implementations (see ntt_kernels.hpp on linkage).
#pragma once

#include <cstddef>
#include <cstdint>

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
  static Accumulator load_sum(const std::uint64_t* low, const std::uint64_t* high) {
    return {Isa::load(low), Isa::load(high)};
  }
  static void store_sum(const Accumulator& sum, std::uint64_t* low, std::uint64_t* high) {
    Isa::store(low, sum.low);
    Isa::store(high, sum.high);
  }
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
  static void add_pair_terms(const std::uint64_t* const* a, const std::uint64_t* const* b0,
                             const std::uint64_t* const* b1, std::size_t first, std::size_t last, std::size_t i,
                             Accumulator (&sums0)[kVectors], Accumulator (&sums1)[kVectors]) {
    for (std::size_t t = first; t < last; ++t) {
      const std::uint64_t* const x = a[t] + i;
      const std::uint64_t* const y0 = b0[t] + i;
      const std::uint64_t* const y1 = b1[t] + i;
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) {
        const Operand factor = load_operand(x + v * kWidth);
        Isa::accumulate(sums0[v], factor, load_operand(y0 + v * kWidth));
        Isa::accumulate(sums1[v], factor, load_operand(y1 + v * kWidth));
      }
    }
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      Isa::end_terms(sums0[v], last - first);
      Isa::end_terms(sums1[v], last - first);
    }
  }
  static void fold_sums(Accumulator (&sums)[kVectors], const Mod& m) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) sums[v] = {Isa::reduce(sums[v], m), Isa::broadcast(0)};
  }

  static void multiply_accumulate(const std::uint64_t* const* a, const std::uint64_t* const* b, std::size_t terms,
                                  std::uint64_t* low, std::uint64_t* high, std::size_t count) {
    for (std::size_t i = 0; i < count; i += kVectors * kWidth) {
      Accumulator sums[kVectors];
      for (std::size_t v = 0; v < kVectors; ++v) sums[v] = load_sum(low + i + v * kWidth, high + i + v * kWidth);
      add_terms(a, b, 0, terms, i, sums);
      for (std::size_t v = 0; v < kVectors; ++v) store_sum(sums[v], low + i + v * kWidth, high + i + v * kWidth);
    }
  }

  static void multiply_accumulate_pair(const std::uint64_t* const* a, const std::uint64_t* const* b0,
                                       const std::uint64_t* const* b1, std::size_t terms, std::uint64_t* low0,
                                       std::uint64_t* high0, std::uint64_t* low1, std::uint64_t* high1,
                                       std::size_t count) {
    for (std::size_t i = 0; i < count; i += kVectors * kWidth) {
      Accumulator sums0[kVectors], sums1[kVectors];
      for (std::size_t v = 0; v < kVectors; ++v) {
        const std::size_t j = i + v * kWidth;
        sums0[v] = load_sum(low0 + j, high0 + j);
        sums1[v] = load_sum(low1 + j, high1 + j);
      }
      add_pair_terms(a, b0, b1, 0, terms, i, sums0, sums1);
      for (std::size_t v = 0; v < kVectors; ++v) {
        const std::size_t j = i + v * kWidth;
        store_sum(sums0[v], low0 + j, high0 + j);
        store_sum(sums1[v], low1 + j, high1 + j);
      }
    }
  }

  static void fold(std::uint64_t* low, std::uint64_t* high, std::size_t count, const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) {
      Isa::store(low + i, Isa::reduce(load_sum(low + i, high + i), m));
      Isa::store(high + i, Isa::broadcast(0));
    }
  }

  static void reduce_sums(const std::uint64_t* low, const std::uint64_t* high, std::uint64_t* out, std::size_t count,
                          const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kWidth) Isa::store(out + i, Isa::reduce(load_sum(low + i, high + i), m));
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

  static void inner_product_pair(const std::uint64_t* const* a, const std::uint64_t* const* b0,
                                 const std::uint64_t* const* b1, std::size_t terms, std::uint64_t* out0,
                                 std::uint64_t* out1, std::size_t count, const Modulus& q) {
    const Mod m(q);
    for (std::size_t i = 0; i < count; i += kVectors * kWidth) {
      Accumulator sums0[kVectors], sums1[kVectors];
      for (std::size_t v = 0; v < kVectors; ++v) sums0[v] = sums1[v] = zero();
      for (std::size_t first = 0; first < terms; first += kMaxTerms - 1) {
        const std::size_t last = terms - first > kMaxTerms - 1 ? first + kMaxTerms - 1 : terms;
        if (first != 0) {
          fold_sums(sums0, m);
          fold_sums(sums1, m);
        }
        add_pair_terms(a, b0, b1, first, last, i, sums0, sums1);
      }
      for (std::size_t v = 0; v < kVectors; ++v) {
        Isa::store(out0 + i + v * kWidth, Isa::reduce(sums0[v], m));
        Isa::store(out1 + i + v * kWidth, Isa::reduce(sums1[v], m));
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
    return {add,
            subtract,
            negate,
            multiply,
            multiply_scalar,
            subtract_multiply_scalar,
            reduce,
            encode_factors,
            multiply_encoded,
            multiply_accumulate,
            multiply_accumulate_pair,
            fold,
            reduce_sums,
            inner_product,
            inner_product_pair,
            matrix_product};
  }
};

}  // namespace
}  // namespace hecc

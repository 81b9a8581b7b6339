// Eight 64-bit lanes with AVX-512 and its 52-bit integer fused multiply-add (IFMA).
//
// IFMA multiplies the low 52 bits of two lanes and adds the low or the high 52 bits of the product to a third. So
// everything here is arithmetic modulo 2^52, and bits above are junk that a later multiplication ignores: they are
// masked off only where an exact comparison follows.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "modulus.hpp"
#include "ntt.hpp"
#include "packing.hpp"

namespace hecc {
namespace {

struct Avx512Ifma {
  static constexpr int kWidth = 8;
  static constexpr std::size_t kRingBytes = 256;  // of a row of sums, in registers
  using Word = __m512i;
  using Operand = __m512i;
  using Doubles = __m512d;

  static Word load(const std::uint64_t* p) { return _mm512_loadu_si512(p); }
  static void store(std::uint64_t* p, Word x) { _mm512_storeu_si512(p, x); }
  static Word broadcast(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
  // Words [i, i + 8 / kTimes) of a packed run of `count` (packing.hpp), each of which stands for kTimes lanes.
  template <std::size_t kBytes, std::size_t kTimes>
  static Word load_packed(const std::uint8_t* run, std::size_t count, std::size_t i) {
    if constexpr (kTimes >= 8) return broadcast(packed_word<kBytes>(run, count, i));
    if constexpr (kTimes == 4) {
      const __m128i words = _mm_set_epi64x(static_cast<long long>(packed_word<kBytes>(run, count, i + 1)),
                                           static_cast<long long>(packed_word<kBytes>(run, count, i)));
      return _mm512_permutexvar_epi64(_mm512_set_epi64(1, 1, 1, 1, 0, 0, 0, 0), _mm512_castsi128_si512(words));
    }
    if constexpr (kTimes == 2) {
      __m256i words;
      if constexpr (kBytes == 8) {
        words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(run + 8 * i));
      } else {
        words = _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(run + 4 * i)));
        if constexpr (kBytes == 5) words = with_high(words, _mm256_cvtepu8_epi64(_mm_loadu_si32(run + 4 * count + i)));
        if constexpr (kBytes == 6) {
          words = with_high(words, _mm256_cvtepu16_epi64(_mm_loadu_si64(run + 4 * count + 2 * i)));
        }
      }
      return _mm512_permutexvar_epi64(_mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0), _mm512_castsi256_si512(words));
    }
    if constexpr (kTimes == 1) {
      if constexpr (kBytes == 8) return _mm512_loadu_si512(run + 8 * i);
      const Word low = _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(run + 4 * i)));
      if constexpr (kBytes == 5) {
        const Word high = _mm512_cvtepu8_epi64(_mm_loadu_si64(run + 4 * count + i));
        return _mm512_or_si512(low, _mm512_slli_epi64(high, 32));
      }
      if constexpr (kBytes == 6) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(run + 4 * count + 2 * i));
        return _mm512_or_si512(low, _mm512_slli_epi64(_mm512_cvtepu16_epi64(bytes), 32));
      }
      return low;
    }
  }
  static __m256i with_high(__m256i low, __m256i high) { return _mm256_or_si256(low, _mm256_slli_epi64(high, 32)); }
  // The last lane first.
  static Word reverse(Word x) { return _mm512_permutexvar_epi64(_mm512_set_epi64(0, 1, 2, 3, 4, 5, 6, 7), x); }
  static Word low_product(Word sum, Word a, Word b) { return _mm512_madd52lo_epu64(sum, a, b); }
  static Word high_product(Word a, Word b) { return _mm512_madd52hi_epu64(_mm512_setzero_si512(), a, b); }
  static Word mask(Word x) { return _mm512_and_si512(x, _mm512_set1_epi64((1LL << 52) - 1)); }
  // x - bound if x >= bound, else x.
  static Word reduce_once(Word x, Word bound) { return _mm512_min_epu64(x, _mm512_sub_epi64(x, bound)); }

  // --- Arithmetic modulo q ------------------------------------------------------------------------------------------

  struct Mod {
    Word q, two_q, negative_q;
    Word reciprocal;  // floor(2^52 / q)
    Word barrett;
    __m128i shift;
    Word power_52, power_52_quotient, power_104, power_104_quotient;

    explicit Mod(const Modulus& m)
        : q(broadcast(m.value)),
          two_q(broadcast(2 * m.value)),
          negative_q(broadcast((std::uint64_t{1} << 52) - m.value)),
          reciprocal(broadcast(m.one.quotient >> 12)),
          barrett(broadcast(m.barrett)),
          shift(_mm_cvtsi64_si128(52 - m.bits)),
          power_52(broadcast(m.power_52.value)),
          power_52_quotient(broadcast(m.power_52.quotient >> 12)),
          power_104(broadcast(m.power_104.value)),
          power_104_quotient(broadcast(m.power_104.quotient >> 12)) {}
  };
  static constexpr FactorFormat kFormat = FactorFormat::kWord52;

  static Word add(Word a, Word b, const Mod& m) { return reduce_once(_mm512_add_epi64(a, b), m.q); }
  static Word subtract(Word a, Word b, const Mod& m) {
    const Word difference = _mm512_sub_epi64(a, b);
    return _mm512_min_epu64(difference, _mm512_add_epi64(difference, m.q));
  }
  static Word negate(Word a, const Mod& m) { return reduce_once(_mm512_sub_epi64(m.q, a), m.q); }
  // Barrett: the quotient from the product's high part is at most 2 too small (docs/explanation/kernels.md).
  static Word multiply(Word a, Word b, const Mod& m) {
    const Word high = high_product(_mm512_sll_epi64(a, m.shift), _mm512_sll_epi64(b, m.shift));
    const Word quotient = high_product(high, m.barrett);
    const Word low = low_product(_mm512_setzero_si512(), a, b);
    const Word rest = mask(low_product(low, quotient, m.negative_q));
    return reduce_once(reduce_once(rest, m.two_q), m.q);
  }
  // In [0, 2q) modulo 2^52.
  static Word multiply_lazy(Word a, Word value, Word quotient, const Mod& m) {
    const Word low = low_product(_mm512_setzero_si512(), a, value);
    return low_product(low, high_product(a, quotient), m.negative_q);
  }
  static Word multiply_encoded(Word a, Word value, Word quotient, const Mod& m) {
    return reduce_once(mask(multiply_lazy(a, value, quotient, m)), m.q);
  }
  // floor(value * 2^52 / q) = value * floor(2^52 / q) + floor(value * (2^52 mod q) / q).
  static Word encode_quotient(Word value, const Mod& m, Word& encoded) {
    const Word estimate = high_product(value, m.power_52_quotient);
    const Word low = low_product(_mm512_setzero_si512(), value, m.power_52);
    const Word rest = mask(low_product(low, estimate, m.negative_q));
    const Word quotient = low_product(estimate, value, m.reciprocal);
    encoded = value;
    return _mm512_mask_add_epi64(quotient, _mm512_cmpge_epu64_mask(rest, m.q), quotient, broadcast(1));
  }
  static Word reduce_lazy(Word x, const Mod& m) { return low_product(x, high_product(x, m.reciprocal), m.negative_q); }
  // Any x below 2^52.
  static Word reduce(Word x, const Mod& m) { return reduce_once(mask(reduce_lazy(x, m)), m.q); }

  // --- Lazy sums: low + 2^52 * high ---------------------------------------------------------------------------------

  struct Accumulator {
    Word low, high;
  };
  static Operand operand(Word x) { return x; }
  static void accumulate(Accumulator& sum, Operand a, Operand b) {
    sum.low = _mm512_madd52lo_epu64(sum.low, a, b);
    sum.high = _mm512_madd52hi_epu64(sum.high, a, b);
  }
  static void end_terms(Accumulator&, std::size_t) {}
  // Of at most kFewTerms products of factors below 2^50: then what is above 2^52 is below 2^52 itself.
  static Word reduce_few(const Accumulator& sum, const Mod& m) {
    const Word high = _mm512_add_epi64(sum.high, _mm512_srli_epi64(sum.low, 52));
    const Word low = mask(reduce_lazy(mask(sum.low), m));
    const Word upper = mask(multiply_lazy(high, m.power_52, m.power_52_quotient, m));
    return reduce_once(reduce_once(_mm512_add_epi64(low, upper), m.two_q), m.q);
  }
  static Word reduce(const Accumulator& sum, const Mod& m) {
    const Word high = _mm512_add_epi64(sum.high, _mm512_srli_epi64(sum.low, 52));
    const Word low = mask(reduce_lazy(mask(sum.low), m));
    const Word middle = mask(multiply_lazy(high, m.power_52, m.power_52_quotient, m));
    const Word top = mask(multiply_lazy(_mm512_srli_epi64(high, 52), m.power_104, m.power_104_quotient, m));
    const Word lower = reduce_once(_mm512_add_epi64(low, middle), m.two_q);
    return reduce_once(reduce_once(_mm512_add_epi64(lower, top), m.two_q), m.q);
  }

  // --- Doubles ------------------------------------------------------------------------------------------------------

  static Doubles load_doubles(const double* p) { return _mm512_loadu_pd(p); }
  static void store_doubles(double* p, Doubles x) { _mm512_storeu_pd(p, x); }
  static Doubles broadcast_double(double x) { return _mm512_set1_pd(x); }
  static Doubles add(Doubles a, Doubles b) { return _mm512_add_pd(a, b); }
  static Doubles subtract(Doubles a, Doubles b) { return _mm512_sub_pd(a, b); }
  static Doubles multiply(Doubles a, Doubles b) { return _mm512_mul_pd(a, b); }
  static Doubles truncate(Doubles x) { return _mm512_roundscale_pd(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  static Doubles magnitude(Doubles x) { return _mm512_abs_pd(x); }
  static Doubles with_sign_of(Doubles x, Doubles sign) {
    const Doubles bit = _mm512_set1_pd(-0.0);
    return _mm512_or_pd(_mm512_andnot_pd(bit, x), _mm512_and_pd(bit, sign));
  }
  static Doubles larger(Doubles a, Doubles b) { return _mm512_max_pd(a, b); }
  static double largest(Doubles x) { return _mm512_reduce_max_pd(x); }
  static Word to_word(Doubles x) { return _mm512_cvttpd_epi64(x); }
  static Doubles to_doubles(Word x) { return _mm512_cvtepi64_pd(x); }
  static Word where_negative(Doubles x, Word yes, Word no) {
    return _mm512_mask_blend_epi64(_mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_LT_OQ), no, yes);
  }
  // Runs of kRun lanes of a and b in turn: a's first kRun, b's first kRun, a's next.
  template <int kRun>
  static void interleave(Doubles& a, Doubles& b) {
    const Doubles first = a;
    if constexpr (kRun == 1) {
      a = _mm512_permutex2var_pd(first, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
      b = _mm512_permutex2var_pd(first, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
    } else if constexpr (kRun == 2) {
      a = _mm512_permutex2var_pd(first, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), b);
      b = _mm512_permutex2var_pd(first, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), b);
    } else {
      a = _mm512_shuffle_f64x2(first, b, 0x44);
      b = _mm512_shuffle_f64x2(first, b, 0xEE);
    }
  }

  static void permute_block(const std::uint64_t* source, const std::uint64_t* lanes, std::uint64_t* target) {
    store(target, _mm512_permutexvar_epi64(load(lanes), load(source)));
  }

  // --- The transform ------------------------------------------------------------------------------------------------

  struct Twiddle {
    Word value, quotient;
  };

  enum class Bound {
    k46,  // q < 2^46: forward, nothing is reduced on the way; after 17 stages values are below 35q < 2^52
    k48,  // q < 2^48: forward, the upper half is reduced once in a pass of three stages, in which values then stay
          // below 8q; inverse, sums reach 16q in a pass and are reduced at its end
    k50,  // q < 2^50: Harvey's butterflies, values below 4q forward and below 2q inverse
  };

  template <Bound kBound>
  struct Field {
    using Value = Word;
    using Twiddle = Avx512Ifma::Twiddle;
    static constexpr int kWidth = 8, kLogWidth = 3, kLogBaseVectors = 3, kLogRadix = 3;
    Word q, two_q, negative_q, reciprocal;

    explicit Field(const Modulus& m)
        : q(Avx512Ifma::broadcast(m.value)),
          two_q(Avx512Ifma::broadcast(2 * m.value)),
          negative_q(Avx512Ifma::broadcast((std::uint64_t{1} << 52) - m.value)),
          reciprocal(Avx512Ifma::broadcast(m.one.quotient >> 12)) {}

    Value from_residues(const std::uint64_t* p) const { return Avx512Ifma::load(p); }
    Value load(const std::uint64_t* p) const { return Avx512Ifma::load(p); }
    void store(std::uint64_t* p, Value x) const { Avx512Ifma::store(p, x); }
    void finish(std::uint64_t* p, Value x) const { Avx512Ifma::store(p, reduce_once(mask(barrett(x)), q)); }
    void finish_product(std::uint64_t* p, Value x) const { Avx512Ifma::store(p, reduce_once(mask(x), q)); }
    Twiddle broadcast(const std::uint64_t* value, const std::uint64_t* quotient) const {
      return {Avx512Ifma::broadcast(*value), Avx512Ifma::broadcast(*quotient)};
    }
    Value barrett(Value x) const { return low_product(x, high_product(x, reciprocal), negative_q); }
    Value relax(Value x) const { return kBound == Bound::k48 ? barrett(x) : x; }
    Value settle(Value x, int = 0) const { return kBound == Bound::k50 ? x : barrett(x); }
    Value product(Value x, Twiddle w) const {
      const Word low = low_product(_mm512_setzero_si512(), x, w.value);
      const Word result = low_product(low, high_product(x, w.quotient), negative_q);
      return kBound == Bound::k50 ? mask(result) : result;
    }
    void forward(Value& u, Value& v, Twiddle w) const {
      if (kBound == Bound::k50) u = reduce_once(u, two_q);
      const Word t = product(v, w);
      v = _mm512_sub_epi64(_mm512_add_epi64(u, two_q), t);
      u = _mm512_add_epi64(u, t);
    }
    Value sum(Value u, Value v) const {
      const Word result = _mm512_add_epi64(u, v);
      return kBound == Bound::k50 ? reduce_once(result, two_q) : result;
    }
    // In a pass's stage kStage: v is below 2q, or below that times 2^kStage.
    template <int kStage>
    Value difference(Value u, Value v, int = 0) const {
      const Word multiple = kBound == Bound::k50 ? two_q : _mm512_slli_epi64(two_q, kStage);
      return _mm512_sub_epi64(_mm512_add_epi64(u, multiple), v);
    }

    // The last three levels of two vectors, whose nodes are `first` and the next one. Each level is done on vectors
    // that hold all upper and all lower halves; the exchanges between levels are their own inverses.
    void forward_pair(Value& x, Value& y, const std::uint64_t* powers, const std::uint64_t* quotients,
                      std::size_t first) const {
      exchange<4>(x, y);
      x = relax(x);
      forward(x, y, {spread<4>(powers + first), spread<4>(quotients + first)});
      exchange<2>(x, y);
      forward(x, y, {spread<2>(powers + 2 * first), spread<2>(quotients + 2 * first)});
      exchange<1>(x, y);
      forward(x, y, {spread<1>(powers + 4 * first), spread<1>(quotients + 4 * first)});
      const Value even = x;
      x = _mm512_permutex2var_epi64(even, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), y);
      y = _mm512_permutex2var_epi64(even, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), y);
    }
    // The first three levels of the inverse, on two vectors whose nodes' mirrors are `mirror` and the one before it.
    void inverse_pair(Value& x, Value& y, const std::uint64_t* powers, const std::uint64_t* quotients,
                      std::size_t mirror) const {
      const std::size_t first = mirror - 1;
      const Value low = x;
      x = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), y);
      y = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), y);
      inverse<0>(x, y, {spread_reversed<1>(powers + 4 * first), spread_reversed<1>(quotients + 4 * first)});
      exchange<1>(x, y);
      inverse<1>(x, y, {spread_reversed<2>(powers + 2 * first), spread_reversed<2>(quotients + 2 * first)});
      exchange<2>(x, y);
      inverse<2>(x, y, {spread_reversed<4>(powers + first), spread_reversed<4>(quotients + first)});
      x = settle(x);
      exchange<4>(x, y);
    }
    template <int kStage>
    void inverse(Value& u, Value& v, Twiddle w) const {
      const Value difference_ = difference<kStage>(v, u);
      u = sum(u, v);
      v = product(difference_, w);
    }

    template <int kHalf>
    static void exchange(Value& x, Value& y) {
      const Value first = x;
      if constexpr (kHalf == 4) {
        x = _mm512_shuffle_i64x2(first, y, 0x44);
        y = _mm512_shuffle_i64x2(first, y, 0xEE);
      } else if constexpr (kHalf == 2) {
        x = _mm512_permutex2var_epi64(first, _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), y);
        y = _mm512_permutex2var_epi64(first, _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15), y);
      } else {
        x = _mm512_unpacklo_epi64(first, y);
        y = _mm512_unpackhi_epi64(first, y);
      }
    }
    // 8 / kRepeat consecutive words, each repeated, in order or in reverse.
    template <int kRepeat>
    static Word spread(const std::uint64_t* p) {
      if constexpr (kRepeat == 4) {
        const Word pair = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1), pair);
      } else if constexpr (kRepeat == 2) {
        const Word four = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3), four);
      } else {
        return _mm512_loadu_si512(p);
      }
    }
    template <int kRepeat>
    static Word spread_reversed(const std::uint64_t* p) {
      if constexpr (kRepeat == 4) {
        const Word pair = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(1, 1, 1, 1, 0, 0, 0, 0), pair);
      } else if constexpr (kRepeat == 2) {
        const Word four = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(3, 3, 2, 2, 1, 1, 0, 0), four);
      } else {
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_loadu_si512(p));
      }
    }
  };
};

}  // namespace
}  // namespace hecc

// Four 64-bit lanes with AVX2 and FMA.
//
// AVX2 multiplies no 64-bit integers, so products are made of doubles. The rounded product and the exact rounding error
// that FMA gives are two doubles whose sum is the product; the multiple of q nearest to it is subtracted exactly. This
// is right while everything lies below 2^53, hence moduli below 2^50. All operations round to nearest.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "modulus.hpp"
#include "ntt.hpp"
#include "packing.hpp"

namespace hecc {
namespace {

struct Avx2 {
  static constexpr int kWidth = 4;
  static constexpr std::size_t kRingBytes = 64;  // of a row of sums, in registers
  using Word = __m256i;
  using Operand = __m256d;
  using Doubles = __m256d;

  static Word load(const std::uint64_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(std::uint64_t* p, Word x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
  static Word broadcast(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
  // Words [i, i + 4 / kTimes) of a packed run of `count` (packing.hpp), each of which stands for kTimes lanes.
  template <std::size_t kBytes, std::size_t kTimes>
  static Word load_packed(const std::uint8_t* run, std::size_t count, std::size_t i) {
    if constexpr (kTimes >= 4) return broadcast(packed_word<kBytes>(run, count, i));
    if constexpr (kTimes == 2) {
      const __m128i words = _mm_set_epi64x(static_cast<long long>(packed_word<kBytes>(run, count, i + 1)),
                                           static_cast<long long>(packed_word<kBytes>(run, count, i)));
      return _mm256_permute4x64_epi64(_mm256_castsi128_si256(words), 0x50);  // 0, 0, 1, 1
    }
    if constexpr (kTimes == 1) {
      if constexpr (kBytes == 8) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(run + 8 * i));
      const Word low = _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(run + 4 * i)));
      if constexpr (kBytes == 5) {
        const Word high = _mm256_cvtepu8_epi64(_mm_loadu_si32(run + 4 * count + i));
        return _mm256_or_si256(low, _mm256_slli_epi64(high, 32));
      }
      if constexpr (kBytes == 6) {
        const Word high = _mm256_cvtepu16_epi64(_mm_loadu_si64(run + 4 * count + 2 * i));
        return _mm256_or_si256(low, _mm256_slli_epi64(high, 32));
      }
      return low;
    }
  }
  // The last lane first.
  static Word reverse(Word x) { return _mm256_permute4x64_epi64(x, 0x1B); }
  static Doubles reverse(Doubles x) { return _mm256_permute4x64_pd(x, 0x1B); }
  static Doubles broadcast_bits(const std::uint64_t* p) {
    return _mm256_castsi256_pd(_mm256_set1_epi64x(static_cast<long long>(*p)));
  }
  // x is below 2^52: its bits are put into the mantissa of 2^52.
  static Doubles to_doubles(Word x) {
    const Word bits = _mm256_or_si256(x, _mm256_set1_epi64x(0x4330000000000000));
    return _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(0x1p52));
  }
  // x is an integer in [0, 2^52).
  static Word to_word(Doubles x) {
    const Doubles shifted = _mm256_add_pd(x, _mm256_set1_pd(0x1p52));
    return _mm256_xor_si256(_mm256_castpd_si256(shifted), _mm256_set1_epi64x(0x4330000000000000));
  }
  // x - bound if x >= bound, else x, for x and bound below 2^63.
  static Word reduce_once(Word x, Word bound) {
    const Word difference = _mm256_sub_epi64(x, bound);
    return _mm256_castpd_si256(
        _mm256_blendv_pd(_mm256_castsi256_pd(difference), _mm256_castsi256_pd(x), _mm256_castsi256_pd(difference)));
  }

  // --- Arithmetic modulo q ------------------------------------------------------------------------------------------

  struct Mod {
    Word q;
    Doubles real_q, reciprocal;
    Doubles power_51, power_51_quotient, power_99, power_99_quotient;

    explicit Mod(const Modulus& m)
        : q(broadcast(m.value)),
          real_q(_mm256_set1_pd(static_cast<double>(m.value))),
          reciprocal(_mm256_set1_pd(m.reciprocal)),
          power_51(_mm256_set1_pd(static_cast<double>(m.power_51.value))),
          power_51_quotient(_mm256_set1_pd(static_cast<double>(m.power_51.value) / static_cast<double>(m.value))),
          power_99(_mm256_set1_pd(static_cast<double>(m.power_99.value))),
          power_99_quotient(_mm256_set1_pd(static_cast<double>(m.power_99.value) / static_cast<double>(m.value))) {}
  };
  static constexpr FactorFormat kFormat = FactorFormat::kDouble;

  static Word add(Word a, Word b, const Mod& m) { return reduce_once(_mm256_add_epi64(a, b), m.q); }
  static Word subtract(Word a, Word b, const Mod& m) {
    const Word difference = _mm256_sub_epi64(a, b);
    return _mm256_castpd_si256(_mm256_blendv_pd(_mm256_castsi256_pd(difference),
                                                _mm256_castsi256_pd(_mm256_add_epi64(difference, m.q)),
                                                _mm256_castsi256_pd(difference)));
  }
  static Word negate(Word a, const Mod& m) { return reduce_once(_mm256_sub_epi64(m.q, a), m.q); }

  static Doubles nearest(Doubles x) { return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x in (-q, q), not minus zero's sign but its value decides: to [0, q).
  static Word from_signed(Doubles x, const Mod& m) {
    const Doubles negative = _mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_LT_OQ);
    return to_word(_mm256_add_pd(x, _mm256_and_pd(negative, m.real_q)));
  }
  // x modulo q in (-q, q), for an integer of at most 2^53.
  static Doubles reduce_signed(Doubles x, const Mod& m) {
    return _mm256_fnmadd_pd(nearest(_mm256_mul_pd(x, m.reciprocal)), m.real_q, x);
  }
  // a * w modulo q in (-q, q), given w and w / q rounded to nearest; |a * w / q| below 2^51.
  static Doubles multiply_signed(Doubles a, Doubles w, Doubles w_over_q, const Mod& m) {
    const Doubles high = _mm256_mul_pd(a, w);
    const Doubles low = _mm256_fmsub_pd(a, w, high);
    const Doubles quotient = nearest(_mm256_mul_pd(a, w_over_q));
    return _mm256_add_pd(_mm256_fnmadd_pd(quotient, m.real_q, high), low);
  }
  static Word multiply(Word a, Word b, const Mod& m) {
    const Doubles x = to_doubles(a), y = to_doubles(b);
    const Doubles high = _mm256_mul_pd(x, y);
    const Doubles low = _mm256_fmsub_pd(x, y, high);
    const Doubles quotient = nearest(_mm256_mul_pd(high, m.reciprocal));
    return from_signed(_mm256_add_pd(_mm256_fnmadd_pd(quotient, m.real_q, high), low), m);
  }
  static Word multiply_encoded(Word a, Word value, Word quotient, const Mod& m) {
    return from_signed(multiply_signed(to_doubles(a), _mm256_castsi256_pd(value), _mm256_castsi256_pd(quotient), m), m);
  }
  static Word encode_quotient(Word value, const Mod& m, Word& encoded) {
    const Doubles real = to_doubles(value);
    const Doubles half = _mm256_mul_pd(m.real_q, _mm256_set1_pd(0.5));
    const Doubles upper = _mm256_cmp_pd(real, half, _CMP_GT_OQ);
    const Doubles centred = _mm256_sub_pd(real, _mm256_and_pd(upper, m.real_q));
    encoded = _mm256_castpd_si256(centred);
    return _mm256_castpd_si256(_mm256_div_pd(centred, m.real_q));
  }
  // Any x below 2^52.
  static Word reduce(Word x, const Mod& m) { return from_signed(reduce_signed(to_doubles(x), m), m); }

  // --- Lazy sums: low + 2^51 * high, low signed ---------------------------------------------------------------------

  // An FMA that adds 2^103 rounds the product to a multiple of 2^51 and leaves it in the low mantissa bits; subtracted
  // from 2^103 + 1.5 * 2^52, it turns a second FMA into the exact rest, in [-2^50, 2^50], again in the mantissa bits.
  // The mantissas are summed as integers, exponents and all; `end_terms` takes the exponents out again. (The idea is
  // Emmart, Zheng and Weems, "Faster modular exponentiation using double precision floating point arithmetic on the
  // GPU", ARITH 2018, there with rounding towards zero.)
  struct Accumulator {
    Word low, high;
  };
  static Operand operand(Word x) { return to_doubles(x); }
  static void accumulate(Accumulator& sum, Operand a, Operand b) {
    const Doubles high = _mm256_fmadd_pd(a, b, _mm256_set1_pd(0x1p103));
    const Doubles low = _mm256_fmadd_pd(a, b, _mm256_sub_pd(_mm256_set1_pd(0x1p103 + 0x1.8p52), high));
    sum.high = _mm256_add_epi64(sum.high, _mm256_castpd_si256(high));
    sum.low = _mm256_add_epi64(sum.low, _mm256_castpd_si256(low));
  }
  static void end_terms(Accumulator& sum, std::size_t terms) {
    const std::uint64_t high = static_cast<std::uint64_t>(1023 + 103) << 52;
    const std::uint64_t low = (static_cast<std::uint64_t>(1023 + 52) << 52) + (std::uint64_t{1} << 51);
    sum.high = _mm256_sub_epi64(sum.high, broadcast(terms * high));
    sum.low = _mm256_sub_epi64(sum.low, broadcast(terms * low));
  }
  static Word reduce(const Accumulator& sum, const Mod& m) {
    // An arithmetic shift of low by 51, for |low| <= 2^62: AVX2 has only the logical one.
    const Word shifted = _mm256_add_epi64(sum.low, _mm256_set1_epi64x(1LL << 62));
    const Word carry = _mm256_sub_epi64(_mm256_srli_epi64(shifted, 51), _mm256_set1_epi64x(1LL << 11));
    const Word high = _mm256_add_epi64(sum.high, carry);
    const Doubles low = to_doubles(_mm256_and_si256(shifted, _mm256_set1_epi64x((1LL << 51) - 1)));
    const Doubles middle = to_doubles(_mm256_and_si256(high, _mm256_set1_epi64x((1LL << 48) - 1)));
    const Doubles top = to_doubles(_mm256_srli_epi64(high, 48));
    const Doubles upper = _mm256_add_pd(multiply_signed(middle, m.power_51, m.power_51_quotient, m),
                                        multiply_signed(top, m.power_99, m.power_99_quotient, m));
    return from_signed(reduce_signed(_mm256_add_pd(low, upper), m), m);
  }
  static Word reduce_few(const Accumulator& sum, const Mod& m) { return reduce(sum, m); }

  // --- Doubles ------------------------------------------------------------------------------------------------------

  static Doubles load_doubles(const double* p) { return _mm256_loadu_pd(p); }
  static void store_doubles(double* p, Doubles x) { _mm256_storeu_pd(p, x); }
  static Doubles broadcast_double(double x) { return _mm256_set1_pd(x); }
  static Doubles add(Doubles a, Doubles b) { return _mm256_add_pd(a, b); }
  static Doubles subtract(Doubles a, Doubles b) { return _mm256_sub_pd(a, b); }
  static Doubles multiply(Doubles a, Doubles b) { return _mm256_mul_pd(a, b); }
  static Doubles truncate(Doubles x) { return _mm256_round_pd(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  static Doubles magnitude(Doubles x) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), x); }
  static Doubles with_sign_of(Doubles x, Doubles sign) {
    const Doubles bit = _mm256_set1_pd(-0.0);
    return _mm256_or_pd(_mm256_andnot_pd(bit, x), _mm256_and_pd(bit, sign));
  }
  static Doubles larger(Doubles a, Doubles b) { return _mm256_max_pd(a, b); }
  static double largest(Doubles x) {
    const __m128d pair = _mm_max_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_max_sd(pair, _mm_unpackhi_pd(pair, pair)));
  }
  static Word where_negative(Doubles x, Word yes, Word no) {
    const Doubles negative = _mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_LT_OQ);
    return _mm256_castpd_si256(_mm256_blendv_pd(_mm256_castsi256_pd(no), _mm256_castsi256_pd(yes), negative));
  }
  template <int kRun>
  static void interleave(Doubles& a, Doubles& b) {
    const Doubles first = a;
    if constexpr (kRun == 1) {
      const Doubles even = _mm256_unpacklo_pd(first, b), odd = _mm256_unpackhi_pd(first, b);
      a = _mm256_permute2f128_pd(even, odd, 0x20);
      b = _mm256_permute2f128_pd(even, odd, 0x31);
    } else {
      a = _mm256_permute2f128_pd(first, b, 0x20);
      b = _mm256_permute2f128_pd(first, b, 0x31);
    }
  }

  static void permute_block(const std::uint64_t* source, const std::uint64_t* lanes, std::uint64_t* target) {
    for (int i = 0; i < 8; ++i) target[i] = source[lanes[i]];
  }

  // --- The transform ------------------------------------------------------------------------------------------------

  struct Twiddle {
    Doubles value, quotient;  // w in (-q/2, q/2), and w / q
  };

  // Values are signed. A product is within 0.5q plus |x| * 2^-54 * q of zero. With kLazy (q < 2^48) nothing is reduced
  // forward: after 17 stages values are below 11q < 2^52. Otherwise half of a pass's values are brought to within q/2
  // at its beginning, and within it nothing exceeds 2.4q. Inverse, sums are reduced at the end of each pass.
  template <bool kLazy>
  struct Field {
    using Value = Doubles;
    using Twiddle = Avx2::Twiddle;
    static constexpr int kWidth = 4, kLogWidth = 2, kLogBaseVectors = 2, kLogRadix = 2;
    Mod m;

    explicit Field(const Modulus& modulus) : m(modulus) {}
    Value from_residues(const std::uint64_t* p) const { return to_doubles(Avx2::load(p)); }
    Value load(const std::uint64_t* p) const { return _mm256_castsi256_pd(Avx2::load(p)); }
    void store(std::uint64_t* p, Value x) const { Avx2::store(p, _mm256_castpd_si256(x)); }
    void finish(std::uint64_t* p, Value x) const { Avx2::store(p, from_signed(reduce(x), m)); }
    void finish_product(std::uint64_t* p, Value x) const { Avx2::store(p, from_signed(x, m)); }
    Twiddle broadcast(const std::uint64_t* value, const std::uint64_t* quotient) const {
      return {broadcast_bits(value), broadcast_bits(quotient)};
    }
    // The integer nearest to x * y, below 2^51: adding 1.5 * 2^52 pushes the fraction out of the mantissa.
    static Doubles nearest_product(Doubles x, Doubles y) {
      const Doubles shift = _mm256_set1_pd(0x1.8p52);
      return _mm256_sub_pd(_mm256_fmadd_pd(x, y, shift), shift);
    }
    Value reduce(Value x) const { return _mm256_fnmadd_pd(nearest_product(x, m.reciprocal), m.real_q, x); }
    Value relax(Value x) const { return kLazy ? x : reduce(x); }
    Value settle(Value x, int = 0) const { return reduce(x); }
    Value product(Value x, Twiddle w) const {
      const Doubles high = _mm256_mul_pd(x, w.value);
      const Doubles low = _mm256_fmsub_pd(x, w.value, high);
      const Doubles quotient = nearest_product(x, w.quotient);
      return _mm256_add_pd(_mm256_fnmadd_pd(quotient, m.real_q, high), low);
    }
    void forward(Value& u, Value& v, Twiddle w) const {
      const Value t = product(v, w);
      v = _mm256_sub_pd(u, t);
      u = _mm256_add_pd(u, t);
    }
    Value sum(Value u, Value v) const { return _mm256_add_pd(u, v); }
    template <int kStage>
    Value difference(Value u, Value v, int) const {
      return _mm256_sub_pd(u, v);
    }

    // The last two levels of two vectors, whose nodes are `first` and the next one.
    void forward_pair(Value& x, Value& y, const std::uint64_t* powers, const std::uint64_t* quotients,
                      std::size_t first) const {
      exchange<2>(x, y);
      x = relax(x);
      forward(x, y, {spread<2>(powers + first), spread<2>(quotients + first)});
      exchange<1>(x, y);
      forward(x, y, {spread<1>(powers + 2 * first), spread<1>(quotients + 2 * first)});
      exchange<1>(x, y);
      exchange<2>(x, y);
    }
    // The first two levels of the inverse, on two vectors whose nodes' mirrors are `mirror` and the one before it.
    void inverse_pair(Value& x, Value& y, const std::uint64_t* powers, const std::uint64_t* quotients,
                      std::size_t mirror) const {
      const std::size_t first = mirror - 1;
      exchange<2>(x, y);
      exchange<1>(x, y);
      inverse(x, y, {spread_reversed<1>(powers + 2 * first), spread_reversed<1>(quotients + 2 * first)});
      exchange<1>(x, y);
      inverse(x, y, {spread_reversed<2>(powers + first), spread_reversed<2>(quotients + first)});
      x = settle(x);
      exchange<2>(x, y);
    }
    void inverse(Value& u, Value& v, Twiddle w) const {
      const Value difference = _mm256_sub_pd(v, u);
      u = _mm256_add_pd(u, v);
      v = product(difference, w);
    }

    template <int kHalf>
    static void exchange(Value& x, Value& y) {
      const Value first = x;
      if constexpr (kHalf == 2) {
        x = _mm256_permute2f128_pd(first, y, 0x20);
        y = _mm256_permute2f128_pd(first, y, 0x31);
      } else {
        x = _mm256_unpacklo_pd(first, y);
        y = _mm256_unpackhi_pd(first, y);
      }
    }
    template <int kRepeat>
    static Doubles spread(const std::uint64_t* p) {
      if constexpr (kRepeat == 2) {
        const __m256i pair = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        return _mm256_castsi256_pd(_mm256_permute4x64_epi64(pair, 0x50));  // 0, 0, 1, 1
      } else {
        return _mm256_castsi256_pd(Avx2::load(p));
      }
    }
    template <int kRepeat>
    static Doubles spread_reversed(const std::uint64_t* p) {
      if constexpr (kRepeat == 2) {
        const __m256i pair = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        return _mm256_castsi256_pd(_mm256_permute4x64_epi64(pair, 0x05));  // 1, 1, 0, 0
      } else {
        return _mm256_castsi256_pd(_mm256_permute4x64_epi64(Avx2::load(p), 0x1B));  // 3, 2, 1, 0
      }
    }
  };
};

}  // namespace
}  // namespace hecc

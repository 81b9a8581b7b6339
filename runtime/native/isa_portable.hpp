// One 64-bit lane in portable C++.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "modular.hpp"
#include "modulus.hpp"
#include "ntt.hpp"
#include "packing.hpp"

namespace hecc {
namespace {

struct Portable {
  static constexpr int kWidth = 1;
  static constexpr std::size_t kRingBytes = 32;  // of a row of sums, in registers
  using Word = std::uint64_t;
  using Operand = std::uint64_t;
  using Doubles = double;

  static Word load(const std::uint64_t* p) { return *p; }
  static void store(std::uint64_t* p, Word x) { *p = x; }
  static Word broadcast(std::uint64_t x) { return x; }
  // Word i of a packed run of `count` (packing.hpp).
  template <std::size_t kBytes, std::size_t>
  static Word load_packed(const std::uint8_t* run, std::size_t count, std::size_t i) {
    return packed_word<kBytes>(run, count, i);
  }
  static Word reverse(Word x) { return x; }

  // --- Arithmetic modulo q ------------------------------------------------------------------------------------------

  struct Mod {
    Modulus modulus;
    std::uint64_t q, two_q;
    explicit Mod(const Modulus& m) : modulus(m), q(m.value), two_q(2 * m.value) {}
  };
  static constexpr FactorFormat kFormat = FactorFormat::kWord;

  static Word add(Word a, Word b, const Mod& m) { return subtract_if_above(a + b, m.q); }
  static Word subtract(Word a, Word b, const Mod& m) { return a >= b ? a - b : a + m.q - b; }
  static Word negate(Word a, const Mod& m) { return a == 0 ? 0 : m.q - a; }
  static Word multiply(Word a, Word b, const Mod& m) { return multiply_modulo(a, b, m.modulus); }
  static Word multiply_encoded(Word a, Word value, Word quotient, const Mod& m) {
    return subtract_if_above(multiply_lazy(a, value, quotient, m.q), m.q);
  }
  static Word encode_quotient(Word value, const Mod& m, Word& encoded) {
    const Factor factor = make_factor(value, m.modulus);
    encoded = factor.value;
    return factor.quotient;
  }
  // Any x below 2^52.
  static Word reduce(Word x, const Mod& m) { return multiply_by(x, m.modulus.one, m.q); }

  // --- Lazy sums: low + 2^64 * high ---------------------------------------------------------------------------------

  struct Accumulator {
    Word low, high;
  };
  static Operand operand(Word x) { return x; }
  static void accumulate(Accumulator& sum, Operand a, Operand b) {
    const Word low = a * b;
    sum.low += low;
    sum.high += multiply_high(a, b) + (sum.low < low ? 1 : 0);
  }
  static void end_terms(Accumulator&, std::size_t) {}
  static Word reduce(const Accumulator& sum, const Mod& m) {
    const Word low = multiply_lazy(sum.low, 1, m.modulus.one.quotient, m.q);
    const Word high = multiply_lazy(sum.high, m.modulus.power_64.value, m.modulus.power_64.quotient, m.q);
    return subtract_if_above(subtract_if_above(low + high, m.two_q), m.q);
  }
  static Word reduce_few(const Accumulator& sum, const Mod& m) { return reduce(sum, m); }

  // --- Doubles ------------------------------------------------------------------------------------------------------

  static Doubles load_doubles(const double* p) { return *p; }
  static void store_doubles(double* p, Doubles x) { *p = x; }
  static Doubles broadcast_double(double x) { return x; }
  static Doubles add(Doubles a, Doubles b) { return a + b; }
  static Doubles subtract(Doubles a, Doubles b) { return a - b; }
  static Doubles multiply(Doubles a, Doubles b) { return a * b; }
  static Doubles truncate(Doubles x) { return std::trunc(x); }
  static Doubles magnitude(Doubles x) { return std::fabs(x); }
  static Doubles with_sign_of(Doubles x, Doubles sign) { return std::copysign(x, sign); }
  // The larger one; where `a` is not a number, b.
  static Doubles larger(Doubles a, Doubles b) { return a > b ? a : b; }
  static double largest(Doubles x) { return x; }
  // x is an integer in [0, 2^52).
  static Word to_word(Doubles x) { return static_cast<Word>(static_cast<std::int64_t>(x)); }
  static Doubles to_doubles(Word x) { return static_cast<double>(static_cast<std::int64_t>(x)); }
  // `yes` where x < 0, else `no`.
  static Word where_negative(Doubles x, Word yes, Word no) { return x < 0 ? yes : no; }
  template <int kRun>
  static void interleave(Doubles&, Doubles&) {}

  // A block of eight words with its lanes permuted.
  static void permute_block(const std::uint64_t* source, const std::uint64_t* lanes, std::uint64_t* target) {
    for (int i = 0; i < 8; ++i) target[i] = source[lanes[i]];
  }

  // --- The transform: Harvey's butterflies with 64-bit quotients ----------------------------------------------------

  struct Twiddle {
    Word value, quotient;
  };

  // Forward, a product is below 2q whatever its word operand, so each stage adds at most 2q to the largest value and
  // nothing is reduced on the way: after 17 stages values are below 35q < 2^56. Inverse, sums double at each stage, and
  // a word has room for twelve doublings: they are reduced once, after eight stages.
  struct Field {
    using Value = Word;
    using Twiddle = Portable::Twiddle;
    static constexpr int kWidth = 1, kLogWidth = 0, kLogBaseVectors = 2, kLogRadix = 2;
    Word q, two_q, one;

    explicit Field(const Modulus& m) : q(m.value), two_q(2 * m.value), one(m.one.quotient) {}
    Value from_residues(const std::uint64_t* p) const { return *p; }
    Value load(const std::uint64_t* p) const { return *p; }
    void store(std::uint64_t* p, Value x) const { *p = x; }
    void finish(std::uint64_t* p, Value x) const { *p = subtract_if_above(multiply_lazy(x, 1, one, q), q); }
    void finish_product(std::uint64_t* p, Value x) const { *p = subtract_if_above(x, q); }
    Twiddle broadcast(const std::uint64_t* value, const std::uint64_t* quotient) const { return {*value, *quotient}; }
    Value relax(Value x) const { return x; }
    Value settle(Value x, int done) const { return done == 8 ? multiply_lazy(x, 1, one, q) : x; }
    Value product(Value x, Twiddle w) const { return multiply_lazy(x, w.value, w.quotient, q); }
    void forward(Value& u, Value& v, Twiddle w) const {
      const Value t = product(v, w);
      v = u + two_q - t;
      u += t;
    }
    Value sum(Value u, Value v) const { return u + v; }
    // Stage kStage of a pass before which `done` stages were done: v is below 2q times 2 for each since the last
    // reduction.
    template <int kStage>
    Value difference(Value u, Value v, int done) const {
      return u + (two_q << ((done < 8 ? done : done - 8) + kStage)) - v;
    }
  };
};

}  // namespace
}  // namespace hecc

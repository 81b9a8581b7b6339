// Encoding, written once for all implementations (see ntt_kernels.hpp on linkage).
#pragma once

#include <cstddef>
#include <cstdint>

#include "encoding.hpp"

namespace hecc {
namespace {

template <class Isa>
struct Encoding {
  using Word = typename Isa::Word;
  using Mod = typename Isa::Mod;
  using Doubles = typename Isa::Doubles;
  static constexpr std::size_t kWidth = Isa::kWidth;

  struct Complex {
    Doubles real, imaginary;
  };
  // An array of n complex numbers, real parts first.
  struct Array {
    double* p;
    std::size_t n;
    Complex load(std::size_t i) const { return {Isa::load_doubles(p + i), Isa::load_doubles(p + n + i)}; }
    void store(std::size_t i, Complex x) const {
      Isa::store_doubles(p + i, x.real);
      Isa::store_doubles(p + n + i, x.imaginary);
    }
  };
  static Complex add(Complex a, Complex b) { return {Isa::add(a.real, b.real), Isa::add(a.imaginary, b.imaginary)}; }
  static Complex subtract(Complex a, Complex b) {
    return {Isa::subtract(a.real, b.real), Isa::subtract(a.imaginary, b.imaginary)};
  }
  static Complex multiply(Complex a, Complex b) {
    return {Isa::subtract(Isa::multiply(a.real, b.real), Isa::multiply(a.imaginary, b.imaginary)),
            Isa::add(Isa::multiply(a.real, b.imaginary), Isa::multiply(a.imaginary, b.real))};
  }

  // Stockham's self-sorting order: at level l, with s = 2^l, block q of the level's s blocks has its point p at p * s +
  // q; the sums become block q of the next level and the quotients of the differences block q + s.
  static double embed(const EmbeddingView& e, double scale, double* slots, double* scratch, double* coefficients) {
    const std::size_t n = std::size_t{1} << e.log_points;
    Array from{slots, n}, to{scratch, n};
    int level = 0;
    if constexpr (kWidth > 1) {
      first_level<1>(e, 0, from, to);
      exchange(from, to);
      first_level<2>(e, 1, from, to);
      exchange(from, to);
      level = 2;
      if constexpr (kWidth > 4) {
        first_level<4>(e, 2, from, to);
        exchange(from, to);
        level = 3;
      }
    }
    for (; level < e.log_points; level += 2) {
      if (e.log_points - level == 1) {
        one_level(e, level, from, to);
        exchange(from, to);
        break;
      }
      two_levels(e, level, from, to);
      exchange(from, to);
    }
    return round(from.p, scale / static_cast<double>(n), coefficients, 2 * n);
  }

  static void exchange(Array& a, Array& b) {
    const Array first = a;
    a = b;
    b = first;
  }

  template <int kRun>
  static void first_level(const EmbeddingView& e, int level, Array from, Array to) {
    const std::size_t half = from.n / 2;
    const double* const real = e.repeated_real + level * half;
    const double* const imaginary = e.repeated_imaginary + level * half;
    for (std::size_t i = 0; i < half; i += kWidth) {
      const Complex a = from.load(i), b = from.load(i + half);
      Complex sum = add(a, b);
      Complex rest = multiply(subtract(a, b), {Isa::load_doubles(real + i), Isa::load_doubles(imaginary + i)});
      Isa::template interleave<kRun>(sum.real, rest.real);
      Isa::template interleave<kRun>(sum.imaginary, rest.imaginary);
      to.store(2 * i, sum);
      to.store(2 * i + kWidth, rest);
    }
  }

  static Complex factor(const EmbeddingView& e, std::size_t index) {
    return {Isa::broadcast_double(e.real[index]), Isa::broadcast_double(e.imaginary[index])};
  }

  static void one_level(const EmbeddingView& e, int level, Array from, Array to) {
    const std::size_t s = std::size_t{1} << level, half = from.n >> (level + 1);
    for (std::size_t p = 0; p < half; ++p) {
      const Complex w = factor(e, from.n - 2 * half + p);
      for (std::size_t q = 0; q < s; q += kWidth) {
        const Complex a = from.load(p * s + q), b = from.load((p + half) * s + q);
        to.store(2 * p * s + q, add(a, b));
        to.store((2 * p + 1) * s + q, multiply(subtract(a, b), w));
      }
    }
  }

  static void two_levels(const EmbeddingView& e, int level, Array from, Array to) {
    const std::size_t s = std::size_t{1} << level, half = from.n >> (level + 1), quarter = half / 2;
    for (std::size_t p = 0; p < quarter; ++p) {
      const Complex w0 = factor(e, from.n - 2 * half + p);
      const Complex w1 = factor(e, from.n - 2 * half + p + quarter);
      const Complex w2 = factor(e, from.n - half + p);
      for (std::size_t q = 0; q < s; q += kWidth) {
        const Complex a0 = from.load(p * s + q), a1 = from.load((p + quarter) * s + q);
        const Complex a2 = from.load((p + half) * s + q), a3 = from.load((p + half + quarter) * s + q);
        const Complex even0 = add(a0, a2), even1 = add(a1, a3);
        const Complex odd0 = multiply(subtract(a0, a2), w0), odd1 = multiply(subtract(a1, a3), w1);
        to.store((4 * p + 0) * s + q, add(even0, even1));
        to.store((4 * p + 1) * s + q, add(odd0, odd1));
        to.store((4 * p + 2) * s + q, multiply(subtract(even0, even1), w2));
        to.store((4 * p + 3) * s + q, multiply(subtract(odd0, odd1), w2));
      }
    }
  }

  // Halves away from zero: the largest double below 1/2 is added to the magnitude and the fraction cut off.
  static double round(const double* x, double scale, double* out, std::size_t count) {
    const Doubles factor = Isa::broadcast_double(scale);
    const Doubles below_half = Isa::broadcast_double(0x1.fffffffffffffp-2);
    Doubles largest = Isa::broadcast_double(0);
    for (std::size_t i = 0; i < count; i += kWidth) {
      const Doubles value = Isa::multiply(Isa::load_doubles(x + i), factor);
      const Doubles rounded = Isa::truncate(Isa::add(Isa::magnitude(value), below_half));
      largest = Isa::larger(rounded, largest);
      Isa::store_doubles(out + i, Isa::with_sign_of(rounded, value));
    }
    return Isa::largest(largest);
  }

  static void residues(const double* coefficients, int words, std::uint64_t* out, std::size_t count, const Modulus& q) {
    switch (words) {
      case 1:
        return residues_of<1>(coefficients, out, count, q);
      case 2:
        return residues_of<2>(coefficients, out, count, q);
      default:
        return residues_of<3>(coefficients, out, count, q);
    }
  }

  // A double has 53 bits, so cutting it at 2^48 and 2^96 is exact.
  template <int kWords>
  static void residues_of(const double* coefficients, std::uint64_t* out, std::size_t count, const Modulus& q) {
    const Mod m(q);
    const auto one = Isa::operand(Isa::broadcast(1));
    const auto power_48 = Isa::operand(Isa::broadcast(q.power_48.value));
    const auto power_96 = Isa::operand(Isa::broadcast(q.power_96.value));
    for (std::size_t i = 0; i < count; i += kWidth) {
      const Doubles x = Isa::load_doubles(coefficients + i);
      Doubles rest = Isa::magnitude(x);
      Word residue;
      if constexpr (kWords == 1) {
        residue = Isa::reduce(Isa::to_word(rest), m);
      } else {
        typename Isa::Accumulator sum{Isa::broadcast(0), Isa::broadcast(0)};
        if constexpr (kWords == 3) Isa::accumulate(sum, Isa::operand(cut(rest, 0x1p96, 0x1p-96)), power_96);
        Isa::accumulate(sum, Isa::operand(cut(rest, 0x1p48, 0x1p-48)), power_48);
        Isa::accumulate(sum, Isa::operand(Isa::to_word(rest)), one);
        Isa::end_terms(sum, kWords);
        residue = Isa::reduce(sum, m);
      }
      Isa::store(out + i, Isa::where_negative(x, Isa::negate(residue, m), residue));
    }
  }

  // floor(rest / unit); rest is left modulo the unit.
  static Word cut(Doubles& rest, double unit, double reciprocal) {
    const Doubles quotient = Isa::truncate(Isa::multiply(rest, Isa::broadcast_double(reciprocal)));
    rest = Isa::subtract(rest, Isa::multiply(quotient, Isa::broadcast_double(unit)));
    return Isa::to_word(quotient);
  }

  static void fold_conjugates(const std::uint64_t* input, std::uint64_t root, std::uint64_t* out, std::size_t count,
                              const Modulus& q) {
    const Mod m(q);
    Word value;
    const Word quotient = Isa::encode_quotient(Isa::broadcast(root), m, value);
    for (std::size_t i = 0; i < count; i += kWidth) {
      const Word mirrored = Isa::reverse(Isa::load(input + count - i - kWidth + 1));
      const Word product = Isa::multiply_encoded(mirrored, value, quotient, m);
      Isa::store(out + i, Isa::subtract(Isa::load(input + i), product, m));
    }
  }

  static void repeat(const std::uint64_t* input, std::size_t times, std::uint64_t* output, std::size_t count) {
    switch (times) {
      case 1:
        if (input != output) repeat_each<1>(input, output, count);
        return;
      case 2:
        return repeat_each<2>(input, output, count);
      case 4:
        return repeat_each<4>(input, output, count);
      default:
        for (std::size_t i = 0; i < count; ++i) {
          const Word word = Isa::broadcast(input[i]);
          for (std::size_t j = 0; j < times; j += kWidth) Isa::store(output + i * times + j, word);
        }
    }
  }
  template <std::size_t kTimes>
  static void repeat_each(const std::uint64_t* input, std::uint64_t* output, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t j = 0; j < kTimes; ++j) output[i * kTimes + j] = input[i];
    }
  }

  static constexpr EncodingKernels kernels() { return {embed, residues, fold_conjugates, repeat}; }
};

}  // namespace
}  // namespace hecc

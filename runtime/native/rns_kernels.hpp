// Base conversion, written once for all implementations (see ntt_kernels.hpp on linkage).
#pragma once

#include <cstddef>
#include <cstdint>

#include "pointwise.hpp"
#include "rns.hpp"

namespace hecc {
namespace {

template <class Isa>
struct Rns {
  using Word = typename Isa::Word;
  using Mod = typename Isa::Mod;
  using Doubles = typename Isa::Doubles;
  using Accumulator = typename Isa::Accumulator;
  static constexpr std::size_t kWidth = Isa::kWidth;

  static void convert(const ConversionView& c, const std::uint64_t* const* input, std::uint64_t* const* output,
                      std::size_t count, std::uint64_t* scratch) {
    for (std::size_t start = 0; start < count; start += kConversionChunk) {
      const std::size_t chunk = count - start < kConversionChunk ? count - start : kConversionChunk;
      if (c.sources == 1) {
        shift(c, input[0] + start, scratch, chunk);
        for (std::size_t j = 0; j < c.targets; ++j) reduce_to(c, j, scratch, output[j] + start, chunk);
      } else {
        for (std::size_t i = 0; i < c.sources; ++i) scale(c, i, input[i] + start, scratch, chunk);
        truncate(scratch + c.sources * kConversionChunk, chunk);
        const auto kernel = c.sources < kFewTerms ? combine<true> : combine<false>;
        for (std::size_t j = 0; j < c.targets; ++j) kernel(c, j, scratch, output[j] + start, chunk);
      }
    }
  }

  static void shift(const ConversionView& c, const std::uint64_t* x, std::uint64_t* y, std::size_t chunk) {
    const Mod m(c.source[0]);
    const Word offset = Isa::broadcast(c.offset[0]);
    for (std::size_t k = 0; k < chunk; k += kWidth) Isa::store(y + k, Isa::add(Isa::load(x + k), offset, m));
  }

  static void reduce_to(const ConversionView& c, std::size_t j, const std::uint64_t* y, std::uint64_t* out,
                        std::size_t chunk) {
    const Mod m(c.target[j]);
    const Word counter = Isa::broadcast(c.counter[j]);
    for (std::size_t k = 0; k < chunk; k += kWidth) {
      Isa::store(out + k, Isa::add(Isa::reduce(Isa::load(y + k), m), counter, m));
    }
  }

  // y_i, and the sum of y_i / q_i so far, as doubles behind the last y. The order of the additions is the same in every
  // implementation, so v is too.
  static void scale(const ConversionView& c, std::size_t i, const std::uint64_t* x, std::uint64_t* scratch,
                    std::size_t chunk) {
    const Mod m(c.source[i]);
    const Word offset = Isa::broadcast(c.offset[i]);
    const Word value = Isa::broadcast(c.scale[i].value), quotient = Isa::broadcast(c.scale[i].quotient);
    const Doubles reciprocal = Isa::broadcast_double(c.source[i].reciprocal);
    std::uint64_t* const y = scratch + i * kConversionChunk;
    double* const fraction = reinterpret_cast<double*>(scratch + c.sources * kConversionChunk);
    for (std::size_t k = 0; k < chunk; k += kWidth) {
      const Word scaled = Isa::multiply_encoded(Isa::add(Isa::load(x + k), offset, m), value, quotient, m);
      Isa::store(y + k, scaled);
      const Doubles part = Isa::multiply(Isa::to_doubles(scaled), reciprocal);
      Isa::store_doubles(fraction + k, i == 0 ? part : Isa::add(Isa::load_doubles(fraction + k), part));
    }
  }

  static void truncate(std::uint64_t* row, std::size_t chunk) {
    for (std::size_t k = 0; k < chunk; k += kWidth) {
      const Doubles fraction = Isa::load_doubles(reinterpret_cast<const double*>(row) + k);
      Isa::store(row + k, Isa::to_word(Isa::truncate(fraction)));
    }
  }

  template <bool kFew>
  static void combine(const ConversionView& c, std::size_t j, const std::uint64_t* scratch, std::uint64_t* out,
                      std::size_t chunk) {
    constexpr std::size_t kVectors = kWidth == 8 ? 8 : 2;
    const Mod m(c.target[j]);
    const Word counter = Isa::broadcast(c.counter[j]);
    const std::uint64_t* const weights = c.weights + j * (c.sources + 1);
    for (std::size_t k = 0; k < chunk; k += kVectors * kWidth) {
      Accumulator sums[kVectors];
      for (std::size_t v = 0; v < kVectors; ++v) sums[v] = {Isa::broadcast(0), Isa::broadcast(0)};
      for (std::size_t i = 0; i <= c.sources; ++i) {
        const auto weight = Isa::operand(Isa::broadcast(weights[i]));
#pragma GCC unroll 8
        for (std::size_t v = 0; v < kVectors; ++v) {
          const auto y = Isa::operand(Isa::load(scratch + i * kConversionChunk + k + v * kWidth));
          Isa::accumulate(sums[v], y, weight);
        }
      }
      for (std::size_t v = 0; v < kVectors; ++v) {
        Isa::end_terms(sums[v], c.sources + 1);
        const Word sum = kFew ? Isa::reduce_few(sums[v], m) : Isa::reduce(sums[v], m);
        Isa::store(out + k + v * kWidth, Isa::add(sum, counter, m));
      }
    }
  }

  // With h = (q - 1) / 2, x + h modulo q is h above the representative closest to zero.
  static void lift(const std::uint64_t* x, const Modulus& q, std::uint64_t* out, std::size_t count, const Modulus& p) {
    const Mod source(q), target(p);
    const std::uint64_t half = q.value / 2;
    const Word offset = Isa::broadcast(half), counter = Isa::broadcast((p.value - half % p.value) % p.value);
    if (q.value <= p.value) {
      for (std::size_t k = 0; k < count; k += kWidth) {
        Isa::store(out + k, Isa::add(Isa::add(Isa::load(x + k), offset, source), counter, target));
      }
      return;
    }
    for (std::size_t k = 0; k < count; k += kWidth) {
      const Word shifted = Isa::reduce(Isa::add(Isa::load(x + k), offset, source), target);
      Isa::store(out + k, Isa::add(shifted, counter, target));
    }
  }

  static constexpr RnsKernels kernels() { return {convert, lift}; }
};

}  // namespace
}  // namespace hecc

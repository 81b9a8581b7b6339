// Arithmetic modulo a word-sized prime: the few operations every kernel shares.
//
// Everything here has internal linkage (`static`), on purpose: this header is included by translation units that are
// compiled for wider instruction sets, and the linker must never pick their copy of a function for the others.
#pragma once

#include <cstdint>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

namespace hecc {

// Moduli lie below 2^50: wide enough for every prime hecc uses, narrow enough for the 52-bit lanes of AVX-512 IFMA and
// for double-precision FMA on AVX2, and it leaves 14 bits of headroom in a word for lazy reduction.
static constexpr int kModulusBits = 50;

// A factor with its Shoup quotient, floor(value * 2^64 / modulus).
struct Factor {
  std::uint64_t value;
  std::uint64_t quotient;
};

// The high word of a 64 x 64 bit product.
static inline std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
#if defined(_MSC_VER) && !defined(__clang__)
  return __umulh(a, b);
#else
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
#endif
}

// floor(w * 2^64 / modulus) for w < modulus < 2^50 (Shoup's precomputed quotient), by long division in four 14-bit
// steps and one of 8 bits, each of which fits a word. Not for hot loops.
static inline std::uint64_t shoup_quotient(std::uint64_t w, std::uint64_t modulus) {
  std::uint64_t quotient = 0;
  std::uint64_t remainder = w;
  for (int done = 0; done < 64;) {
    const int step = 64 - done < 64 - kModulusBits ? 64 - done : 64 - kModulusBits;
    const std::uint64_t shifted = remainder << step;
    quotient = (quotient << step) + shifted / modulus;
    remainder = shifted % modulus;
    done += step;
  }
  return quotient;
}

static inline Factor make_factor(std::uint64_t value, std::uint64_t modulus) {
  return {value, shoup_quotient(value, modulus)};
}

// x * w modulo `modulus`, in [0, 2 * modulus), for any word x, w < modulus, and w's Shoup quotient
// (Harvey, "Faster arithmetic for number-theoretic transforms", 2014, section 3).
static inline std::uint64_t multiply_lazy(std::uint64_t x, std::uint64_t w, std::uint64_t quotient,
                                          std::uint64_t modulus) {
  return x * w - multiply_high(x, quotient) * modulus;
}

// value - bound if value >= bound, else value.
static inline std::uint64_t subtract_if_above(std::uint64_t value, std::uint64_t bound) {
  return value >= bound ? value - bound : value;
}

// x * factor modulo `modulus`, fully reduced, for any word x.
static inline std::uint64_t multiply_by(std::uint64_t x, Factor factor, std::uint64_t modulus) {
  return subtract_if_above(multiply_lazy(x, factor.value, factor.quotient, modulus), modulus);
}

// a * b modulo `modulus`, fully reduced, for a, b < modulus. Not for hot loops: it divides.
static inline std::uint64_t multiply_modulo(std::uint64_t a, std::uint64_t b, std::uint64_t modulus) {
  return multiply_by(a, make_factor(b, modulus), modulus);
}

// base^exponent modulo `modulus`, for base < modulus.
static inline std::uint64_t power_modulo(std::uint64_t base, std::uint64_t exponent, std::uint64_t modulus) {
  std::uint64_t result = 1 % modulus;
  for (; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result = multiply_modulo(result, base, modulus);
    base = multiply_modulo(base, base, modulus);
  }
  return result;
}

}  // namespace hecc

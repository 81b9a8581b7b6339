// Coefficient by coefficient: sums, products, and long sums of products that are reduced once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "modulus.hpp"

namespace hecc {

// Every count of words handed to a kernel is a multiple of this.
inline constexpr std::size_t kBlock = 64;

// Products that a lazy sum can hold before it is reduced.
inline constexpr std::size_t kMaxTerms = 4096;

// A switching key lies in memory as the inner product reads it, from the first byte to the last: for every limb, for
// every kKeyRun coefficients, for every digit, a packed run (packing.hpp) of the one polynomial and then of the other.
inline constexpr std::size_t kKeyRun = 32;

// Products of diagonals with rotations are made for a run of so many coefficients from each end of both polynomials.
inline constexpr std::size_t kDiagonalRun = 16;

// Sums of so few products are reduced in fewer steps.
inline constexpr std::size_t kFewTerms = 15;

// Contracts that all kernels share. Arrays hold `count` words, a multiple of kBlock, at least at an alignment of 8
// bytes (64 is fastest). An output is one of the inputs or does not overlap any. Residues are below the modulus, and so
// are results; residues that are not give meaningless results, and never an access outside the arrays. Nothing is
// allocated, nothing throws.
struct PointwiseKernels {
  void (*add)(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t count, const Modulus& q);
  void (*subtract)(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t count,
                   const Modulus& q);
  void (*negate)(const std::uint64_t* a, std::uint64_t* out, std::size_t count, const Modulus& q);
  void (*multiply)(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* out, std::size_t count,
                   const Modulus& q);
  // out = a * scalar, scalar < q.
  void (*multiply_scalar)(const std::uint64_t* a, std::uint64_t scalar, std::uint64_t* out, std::size_t count,
                          const Modulus& q);
  // out = (a - b) * scalar: the end of a mod-down.
  void (*subtract_multiply_scalar)(const std::uint64_t* a, const std::uint64_t* b, std::uint64_t scalar,
                                   std::uint64_t* out, std::size_t count, const Modulus& q);
  // Any words below 2^52 to residues.
  void (*reduce)(const std::uint64_t* a, std::uint64_t* out, std::size_t count, const Modulus& q);

  // Shoup's precomputed quotients of a constant vector, in this implementation's FactorFormat: `values` and `quotients`
  // must be different arrays, `a` may be `values`.
  void (*encode_factors)(const std::uint64_t* a, std::uint64_t* values, std::uint64_t* quotients, std::size_t count,
                         const Modulus& q);
  // out = a times the constant vector so encoded; cheaper arithmetic than `multiply`, for 8 bytes more to read.
  void (*multiply_encoded)(const std::uint64_t* a, const std::uint64_t* values, const std::uint64_t* quotients,
                           std::uint64_t* out, std::size_t count, const Modulus& q);

  // --- Sums of products, reduced once; or, where `terms` has no bound, once in kMaxTerms - 1 terms.

  // out = sum of a[t] * b[t]. The output may not be an input.
  void (*inner_product)(const std::uint64_t* const* a, const std::uint64_t* const* b, std::size_t terms,
                        std::uint64_t* out, std::size_t count, const Modulus& q);
  // Both inner products of `terms` digits with a switching key: out[h] = sum over t of digits[t] times half h of digit
  // t of the key, which begins at `key` and has `stride` bytes per run of kKeyRun coefficients, packed for q. The first
  // sum begins with addend * factor, unless `addend` is null. No output may be an input; terms < kMaxTerms.
  void (*key_products)(const std::uint64_t* const* digits, std::size_t terms, const std::uint8_t* key,
                       std::size_t stride, const std::uint64_t* addend, std::uint64_t factor, std::uint64_t* out0,
                       std::uint64_t* out1, std::size_t count, const Modulus& q);
  // Sum over t of diagonal t times rotation t, for `runs` runs of kDiagonalRun coefficients from each end of both
  // polynomials: out[0] and out[2] point to the first runs, out[1] and out[3] to the last, of which there are as many
  // before. `rotated` has `rotated_stride` words per run, of which rotation t takes 4 kDiagonalRun at index
  // rotations[t]: see AutomorphismKernels::permute_to_runs. A real diagonal is the same from both ends, and each of its
  // words stands for `repeats` coefficients, a power of two: `values` begins with the runs that all diagonals have for
  // the first kDiagonalRun coefficients, packed for q, of kDiagonalRun / repeats words or one each, and has `stride`
  // bytes per kDiagonalRun coefficients, or per `repeats` where that is more. Complex diagonals have their ends
  // `apart`: right behind the run of the first end lies that of the last, in reversed order. Where `added` is set
  // the sums are added to what is in `out`. terms < kMaxTerms.
  void (*diagonal_products)(const std::uint8_t* values, std::size_t stride, std::size_t repeats, bool apart,
                            const std::uint64_t* rotated, std::size_t rotated_stride, const std::uint32_t* rotations,
                            std::size_t terms, std::size_t runs, bool added, std::uint64_t* const* out,
                            const Modulus& q);
  // out[r] = sum over t of weights[r * terms + t] * x[t]: a matrix of scalars below q times a vector of polynomials,
  // the linear layer of a batch layout. No output may be an input.
  void (*matrix_product)(const std::uint64_t* weights, const std::uint64_t* const* x, std::size_t rows,
                         std::size_t terms, std::uint64_t* const* out, std::size_t count, const Modulus& q);
};

}  // namespace hecc

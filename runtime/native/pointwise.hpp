// Coefficient by coefficient: sums, products, and long sums of products that are reduced once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "modulus.hpp"

namespace hecc {

// Every count of words handed to a kernel is a multiple of this.
inline constexpr std::size_t kBlock = 64;

// Products that a lazy sum can hold between two calls of `fold`.
inline constexpr std::size_t kMaxTerms = 4096;

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

  // --- Lazy sums. A sum of products is two words per coefficient, `low` and `high`, whose meaning is the
  // implementation's; zeros are zero. No more than kMaxTerms products may be added before a `fold`, after which a sum
  // counts as one product. Factors are any words below 2^50. The sum of `terms` products a[t] * b[t] is added.

  void (*multiply_accumulate)(const std::uint64_t* const* a, const std::uint64_t* const* b, std::size_t terms,
                              std::uint64_t* low, std::uint64_t* high, std::size_t count);
  // Two sums at once, of a[t] * b0[t] and a[t] * b1[t]: both halves of a ciphertext or of a switching key.
  void (*multiply_accumulate_pair)(const std::uint64_t* const* a, const std::uint64_t* const* b0,
                                   const std::uint64_t* const* b1, std::size_t terms, std::uint64_t* low0,
                                   std::uint64_t* high0, std::uint64_t* low1, std::uint64_t* high1, std::size_t count);
  // Reduce the sums in place, so that as many terms again but one can follow.
  void (*fold)(std::uint64_t* low, std::uint64_t* high, std::size_t count, const Modulus& q);
  // The residues of the sums; `out` may be `low` or `high`.
  void (*reduce_sums)(const std::uint64_t* low, const std::uint64_t* high, std::uint64_t* out, std::size_t count,
                      const Modulus& q);

  // --- Sums of any number of terms, reduced.

  // out = sum of a[t] * b[t].
  void (*inner_product)(const std::uint64_t* const* a, const std::uint64_t* const* b, std::size_t terms,
                        std::uint64_t* out, std::size_t count, const Modulus& q);
  // out0 = sum of a[t] * b0[t], out1 = sum of a[t] * b1[t]. No output may be an input.
  void (*inner_product_pair)(const std::uint64_t* const* a, const std::uint64_t* const* b0,
                             const std::uint64_t* const* b1, std::size_t terms, std::uint64_t* out0,
                             std::uint64_t* out1, std::size_t count, const Modulus& q);
  // out[r] = sum over t of weights[r * terms + t] * x[t]: a matrix of scalars below q times a vector of polynomials,
  // the linear layer of a batch layout. No output may be an input.
  void (*matrix_product)(const std::uint64_t* weights, const std::uint64_t* const* x, std::size_t rows,
                         std::size_t terms, std::uint64_t* const* out, std::size_t count, const Modulus& q);
};

}  // namespace hecc

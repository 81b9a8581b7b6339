// CKKS encoding: slot values to the residues of a plaintext, in double precision.
//
// A ring of degree N has N/2 slots; slot j is the value at zeta^(3^j), zeta = exp(pi i / N), the order of Microsoft
// SEAL. A vector of n slots that repeats to fill them is a polynomial in X^r, r = N / (2n), that is one of a ring of
// degree 2n: everything here works on that ring, and only the end knows N.
//
// Half of the powers of 3 are 3 modulo 4. There the conjugate is taken, the value at zeta^-(3^j): then slot j is at
// zeta^((-3)^j), all exponents are 1 modulo 4, zeta^n is i in all of them, and the 2n real coefficients are n complex
// ones, c_k + i c_(k+n), of a polynomial evaluated at n points. Point j + n/2 is the negative of point j, and the
// squares of the first half are the points of the same problem of half the size: a fast Fourier transform.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "aligned.hpp"
#include "modulus.hpp"
#include "ntt.hpp"

namespace hecc {

struct Kernels;

inline constexpr int kMinLogPoints = kMinLogTransform - 1;
inline constexpr int kMaxLogPoints = kMaxLogDegree - 1;

// Coefficients a kernel can turn into residues lie below this; SEAL's own limit is the modulus.
inline constexpr double kMaxCoefficient = 0x1p148;

// Plain data. Level l works on blocks of 2m points, m = n / 2^(l+1), and divides by its m points p < m: factor p, real
// and imaginary parts apart, is at [n - 2m + p]. The first three levels are there once more for vectors that span
// several p: each factor repeated 2^l times, at [l * n/2].
struct EmbeddingView {
  int log_points;
  const double* real;
  const double* imaginary;
  const double* repeated_real;
  const double* repeated_imaginary;
};

class Embedding {
 public:
  // Of 2^log_points slots, kMinLogPoints to kMaxLogPoints; anything else is std::invalid_argument.
  explicit Embedding(int log_points);
  const EmbeddingView& view() const { return view_; }

 private:
  AlignedBuffer<double> tables_;
  EmbeddingView view_{};
};

// One per size, made when first wanted and kept. Thread-safe.
std::shared_ptr<const Embedding> shared_embedding(int log_points);

struct EncodingKernels {
  // The inverse canonical embedding of n = 2^log_points slots. `slots` holds n real parts and then n imaginary parts,
  // those of odd slots negated; it is overwritten, as is `scratch`, of 2n doubles too. `coefficients` (which may be
  // `slots` or `scratch`) receives 2n coefficients times `scale`, rounded to integers, halves away from zero. Returns
  // the largest magnitude among them. The same operations in the same order in every implementation, and no fused ones:
  // the results are equal to the bit. Not a number and infinity are for the caller to keep out.
  double (*embed)(const EmbeddingView& embedding, double scale, double* slots, double* scratch, double* coefficients);

  // `count` integers (a multiple of kBlock) to residues. `words` is word_count() of the largest magnitude.
  void (*residues)(const double* coefficients, int words, std::uint64_t* out, std::size_t count, const Modulus& q);

  // What the first stage of a transform makes of a polynomial that conjugation leaves as it is, coefficient i being the
  // negative of coefficient 2 count - i: out[i] = input[i] - root * input[count - i], root below q. `input` holds
  // count + 1 residues (count a multiple of kBlock), the last of which is zero, and does not overlap `out`.
  void (*fold_conjugates)(const std::uint64_t* input, std::uint64_t root, std::uint64_t* out, std::size_t count,
                          const Modulus& q);

  // Each of `count` words `times` times, a power of two: the end of a transform of a polynomial in X^times. `input` and
  // `output`, of count * times words, do not overlap unless times is 1.
  void (*repeat)(const std::uint64_t* input, std::size_t times, std::uint64_t* output, std::size_t count);
};

// In how many pieces a coefficient becomes residues; 0 if it is too large, kMaxCoefficient or more, or not a number.
int word_count(double magnitude);

// Encoding for a ring of N: plain functions over the kernels, with all memory given.
struct Encoder {
  const Kernels& kernels;
  std::size_t degree;

  // Log of the points for `slots` logical slots, a power of two up to N/2.
  static int log_points(std::size_t slots);
  // Doubles that `coefficients` and `scratch` of encode() need.
  static std::size_t coefficient_count(std::size_t slots) { return std::size_t{2} << log_points(slots); }

  // Slot values (a power of two of them, up to N/2) to rounded coefficients, coefficient_count(slots) of them: the
  // polynomial's every r-th one. `scratch` is as large. Returns word_count() of the largest.
  int embed(const double* values, std::size_t slots, double scale, double* coefficients, double* scratch) const;
  int embed(const float* values, std::size_t slots, double scale, double* coefficients, double* scratch) const;
  int embed(const std::complex<double>* values, std::size_t slots, double scale, double* coefficients,
            double* scratch) const;

  // The limb of one prime from rounded coefficients, in NTT form, N words. `scratch` holds count words.
  void limb(const double* coefficients, std::size_t count, int words, const NttView& tables, std::uint64_t* out,
            std::uint64_t* scratch) const;
};

}  // namespace hecc

// The negacyclic number-theoretic transform of one limb: its tables, and the kernels that read them.
//
// The forward transform maps the coefficients of a polynomial of Z_q[X]/(X^N + 1) to its values at the odd powers of
// psi, the *minimal* primitive 2N-th root of unity modulo q, in bit-reversed order: output i is the value at psi^(2 *
// reverse(i) + 1). This is the order of Microsoft SEAL, so that residues travel between the two unchanged.
//
// Every implementation reads tables of a format of its own and returns the same fully reduced residues to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "aligned.hpp"
#include "modulus.hpp"

namespace hecc {

inline constexpr int kMinLogDegree = 11;
inline constexpr int kMaxLogDegree = 17;
// The smallest transform a kernel accepts: see `ntt_forward`.
inline constexpr int kMinLogTransform = 6;

// What a precomputed multiplicand w looks like, in two words.
enum class FactorFormat {
  kWord,    // w, and floor(w * 2^64 / q)
  kWord52,  // w, and floor(w * 2^52 / q)
  kDouble,  // the bit patterns of the doubles w', w brought to (-q/2, q/2), and w' / q
};

// A multiplicand in some format.
struct Encoded {
  std::uint64_t value;
  std::uint64_t quotient;
};
Encoded encode_factor(std::uint64_t w, const Modulus& modulus, FactorFormat format);

// What a kernel reads: plain data. `powers` and `quotients` hold psi^reverse(i) at index i, apart from its quotient, so
// that a vector unit loads each contiguously. The inverse transform reads the same tables: within the 2^s entries of a
// stage, psi^-reverse(i) is the negative of the entry as far from the end as i is from the beginning.
struct NttView {
  std::size_t degree;
  Modulus modulus;
  const std::uint64_t* powers;
  const std::uint64_t* quotients;
  // For a transform of 2^k points, at index k: 2^-k, and psi^-reverse(1) * 2^-k negated, the factors of the inverse
  // transform's last stage.
  Encoded inverse_size[kMaxLogDegree + 1];
  Encoded inverse_size_times_root[kMaxLogDegree + 1];
};

class NttTables {
 public:
  // Throws std::invalid_argument, with a sentence for the user, unless the degree is a power of two from 2^11 to 2^17
  // and the modulus is a prime below 2^50 that is 1 modulo 2 * degree.
  NttTables(std::uint64_t degree, std::uint64_t modulus, FactorFormat format);

  const NttView& view() const { return view_; }
  std::size_t degree() const { return view_.degree; }
  const Modulus& modulus() const { return view_.modulus; }
  // psi, the minimal primitive 2N-th root of unity.
  std::uint64_t root() const { return root_; }
  // psi^reverse(1), a square root of -1: the factor of the first stage.
  std::uint64_t root_of_minus_one() const { return root_of_minus_one_; }

 private:
  std::uint64_t root_, root_of_minus_one_;
  AlignedBuffer<std::uint64_t> powers_, quotients_;
  NttView view_{};
};

// The tables of a degree, modulus and format, made once and shared for as long as anybody holds them; 16 bytes per
// coefficient. Thread-safe. Throws what the constructor throws.
std::shared_ptr<const NttTables> shared_ntt_tables(std::uint64_t degree, std::uint64_t modulus, FactorFormat format);

// One limb per call; threads may share the tables. `input` and `output` each hold 2^log_size words; they are the same
// array, or do not overlap. Any alignment of 8 bytes will do, 64 is fastest. Residues at or above the modulus give a
// meaningless result, and never an access outside the arrays.
struct NttKernels {
  // The format of the tables that these kernels read.
  FactorFormat format;

  // Residues below q to residues below q. With log_size = log2 N, the transform of the ring. With a smaller log_size
  // (at least kMinLogTransform), the transform of a polynomial in X^r, r = N / 2^log_size, of which `input` holds every
  // r-th coefficient: each output stands for r equal consecutive values.
  void (*ntt_forward)(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output);

  // The first half of the outputs of the above, from 2^(log_size - 1) words to as many: input i is a_i + w a_(i + n), n
  // that number of words and w = psi^reverse(1), which is what the first stage makes of the coefficients. log_size is
  // above kMinLogTransform. Enough for a polynomial that conjugation leaves as it is: then output i is output 2n - 1 -
  // i.
  void (*ntt_forward_half)(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output);

  // The inverse of `ntt_forward`.
  void (*ntt_inverse)(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output);
};

}  // namespace hecc

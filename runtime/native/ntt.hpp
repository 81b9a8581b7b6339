// The negacyclic number-theoretic transform of one limb: its tables, and the kernels that read them.
//
// The forward transform maps the coefficients of a polynomial of Z_q[X]/(X^N + 1) to its values at the odd powers of
// psi, the *minimal* primitive 2N-th root of unity modulo q, in bit-reversed order: output i is the value at psi^(2 *
// reverse(i) + 1). This is the order of Microsoft SEAL, so that residues travel between the two unchanged.
//
// Every implementation (portable, and one per wider instruction set) has the two signatures at the end of this file,
// reads the same tables, and returns the same fully reduced residues to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hecc {

inline constexpr int kMinLogDegree = 11;
inline constexpr int kMaxLogDegree = 17;

// A factor with its Shoup quotient.
struct Factor {
  std::uint64_t value;
  std::uint64_t quotient;
};

class NttTables {
 public:
  // Throws std::invalid_argument, with a sentence for the user, unless the degree is a power of two from 2^11 to 2^17
  // and the modulus is a prime below 2^50 that is 1 modulo 2 * degree.
  NttTables(std::uint64_t degree, std::uint64_t modulus);

  std::size_t degree() const { return degree_; }
  std::uint64_t modulus() const { return modulus_; }
  // psi, the minimal primitive 2N-th root of unity.
  std::uint64_t root() const { return root_; }

  // psi^reverse(i) at index i, apart from its quotient, so that a vector unit loads each contiguously.
  const std::uint64_t* powers() const { return powers_.data(); }
  const std::uint64_t* quotients() const { return quotients_.data(); }
  // psi^-reverse(i) at index i.
  const std::uint64_t* inverse_powers() const { return inverse_powers_.data(); }
  const std::uint64_t* inverse_quotients() const { return inverse_quotients_.data(); }

  // 1, whose quotient reduces any word to [0, 2q).
  Factor one() const { return one_; }
  // 1/N, and psi^-reverse(1)/N: the factors of the inverse transform's last stage.
  Factor inverse_degree() const { return inverse_degree_; }
  Factor inverse_degree_times_root() const { return inverse_degree_times_root_; }

 private:
  std::size_t degree_;
  std::uint64_t modulus_;
  std::uint64_t root_;
  std::vector<std::uint64_t> powers_, quotients_, inverse_powers_, inverse_quotients_;
  Factor one_, inverse_degree_, inverse_degree_times_root_;
};

// In place on tables.degree() residues below the modulus. Residues at or above the modulus give a meaningless result,
// and never an access outside the array.
void ntt_forward_portable(const NttTables& tables, std::uint64_t* values);
void ntt_inverse_portable(const NttTables& tables, std::uint64_t* values);

}  // namespace hecc

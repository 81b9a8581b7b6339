// Linear transforms by diagonals, with baby steps and giant steps, hoisted twice.
//
// y[row] = sum over g of rotate_g( sum over (column, b) of diagonal * rotate_b(x[column]) ), see
// docs/explanation/native.md: every argument is decomposed once for all its baby steps and all rows (Halevi and Shoup,
// CRYPTO 2018, section 4.2); baby rotations, products and sums stay in basis QP, and only the second polynomial of each
// inner sum is divided by P before its giant step (Bossuat, Mouchet, Troncoso-Pastoriza and Hubaux, EUROCRYPT 2021,
// section 4).
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "aligned.hpp"
#include "arithmetic.hpp"
#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// The diagonals of one ciphertext as hecc.runtime.ckks.bootstrapping.fourier.PeriodicDiagonals has them: `size` of
// them, each of `period` complex numbers, a power of two. Terms are in the order of giant steps. The array `values`
// must outlive what is made from this.
struct PeriodicDiagonals {
  std::size_t size, period;
  const std::int32_t* baby;
  const std::int32_t* giant;
  const std::complex<double>* values;
};

// The diagonals as hecc.runtime.ckks.circuit.instructions.Diagonals has them: `size` of them, with offsets[size]
// non-zero values in all. The arrays `slots` and `values` must outlive what is made from this.
struct SparseDiagonals {
  std::size_t size, values_size;
  const std::int32_t* row;
  const std::int32_t* column;
  const std::int32_t* baby;
  const std::int32_t* giant;
  const std::int64_t* offsets;
  const std::uint16_t* slots;
  const float* values;
};

class LinearTransform {
 public:
  // From `columns` ciphertexts to `rows`, all of `slots` logical slots and `limbs` limbs. The diagonals are encoded at
  // `scale`. What of them is kept from one application to the next takes at most `memory` bytes: residues, or
  // coefficients where those do not fit, or nothing. Throws std::invalid_argument when an array would read or write out
  // of bounds.
  LinearTransform(const Context& context, std::size_t rows, std::size_t columns, std::size_t slots, std::size_t limbs,
                  double scale, const SparseDiagonals& diagonals, std::size_t memory);

  // The same with complex diagonals, from one ciphertext to one, of all slots of the ring. What is kept of a diagonal
  // is as large as its period.
  LinearTransform(const Context& context, std::size_t limbs, double scale, const PeriodicDiagonals& diagonals,
                  std::size_t memory);

  // The rotations that it needs a key for.
  const std::vector<std::size_t>& steps() const { return steps_; }
  // Bytes of encoded diagonals that it keeps so far.
  std::size_t kept_bytes() const;

  // The transform of `x`, with a key per step, in the order of steps(). Rotations and sums take about `memory` bytes,
  // or as much as one of each takes. Threads may apply it side by side, each with keys of its own: what is kept is made
  // by whoever comes first, once, and then only read.
  Ciphertexts apply(const Context& context, const Ciphertexts& x, const std::vector<GaloisKey>& keys,
                    std::size_t memory);

 private:
  struct Term {
    std::size_t column, baby, giant, begin, end;
    std::size_t rotation;  // index of its baby rotation
    int words = 0;         // word_count() of its coefficients where they are kept, once they are known
  };
  struct Rotation {
    std::size_t column, step;
  };
  // Terms [first, last) of one row and one giant step, as segments [first_segment, last_segment).
  struct Group {
    std::size_t row, giant, first_segment, last_segment;
  };
  // Some terms of a group that are encoded together. The residues of a real diagonal from both ends are the same
  // (ntt_forward_half), so that the first half is enough. For every limb, for every run, for every term there is a
  // packed run, or one for each end, see PointwiseKernels::diagonal_products. Coefficients have the shape (terms,
  // ends * slots).
  struct Segment {
    enum class Kept { kResidues, kCoefficients, kNothing };
    std::size_t group, first, last;
    Kept kept = Kept::kNothing;
    bool ready = false;  // whether what is kept has been made
    AlignedBuffer<std::uint8_t> residues{};
    AlignedBuffer<double> coefficients{};
  };
  // Of all that an application computes, what is at hand at one time: groups, limbs of basis QP and baby rotations.
  struct Part;
  struct Pass;
  struct Product;

  LinearTransform(const Context& context, std::size_t rows, std::size_t columns, std::size_t slots, std::size_t period,
                  std::size_t ends, std::size_t limbs, double scale);
  void read(const SparseDiagonals& diagonals);
  void read(const PeriodicDiagonals& diagonals);
  void append_term(const Term& term, std::size_t row);
  void find_rotations();
  void share_memory(std::size_t bytes);
  std::size_t residue_bytes(const Context& context, std::size_t first_limb, std::size_t last_limb) const;
  void make_rotations(Pass& pass, const Part& part) const;
  void sum_products(Pass& pass, const Part& part);
  bool append_products(const Part& part, const Segment& segment, std::size_t passing,
                       std::vector<Product>& products) const;
  void multiply(Pass& pass, const Part& part, const std::vector<Product>& products, const std::uint8_t* passing) const;
  void prepare(const Context& context, const Part& part, const std::vector<std::size_t>& segments,
               std::uint8_t* passing);
  void take_giant_steps(Pass& pass, std::size_t first_group, std::size_t last_group, const std::uint64_t* sums) const;
  int embed(const Context& context, const Term& term, double* coefficients, double* scratch) const;
  void encode(const Context& context, const double* coefficients, int words, std::size_t prime, std::size_t terms,
              std::uint64_t* scratch, std::uint8_t* output) const;

  std::size_t rows_, columns_, slots_, limbs_, width_;
  double scale_;
  std::size_t period_;                          // slots after which a diagonal repeats
  std::size_t ends_;                            // 1 where diagonals are real, 2 where they are complex
  const std::uint16_t* value_slots_ = nullptr;  // of real diagonals
  const float* values_ = nullptr;
  const std::complex<double>* complex_values_ = nullptr;
  std::size_t half_;     // slots of an encoded diagonal, half its coefficients: a polynomial in a power of X
  std::size_t repeats_;  // coefficients of a polynomial of the ring for one of these
  std::size_t run_;      // words that a diagonal has in a run
  std::size_t bytes_;    // of the residues of a diagonal
  std::vector<Term> terms_;
  std::vector<Rotation> rotations_;
  std::vector<std::size_t> steps_;
  std::vector<Group> groups_;
  std::vector<Segment> segments_;
  mutable std::mutex kept_mutex_;  // over what segments keep, until it is ready, and over whether it is
};

}  // namespace hecc

// Linear transforms by diagonals, with baby steps and giant steps, hoisted twice.
//
// y[row] = sum over g of rotate_g( sum over (column, b) of diagonal * rotate_b(x[column]) ), see docs/native.md:
// every argument is decomposed once for all its baby steps and all rows (Halevi and Shoup, CRYPTO 2018, section 4.2);
// baby rotations, products and sums stay in basis QP, and only the second polynomial of each inner sum is divided by P
// before its giant step (Bossuat, Mouchet, Troncoso-Pastoriza and Hubaux, EUROCRYPT 2021, section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "aligned.hpp"
#include "arithmetic.hpp"
#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// The diagonals as hecc.runtime.circuit.Diagonals has them: `size` of them, with offsets[size] non-zero values in all.
// The arrays `slots` and `values` must outlive what is made from this.
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
  // `scale`. Encoded diagonals are kept in at most `memory` bytes, and the others encoded each time they are used.
  // Throws std::invalid_argument when an array would read or write out of bounds.
  LinearTransform(const Context& context, std::size_t rows, std::size_t columns, std::size_t slots, std::size_t limbs,
                  double scale, const SparseDiagonals& diagonals, std::size_t memory);

  // The rotations that it needs a key for.
  const std::vector<std::size_t>& steps() const { return steps_; }
  // Bytes of encoded diagonals kept so far.
  std::size_t kept_bytes() const { return kept_words_ * sizeof(std::uint64_t); }

  // The transform of `x`, with a key per step, in the order of steps(). Baby rotations take at most `memory` bytes, or
  // one of them as much as it takes. Not for two threads at once.
  Ciphertexts apply(const Context& context, const Ciphertexts& x, const std::vector<GaloisKey>& keys,
                    std::size_t memory);

 private:
  struct Term {
    std::size_t row, column, baby, giant, begin, end;
    std::size_t rotation;  // index of its baby rotation
  };
  struct Rotation {
    std::size_t column, step;
  };
  // Terms of one row and one giant step: [first, last) of a list of terms.
  struct Group {
    std::size_t row, giant, first, last;
  };
  struct Pass;  // what one call of apply() computes with

  void make_rotations(Pass& pass, std::size_t first, std::size_t last) const;
  void sum_products(Pass& pass, std::size_t first_group, std::size_t last_group);
  void take_giant_steps(Pass& pass, std::size_t first_group, std::size_t last_group) const;
  void encode(const Context& context, const Term& term, double* scratch, std::uint64_t* output) const;

  std::size_t rows_, columns_, slots_, limbs_, width_;
  double scale_;
  const std::uint16_t* value_slots_;
  const float* values_;
  std::size_t coefficients_;  // of an encoded diagonal: it is a polynomial in a power of X
  std::vector<Term> terms_;
  std::vector<Rotation> rotations_;
  std::vector<std::size_t> steps_;
  std::size_t memory_words_, kept_words_ = 0;
  std::vector<AlignedBuffer<std::uint64_t>> kept_;  // per term, empty when it is not kept
};

}  // namespace hecc

// Sparse matrices of scalars times arrays of ciphertexts: the linear layers of a layout with one feature per ciphertext
// and one example per slot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// Compressed sparse rows, in memory that somebody else owns: row r has the entries offsets[r] to offsets[r + 1].
struct SparseRows {
  std::size_t rows;
  std::size_t entries;
  const std::int64_t* offsets;  // rows + 1
  const std::int32_t* columns;  // entries, strictly increasing within a row
  const float* values;          // entries
};

// What is added to the rows of a product, in memory that somebody else owns: the integers nearest to value * scale.
struct RowBias {
  std::size_t rows;      // as many as the matrix has, or none
  const double* values;  // rows
  double scale;
};

// A matrix whose weights are the integers nearest to value * scale. Rows with the same columns, such as the output
// channels of a convolution at one place, form a group, which is a dense block; groups next to one another whose
// columns overlap form a chunk, whose part of the argument is brought into the cache once.
class ScalarMatrix {
 public:
  // Copies what it needs. Throws std::invalid_argument, with a sentence for the user, unless the entries are within
  // `columns` columns and in order, the bias is empty or has a number for each row, and all numbers are finite.
  ScalarMatrix(const SparseRows& matrix, const RowBias& bias, std::size_t columns, double scale);

  std::size_t rows() const { return order_.size(); }
  std::size_t columns() const { return columns_; }
  std::size_t entries() const { return integers_.size(); }
  // Dense blocks.
  std::size_t groups() const { return groups_.size(); }

  // The product and the bias; of two or of three polynomials. Results do not depend on the number of threads.
  Ciphertexts multiply(const Context& context, const Ciphertexts& x) const;
  // The same of ciphertexts that stand anywhere, one for each column.
  Ciphertexts multiply(const Context& context, std::span<const Place> x) const;

 private:
  struct Group {
    std::size_t row, rows;     // in order_
    std::size_t place, terms;  // of its columns, in places_
    std::size_t weight;        // of its first weight, in integers_: rows x terms
  };
  struct Chunk {
    std::size_t group, groups;    // in groups_
    std::size_t column, columns;  // in read_
  };

  void check(const SparseRows& matrix) const;
  void make_groups(const SparseRows& matrix, double scale);
  void make_chunks();

  std::size_t columns_;
  std::vector<std::size_t> order_;  // rows of the result, group by group
  std::vector<double> integers_;    // weights, group by group and row by row
  std::vector<double> bias_;        // of each row of the result as an integer, or empty
  std::vector<Group> groups_;
  std::vector<std::uint32_t>
      places_;  // columns of each group; once there are chunks, their places among those of the chunk
  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> read_;  // columns that each chunk reads, ascending
};

}  // namespace hecc

#include "matrix_product.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>

#include "scalars.hpp"

namespace hecc {
namespace {

// Columns of a chunk, unless a single group has more.
constexpr std::size_t kChunkColumns = 512;
// Words of the argument that a task brings into its core's second-level cache, and weights that it keeps there.
constexpr std::size_t kTileWords = std::size_t{1} << 17, kTileWeights = std::size_t{1} << 15;
// Words of each ciphertext in a tile, at the least and at the most.
constexpr std::size_t kSmallestPiece = 64, kLargestPiece = 1024;
// Between two ciphertexts of a tile: an odd number of cache lines apart, they do not evict one another.
constexpr std::size_t kPadding = 8;
// Rows that the kernel works on together.
constexpr std::size_t kKernelRows = 4;
// Weights encoded at a time.
constexpr std::size_t kEncodedAtOnce = 4096;

std::size_t piece_for(std::size_t columns, std::size_t degree) {
  const std::size_t fitting = std::bit_floor(std::max<std::size_t>(1, kTileWords / std::max<std::size_t>(1, columns)));
  return std::min(degree, std::clamp(fitting, kSmallestPiece, kLargestPiece));
}

}  // namespace

ScalarMatrix::ScalarMatrix(const SparseRows& matrix, const RowBias& bias, std::size_t columns, double scale)
    : columns_(columns) {
  check(matrix);
  if (bias.rows != 0 && bias.rows != matrix.rows) {
    throw std::invalid_argument("a bias of " + std::to_string(bias.rows) + " numbers for " +
                                std::to_string(matrix.rows) + " rows");
  }
  for (std::size_t row = 0; row < bias.rows; ++row) bias_.push_back(scaled_integer(bias.values[row], bias.scale));
  make_groups(matrix, scale);
  make_chunks();
}

void ScalarMatrix::check(const SparseRows& matrix) const {
  if (matrix.rows < 1 || columns_ < 1) throw std::invalid_argument("a matrix without rows or columns");
  if (matrix.offsets[0] != 0 || matrix.offsets[matrix.rows] != static_cast<std::int64_t>(matrix.entries)) {
    throw std::invalid_argument("the offsets do not partition the entries");
  }
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    // Ascending from 0 to the number of entries, all offsets are within it.
    if (matrix.offsets[row] > matrix.offsets[row + 1]) {
      throw std::invalid_argument("the offsets do not partition the entries");
    }
  }
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    std::int64_t last = -1;
    for (std::int64_t entry = matrix.offsets[row]; entry < matrix.offsets[row + 1]; ++entry) {
      const std::int64_t column = matrix.columns[entry];
      if (column <= last || column >= static_cast<std::int64_t>(columns_)) {
        throw std::invalid_argument("column " + std::to_string(column) + " of row " + std::to_string(row) +
                                    " is out of order or outside 0.." + std::to_string(columns_ - 1));
      }
      last = column;
    }
  }
}

void ScalarMatrix::make_groups(const SparseRows& matrix, double scale) {
  const auto columns_of = [&](std::size_t row) {
    const auto first = static_cast<std::size_t>(matrix.offsets[row]);
    return std::span(matrix.columns + first, static_cast<std::size_t>(matrix.offsets[row + 1]) - first);
  };
  order_.resize(matrix.rows);
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    const auto left = columns_of(a), right = columns_of(b);
    return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end());
  });
  integers_.reserve(matrix.entries);
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const auto columns = columns_of(order_[i]);
    const bool alike = i > 0 && std::ranges::equal(columns, columns_of(order_[i - 1]));
    if (!alike) {
      groups_.push_back({i, 0, places_.size(), columns.size(), integers_.size()});
      for (const std::int32_t column : columns) places_.push_back(static_cast<std::uint32_t>(column));
    }
    ++groups_.back().rows;
    const float* const values = matrix.values + matrix.offsets[order_[i]];
    for (std::size_t t = 0; t < columns.size(); ++t) {
      integers_.push_back(scaled_integer(static_cast<double>(values[t]), scale));
    }
  }
}

void ScalarMatrix::make_chunks() {
  // The chunk that a column was last seen in, counted from one, and then its place in it.
  std::vector<std::uint32_t> seen(columns_, 0), place(columns_);
  for (std::size_t first = 0; first < groups_.size();) {
    const auto number = static_cast<std::uint32_t>(chunks_.size() + 1);
    const std::size_t start = read_.size();
    std::size_t last = first;
    for (; last < groups_.size(); ++last) {
      const Group& group = groups_[last];
      const std::span columns(places_.data() + group.place, group.terms);
      const auto more = static_cast<std::size_t>(
          std::ranges::count_if(columns, [&](std::uint32_t column) { return seen[column] != number; }));
      if (last > first && read_.size() - start + more > kChunkColumns) break;
      for (const std::uint32_t column : columns) {
        if (seen[column] != number) read_.push_back(column);
        seen[column] = number;
      }
    }
    std::sort(read_.begin() + static_cast<std::ptrdiff_t>(start), read_.end());
    for (std::size_t i = start; i < read_.size(); ++i) place[read_[i]] = static_cast<std::uint32_t>(i - start);
    const std::size_t from = groups_[first].place, to = groups_[last - 1].place + groups_[last - 1].terms;
    for (std::size_t i = from; i < to; ++i) places_[i] = place[places_[i]];
    chunks_.push_back({first, last - first, start, read_.size() - start});
    first = last;
  }
}

Ciphertexts ScalarMatrix::multiply(const Context& context, const Ciphertexts& x) const {
  std::vector<Place> places;
  for (std::size_t i = 0; i < x.count(); ++i) places.push_back({&x, i});
  return multiply(context, places);
}

Ciphertexts ScalarMatrix::multiply(const Context& context, std::span<const Place> x) const {
  check_places(context, x);
  if (x.size() != columns_) {
    throw std::invalid_argument("a matrix of " + std::to_string(columns_) + " columns times " +
                                std::to_string(x.size()) + " ciphertexts");
  }
  const std::size_t degree = context.degree(), limbs = x.front().array->limbs();
  const std::size_t polynomials = x.front().array->polynomials();
  Ciphertexts result(context, rows(), polynomials, limbs);

  // Encoding all weights takes a few nanoseconds each, against N products: they are not worth keeping.
  const std::size_t slices = (entries() + kEncodedAtOnce - 1) / kEncodedAtOnce;
  BufferPool::Buffer weights = context.borrow(std::max<std::size_t>(1, entries() * limbs));
  context.pool().run(slices * limbs, [&](std::size_t index, std::size_t) {
    const std::size_t limb = index / slices, first = index % slices * kEncodedAtOnce;
    const Modulus& modulus = context.modulus(limb);
    for (std::size_t i = first; i < std::min(entries(), first + kEncodedAtOnce); ++i) {
      weights.data()[limb * entries() + i] = residue_of(integers_[i], modulus);
    }
  });

  // A task is one piece of one limb of one polynomial for all groups of a chunk.
  std::vector<std::size_t> first_task;
  std::size_t tasks = 0, tile_words = 1;
  for (const Chunk& chunk : chunks_) {
    const std::size_t piece = piece_for(chunk.columns, degree);
    first_task.push_back(tasks);
    tasks += limbs * polynomials * (degree / piece);
    tile_words = std::max(tile_words, chunk.columns * (piece + kPadding));
  }
  BufferPool::Buffer tiles = context.borrow(context.pool().threads() * tile_words);
  // A number in all slots is a constant polynomial, which has the same value everywhere.
  BufferPool::Buffer constants = context.borrow(context.pool().threads() * kLargestPiece);
  context.pool().run(tasks, [&](std::size_t index, std::size_t worker) {
    const auto number = static_cast<std::size_t>(std::upper_bound(first_task.begin(), first_task.end(), index) -
                                                 first_task.begin() - 1);
    const Chunk& chunk = chunks_[number];
    const std::size_t piece = piece_for(chunk.columns, degree), pieces = degree / piece, stride = piece + kPadding;
    const std::size_t task = index - first_task[number];
    const std::size_t word = task % pieces * piece, p = task / pieces % polynomials, limb = task / pieces / polynomials;
    std::uint64_t* const tile = tiles.data() + worker * tile_words;
    for (std::size_t i = 0; i < chunk.columns; ++i) {
      std::memcpy(tile + i * stride, x[read_[chunk.column + i]].limb(p, limb) + word, piece * sizeof(std::uint64_t));
    }
    std::vector<const std::uint64_t*> inputs;
    std::vector<std::uint64_t*> outputs;
    for (const Group& group : std::span(groups_).subspan(chunk.group, chunk.groups)) {
      inputs.clear();
      outputs.clear();
      for (std::size_t t = 0; t < group.terms; ++t) inputs.push_back(tile + places_[group.place + t] * stride);
      for (std::size_t r = 0; r < group.rows; ++r) {
        outputs.push_back(result.limb(order_[group.row + r], p, limb) + word);
      }
      const std::uint64_t* const block = weights.data() + limb * entries() + group.weight;
      const std::size_t fitting = kTileWeights / std::max<std::size_t>(1, group.terms) / kKernelRows * kKernelRows;
      const std::size_t at_once = std::max(kKernelRows, fitting);
      for (std::size_t r = 0; r < group.rows; r += at_once) {
        context.kernels().matrix_product(block + r * group.terms, inputs.data(), std::min(at_once, group.rows - r),
                                         group.terms, outputs.data() + r, piece, context.modulus(limb));
      }
      if (bias_.empty() || p != 0) continue;
      std::uint64_t* const constant = constants.data() + worker * kLargestPiece;
      for (std::size_t r = 0; r < group.rows; ++r) {
        std::fill_n(constant, piece, residue_of(bias_[order_[group.row + r]], context.modulus(limb)));
        context.kernels().add(outputs[r], constant, outputs[r], piece, context.modulus(limb));
      }
    }
  });
  return result;
}

}  // namespace hecc

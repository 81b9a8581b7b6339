#include "linear_transform.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "key_switching.hpp"

namespace hecc {
namespace {

// Words that encoded diagonals may take that are used at once and then forgotten, and likewise inner sums with all that
// their giant steps need.
constexpr std::size_t kPlaintextWords = std::size_t{1} << 21;
constexpr std::size_t kGroupWords = std::size_t{1} << 22;
// Products summed at a time.
constexpr std::size_t kTerms = 32;

std::size_t checked(std::int32_t value, std::size_t limit, const char* name) {
  if (value < 0 || static_cast<std::size_t>(value) >= limit) {
    throw std::invalid_argument("diagonals: " + std::string(name) + " is outside 0.." + std::to_string(limit - 1));
  }
  return static_cast<std::size_t>(value);
}

std::uint64_t element_of(std::size_t step, std::size_t degree) {
  std::uint64_t element = 1;
  for (std::size_t i = 0; i < step; ++i) element = element * 3 & (2 * degree - 1);
  return element;
}

// kPiece words from words of which each stands for `repeats` equal ones.
void repeat_piece(const Kernels& kernels, const std::uint64_t* values, std::size_t repeats, std::uint64_t* output) {
  const std::size_t count = kPiece / repeats;
  if (count >= kBlock) return kernels.repeat(values, repeats, output, count);
  const std::size_t run = std::min(repeats, kPiece);
  for (std::size_t i = 0; i < kPiece / run; ++i) std::fill(output + i * run, output + (i + 1) * run, values[i]);
}

}  // namespace

// Buffers of one pass. QP pairs are two polynomials of `width` limbs each.
struct LinearTransform::Pass {
  const Context& context;
  const Ciphertexts& x;
  const std::map<std::size_t, GaloisKey>& keys;
  std::size_t pair;  // words of a QP pair

  std::size_t first_rotation = 0;
  BufferPool::Buffer rotated{};      // QP pairs of the rotations at hand
  std::vector<std::size_t> terms{};  // those that use them, in order
  std::vector<Group> groups{};       // ranges of `terms`
  BufferPool::Buffer sums{};         // QP pairs of the groups at hand
  BufferPool::Buffer rows{};         // QP pairs of all rows
  std::vector<bool> begun{};         // which rows hold something

  Pass(const Context& the_context, const Ciphertexts& the_x, const std::map<std::size_t, GaloisKey>& the_keys,
       std::size_t the_pair)
      : context(the_context), x(the_x), keys(the_keys), pair(the_pair) {}
};

LinearTransform::LinearTransform(const Context& context, std::size_t rows, std::size_t columns, std::size_t slots,
                                 std::size_t limbs, double scale, const SparseDiagonals& diagonals, std::size_t memory)
    : rows_(rows),
      columns_(columns),
      slots_(slots),
      limbs_(limbs),
      width_(limbs + context.special_limbs()),
      scale_(scale),
      value_slots_(diagonals.slots),
      values_(diagonals.values),
      coefficients_(0),
      memory_words_(memory / sizeof(std::uint64_t)) {
  context.check_limbs(limbs);
  if (!std::has_single_bit(slots) || slots > context.degree() / 2) {
    throw std::invalid_argument(std::to_string(slots) + " slots are not a power of two up to " +
                                std::to_string(context.degree() / 2));
  }
  if (rows < 1 || columns < 1) throw std::invalid_argument("a transform needs a ciphertext and makes one");
  if (!(scale > 0) || !std::isfinite(scale)) throw std::invalid_argument("the scale is not positive and finite");
  coefficients_ = Encoder::coefficient_count(slots);
  std::set<std::pair<std::size_t, std::size_t>> rotations;
  std::set<std::size_t> steps;
  std::int64_t previous = 0;
  for (std::size_t k = 0; k < diagonals.size; ++k) {
    const std::int64_t begin = diagonals.offsets[k], end = diagonals.offsets[k + 1];
    if (begin != previous || end < begin || static_cast<std::uint64_t>(end) > diagonals.values_size) {
      throw std::invalid_argument("diagonals: offsets do not partition the values");
    }
    previous = end;
    terms_.push_back({checked(diagonals.row[k], rows, "row"), checked(diagonals.column[k], columns, "column"),
                      checked(diagonals.baby[k], slots, "baby"), checked(diagonals.giant[k], slots, "giant"),
                      static_cast<std::size_t>(begin), static_cast<std::size_t>(end), 0});
    rotations.emplace(terms_.back().column, terms_.back().baby);
    steps.insert({terms_.back().baby, terms_.back().giant});
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(previous); ++i) {
    if (diagonals.slots[i] >= slots || !std::isfinite(diagonals.values[i])) {
      throw std::invalid_argument("diagonals: a slot is out of range or a value is not finite");
    }
  }
  steps.erase(0);
  steps_.assign(steps.begin(), steps.end());
  for (const auto& [column, step] : rotations) rotations_.push_back({column, step});
  for (Term& term : terms_) {
    const auto place = rotations.find({term.column, term.baby});
    term.rotation = static_cast<std::size_t>(std::distance(rotations.begin(), place));
  }
  kept_.resize(terms_.size());
}

Ciphertexts LinearTransform::apply(const Context& context, const Ciphertexts& x, const std::vector<GaloisKey>& keys,
                                   std::size_t memory) {
  const std::size_t degree = context.degree();
  if (!x.belong_to(context) || x.count() != columns_ || x.polynomials() != 2 || x.limbs() != limbs_) {
    throw std::invalid_argument("the transform is of " + std::to_string(columns_) + " ciphertexts of " +
                                std::to_string(limbs_) + " limbs");
  }
  if (keys.size() != steps_.size()) {
    throw std::invalid_argument("the transform needs " + std::to_string(steps_.size()) + " keys");
  }
  std::map<std::size_t, GaloisKey> key_of;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].element != element_of(steps_[i], degree) || keys[i].key.limbs < limbs_ ||
        keys[i].key.limbs > context.data_limbs()) {
      throw std::invalid_argument("a key is not that of the rotation by " + std::to_string(steps_[i]) + " at " +
                                  std::to_string(limbs_) + " limbs");
    }
    key_of.emplace(steps_[i], keys[i]);
  }

  Pass pass(context, x, key_of, 2 * width_ * degree);
  pass.rows = context.borrow(rows_ * pass.pair);
  pass.begun.assign(rows_, false);
  const std::size_t at_once = std::max<std::size_t>(1, memory / sizeof(std::uint64_t) / pass.pair);
  // An inner sum, half of it in coefficient form and prepared for its digits, and two sums again.
  const std::size_t group_words = 4 * pass.pair;
  const std::size_t groups_at_once = std::max<std::size_t>(2, kGroupWords / group_words);
  for (std::size_t first = 0; first < rotations_.size(); first += at_once) {
    const std::size_t last = std::min(first + at_once, rotations_.size());
    pass.rotated = BufferPool::Buffer();
    pass.rotated = context.borrow((last - first) * pass.pair);
    make_rotations(pass, first, last);
    pass.terms.clear();
    pass.groups.clear();
    for (std::size_t k = 0; k < terms_.size(); ++k) {
      const Term& term = terms_[k];
      if (term.rotation < first || term.rotation >= last) continue;
      if (pass.groups.empty() || pass.groups.back().row != term.row || pass.groups.back().giant != term.giant) {
        pass.groups.push_back({term.row, term.giant, pass.terms.size(), pass.terms.size()});
      }
      pass.terms.push_back(k);
      ++pass.groups.back().last;
    }
    for (std::size_t group = 0; group < pass.groups.size(); group += groups_at_once) {
      const std::size_t end = std::min(group + groups_at_once, pass.groups.size());
      pass.sums = context.borrow((end - group) * pass.pair);
      sum_products(pass, group, end);
      take_giant_steps(pass, group, end);
    }
  }

  Ciphertexts result(context, rows_, 2, limbs_);
  std::vector<const std::uint64_t*> inputs;
  std::vector<std::uint64_t*> outputs;
  for (std::size_t row = 0; row < rows_; ++row) {
    for (std::size_t p = 0; p < 2; ++p) {
      if (pass.begun[row]) {
        inputs.push_back(pass.rows.data() + row * pass.pair + p * width_ * degree);
        outputs.push_back(result.limb(row, p, 0));
      } else {
        std::memset(result.limb(row, p, 0), 0, limbs_ * degree * sizeof(std::uint64_t));
      }
    }
  }
  divide(context, division_by_special(context, limbs_), inputs, outputs);
  return result;
}

// Rotations [first, last), in basis QP: P sigma(c0) + the first inner product, and the second one. A rotation by zero
// is (P c0, P c1), zero modulo the special primes, where it is left out of all sums.
void LinearTransform::make_rotations(Pass& pass, std::size_t first, std::size_t last) const {
  const Context& context = pass.context;
  const Kernels& kernels = context.kernels();
  const std::size_t degree = context.degree();
  pass.first_rotation = first;
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * 3 * degree);
  for (std::size_t begin = first, end = first; begin < last; begin = end) {
    const std::size_t column = rotations_[begin].column;
    while (end < last && rotations_[end].column == column) ++end;
    const bool only_itself = end == begin + 1 && rotations_[begin].step == 0;
    Digits digits;
    if (!only_itself) {
      digits = Digits(context, Decomposition(context, {pass.x.limb(column, 1, 0)}, limbs_, Representative()));
    }
    std::vector<const PermutationView*> permutations;
    for (std::size_t r = begin; r < end; ++r) {
      const std::size_t step = rotations_[r].step;
      permutations.push_back(step == 0 ? nullptr : &context.permutation(pass.keys.at(step).element));
    }
    context.pool().run((end - begin) * width_, [&](std::size_t index, std::size_t worker) {
      const std::size_t r = begin + index / width_, limb = index % width_, step = rotations_[r].step;
      const Modulus& modulus = context.modulus(context.prime_of(limb, limbs_));
      std::uint64_t* const output = pass.rotated.data() + (r - first) * pass.pair + limb * degree;
      if (step == 0) {
        for (std::size_t p = 0; p < 2 && limb < limbs_; ++p) {
          kernels.multiply_scalar(pass.x.limb(column, p, limb), context.special_product(limb),
                                  output + p * width_ * degree, degree, modulus);
        }
        return;
      }
      std::uint64_t* const sums = scratch.data() + worker * 3 * degree;
      for (std::size_t part = 0; part < degree; part += kPiece) {
        inner_products(context, digits, 0, pass.keys.at(step).key, limbs_, limb, part, kPiece, sums, sums + degree);
      }
      if (limb < limbs_) {
        std::uint64_t* const scaled = sums + 2 * degree;
        kernels.multiply_scalar(pass.x.limb(column, 0, limb), context.special_product(limb), scaled, degree, modulus);
        kernels.add(sums, scaled, sums, degree, modulus);
      }
      kernels.permute(*permutations[r - begin], sums, output);
      kernels.permute(*permutations[r - begin], sums + degree, output + width_ * degree);
    });
  }
}

// For groups [first, last) the sums of products of diagonals with baby rotations. Diagonals that are not kept are
// encoded some at a time.
void LinearTransform::sum_products(Pass& pass, std::size_t first_group, std::size_t last_group) {
  const Context& context = pass.context;
  const Kernels& kernels = context.kernels();
  const std::size_t degree = context.degree(), pieces = degree / kPiece, repeats = degree / coefficients_;
  const std::size_t plaintext = width_ * coefficients_;
  const std::size_t threads = context.pool().threads();
  const std::size_t at_once = std::max({threads, kPlaintextWords / plaintext, std::size_t{4}});
  const std::size_t scratch_words = (kTerms + 2) * kPiece;
  BufferPool::Buffer scratch = context.borrow(threads * scratch_words);
  AlignedBuffer<double> doubles(threads * 3 * coefficients_);
  BufferPool::Buffer passing;
  std::vector<const std::uint64_t*> encoded;

  const std::size_t end = pass.groups[last_group - 1].last;
  for (std::size_t begin = pass.groups[first_group].first; begin < end;) {
    // As many terms as there is room to encode, and any number of those that are kept already.
    encoded.clear();
    std::vector<std::pair<std::size_t, std::uint64_t*>> wanted;
    std::size_t stop = begin, unkept = 0;
    for (; stop < end; ++stop) {
      AlignedBuffer<std::uint64_t>& kept = kept_[pass.terms[stop]];
      if (kept.size() == 0 && kept_words_ + plaintext <= memory_words_) {
        kept = AlignedBuffer<std::uint64_t>(plaintext);
        kept_words_ += plaintext;
        wanted.emplace_back(pass.terms[stop], kept.data());
      } else if (kept.size() == 0) {
        if (unkept == at_once) break;
        if (passing.size() == 0) passing = context.borrow(at_once * plaintext);
        wanted.emplace_back(pass.terms[stop], passing.data() + unkept * plaintext);
        encoded.push_back(wanted.back().second);
        ++unkept;
        continue;
      }
      encoded.push_back(kept.data());
    }
    try {
      context.pool().run(wanted.size(), [&](std::size_t index, std::size_t worker) {
        double* const memory = doubles.data() + worker * 3 * coefficients_;
        encode(context, terms_[wanted[index].first], memory, wanted[index].second);
      });
    } catch (...) {
      for (const auto& [term, values] : wanted) {
        if (kept_[term].data() == values) {
          kept_[term] = AlignedBuffer<std::uint64_t>();
          kept_words_ -= plaintext;
        }
      }
      throw;
    }

    std::size_t from = first_group, to = first_group;
    while (pass.groups[from].last <= begin) ++from;
    for (to = from; to < last_group && pass.groups[to].first < stop; ++to) {
    }
    // Groups vary fastest: a piece of all rotations stays in the second-level cache while every group reads it.
    const std::size_t groups = to - from;
    context.pool().run(groups * width_ * pieces, [&](std::size_t index, std::size_t worker) {
      const std::size_t number = from + index % groups, limb = index / groups / pieces;
      const std::size_t piece = index / groups % pieces * kPiece;
      const Group& group = pass.groups[number];
      const std::size_t prime = context.prime_of(limb, limbs_);
      const Modulus& modulus = context.modulus(prime);
      std::uint64_t* const sums = pass.sums.data() + (number - first_group) * pass.pair + limb * degree + piece;
      std::uint64_t* const expanded = scratch.data() + worker * scratch_words;
      std::uint64_t* const partial = expanded + kTerms * kPiece;
      bool begun = group.first < begin;
      const auto add_products = [&](const std::uint64_t* const* left, const std::uint64_t* const* first,
                                    const std::uint64_t* const* second, std::size_t terms) {
        if (!begun) {
          hecc::sum_products(kernels, left, first, second, terms, sums, sums + width_ * degree, kPiece, modulus);
          begun = true;
          return;
        }
        hecc::sum_products(kernels, left, first, second, terms, partial, partial + kPiece, kPiece, modulus);
        kernels.add(sums, partial, sums, kPiece, modulus);
        kernels.add(sums + width_ * degree, partial + kPiece, sums + width_ * degree, kPiece, modulus);
      };
      const std::uint64_t *left[kTerms], *first[kTerms], *second[kTerms];
      std::size_t terms = 0;
      for (std::size_t t = std::max(group.first, begin); t < std::min(group.last, stop); ++t) {
        const Term& term = terms_[pass.terms[t]];
        if (term.baby == 0 && limb >= limbs_) continue;
        const std::uint64_t* const values = encoded[t - begin] + limb * coefficients_ + piece / repeats;
        left[terms] = values;
        if (repeats > 1) {
          std::uint64_t* const copy = expanded + terms * kPiece;
          repeat_piece(kernels, values, repeats, copy);
          left[terms] = copy;
        }
        first[terms] = pass.rotated.data() + (term.rotation - pass.first_rotation) * pass.pair + limb * degree + piece;
        second[terms] = first[terms] + width_ * degree;
        if (++terms == kTerms) {
          add_products(left, first, second, terms);
          terms = 0;
        }
      }
      if (terms != 0) add_products(left, first, second, terms);
      if (!begun) {
        std::memset(sums, 0, kPiece * sizeof(std::uint64_t));
        std::memset(sums + width_ * degree, 0, kPiece * sizeof(std::uint64_t));
      }
    });
    begin = stop;
  }
}

// For groups [first, last) the giant steps, added to the rows in basis QP.
void LinearTransform::take_giant_steps(Pass& pass, std::size_t first_group, std::size_t last_group) const {
  const Context& context = pass.context;
  const Kernels& kernels = context.kernels();
  const std::size_t degree = context.degree(), half = width_ * degree;

  std::vector<std::size_t> moving;  // groups whose giant step is not zero
  std::vector<const std::uint64_t*> second;
  for (std::size_t group = first_group; group < last_group; ++group) {
    if (pass.groups[group].giant == 0) continue;
    moving.push_back(group);
    second.push_back(pass.sums.data() + (group - first_group) * pass.pair + half);
  }
  BufferPool::Buffer switched;
  if (!moving.empty()) {
    switched = context.borrow(moving.size() * pass.pair);
    const Decomposition decomposition(
        context, divide_to_coefficients(context, division_by_special(context, limbs_), second), moving.size(), limbs_);
    std::vector<SwitchingKey> keys;
    for (const std::size_t group : moving) keys.push_back(pass.keys.at(pass.groups[group].giant).key);
    switch_keys(context, decomposition, keys, switched.data());
  }

  std::vector<const PermutationView*> permutations;
  for (const std::size_t group : moving) {
    permutations.push_back(&context.permutation(pass.keys.at(pass.groups[group].giant).element));
  }
  std::vector<bool> begins(last_group - first_group);  // groups that are the first of their row
  for (std::size_t group = first_group; group < last_group; ++group) {
    begins[group - first_group] = !pass.begun[pass.groups[group].row];
    pass.begun[pass.groups[group].row] = true;
  }
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * degree);
  context.pool().run(2 * width_, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % width_, offset = index * degree;
    const Modulus& modulus = context.modulus(context.prime_of(limb, limbs_));
    for (std::size_t group = first_group, next = 0; group < last_group; ++group) {
      const std::uint64_t* const sum = pass.sums.data() + (group - first_group) * pass.pair + offset;
      std::uint64_t* const row = pass.rows.data() + pass.groups[group].row * pass.pair + offset;
      const bool begin = begins[group - first_group];
      const std::uint64_t* term = sum;
      if (pass.groups[group].giant != 0) {
        std::uint64_t* const moved = switched.data() + next * pass.pair + offset;
        if (index < width_) kernels.add(moved, sum, moved, degree, modulus);
        std::uint64_t* const image = begin ? row : scratch.data() + worker * degree;
        kernels.permute(*permutations[next], moved, image);
        term = image;
        ++next;
      } else if (begin) {
        std::memcpy(row, sum, degree * sizeof(std::uint64_t));
      }
      if (!begin) kernels.add(row, term, row, degree, modulus);
    }
  });
}

// A diagonal, rolled forward by its giant step, as plaintext in basis QP: `coefficients_` values per limb, each of
// which stands for as many equal ones as make up the ring's degree.
void LinearTransform::encode(const Context& context, const Term& term, double* scratch, std::uint64_t* output) const {
  const Kernels& kernels = context.kernels();
  const std::size_t mask = slots_ - 1;
  double* const coefficients = scratch;
  double* const dense = scratch + 2 * coefficients_;  // slots_ <= coefficients_
  std::fill(dense, dense + slots_, 0.0);
  for (std::size_t i = term.begin; i < term.end; ++i) {
    dense[(value_slots_[i] + term.giant) & mask] = static_cast<double>(values_[i]);
  }
  const Encoder encoder{kernels, context.degree()};
  const int words = encoder.embed(dense, slots_, scale_, coefficients, scratch + coefficients_);
  if (words == 0) throw std::invalid_argument("a diagonal at its scale is too large to encode");
  const int log_size = std::bit_width(coefficients_) - 1;
  for (std::size_t limb = 0; limb < width_; ++limb) {
    const std::size_t prime = context.prime_of(limb, limbs_);
    std::uint64_t* const target = output + limb * coefficients_;
    kernels.residues(coefficients, words, target, coefficients_, context.modulus(prime));
    kernels.ntt_forward(context.tables(prime).view(), log_size, target, target);
  }
}

}  // namespace hecc

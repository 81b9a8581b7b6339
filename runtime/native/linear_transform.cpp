#include "linear_transform.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "key_switching.hpp"
#include "packing.hpp"

namespace hecc {
namespace {

// Terms of a segment.
constexpr std::size_t kTerms = 32;
// The smallest diagonal there is: that of the smallest half of a transform.
constexpr std::size_t kSmallestHalf = std::size_t{1} << kMinLogTransform;
// Words of the rotations that are read again and again: as much as the first cache may hold.
constexpr std::size_t kNearWords = std::size_t{1} << 12;
// Words of the rotations at hand: as much as the last cache may hold.
constexpr std::size_t kRotationWords = std::size_t{1} << 16;
// Bytes of residues that are used at once and then forgotten.
constexpr std::size_t kPassingBytes = std::size_t{1} << 25;
// Words that giant steps need at a time, of which an inner sum needs several times its own.
constexpr std::size_t kGiantWords = std::size_t{1} << 22;
// Parts into which the runs of a limb are cut, one for a worker at a time: within a part one run follows the other.
constexpr std::size_t kStretches = 8;
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

std::size_t checked(std::int32_t value, std::size_t limit, const char* name) {
  if (value < 0 || static_cast<std::size_t>(value) >= limit) {
    throw std::invalid_argument("diagonals: " + std::string(name) + " is outside 0.." + std::to_string(limit - 1));
  }
  return static_cast<std::size_t>(value);
}

std::size_t checked_slots(std::size_t slots, std::size_t limit, const char* name) {
  if (!std::has_single_bit(slots) || slots > limit) {
    throw std::invalid_argument(std::to_string(slots) + " " + name + " are not a power of two up to " +
                                std::to_string(limit));
  }
  return slots;
}

std::uint64_t element_of(std::size_t step, std::size_t degree) {
  std::uint64_t element = 1;
  for (std::size_t i = 0; i < step; ++i) element = element * 3 & (2 * degree - 1);
  return element;
}

}  // namespace

struct LinearTransform::Part {
  std::size_t first_group, last_group, first_limb, last_limb, first_rotation, last_rotation;

  std::size_t groups() const { return last_group - first_group; }
  std::size_t limbs() const { return last_limb - first_limb; }
  std::size_t rotations() const { return last_rotation - first_rotation; }
};

// Terms of a segment that follow one another and whose rotations are at hand.
struct LinearTransform::Product {
  std::size_t group;  // of those at hand
  const Segment* segment;
  std::size_t first;    // term of the segment
  std::size_t passing;  // where the segment's residues begin among those that are not kept
  std::vector<std::uint32_t> rotations;
};

// Buffers of one application. A QP pair is two polynomials of `width` limbs each.
struct LinearTransform::Pass {
  const Context& context;
  const Ciphertexts& x;
  const std::map<std::size_t, GaloisKey>& keys;
  std::size_t pair;  // words of a QP pair

  std::vector<std::size_t> polynomial{};  // of the decomposition, by column; kNone if it is not in it
  Digits digits{};                        // of the limbs at hand
  BufferPool::Buffer rotated{};           // shape (limbs, runs, rotations, 4, kDiagonalRun)
  BufferPool::Buffer sums{};              // QP pairs of the groups at hand
  std::vector<bool> begun_sums{};         // which of them hold something
  BufferPool::Buffer rows{};              // QP pairs of all rows
  std::vector<bool> begun_rows{};         // which of them hold something

  Pass(const Context& the_context, const Ciphertexts& the_x, const std::map<std::size_t, GaloisKey>& the_keys,
       std::size_t the_pair)
      : context(the_context), x(the_x), keys(the_keys), pair(the_pair) {}
};

LinearTransform::LinearTransform(const Context& context, std::size_t rows, std::size_t columns, std::size_t slots,
                                 std::size_t period, std::size_t ends, std::size_t limbs, double scale)
    : rows_(rows),
      columns_(columns),
      slots_(slots),
      limbs_(limbs),
      width_(limbs + context.special_limbs()),
      scale_(scale),
      period_(period),
      ends_(ends),
      half_(std::max(period, kSmallestHalf)),
      repeats_(context.degree() / 2 / half_),
      run_(repeats_ < kDiagonalRun ? kDiagonalRun / std::max<std::size_t>(1, repeats_) : 1) {
  context.check_limbs(limbs);
  if (!(scale > 0) || !std::isfinite(scale)) throw std::invalid_argument("the scale is not positive and finite");
  bytes_ = residue_bytes(context, 0, width_);
}

LinearTransform::LinearTransform(const Context& context, std::size_t rows, std::size_t columns, std::size_t slots,
                                 std::size_t limbs, double scale, const SparseDiagonals& diagonals, std::size_t memory)
    : LinearTransform(context, rows, columns, checked_slots(slots, context.degree() / 2, "slots"), slots, 1, limbs,
                      scale) {
  if (rows < 1 || columns < 1) throw std::invalid_argument("a transform needs a ciphertext and makes one");
  read(diagonals);
  share_memory(memory);
}

LinearTransform::LinearTransform(const Context& context, std::size_t limbs, double scale,
                                 const PeriodicDiagonals& diagonals, std::size_t memory)
    : LinearTransform(context, 1, 1, context.degree() / 2,
                      checked_slots(diagonals.period, context.degree() / 2, "slots of a period"), 2, limbs, scale) {
  read(diagonals);
  share_memory(memory);
}

void LinearTransform::read(const SparseDiagonals& diagonals) {
  value_slots_ = diagonals.slots;
  values_ = diagonals.values;
  std::int64_t previous = 0;
  for (std::size_t k = 0; k < diagonals.size; ++k) {
    const std::int64_t begin = diagonals.offsets[k], end = diagonals.offsets[k + 1];
    if (begin != previous || end < begin || static_cast<std::uint64_t>(end) > diagonals.values_size) {
      throw std::invalid_argument("diagonals: offsets do not partition the values");
    }
    previous = end;
    const std::size_t row = checked(diagonals.row[k], rows_, "row");
    append_term({checked(diagonals.column[k], columns_, "column"), checked(diagonals.baby[k], slots_, "baby"),
                 checked(diagonals.giant[k], slots_, "giant"), static_cast<std::size_t>(begin),
                 static_cast<std::size_t>(end), 0},
                row);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(previous); ++i) {
    if (diagonals.slots[i] >= slots_ || !std::isfinite(diagonals.values[i])) {
      throw std::invalid_argument("diagonals: a slot is out of range or a value is not finite");
    }
  }
  find_rotations();
}

void LinearTransform::read(const PeriodicDiagonals& diagonals) {
  complex_values_ = diagonals.values;
  for (std::size_t k = 0; k < diagonals.size; ++k) {
    append_term({0, checked(diagonals.baby[k], slots_, "baby"), checked(diagonals.giant[k], slots_, "giant"),
                 k * period_, (k + 1) * period_, 0},
                0);
  }
  for (std::size_t i = 0; i < diagonals.size * period_; ++i) {
    if (!std::isfinite(diagonals.values[i].real()) || !std::isfinite(diagonals.values[i].imag())) {
      throw std::invalid_argument("diagonals: a value is not finite");
    }
  }
  find_rotations();
}

// The next term: of the group before it, or of a new one where the row or the giant step is another.
void LinearTransform::append_term(const Term& term, std::size_t row) {
  const std::size_t k = terms_.size();
  if (k == 0 || row != groups_.back().row || term.giant != groups_.back().giant) {
    groups_.push_back({row, term.giant, segments_.size(), segments_.size()});
  }
  terms_.push_back(term);
  Group& group = groups_.back();
  if (group.first_segment == group.last_segment || segments_.back().last - segments_.back().first == kTerms) {
    segments_.push_back({groups_.size() - 1, k, k});
    ++group.last_segment;
  }
  ++segments_.back().last;
}

void LinearTransform::find_rotations() {
  std::set<std::pair<std::size_t, std::size_t>> rotations;
  std::set<std::size_t> steps;
  for (const Term& term : terms_) {
    rotations.emplace(term.column, term.baby);
    steps.insert({term.baby, term.giant});
  }
  steps.erase(0);
  steps_.assign(steps.begin(), steps.end());
  for (const auto& [column, step] : rotations) rotations_.push_back({column, step});
  for (Term& term : terms_) {
    const auto place = rotations.find({term.column, term.baby});
    term.rotation = static_cast<std::size_t>(std::distance(rotations.begin(), place));
  }
}

// Residues are kept for as many segments as leave room for the coefficients of all others: with coefficients alone an
// encoding costs half a transform per limb, without them a Fourier transform as well.
void LinearTransform::share_memory(std::size_t bytes) {
  const std::size_t own_coefficients = ends_ * half_ * sizeof(double);
  std::size_t coefficients = terms_.size() * own_coefficients;
  for (Segment& segment : segments_) {
    const std::size_t terms = segment.last - segment.first;
    coefficients -= terms * own_coefficients;
    std::size_t taken = 0;
    if (bytes >= terms * bytes_ && bytes - terms * bytes_ >= coefficients) {
      segment.kept = Segment::Kept::kResidues;
      taken = terms * bytes_;
    } else if (bytes >= terms * own_coefficients) {
      segment.kept = Segment::Kept::kCoefficients;
      taken = terms * own_coefficients;
    }
    bytes -= taken;
  }
}

// Bytes of the residues of a diagonal at limbs [first_limb, last_limb).
std::size_t LinearTransform::residue_bytes(const Context& context, std::size_t first_limb,
                                           std::size_t last_limb) const {
  std::size_t bytes = 0;
  for (std::size_t limb = first_limb; limb < last_limb; ++limb) {
    bytes += ends_ * half_ * packed_bytes(context.modulus(context.prime_of(limb, limbs_)).value);
  }
  return bytes;
}

std::size_t LinearTransform::kept_bytes() const {
  const std::lock_guard<std::mutex> lock(kept_mutex_);
  std::size_t bytes = 0;
  for (const Segment& segment : segments_) {
    if (segment.ready) bytes += segment.residues.size() + segment.coefficients.size() * sizeof(double);
  }
  return bytes;
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
  pass.begun_rows.assign(rows_, false);
  pass.polynomial.assign(columns_, kNone);
  std::vector<const std::uint64_t*> moved;
  for (const Rotation& rotation : rotations_) {
    if (rotation.step == 0 || pass.polynomial[rotation.column] != kNone) continue;
    pass.polynomial[rotation.column] = moved.size();
    moved.push_back(x.limb(rotation.column, 1, 0));
  }
  const Decomposition decomposition(context, std::move(moved), limbs_, Representative());

  const std::size_t words = memory / sizeof(std::uint64_t), rotation = 2 * degree;
  const std::size_t groups_at_once = std::max<std::size_t>(1, words / 2 / pass.pair);
  const std::size_t rotations_at_once = std::clamp<std::size_t>(words / 2 / rotation, 1, rotations_.size());
  const std::size_t limbs_at_once =
      std::clamp<std::size_t>(std::min(words / 2, kRotationWords) / (rotation * rotations_.size()), 1, width_);
  for (std::size_t group = 0; group < groups_.size(); group += groups_at_once) {
    Part part{group, std::min(group + groups_at_once, groups_.size()), 0, 0, 0, 0};
    pass.sums = BufferPool::Buffer();
    pass.sums = context.borrow(part.groups() * pass.pair);
    for (std::size_t limb = 0; limb < width_; limb += limbs_at_once) {
      part.first_limb = limb;
      part.last_limb = std::min(limb + limbs_at_once, width_);
      pass.digits = Digits();
      pass.digits = Digits(context, decomposition, part.first_limb, part.last_limb);
      pass.begun_sums.assign(part.groups(), false);
      for (std::size_t first = 0; first < rotations_.size(); first += rotations_at_once) {
        part.first_rotation = first;
        part.last_rotation = std::min(first + rotations_at_once, rotations_.size());
        pass.rotated = BufferPool::Buffer();
        pass.rotated = context.borrow(part.limbs() * part.rotations() * rotation);
        make_rotations(pass, part);
        sum_products(pass, part);
      }
    }
    pass.digits = Digits();
    pass.rotated = BufferPool::Buffer();
    // An inner sum, half of it in coefficient form and prepared for its digits, and two sums again.
    const std::size_t at_once = std::max<std::size_t>(1, kGiantWords / (3 * pass.pair));
    for (std::size_t first = part.first_group; first < part.last_group; first += at_once) {
      take_giant_steps(pass, first, std::min(first + at_once, part.last_group),
                       pass.sums.data() + (first - part.first_group) * pass.pair);
    }
  }
  pass.sums = BufferPool::Buffer();

  Ciphertexts result(context, rows_, 2, limbs_);
  std::vector<const std::uint64_t*> inputs;
  std::vector<std::uint64_t*> outputs;
  for (std::size_t row = 0; row < rows_; ++row) {
    for (std::size_t p = 0; p < 2; ++p) {
      if (pass.begun_rows[row]) {
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

// P sigma(c0) + the first inner product, and the second one. A rotation by zero is (P c0, P c1), which is zero modulo
// the special primes.
void LinearTransform::make_rotations(Pass& pass, const Part& part) const {
  const Context& context = pass.context;
  const Kernels& kernels = context.kernels();
  const std::size_t degree = context.degree(), stride = part.rotations() * 4 * kDiagonalRun;
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * 2 * degree);
  context.pool().run(part.limbs() * part.rotations(), [&](std::size_t index, std::size_t worker) {
    const std::size_t number = index % part.rotations(), limb = part.first_limb + index / part.rotations();
    const auto& [column, step] = rotations_[part.first_rotation + number];
    const std::uint64_t special = limb < limbs_ ? context.special_product(limb) : 0;
    std::uint64_t* const first = scratch.data() + worker * 2 * degree;
    std::uint64_t* const second = first + degree;
    const PermutationView* permutation = &context.permutation(1);
    if (step != 0) {
      const GaloisKey& key = pass.keys.at(step);
      permutation = &context.permutation(key.element);
      inner_products(context, pass.digits, pass.polynomial[column], key.key, limbs_, limb,
                     limb < limbs_ ? pass.x.limb(column, 0, limb) : nullptr, special, first, second);
    } else if (limb < limbs_) {
      const Modulus& modulus = context.modulus(limb);
      kernels.multiply_scalar(pass.x.limb(column, 0, limb), special, first, degree, modulus);
      kernels.multiply_scalar(pass.x.limb(column, 1, limb), special, second, degree, modulus);
    } else {
      std::memset(first, 0, 2 * degree * sizeof(std::uint64_t));
    }
    const std::size_t runs = degree / (2 * kDiagonalRun);
    std::uint64_t* const output =
        pass.rotated.data() + index / part.rotations() * runs * stride + number * 4 * kDiagonalRun;
    kernels.permute_to_runs(*permutation, first, second, output, stride);
  });
}

// Adds the products of diagonals with the rotations at hand to the sums of the groups at hand.
void LinearTransform::sum_products(Pass& pass, const Part& part) {
  const Context& context = pass.context;
  const std::size_t part_bytes = residue_bytes(context, part.first_limb, part.last_limb);
  BufferPool::Buffer passing;
  std::vector<std::size_t> segments;
  std::vector<Product> products;
  const std::size_t last = groups_[part.last_group - 1].last_segment;
  for (std::size_t s = groups_[part.first_group].first_segment; s < last;) {
    // As many segments as there is room to encode.
    segments.clear();
    products.clear();
    std::size_t bytes = 0;
    for (; s < last; ++s) {
      const Segment& segment = segments_[s];
      const bool kept = segment.kept == Segment::Kept::kResidues;
      const std::size_t more = kept ? 0 : (segment.last - segment.first) * part_bytes;
      if (bytes != 0 && bytes + more > kPassingBytes) break;
      if (!append_products(part, segment, bytes, products)) continue;
      segments.push_back(s);
      bytes += more;
    }
    if (passing.size() * sizeof(std::uint64_t) < bytes) {
      passing = BufferPool::Buffer();
      passing = context.borrow((bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t));
    }
    std::uint8_t* const passing_bytes = reinterpret_cast<std::uint8_t*>(passing.data());
    prepare(context, part, segments, passing_bytes);
    multiply(pass, part, products, passing_bytes);
    for (const Product& product : products) pass.begun_sums[product.group] = true;
  }
}

// The products of a segment with the rotations at hand; whether there are any. Residues that are not kept begin at
// `passing`.
bool LinearTransform::append_products(const Part& part, const Segment& segment, std::size_t passing,
                                      std::vector<Product>& products) const {
  bool ended = true, any = false;
  for (std::size_t t = segment.first; t < segment.last; ++t) {
    const std::size_t rotation = terms_[t].rotation;
    const bool at_hand = rotation >= part.first_rotation && rotation < part.last_rotation;
    if (at_hand && ended) {
      products.push_back({segment.group - part.first_group, &segment, t - segment.first, passing, {}});
    }
    if (at_hand) {
      products.back().rotations.push_back(static_cast<std::uint32_t>(rotation - part.first_rotation));
      any = true;
    }
    ended = !at_hand;
  }
  return any;
}

// One worker reads some runs of all rotations for all groups, and then the next ones: they stay in its cache.
void LinearTransform::multiply(Pass& pass, const Part& part, const std::vector<Product>& products,
                               const std::uint8_t* passing) const {
  const Context& context = pass.context;
  const std::size_t degree = context.degree(), runs = degree / (2 * kDiagonalRun);
  const std::size_t rotated_stride = part.rotations() * 4 * kDiagonalRun;
  const std::size_t at_once = std::bit_floor(std::clamp<std::size_t>(kNearWords / rotated_stride, 2, 16));
  const std::size_t stretch = std::max(at_once, runs / kStretches);
  context.pool().run(part.limbs() * runs / stretch, [&](std::size_t index, std::size_t) {
    const std::size_t limb = part.first_limb + index * stretch / runs, begin = index * stretch % runs;
    const Modulus& modulus = context.modulus(context.prime_of(limb, limbs_));
    const std::size_t word = packed_bytes(modulus.value);
    const std::size_t kept_before = residue_bytes(context, 0, limb);
    const std::size_t passing_before = residue_bytes(context, part.first_limb, limb);
    for (std::size_t run = begin; run < begin + stretch; run += at_once) {
      const std::size_t front = run * kDiagonalRun, back = degree - front - kDiagonalRun;
      const std::uint64_t* const rotated =
          pass.rotated.data() + ((limb - part.first_limb) * runs + run) * rotated_stride;
      std::size_t previous = kNone;
      for (const Product& product : products) {
        std::uint64_t* const first = pass.sums.data() + product.group * pass.pair + limb * degree;
        std::uint64_t* const second = first + width_ * degree;
        std::uint64_t* const out[] = {first + front, first + back, second + front, second + back};
        const Segment& segment = *product.segment;
        const std::size_t terms = segment.last - segment.first, own = ends_ * run_ * word, stride = terms * own;
        const std::uint8_t* const residues = segment.kept == Segment::Kept::kResidues
                                                 ? segment.residues.data() + kept_before * terms
                                                 : passing + product.passing + passing_before * terms;
        const bool added = product.group == previous || pass.begun_sums[product.group];
        context.kernels().diagonal_products(residues + front / repeats_ / run_ * stride + product.first * own, stride,
                                            repeats_, ends_ == 2, rotated, rotated_stride, product.rotations.data(),
                                            product.rotations.size(), at_once, added, out, modulus);
        previous = product.group;
      }
    }
  });
}

// Makes what segments keep and do not have yet, and for those that do not keep residues the ones at hand, one segment
// after another in `passing`. Whoever makes something that is kept holds the lock until it is ready.
void LinearTransform::prepare(const Context& context, const Part& part, const std::vector<std::size_t>& segments,
                              std::uint8_t* passing) {
  struct Work {
    Segment* segment;
    std::size_t term;
    bool embeds;             // rather than that its coefficients are at hand
    std::uint8_t* residues;  // of the first limb
    std::size_t first_limb, last_limb;
  };
  const std::size_t part_bytes = residue_bytes(context, part.first_limb, part.last_limb);
  std::vector<Work> work;
  std::vector<Segment*> made;
  std::unique_lock<std::mutex> lock(kept_mutex_);
  for (const std::size_t s : segments) {
    Segment& segment = segments_[s];
    const std::size_t terms = segment.last - segment.first;
    std::uint8_t* residues = passing;
    std::size_t first_limb = part.first_limb, last_limb = part.last_limb;
    if (segment.kept == Segment::Kept::kResidues) {
      if (segment.ready) continue;
      if (segment.residues.size() == 0) segment.residues = AlignedBuffer<std::uint8_t>(terms * bytes_);
      residues = segment.residues.data();
      first_limb = 0;
      last_limb = width_;
    } else {
      passing += terms * part_bytes;
      if (segment.kept == Segment::Kept::kCoefficients && segment.coefficients.size() == 0) {
        segment.coefficients = AlignedBuffer<double>(terms * ends_ * half_);
      }
    }
    if (segment.kept != Segment::Kept::kNothing && !segment.ready) made.push_back(&segment);
    const bool embeds = segment.kept != Segment::Kept::kCoefficients || !segment.ready;
    for (std::size_t t = segment.first; t < segment.last; ++t) {
      work.push_back({&segment, t, embeds, residues, first_limb, last_limb});
    }
  }
  if (made.empty()) lock.unlock();
  if (work.empty()) return;
  const std::size_t threads = context.pool().threads();
  AlignedBuffer<double> doubles(threads * 6 * half_);
  BufferPool::Buffer scratch = context.borrow(threads * (2 * half_ + kBlock));
  context.pool().run(work.size(), [&](std::size_t index, std::size_t worker) {
    const auto& [segment, number, embeds, residues, first_limb, last_limb] = work[index];
    Term& term = terms_[number];
    const std::size_t own = number - segment->first, terms = segment->last - segment->first;
    double* coefficients = doubles.data() + worker * 6 * half_;
    int words = 0;
    if (embeds) {
      words = embed(context, term, coefficients, coefficients + 2 * half_);
      if (segment->kept == Segment::Kept::kCoefficients) {
        const std::size_t count = ends_ * half_;
        std::copy(coefficients, coefficients + count, segment->coefficients.data() + own * count);
        term.words = words;
      }
    } else {
      coefficients = segment->coefficients.data() + own * ends_ * half_;
      words = term.words;
    }
    std::uint8_t* output = residues;
    for (std::size_t limb = first_limb; limb < last_limb; ++limb) {
      const std::size_t prime = context.prime_of(limb, limbs_);
      const std::size_t word = packed_bytes(context.modulus(prime).value);
      encode(context, coefficients, words, prime, terms, scratch.data() + worker * (2 * half_ + kBlock),
             output + own * ends_ * run_ * word);
      output += terms * ends_ * half_ * word;
    }
  });
  for (Segment* const segment : made) segment->ready = true;
}

// The giant steps of groups [first, last), whose QP pairs `sums` has, added to the rows in basis QP.
void LinearTransform::take_giant_steps(Pass& pass, std::size_t first_group, std::size_t last_group,
                                       const std::uint64_t* sums) const {
  const Context& context = pass.context;
  const Kernels& kernels = context.kernels();
  const std::size_t degree = context.degree(), half = width_ * degree;

  std::vector<std::size_t> moving;  // groups whose giant step is not zero
  std::vector<const std::uint64_t*> second;
  for (std::size_t group = first_group; group < last_group; ++group) {
    if (groups_[group].giant == 0) continue;
    moving.push_back(group);
    second.push_back(sums + (group - first_group) * pass.pair + half);
  }
  BufferPool::Buffer switched;
  if (!moving.empty()) {
    switched = context.borrow(moving.size() * pass.pair);
    const Decomposition decomposition(
        context, divide_to_coefficients(context, division_by_special(context, limbs_), second), moving.size(), limbs_);
    std::vector<SwitchingKey> keys;
    for (const std::size_t group : moving) keys.push_back(pass.keys.at(groups_[group].giant).key);
    switch_keys(context, decomposition, keys, switched.data());
  }

  std::vector<const PermutationView*> permutations;
  for (const std::size_t group : moving) {
    permutations.push_back(&context.permutation(pass.keys.at(groups_[group].giant).element));
  }
  std::vector<bool> begins(last_group - first_group);  // groups that are the first of their row
  for (std::size_t group = first_group; group < last_group; ++group) {
    begins[group - first_group] = !pass.begun_rows[groups_[group].row];
    pass.begun_rows[groups_[group].row] = true;
  }
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * degree);
  context.pool().run(2 * width_, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % width_, offset = index * degree;
    const Modulus& modulus = context.modulus(context.prime_of(limb, limbs_));
    for (std::size_t group = first_group, next = 0; group < last_group; ++group) {
      const std::uint64_t* const sum = sums + (group - first_group) * pass.pair + offset;
      std::uint64_t* const row = pass.rows.data() + groups_[group].row * pass.pair + offset;
      const bool begin = begins[group - first_group];
      const std::uint64_t* term = sum;
      if (groups_[group].giant != 0) {
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

// A diagonal, rolled forward by its giant step, to rounded coefficients. Conjugation leaves a real vector as it is, so
// that the first half of its coefficients is enough. `coefficients` is of 2 half_ and `scratch` of 4 half_ doubles.
int LinearTransform::embed(const Context& context, const Term& term, double* coefficients, double* scratch) const {
  const Encoder encoder{context.kernels(), context.degree()};
  int words = 0;
  if (ends_ == 2) {
    std::complex<double>* const dense = reinterpret_cast<std::complex<double>*>(scratch + 2 * half_);
    for (std::size_t i = 0; i < half_; ++i) dense[i] = complex_values_[term.begin + ((i - term.giant) & (period_ - 1))];
    words = encoder.embed(dense, half_, scale_, coefficients, scratch);
  } else {
    const std::size_t mask = slots_ - 1;
    double* const dense = scratch + 2 * half_;
    std::fill(dense, dense + half_, 0.0);
    for (std::size_t i = term.begin; i < term.end; ++i) {
      dense[(value_slots_[i] + term.giant) & mask] = static_cast<double>(values_[i]);
    }
    for (std::size_t copy = slots_; copy < half_; copy += slots_) std::copy(dense, dense + slots_, dense + copy);
    words = encoder.embed(dense, half_, scale_, coefficients, scratch);
  }
  if (words == 0) throw std::invalid_argument("a diagonal at its scale is too large to encode");
  return words;
}

// The residues of a diagonal modulo one prime, interleaved with those of the other terms of its segment. `scratch` is
// of 2 half_ + kBlock words.
void LinearTransform::encode(const Context& context, const double* coefficients, int words, std::size_t prime,
                             std::size_t terms, std::uint64_t* scratch, std::uint8_t* output) const {
  const Kernels& kernels = context.kernels();
  const NttTables& tables = context.tables(prime);
  const std::uint64_t* ends[2];
  if (ends_ == 2) {
    kernels.residues(coefficients, words, scratch, 2 * half_, tables.modulus());
    kernels.ntt_forward(tables.view(), std::bit_width(half_), scratch, scratch);
    std::reverse(scratch + half_, scratch + 2 * half_);
    ends[0] = scratch;
    ends[1] = scratch + half_;
  } else {
    std::uint64_t* const folded = scratch + half_ + kBlock;
    kernels.residues(coefficients, words, scratch, half_, tables.modulus());
    scratch[half_] = 0;
    kernels.fold_conjugates(scratch, tables.root_of_minus_one(), folded, half_, tables.modulus());
    kernels.ntt_forward_half(tables.view(), std::bit_width(half_), folded, folded);
    ends[0] = folded;
  }
  with_packed_bytes(packed_bytes(tables.modulus().value), [&](auto bytes) {
    const std::size_t run_bytes = run_ * bytes.value;
    std::uint8_t* run = output;
    for (std::size_t i = 0; i < half_; i += run_, run += terms * ends_ * run_bytes) {
      for (std::size_t end = 0; end < ends_; ++end) pack_run<bytes.value>(ends[end] + i, run_, run + end * run_bytes);
    }
  });
}

}  // namespace hecc

#include "key_switching.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace hecc {
namespace {

// Words of digits in all limbs that are held at a time, and coefficients that are converted at a time.
constexpr std::size_t kDigitWords = std::size_t{1} << 22;
constexpr std::size_t kConverted = 4 * kConversionChunk;

// All ones where the representative that is 0 to q - 1 after the automorphism is negative, as it negates some
// coefficients; else zero.
void rotated_masks(std::size_t degree, std::uint64_t element, const std::uint64_t* values, std::uint64_t* masks) {
  const std::uint64_t mask = 2 * degree - 1;
  for (std::size_t i = 0; i < degree; ++i) {
    const bool negated = ((element * i) & mask) >= degree;
    masks[i] = negated && values[i] != 0 ? ~std::uint64_t{0} : 0;
  }
}

// One limb from one prime q: of the representatives from zero on, less q where a mask says so.
void reduce(const Context& context, const std::uint64_t* values, const std::uint64_t* masks, std::size_t source,
            std::size_t target, std::uint64_t* output) {
  constexpr std::size_t kPart = 512;
  const Modulus& modulus = context.modulus(target);
  const std::uint64_t q = context.modulus(source).value, p = modulus.value;
  if (q <= p && masks != nullptr) {
    for (std::size_t i = 0; i < context.degree(); ++i) output[i] = values[i] + (masks[i] & (p - q));
    return;
  }
  context.kernels().reduce(values, output, context.degree(), modulus);
  if (masks == nullptr) return;
  const std::uint64_t difference = p - q % p;
  alignas(kAlignment) std::uint64_t terms[kPart];
  for (std::size_t begin = 0; begin < context.degree(); begin += kPart) {
    for (std::size_t i = 0; i < kPart; ++i) terms[i] = masks[begin + i] & difference;
    context.kernels().add(output + begin, terms, output + begin, kPart, modulus);
  }
}

// `conversion` to its targets [first, last) only.
ConversionView targets(const BasisConversion& conversion, std::size_t first, std::size_t last) {
  ConversionView view = conversion.view();
  view.targets = last - first;
  view.target += first;
  view.weights += first * (view.sources + 1);
  view.counter += first;
  return view;
}

// What a division subtracts: the representatives modulo the divisor closest to zero, in coefficient form, of shape
// (inputs, limbs kept, N).
BufferPool::Buffer remainders(const Context& context, const Division& division,
                              const std::vector<const std::uint64_t*>& inputs) {
  const std::size_t degree = context.degree(), sources = division.sources.size(), kept = division.kept.size();
  BufferPool::Buffer coefficients = context.borrow(inputs.size() * sources * degree);
  context.pool().run(inputs.size() * sources, [&](std::size_t index, std::size_t) {
    const std::uint64_t* const input = inputs[index / sources] + (kept + index % sources) * degree;
    context.inverse(division.sources[index % sources], input, coefficients.data() + index * degree);
  });
  if (sources == 1) return coefficients;
  BufferPool::Buffer result = context.borrow(inputs.size() * kept * degree);
  const std::size_t scratch_words = conversion_scratch(sources), parts = degree / kConverted;
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * scratch_words);
  const ConversionView view = targets(*division.conversion, 0, kept);
  context.pool().run(inputs.size() * parts, [&](std::size_t index, std::size_t worker) {
    const std::size_t polynomial = index / parts, begin = index % parts * kConverted;
    std::vector<const std::uint64_t*> from;
    std::vector<std::uint64_t*> to;
    for (std::size_t i = 0; i < sources; ++i) {
      from.push_back(coefficients.data() + (polynomial * sources + i) * degree + begin);
    }
    for (std::size_t i = 0; i < kept; ++i) to.push_back(result.data() + (polynomial * kept + i) * degree + begin);
    context.kernels().convert(view, from.data(), to.data(), kConverted, scratch.data() + worker * scratch_words);
  });
  return result;
}

// One limb of one of these: `limbs` is where it is, or the one prime's where there is one.
const std::uint64_t* remainder(const Context& context, const Division& division, BufferPool::Buffer& limbs,
                               std::size_t polynomial, std::size_t limb, std::uint64_t* scratch) {
  const std::size_t degree = context.degree();
  if (division.sources.size() > 1) return limbs.data() + (polynomial * division.kept.size() + limb) * degree;
  context.kernels().lift(limbs.data() + polynomial * degree, context.modulus(division.sources[0]), scratch, degree,
                         context.modulus(division.kept[limb]));
  return scratch;
}

}  // namespace

Decomposition::Decomposition(const Context& context, std::vector<const std::uint64_t*> polynomials, std::size_t limbs,
                             Representative representative)
    : context_(context),
      values_(std::move(polynomials)),
      count_(values_.size()),
      limbs_(limbs),
      digits_(context.digits(limbs)),
      width_(limbs + context.special_limbs()),
      kind_(representative.kind),
      coefficients_(context.borrow(count_ * limbs * context.degree())) {
  const std::size_t degree = context.degree();
  const bool rotated = kind_ == Representative::Kind::kRotated;
  if (rotated) masks_ = context.borrow(count_ * limbs * degree);
  context.pool().run(count_ * limbs, [&](std::size_t index, std::size_t) {
    const std::size_t limb = index % limbs;
    std::uint64_t* const output = coefficients_.data() + index * degree;
    context.inverse(limb, values_[index / limbs] + limb * degree, output);
    if (rotated) {
      rotated_masks(degree, representative.element, output, masks_.data() + index * degree);
    }
  });
}

Decomposition::Decomposition(const Context& context, BufferPool::Buffer coefficients, std::size_t count,
                             std::size_t limbs)
    : context_(context),
      count_(count),
      limbs_(limbs),
      digits_(context.digits(limbs)),
      width_(limbs + context.special_limbs()),
      coefficients_(std::move(coefficients)) {}

std::size_t Decomposition::digit_limbs(std::size_t digit) const {
  return std::min(context_.digit_limbs(), limbs_ - digit * context_.digit_limbs());
}

void Decomposition::convert(std::size_t first, std::size_t count, std::size_t first_limb, std::size_t last_limb,
                            std::uint64_t* output) const {
  if (context_.digit_limbs() == 1) return;
  const std::size_t degree = context_.degree(), parts = degree / kConverted, special = context_.special_limbs();
  const std::size_t limbs = last_limb - first_limb, scratch_words = conversion_scratch(context_.digit_limbs());
  BufferPool::Buffer scratch = context_.borrow(context_.pool().threads() * scratch_words);
  context_.pool().run(count * digits_ * parts, [&](std::size_t index, std::size_t worker) {
    const std::size_t place = index / parts, digit = place % digits_, sources = digit_limbs(digit);
    const std::size_t begin = index % parts * kConverted, own_limb = digit * context_.digit_limbs();
    if (sources == 1) return;
    std::vector<const std::uint64_t*> from;
    for (std::size_t i = 0; i < sources; ++i) {
      from.push_back(coefficients_.data() + ((first + place / digits_) * limbs_ + own_limb + i) * degree + begin);
    }
    // Targets are the special primes and then the data primes: limbs [first_limb, last_limb) are one or two ranges.
    const auto convert_range = [&](std::size_t from_limb, std::size_t to_limb) {
      std::vector<std::uint64_t*> to;
      std::size_t target = 0;
      for (std::size_t limb = from_limb; limb < to_limb; ++limb) {
        if (own(digit, limb)) continue;
        if (to.empty()) {
          target = limb >= limbs_ ? limb - limbs_ : special + limb - (limb < own_limb ? 0 : sources);
        }
        to.push_back(output + (place * limbs + limb - first_limb) * degree + begin);
      }
      if (to.empty()) return;
      context_.kernels().convert(targets(context_.digit_conversion(digit, sources), target, target + to.size()),
                                 from.data(), to.data(), kConverted, scratch.data() + worker * scratch_words);
    };
    convert_range(first_limb, std::min(last_limb, limbs_));
    convert_range(std::max(first_limb, limbs_), last_limb);
  });
}

const std::uint64_t* Decomposition::limb(std::size_t polynomial, std::size_t digit, std::size_t limb,
                                         std::uint64_t* target) const {
  const std::size_t degree = context_.degree(), prime = context_.prime_of(limb, limbs_);
  const std::size_t first = polynomial * limbs_ + digit * context_.digit_limbs();
  if (own(digit, limb)) {
    if (!values_.empty()) return values_[polynomial] + limb * degree;
    context_.forward(prime, coefficients_.data() + (polynomial * limbs_ + limb) * degree, target);
    return target;
  }
  if (digit_limbs(digit) == 1) {
    const std::size_t source = digit * context_.digit_limbs();
    const std::uint64_t* const values = coefficients_.data() + first * degree;
    if (kind_ == Representative::Kind::kCentred) {
      context_.kernels().lift(values, context_.modulus(source), target, degree, context_.modulus(prime));
    } else {
      reduce(context_, values, masks_.size() == 0 ? nullptr : masks_.data() + first * degree, source, prime, target);
    }
  }
  context_.forward(prime, target, target);
  return target;
}

Digits::Digits(const Context& context, const Decomposition& decomposition, std::size_t first, std::size_t last)
    : digits_(decomposition.digits()),
      first_(first),
      limbs_(last - first),
      pointers_(decomposition.polynomials() * digits_ * limbs_),
      buffer_(context.borrow(pointers_.size() * context.degree())) {
  decomposition.convert(0, decomposition.polynomials(), first, last, buffer_.data());
  context.pool().run(pointers_.size(), [&](std::size_t index, std::size_t) {
    pointers_[index] = decomposition.limb(index / limbs_ / digits_, index / limbs_ % digits_, first_ + index % limbs_,
                                          buffer_.data() + index * context.degree());
  });
}

void switch_keys(const Context& context, const Decomposition& decomposition, const std::vector<SwitchingKey>& keys,
                 std::uint64_t* sums) {
  const std::size_t degree = context.degree(), width = decomposition.width(), digits = decomposition.digits();
  const std::size_t polynomials = decomposition.polynomials();
  // Digits of one prime are made limb by limb, and forgotten.
  const bool converted = context.digit_limbs() > 1;
  const std::size_t at_once =
      converted ? std::max<std::size_t>(1, kDigitWords / (digits * width * degree)) : polynomials;
  BufferPool::Buffer scratch =
      context.borrow((converted ? std::min(at_once, polynomials) * width : context.pool().threads()) * digits * degree);
  for (std::size_t first = 0; first < polynomials; first += at_once) {
    const std::size_t count = std::min(at_once, polynomials - first);
    decomposition.convert(first, count, 0, width, scratch.data());
    context.pool().run(count * width, [&](std::size_t index, std::size_t worker) {
      const std::size_t limb = index % width, polynomial = first + index / width;
      const SwitchingKey& key = keys[polynomial];
      std::vector<const std::uint64_t*> values;
      for (std::size_t digit = 0; digit < digits; ++digit) {
        const std::size_t place = converted ? (index / width * digits + digit) * width + limb : worker * digits + digit;
        values.push_back(decomposition.limb(polynomial, digit, limb, scratch.data() + place * degree));
      }
      std::uint64_t* const output = sums + (2 * polynomial * width + limb) * degree;
      const std::size_t own = key.own_limb(limb, decomposition.limbs());
      context.kernels().key_products(values.data(), digits, key.residues + key.offset(context, own),
                                     key.run_bytes(context, own), nullptr, 0, output, output + width * degree, degree,
                                     context.modulus(context.prime_of(limb, decomposition.limbs())));
    });
  }
}

void inner_products(const Context& context, const Digits& digits, std::size_t polynomial, const SwitchingKey& key,
                    std::size_t limbs, std::size_t limb, const std::uint64_t* addend, std::uint64_t factor,
                    std::uint64_t* first, std::uint64_t* second) {
  std::vector<const std::uint64_t*> values;
  for (std::size_t digit = 0; digit < digits.digits(); ++digit) values.push_back(digits.limb(polynomial, digit, limb));
  const std::size_t own = key.own_limb(limb, limbs);
  context.kernels().key_products(values.data(), values.size(), key.residues + key.offset(context, own),
                                 key.run_bytes(context, own), addend, factor, first, second, context.degree(),
                                 context.modulus(context.prime_of(limb, limbs)));
}

Division division_by_special(const Context& context, std::size_t limbs) {
  Division division{{}, context.special_limbs() > 1 ? &context.special_conversion() : nullptr, {}, {}};
  for (std::size_t i = 0; i < context.special_limbs(); ++i) division.sources.push_back(context.data_limbs() + i);
  for (std::size_t i = 0; i < limbs; ++i) {
    division.kept.push_back(i);
    division.inverses.push_back(context.inverse_special_product(i));
  }
  return division;
}

Division division_by_last(const Context& context, std::size_t limbs) {
  Division division{{limbs - 1}, nullptr, {}, {}};
  for (std::size_t i = 0; i + 1 < limbs; ++i) {
    division.kept.push_back(i);
    division.inverses.push_back(context.inverse_prime(limbs - 1, i));
  }
  return division;
}

void divide(const Context& context, const Division& division, const std::vector<const std::uint64_t*>& inputs,
            const std::function<void(std::size_t input, std::size_t limb, std::uint64_t* values)>& consume) {
  const std::size_t degree = context.degree(), kept = division.kept.size();
  BufferPool::Buffer subtracted = remainders(context, division, inputs);
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * degree);
  context.pool().run(inputs.size() * kept, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % kept, polynomial = index / kept, prime = division.kept[limb];
    std::uint64_t* const values = scratch.data() + worker * degree;
    context.forward(prime, remainder(context, division, subtracted, polynomial, limb, values), values);
    context.kernels().subtract_multiply_scalar(inputs[polynomial] + limb * degree, values, division.inverses[limb],
                                               values, degree, context.modulus(prime));
    consume(polynomial, limb, values);
  });
}

void divide(const Context& context, const Division& division, const std::vector<const std::uint64_t*>& inputs,
            const std::vector<std::uint64_t*>& outputs) {
  divide(context, division, inputs, [&](std::size_t polynomial, std::size_t limb, const std::uint64_t* values) {
    std::copy(values, values + context.degree(), outputs[polynomial] + limb * context.degree());
  });
}

BufferPool::Buffer divide_to_coefficients(const Context& context, const Division& division,
                                          const std::vector<const std::uint64_t*>& inputs) {
  const std::size_t degree = context.degree(), kept = division.kept.size();
  BufferPool::Buffer subtracted = remainders(context, division, inputs);
  BufferPool::Buffer output = context.borrow(inputs.size() * kept * degree);
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * degree);
  context.pool().run(inputs.size() * kept, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % kept, polynomial = index / kept, prime = division.kept[limb];
    std::uint64_t* const target = output.data() + index * degree;
    context.inverse(prime, inputs[polynomial] + limb * degree, target);
    const std::uint64_t* const values =
        remainder(context, division, subtracted, polynomial, limb, scratch.data() + worker * degree);
    context.kernels().subtract_multiply_scalar(target, values, division.inverses[limb], target, degree,
                                               context.modulus(prime));
  });
  return output;
}

}  // namespace hecc

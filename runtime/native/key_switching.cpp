#include "key_switching.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace hecc {
namespace {

// Words of a part of a lazy sum, and terms added to it at a time.
constexpr std::size_t kSums = 512;
constexpr std::size_t kTermsAtOnce = 2;
// So few terms can as well be added up at once.
constexpr std::size_t kFewTerms = 4;

// Asks for words that will be read soon.
inline void prefetch(const std::uint64_t* words, std::size_t count) {
#if defined(__GNUC__)
  for (std::size_t i = 0; i < count; i += kAlignment / sizeof(std::uint64_t)) __builtin_prefetch(words + i);
#else
  (void)words;
  (void)count;
#endif
}

// For each coefficient the v of BaseConversion, for the representative closest to zero. `scaled` are the y_i.
void centred_multiples(const Context& context, const BaseConversion& conversion,
                       const std::vector<const std::uint64_t*>& scaled, std::uint64_t* multiples) {
  const std::size_t degree = context.degree();
  if (scaled.size() == 1) {
    const std::uint64_t half = context.modulus(conversion.sources[0]).value / 2;
    for (std::size_t i = 0; i < degree; ++i) multiples[i] = scaled[0][i] > half ? 1 : 0;
    return;
  }
  // v = round(sum y_i / s_i). A sum within 2^-45 of a half may be rounded either way: the representative is then that
  // close to half of S, which is all that noise asks for, and the same modulo all primes, which is what correctness
  // does. An integer below 2^52 is turned into a double by giving it the exponent of 2^52, and back, rounded, likewise:
  // that vectorises everywhere. All operations are exact or rounded alike on every machine.
  constexpr double kTwo52 = 4503599627370496.0;
  constexpr std::uint64_t kBits = 0x4330000000000000;
  constexpr std::size_t kPart = 256;
  double sums[kPart];
  for (std::size_t begin = 0; begin < degree; begin += kPart) {
    std::fill(sums, sums + kPart, 0.0);
    for (std::size_t k = 0; k < scaled.size(); ++k) {
      const double reciprocal = context.modulus(conversion.sources[k]).reciprocal;
      const std::uint64_t* const y = scaled[k] + begin;
      for (std::size_t i = 0; i < kPart; ++i) sums[i] += (std::bit_cast<double>(y[i] | kBits) - kTwo52) * reciprocal;
    }
    for (std::size_t i = 0; i < kPart; ++i) {
      multiples[begin + i] = std::bit_cast<std::uint64_t>(sums[i] + kTwo52) ^ kBits;
    }
  }
}

// The same for the representatives that are 0 to q - 1 after the automorphism: it negates some coefficients.
void rotated_multiples(std::size_t degree, std::uint64_t element, const std::uint64_t* values,
                       std::uint64_t* multiples) {
  const std::uint64_t mask = 2 * degree - 1;
  for (std::size_t i = 0; i < degree; ++i) {
    const bool negated = ((element * i) & mask) >= degree;
    multiples[i] = negated && values[i] != 0 ? 1 : 0;
  }
}

// One limb of the converted polynomial, in coefficient form.
void convert(const Context& context, const BaseConversion& conversion, std::vector<const std::uint64_t*> scaled,
             const std::uint64_t* multiples, std::size_t target, std::uint64_t* output) {
  const std::uint64_t source = context.modulus(conversion.sources[0]).value, modulus = context.modulus(target).value;
  if (scaled.size() == 1 && multiples != nullptr && source <= modulus) {
    // Whichever representative in (-q, q) the multiple 0 or 1 of q stands for, one masked addition brings it to [0, p).
    const std::uint64_t difference = modulus - source;
    for (std::size_t i = 0; i < context.degree(); ++i) {
      output[i] = scaled[0][i] + ((0 - multiples[i]) & difference);
    }
    return;
  }
  if (multiples != nullptr) scaled.push_back(multiples);
  context.kernels().matrix_product(conversion.weights[target].data(), scaled.data(), 1, scaled.size(), &output,
                                   context.degree(), context.modulus(target));
}

// What a division subtracts: the representatives modulo the divisor closest to zero.
struct Remainders {
  BufferPool::Buffer scaled, multiples;
  std::size_t sources, degree;

  std::vector<const std::uint64_t*> of(std::size_t polynomial) const {
    std::vector<const std::uint64_t*> result;
    for (std::size_t i = 0; i < sources; ++i) {
      result.push_back(scaled.data() + (polynomial * sources + i) * degree);
    }
    return result;
  }
};

Remainders remainders(const Context& context, const Division& division,
                      const std::vector<const std::uint64_t*>& inputs) {
  const BaseConversion& conversion = *division.conversion;
  const std::size_t degree = context.degree(), sources = conversion.sources.size();
  Remainders result{context.borrow(inputs.size() * sources * degree), context.borrow(inputs.size() * degree), sources,
                    degree};
  context.pool().run(inputs.size() * sources, [&](std::size_t index, std::size_t) {
    const std::size_t source = index % sources;
    const std::uint64_t* const input = inputs[index / sources] + (division.kept.size() + source) * degree;
    std::uint64_t* const output = result.scaled.data() + index * degree;
    const std::size_t prime = conversion.sources[source];
    context.inverse(prime, input, output);
    if (sources > 1) {
      context.kernels().multiply_scalar(output, conversion.inverses[source], output, degree, context.modulus(prime));
    }
  });
  context.pool().run(inputs.size(), [&](std::size_t polynomial, std::size_t) {
    centred_multiples(context, conversion, result.of(polynomial), result.multiples.data() + polynomial * degree);
  });
  return result;
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
      coefficients_(context.borrow(count_ * limbs * context.degree())) {
  const std::size_t degree = context.degree();
  context.pool().run(count_ * limbs, [&](std::size_t index, std::size_t) {
    const std::size_t limb = index % limbs;
    context.inverse(limb, values_[index / limbs] + limb * degree, coefficients_.data() + index * degree);
  });
  prepare(representative);
}

Decomposition::Decomposition(const Context& context, BufferPool::Buffer coefficients, std::size_t count,
                             std::size_t limbs)
    : context_(context),
      count_(count),
      limbs_(limbs),
      digits_(context.digits(limbs)),
      width_(limbs + context.special_limbs()),
      coefficients_(std::move(coefficients)) {
  prepare(Representative());
}

std::size_t Decomposition::digit_limbs(std::size_t digit) const {
  return std::min(context_.digit_limbs(), limbs_ - digit * context_.digit_limbs());
}

// The y_i of the base conversion: for a digit of one prime the coefficients themselves.
std::vector<const std::uint64_t*> Decomposition::scaled(std::size_t polynomial, std::size_t digit) const {
  const std::uint64_t* const base = digit_limbs(digit) == 1 ? coefficients_.data() : scaled_.data();
  std::vector<const std::uint64_t*> result;
  for (std::size_t i = 0; i < digit_limbs(digit); ++i) {
    result.push_back(base + (polynomial * limbs_ + digit * context_.digit_limbs() + i) * context_.degree());
  }
  return result;
}

void Decomposition::prepare(Representative representative) {
  const std::size_t degree = context_.degree(), alpha = context_.digit_limbs();
  if (alpha > 1) {
    scaled_ = context_.borrow(count_ * limbs_ * degree);
    context_.pool().run(count_ * limbs_, [&](std::size_t index, std::size_t) {
      const std::size_t limb = index % limbs_, digit = limb / alpha;
      if (digit_limbs(digit) == 1) return;
      const std::uint64_t inverse = context_.digit_conversion(digit, digit_limbs(digit)).inverses[limb % alpha];
      context_.kernels().multiply_scalar(coefficients_.data() + index * degree, inverse,
                                         scaled_.data() + index * degree, degree, context_.modulus(limb));
    });
  }
  if (representative.kind == Representative::Kind::kFromZero) return;
  multiples_ = context_.borrow(count_ * digits_ * degree);
  context_.pool().run(count_ * digits_, [&](std::size_t index, std::size_t) {
    const std::size_t digit = index % digits_;
    const std::vector<const std::uint64_t*> sources = scaled(index / digits_, digit);
    std::uint64_t* const output = multiples_.data() + index * degree;
    if (representative.kind == Representative::Kind::kRotated) {
      rotated_multiples(degree, representative.element, sources[0], output);
    } else {
      centred_multiples(context_, context_.digit_conversion(digit, sources.size()), sources, output);
    }
  });
}

const std::uint64_t* Decomposition::limb(std::size_t polynomial, std::size_t digit, std::size_t limb,
                                         std::uint64_t* target) const {
  const std::size_t degree = context_.degree(), prime = context_.prime_of(limb, limbs_);
  if (limb < limbs_ && limb / context_.digit_limbs() == digit) {
    if (!values_.empty()) return values_[polynomial] + limb * degree;
    context_.forward(prime, coefficients_.data() + (polynomial * limbs_ + limb) * degree, target);
    return target;
  }
  const std::uint64_t* const multiples =
      multiples_.size() == 0 ? nullptr : multiples_.data() + (polynomial * digits_ + digit) * degree;
  convert(context_, context_.digit_conversion(digit, digit_limbs(digit)), scaled(polynomial, digit), multiples, prime,
          target);
  context_.forward(prime, target, target);
  return target;
}

Digits::Digits(const Context& context, const Decomposition& decomposition)
    : digits_(decomposition.digits()),
      width_(decomposition.width()),
      pointers_(decomposition.polynomials() * digits_ * width_),
      buffer_(context.borrow(pointers_.size() * context.degree())) {
  context.pool().run(pointers_.size(), [&](std::size_t index, std::size_t) {
    pointers_[index] = decomposition.limb(index / width_ / digits_, index / width_ % digits_, index % width_,
                                          buffer_.data() + index * context.degree());
  });
}

void switch_keys(const Context& context, const Decomposition& decomposition, const std::vector<SwitchingKey>& keys,
                 std::uint64_t* sums) {
  const std::size_t degree = context.degree(), width = decomposition.width(), digits = decomposition.digits();
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * digits * degree);
  context.pool().run(decomposition.polynomials() * width, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % width, polynomial = index / width;
    const SwitchingKey& key = keys[polynomial];
    std::vector<const std::uint64_t*> left, right[2];
    for (std::size_t digit = 0; digit < digits; ++digit) {
      left.push_back(decomposition.limb(polynomial, digit, limb, scratch.data() + (worker * digits + digit) * degree));
      for (std::size_t half = 0; half < 2; ++half) {
        right[half].push_back(key.limb(context, digit, half, limb, decomposition.limbs()));
      }
    }
    std::uint64_t* const output = sums + (2 * polynomial * width + limb) * degree;
    sum_products(context.kernels(), left.data(), right[0].data(), right[1].data(), digits, output,
                 output + width * degree, degree, context.modulus(context.prime_of(limb, decomposition.limbs())));
  });
}

void inner_products(const Context& context, const Digits& digits, std::size_t polynomial, const SwitchingKey& key,
                    std::size_t limbs, std::size_t limb, std::size_t begin, std::size_t size, std::uint64_t* first,
                    std::uint64_t* second) {
  std::vector<const std::uint64_t*> left, keys[2];
  for (std::size_t digit = 0; digit < digits.digits(); ++digit) {
    left.push_back(digits.limb(polynomial, digit, limb) + begin);
    for (std::size_t half = 0; half < 2; ++half) {
      keys[half].push_back(key.limb(context, digit, half, limb, limbs) + begin);
    }
  }
  sum_products(context.kernels(), left.data(), keys[0].data(), keys[1].data(), left.size(), first + begin,
               second + begin, size, context.modulus(context.prime_of(limb, limbs)));
}

// A few terms at a time, on a part so short that its lazy sums stay in the first-level cache. All terms at once would
// be as many streams from memory, most of them a multiple of a page apart: they would evict one another from the few
// ways of the same cache sets before they are used.
void sum_products(const Kernels& kernels, const std::uint64_t* const* left, const std::uint64_t* const* first_right,
                  const std::uint64_t* const* second_right, std::size_t terms, std::uint64_t* first,
                  std::uint64_t* second, std::size_t size, const Modulus& modulus) {
  if (terms <= kFewTerms)
    return kernels.inner_product_pair(left, first_right, second_right, terms, first, second, size, modulus);
  alignas(kAlignment) std::uint64_t sums[4][kSums];
  for (std::size_t begin = 0; begin < size; begin += kSums) {
    std::memset(sums, 0, sizeof sums);
    for (std::size_t t = 0, since_fold = 0; t < terms; t += kTermsAtOnce) {
      const std::uint64_t *a[kTermsAtOnce], *b[kTermsAtOnce], *c[kTermsAtOnce];
      const std::size_t count = std::min(kTermsAtOnce, terms - t);
      for (std::size_t i = 0; i < count; ++i) {
        a[i] = left[t + i] + begin;
        b[i] = first_right[t + i] + begin;
        c[i] = second_right[t + i] + begin;
      }
      if (since_fold + count > kMaxTerms) {
        kernels.fold(sums[0], sums[1], kSums, modulus);
        kernels.fold(sums[2], sums[3], kSums, modulus);
        since_fold = 1;
      }
      if (begin + kSums < size) {
        for (std::size_t i = 0; i < count; ++i) {
          for (const std::uint64_t* const stream : {a[i], b[i], c[i]}) prefetch(stream + kSums, kSums);
        }
      }
      kernels.multiply_accumulate_pair(a, b, c, count, sums[0], sums[1], sums[2], sums[3], kSums);
      since_fold += count;
    }
    kernels.reduce_sums(sums[0], sums[1], first + begin, kSums, modulus);
    kernels.reduce_sums(sums[2], sums[3], second + begin, kSums, modulus);
  }
}

Division division_by_special(const Context& context, std::size_t limbs) {
  Division division{&context.special_conversion(), {}, {}};
  for (std::size_t i = 0; i < limbs; ++i) {
    division.kept.push_back(i);
    division.inverses.push_back(context.inverse_special_product(i));
  }
  return division;
}

Division division_by_last(const Context& context, std::size_t limbs) {
  Division division{&context.data_conversion(limbs - 1), {}, {}};
  for (std::size_t i = 0; i + 1 < limbs; ++i) {
    division.kept.push_back(i);
    division.inverses.push_back(context.inverse_prime(limbs - 1, i));
  }
  return division;
}

void divide(const Context& context, const Division& division, const std::vector<const std::uint64_t*>& inputs,
            const std::vector<std::uint64_t*>& outputs) {
  const std::size_t degree = context.degree(), kept = division.kept.size();
  const Remainders remainder = remainders(context, division, inputs);
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * degree);
  context.pool().run(inputs.size() * kept, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % kept, polynomial = index / kept, prime = division.kept[limb];
    std::uint64_t* const lifted = scratch.data() + worker * degree;
    convert(context, *division.conversion, remainder.of(polynomial), remainder.multiples.data() + polynomial * degree,
            prime, lifted);
    context.forward(prime, lifted, lifted);
    context.kernels().subtract_multiply_scalar(inputs[polynomial] + limb * degree, lifted, division.inverses[limb],
                                               outputs[polynomial] + limb * degree, degree, context.modulus(prime));
  });
}

BufferPool::Buffer divide_to_coefficients(const Context& context, const Division& division,
                                          const std::vector<const std::uint64_t*>& inputs) {
  const std::size_t degree = context.degree(), kept = division.kept.size();
  const Remainders remainder = remainders(context, division, inputs);
  BufferPool::Buffer output = context.borrow(inputs.size() * kept * degree);
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * degree);
  context.pool().run(inputs.size() * kept, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % kept, polynomial = index / kept, prime = division.kept[limb];
    std::uint64_t* const lifted = scratch.data() + worker * degree;
    std::uint64_t* const target = output.data() + index * degree;
    convert(context, *division.conversion, remainder.of(polynomial), remainder.multiples.data() + polynomial * degree,
            prime, lifted);
    context.inverse(prime, inputs[polynomial] + limb * degree, target);
    context.kernels().subtract_multiply_scalar(target, lifted, division.inverses[limb], target, degree,
                                               context.modulus(prime));
  });
  return output;
}

}  // namespace hecc

#include "arithmetic.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "key_switching.hpp"

namespace hecc {
namespace {

// Words that the sums of the ciphertexts switched at a time may take.
constexpr std::size_t kSumWords = std::size_t{1} << 22;

void check_context(const Context& context, const Ciphertexts& x) {
  if (!x.belong_to(context)) throw std::invalid_argument("an operand was made by another context");
}

void check_same(const Context& context, const Ciphertexts& x, const Ciphertexts& y) {
  check_context(context, x);
  check_context(context, y);
  if (x.count() != y.count() || x.limbs() != y.limbs()) {
    throw std::invalid_argument("the operands have " + std::to_string(x.count()) + " and " + std::to_string(y.count()) +
                                " polynomial vectors of " + std::to_string(x.limbs()) + " and " +
                                std::to_string(y.limbs()) + " limbs");
  }
}

void check_polynomials(const Ciphertexts& x, std::size_t expected) {
  if (x.polynomials() != expected) {
    throw std::invalid_argument("an operand has " + std::to_string(x.polynomials()) + " polynomials, not " +
                                std::to_string(expected));
  }
}

void check_dropped(const Ciphertexts& x, std::size_t dropped) {
  if (dropped < 1 || dropped >= x.limbs()) {
    throw std::invalid_argument(std::to_string(dropped) + " of " + std::to_string(x.limbs()) +
                                " limbs cannot be dropped");
  }
}

void check_key(const Context& context, const Ciphertexts& x, const SwitchingKey& key) {
  if (key.limbs < x.limbs() || key.limbs > context.data_limbs()) {
    throw std::invalid_argument("a switching key of " + std::to_string(key.limbs) + " limbs does not serve " +
                                std::to_string(x.limbs()));
  }
}

// body(ciphertext, polynomial, limb) for each, in parallel.
template <class Body>
void for_each_limb(const Context& context, const Ciphertexts& x, const Body& body) {
  const std::size_t limbs = x.limbs(), polynomials = x.polynomials();
  context.pool().run(x.count() * polynomials * limbs, [&](std::size_t index, std::size_t) {
    body(index / limbs / polynomials, index / limbs % polynomials, index % limbs);
  });
}

using Binary = void (*)(const std::uint64_t*, const std::uint64_t*, std::uint64_t*, std::size_t, const Modulus&);

// The sum or the difference. A polynomial that only one has is copied, or negated where it is subtracted.
Ciphertexts combine(const Context& context, const Ciphertexts& x, const Ciphertexts& y, Binary kernel, bool negated) {
  check_same(context, x, y);
  const std::size_t degree = context.degree();
  Ciphertexts result(context, x.count(), std::max(x.polynomials(), y.polynomials()), x.limbs());
  for_each_limb(context, result, [&](std::size_t i, std::size_t p, std::size_t limb) {
    std::uint64_t* const output = result.limb(i, p, limb);
    const Modulus& modulus = context.modulus(limb);
    if (p < x.polynomials() && p < y.polynomials()) {
      kernel(x.limb(i, p, limb), y.limb(i, p, limb), output, degree, modulus);
    } else if (p < y.polynomials() && negated) {
      context.kernels().negate(y.limb(i, p, limb), output, degree, modulus);
    } else {
      const Ciphertexts& longer = p < x.polynomials() ? x : y;
      std::memcpy(output, longer.limb(i, p, limb), degree * sizeof(std::uint64_t));
    }
  });
  return result;
}

// Key switching of polynomial `switched` of every ciphertext. finish(ciphertext, half, limb, values) gets one limb of
// one of both sums divided by P, which it may overwrite, and runs in parallel.
template <class Finish>
void switch_all(const Context& context, const Ciphertexts& x, std::size_t switched, const SwitchingKey& key,
                Representative representative, const Finish& finish) {
  const std::size_t degree = context.degree(), limbs = x.limbs(), width = limbs + context.special_limbs();
  const std::size_t at_once = std::max<std::size_t>(1, kSumWords / (2 * width * degree));
  const Division division = division_by_special(context, limbs);
  for (std::size_t first = 0; first < x.count(); first += at_once) {
    const std::size_t count = std::min(at_once, x.count() - first);
    std::vector<const std::uint64_t*> polynomials;
    for (std::size_t i = 0; i < count; ++i) polynomials.push_back(x.limb(first + i, switched, 0));
    BufferPool::Buffer sums = context.borrow(count * 2 * width * degree);
    switch_keys(context, Decomposition(context, std::move(polynomials), limbs, representative),
                std::vector<SwitchingKey>(count, key), sums.data());
    std::vector<const std::uint64_t*> inputs;
    for (std::size_t i = 0; i < 2 * count; ++i) inputs.push_back(sums.data() + i * width * degree);
    divide(context, division, inputs, [&](std::size_t input, std::size_t limb, std::uint64_t* values) {
      finish(first + input / 2, input % 2, limb, values);
    });
  }
}

Ciphertexts rotated(const Context& context, const Ciphertexts& x, const GaloisKey& key, bool added) {
  check_context(context, x);
  check_polynomials(x, 2);
  check_key(context, x, key.key);
  const PermutationView& permutation = context.permutation(key.element);
  Representative representative;
  if (context.seal_shaped()) representative = {Representative::Kind::kRotated, key.element};
  const std::size_t degree = context.degree();
  Ciphertexts result(context, x.count(), 2, x.limbs());
  const auto finish = [&](std::size_t i, std::size_t half, std::size_t limb, std::uint64_t* values) {
    const Modulus& modulus = context.modulus(limb);
    const Kernels& kernels = context.kernels();
    std::uint64_t* const output = result.limb(i, half, limb);
    // P c0 belongs to the first sum; since it is a multiple of P, adding c0 after the division is the same.
    if (half == 0) kernels.add(values, x.limb(i, 0, limb), values, degree, modulus);
    kernels.permute(permutation, values, output);
    if (added) kernels.add(output, x.limb(i, half, limb), output, degree, modulus);
  };
  switch_all(context, x, 1, key.key, representative, finish);
  return result;
}

Ciphertexts divided_by_last(const Context& context, const Ciphertexts& x) {
  Ciphertexts result(context, x.count(), x.polynomials(), x.limbs() - 1);
  std::vector<const std::uint64_t*> inputs;
  std::vector<std::uint64_t*> outputs;
  for (std::size_t i = 0; i < x.count(); ++i) {
    for (std::size_t p = 0; p < x.polynomials(); ++p) {
      inputs.push_back(x.limb(i, p, 0));
      outputs.push_back(result.limb(i, p, 0));
    }
  }
  divide(context, division_by_last(context, x.limbs()), inputs, outputs);
  return result;
}

}  // namespace

Ciphertexts add(const Context& context, const Ciphertexts& x, const Ciphertexts& y) {
  return combine(context, x, y, context.kernels().add, false);
}

Ciphertexts subtract(const Context& context, const Ciphertexts& x, const Ciphertexts& y) {
  return combine(context, x, y, context.kernels().subtract, true);
}

Ciphertexts negate(const Context& context, const Ciphertexts& x) {
  check_context(context, x);
  Ciphertexts result(context, x.count(), x.polynomials(), x.limbs());
  for_each_limb(context, x, [&](std::size_t i, std::size_t p, std::size_t limb) {
    context.kernels().negate(x.limb(i, p, limb), result.limb(i, p, limb), context.degree(), context.modulus(limb));
  });
  return result;
}

Ciphertexts add_plain(const Context& context, const Ciphertexts& x, const Ciphertexts& plain) {
  check_polynomials(plain, 1);
  return combine(context, x, plain, context.kernels().add, false);
}

Ciphertexts multiply_plain(const Context& context, const Ciphertexts& x, const Ciphertexts& plain) {
  check_same(context, x, plain);
  check_polynomials(plain, 1);
  Ciphertexts result(context, x.count(), x.polynomials(), x.limbs());
  for_each_limb(context, x, [&](std::size_t i, std::size_t p, std::size_t limb) {
    context.kernels().multiply(x.limb(i, p, limb), plain.limb(i, 0, limb), result.limb(i, p, limb), context.degree(),
                               context.modulus(limb));
  });
  return result;
}

Ciphertexts multiply(const Context& context, const Ciphertexts& x, const Ciphertexts& y) {
  check_same(context, x, y);
  check_polynomials(x, 2);
  check_polynomials(y, 2);
  Ciphertexts result(context, x.count(), 3, x.limbs());
  for_each_limb(context, result, [&](std::size_t i, std::size_t p, std::size_t limb) {
    const Modulus& modulus = context.modulus(limb);
    const std::uint64_t* const left[] = {x.limb(i, 0, limb), x.limb(i, 1, limb)};
    const std::uint64_t* const right[] = {y.limb(i, 0, limb), y.limb(i, 1, limb)};
    std::uint64_t* const output = result.limb(i, p, limb);
    if (p == 1) {
      const std::uint64_t* const crossed[] = {right[1], right[0]};
      context.kernels().inner_product(left, crossed, 2, output, context.degree(), modulus);
    } else {
      context.kernels().multiply(left[p / 2], right[p / 2], output, context.degree(), modulus);
    }
  });
  return result;
}

Ciphertexts square(const Context& context, const Ciphertexts& x) { return multiply(context, x, x); }

Ciphertexts relinearize(const Context& context, const Ciphertexts& x, const SwitchingKey& key) {
  check_context(context, x);
  check_polynomials(x, 3);
  check_key(context, x, key);
  Representative representative;
  if (context.seal_shaped()) representative.kind = Representative::Kind::kFromZero;
  const std::size_t degree = context.degree();
  Ciphertexts result(context, x.count(), 2, x.limbs());
  const auto finish = [&](std::size_t i, std::size_t half, std::size_t limb, const std::uint64_t* values) {
    context.kernels().add(values, x.limb(i, half, limb), result.limb(i, half, limb), degree, context.modulus(limb));
  };
  switch_all(context, x, 2, key, representative, finish);
  return result;
}

Ciphertexts rotate(const Context& context, const Ciphertexts& x, const GaloisKey& key) {
  return rotated(context, x, key, false);
}

std::vector<Ciphertexts> rotate_hoisted(const Context& context, const Ciphertexts& x,
                                        const std::vector<GaloisKey>& keys) {
  check_context(context, x);
  check_polynomials(x, 2);
  for (const GaloisKey& key : keys) {
    check_key(context, x, key.key);
    context.permutation(key.element);  // refuses what is no Galois element
  }
  const std::size_t degree = context.degree(), limbs = x.limbs(), width = limbs + context.special_limbs();
  const Division division = division_by_special(context, limbs);
  std::vector<Ciphertexts> results;
  for (std::size_t k = 0; k < keys.size(); ++k) results.emplace_back(context, x.count(), 2, limbs);
  BufferPool::Buffer sums = context.borrow(2 * width * degree);
  const std::vector<const std::uint64_t*> inputs = {sums.data(), sums.data() + width * degree};
  for (std::size_t i = 0; i < x.count(); ++i) {
    const Digits digits(context, Decomposition(context, {x.limb(i, 1, 0)}, limbs, Representative()), 0, width);
    for (std::size_t k = 0; k < keys.size(); ++k) {
      context.pool().run(width, [&](std::size_t limb, std::size_t) {
        std::uint64_t* const base = sums.data() + limb * degree;
        inner_products(context, digits, 0, keys[k].key, limbs, limb, nullptr, 0, base, base + width * degree);
      });
      const PermutationView& permutation = context.permutation(keys[k].element);
      divide(context, division, inputs, [&](std::size_t half, std::size_t limb, std::uint64_t* values) {
        if (half == 0) context.kernels().add(values, x.limb(i, 0, limb), values, degree, context.modulus(limb));
        context.kernels().permute(permutation, values, results[k].limb(i, half, limb));
      });
    }
  }
  return results;
}

Ciphertexts rotate_and_add(const Context& context, const Ciphertexts& x, const std::vector<GaloisKey>& keys) {
  if (keys.empty()) {
    throw std::invalid_argument("a fold needs a key");
  }
  Ciphertexts result = rotated(context, x, keys[0], true);
  for (std::size_t k = 1; k < keys.size(); ++k) result = rotated(context, result, keys[k], true);
  return result;
}

Ciphertexts separate(const Context& context, const Ciphertexts& x, const GaloisKey& key, std::size_t count) {
  check_context(context, x);
  check_polynomials(x, 2);
  check_key(context, x, key.key);
  if (key.element != 2 * context.degree() - 1) throw std::invalid_argument("pairs are separated by conjugation");
  if (x.count() != (count + 1) / 2) {
    throw std::invalid_argument(std::to_string(count) + " vectors are not in " + std::to_string(x.count()) +
                                " ciphertexts");
  }
  const PermutationView& permutation = context.permutation(key.element);
  Representative representative;
  if (context.seal_shaped()) representative = {Representative::Kind::kRotated, key.element};
  const std::size_t degree = context.degree(), half_degree = degree / 2;
  Ciphertexts result(context, count, 2, x.limbs());
  const auto finish = [&](std::size_t i, std::size_t half, std::size_t limb, std::uint64_t* values) {
    const Modulus& modulus = context.modulus(limb);
    const Kernels& kernels = context.kernels();
    const std::uint64_t* const whole = x.limb(i, half, limb);
    std::uint64_t* const conjugate = result.limb(2 * i, half, limb);
    if (half == 0) kernels.add(values, whole, values, degree, modulus);
    kernels.permute(permutation, values, conjugate);
    if (2 * i + 1 < count) {
      // What is left of b is to be divided by X^(N/2), whose values are I in the first half and -I in the second.
      const std::uint64_t root = context.tables(limb).root_of_minus_one();
      std::uint64_t* const second = result.limb(2 * i + 1, half, limb);
      kernels.subtract_multiply_scalar(conjugate, whole, root, second, half_degree, modulus);
      kernels.subtract_multiply_scalar(whole + half_degree, conjugate + half_degree, root, second + half_degree,
                                       half_degree, modulus);
    }
    kernels.add(conjugate, whole, conjugate, degree, modulus);
  };
  switch_all(context, x, 1, key.key, representative, finish);
  return result;
}

Ciphertexts rescale(const Context& context, const Ciphertexts& x, std::size_t dropped) {
  check_context(context, x);
  check_dropped(x, dropped);
  Ciphertexts result = divided_by_last(context, x);
  for (std::size_t step = 1; step < dropped; ++step) result = divided_by_last(context, result);
  return result;
}

Ciphertexts drop_limbs(const Context& context, const Ciphertexts& x, std::size_t dropped) {
  check_context(context, x);
  check_dropped(x, dropped);
  Ciphertexts result(context, x.count(), x.polynomials(), x.limbs() - dropped);
  for_each_limb(context, result, [&](std::size_t i, std::size_t p, std::size_t limb) {
    std::memcpy(result.limb(i, p, limb), x.limb(i, p, limb), context.degree() * sizeof(std::uint64_t));
  });
  return result;
}

}  // namespace hecc

#include "scalars.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "aligned.hpp"

namespace hecc {
namespace {

// Words of a constant vector: it stays in the first-level cache, and every degree is a multiple of it.
constexpr std::size_t kConstantWords = 1024;

std::vector<std::uint64_t> residues_of(const Context& context, std::size_t limbs, double value, double scale) {
  const double integer = scaled_integer(value, scale);
  std::vector<std::uint64_t> residues;
  for (std::size_t limb = 0; limb < limbs; ++limb) residues.push_back(residue_of(integer, context.modulus(limb)));
  return residues;
}

void check_context(const Context& context, const Ciphertexts& x) {
  if (!x.belong_to(context)) throw std::invalid_argument("an operand was made by another context");
}

}  // namespace

double scaled_integer(double value, double scale) {
  if (!(scale > 0) || !std::isfinite(scale)) throw std::invalid_argument("the scale is not positive and finite");
  const double integer = std::round(value * scale);
  if (!std::isfinite(integer)) throw std::invalid_argument("a value at its scale is not finite");
  return integer;
}

std::uint64_t residue_of(double integer, const Modulus& modulus) {
  const std::uint64_t q = modulus.value;
  const double magnitude = std::fabs(integer);
  std::uint64_t residue;
  if (magnitude < 0x1p53) {
    residue = static_cast<std::uint64_t>(magnitude);
    if (residue >= q) residue %= q;
  } else {
    int exponent;
    const auto mantissa = static_cast<std::uint64_t>(std::ldexp(std::frexp(magnitude, &exponent), 53));
    const std::uint64_t power = power_modulo(2, static_cast<std::uint64_t>(exponent - 53), q);
    residue = multiply_modulo(mantissa % q, power, modulus);
  }
  return integer < 0 && residue != 0 ? q - residue : residue;
}

Ciphertexts add_scalar(const Context& context, const Ciphertexts& x, double value, double scale) {
  check_context(context, x);
  const std::vector<std::uint64_t> residues = residues_of(context, x.limbs(), value, scale);
  const std::size_t degree = context.degree(), limbs = x.limbs(), polynomials = x.polynomials();
  AlignedBuffer<std::uint64_t> constants(limbs * kConstantWords);
  for (std::size_t limb = 0; limb < limbs; ++limb) {
    std::fill_n(constants.data() + limb * kConstantWords, kConstantWords, residues[limb]);
  }
  Ciphertexts result(context, x.count(), polynomials, limbs);
  context.pool().run(x.count() * polynomials * limbs, [&](std::size_t index, std::size_t) {
    const std::size_t i = index / limbs / polynomials, p = index / limbs % polynomials, limb = index % limbs;
    const std::uint64_t* const input = x.limb(i, p, limb);
    std::uint64_t* const output = result.limb(i, p, limb);
    if (p != 0) {
      std::memcpy(output, input, degree * sizeof(std::uint64_t));
      return;
    }
    for (std::size_t first = 0; first < degree; first += kConstantWords) {
      context.kernels().add(input + first, constants.data() + limb * kConstantWords, output + first, kConstantWords,
                            context.modulus(limb));
    }
  });
  return result;
}

Ciphertexts multiply_scalar(const Context& context, const Ciphertexts& x, double value, double scale) {
  check_context(context, x);
  const std::vector<std::uint64_t> residues = residues_of(context, x.limbs(), value, scale);
  const std::size_t limbs = x.limbs(), polynomials = x.polynomials();
  Ciphertexts result(context, x.count(), polynomials, limbs);
  context.pool().run(x.count() * polynomials * limbs, [&](std::size_t index, std::size_t) {
    const std::size_t i = index / limbs / polynomials, p = index / limbs % polynomials, limb = index % limbs;
    context.kernels().multiply_scalar(x.limb(i, p, limb), residues[limb], result.limb(i, p, limb), context.degree(),
                                      context.modulus(limb));
  });
  return result;
}

}  // namespace hecc

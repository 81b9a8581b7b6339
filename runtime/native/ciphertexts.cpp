#include "ciphertexts.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace hecc {
namespace {

std::size_t checked_words(const Context& context, std::size_t count, std::size_t polynomials, std::size_t limbs) {
  context.check_limbs(limbs);
  if (count < 1 || polynomials < 1 || polynomials > 3) {
    throw std::invalid_argument(std::to_string(count) + " ciphertexts of " + std::to_string(polynomials) +
                                " polynomials: there must be one at least, of one to three");
  }
  const std::size_t each = polynomials * limbs * context.degree();
  if (count > std::numeric_limits<std::size_t>::max() / 16 / each) throw std::bad_array_new_length();
  return count * each;
}

}  // namespace

Ciphertexts::Ciphertexts(const Context& context, std::size_t count, std::size_t polynomials, std::size_t limbs)
    : count_(count),
      polynomials_(polynomials),
      limbs_(limbs),
      degree_(context.degree()),
      context_(context.identity()),
      buffer_(context.borrow(checked_words(context, count, polynomials, limbs))) {}

void check_residues(const Context& context, const std::uint64_t* residues, std::size_t rows,
                    const std::vector<std::size_t>& primes) {
  const std::size_t degree = context.degree();
  context.pool().run(rows * primes.size(), [&](std::size_t index, std::size_t) {
    const std::uint64_t modulus = context.modulus(primes[index % primes.size()]).value;
    const std::uint64_t* const values = residues + index * degree;
    bool reduced = true;  // without a branch, so that the compiler vectorises the loop
    for (std::size_t i = 0; i < degree; ++i) reduced &= values[i] < modulus;
    if (reduced) return;
    const std::uint64_t* const found =
        std::find_if(values, values + degree, [modulus](std::uint64_t value) { return value >= modulus; });
    throw std::invalid_argument("residue " + std::to_string(*found) + " at flat index " +
                                std::to_string(found - residues) + " is not below the modulus " +
                                std::to_string(modulus));
  });
}

}  // namespace hecc

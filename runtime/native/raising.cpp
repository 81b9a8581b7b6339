#include "raising.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "key_switching.hpp"

namespace hecc {
namespace {

void check(const Context& context, const Ciphertexts& x, const SwitchingKey& dense_to_sparse,
           const SwitchingKey& sparse_to_dense, std::size_t limbs) {
  if (!x.belong_to(context)) throw std::invalid_argument("an operand was made by another context");
  if (x.polynomials() != 2 || x.limbs() != 1) {
    throw std::invalid_argument("an operand has " + std::to_string(x.polynomials()) + " polynomials of " +
                                std::to_string(x.limbs()) + " limbs; two of one limb are raised");
  }
  if (dense_to_sparse.limbs != 1 || dense_to_sparse.digits != 1 || dense_to_sparse.special != 1) {
    throw std::invalid_argument("the first key is not one of one limb to a sparse secret");
  }
  if (sparse_to_dense.digits != 1 || sparse_to_dense.special != context.special_limbs()) {
    throw std::invalid_argument("the second key is not one of one digit from a sparse secret");
  }
  if (limbs < 2 || limbs > sparse_to_dense.limbs) {
    throw std::invalid_argument("a ciphertext is raised to 2.." + std::to_string(sparse_to_dense.limbs) +
                                " limbs, not to " + std::to_string(limbs));
  }
}

// One limb of a product with both halves of a key's only digit.
void times_key(const Context& context, const std::uint64_t* values, const SwitchingKey& key, std::size_t limb,
               std::size_t limbs, std::uint64_t* first, std::uint64_t* second) {
  const std::size_t own = key.own_limb(limb, limbs);
  context.kernels().key_products(&values, 1, key.residues + key.offset(context, own), key.run_bytes(context, own),
                                 nullptr, 0, first, second, context.degree(),
                                 context.modulus(context.prime_of(limb, limbs)));
}

// Both polynomials of one ciphertext under the sparse secret, in coefficient form, of shape (2, N). The one limb is the
// one digit, and the first special prime the one that is divided by.
BufferPool::Buffer under_sparse_secret(const Context& context, const Place& x, const SwitchingKey& key) {
  const std::size_t degree = context.degree(), special = context.data_limbs();
  const Modulus& q = context.modulus(0);
  const Modulus& p = context.modulus(special);
  BufferPool::Buffer lifted = context.borrow(degree), sums = context.borrow(4 * degree);
  context.inverse(0, x.limb(1, 0), lifted.data());
  context.kernels().lift(lifted.data(), q, lifted.data(), degree, p);
  context.forward(special, lifted.data(), lifted.data());
  times_key(context, x.limb(1, 0), key, 0, 1, sums.data(), sums.data() + 2 * degree);
  times_key(context, lifted.data(), key, 1, 1, sums.data() + degree, sums.data() + 3 * degree);
  const Division by_special{{special}, nullptr, {0}, {power_modulo(p.value % q.value, q.value - 2, q.value)}};
  BufferPool::Buffer result = divide_to_coefficients(context, by_special, {sums.data(), sums.data() + 2 * degree});
  context.inverse(0, x.limb(0, 0), lifted.data());
  context.kernels().add(result.data(), lifted.data(), result.data(), degree, q);
  return result;
}

}  // namespace

Ciphertexts raise_to(const Context& context, const Ciphertexts& x, const SwitchingKey& dense_to_sparse,
                     const SwitchingKey& sparse_to_dense, std::size_t limbs) {
  check(context, x, dense_to_sparse, sparse_to_dense, limbs);
  const std::size_t degree = context.degree(), width = limbs + context.special_limbs();
  const Kernels& kernels = context.kernels();
  const Modulus& q = context.modulus(0);
  const Division division = division_by_special(context, limbs);
  Ciphertexts result(context, x.count(), 2, limbs);
  BufferPool::Buffer sums = context.borrow(2 * width * degree);
  BufferPool::Buffer scratch = context.borrow(context.pool().threads() * degree);
  for (std::size_t i = 0; i < x.count(); ++i) {
    const BufferPool::Buffer coefficients = under_sparse_secret(context, {&x, i}, dense_to_sparse);
    // The integers closest to zero, modulo every other prime. They are those of one digit, however many limbs: the
    // second polynomial is multiplied with the key as it is.
    const auto lifted = [&](std::size_t half, std::size_t prime, std::uint64_t* output) {
      kernels.lift(coefficients.data() + half * degree, q, output, degree, context.modulus(prime));
      context.forward(prime, output, output);
    };
    context.pool().run(limbs + width, [&](std::size_t index, std::size_t worker) {
      if (index < limbs) return lifted(0, index, result.limb(i, 0, index));
      const std::size_t limb = index - limbs;
      std::uint64_t* const values = scratch.data() + worker * degree;
      lifted(1, context.prime_of(limb, limbs), values);
      times_key(context, values, sparse_to_dense, limb, limbs, sums.data() + limb * degree,
                sums.data() + (width + limb) * degree);
    });
    divide(context, division, {sums.data(), sums.data() + width * degree},
           [&](std::size_t half, std::size_t limb, const std::uint64_t* values) {
             std::uint64_t* const output = result.limb(i, half, limb);
             if (half == 0) {
               kernels.add(output, values, output, degree, context.modulus(limb));
             } else {
               std::copy(values, values + degree, output);
             }
           });
  }
  return result;
}

}  // namespace hecc

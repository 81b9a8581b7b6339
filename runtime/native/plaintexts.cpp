#include "plaintexts.hpp"

#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "aligned.hpp"

namespace hecc {

Ciphertexts encode_vectors(const Context& context, const double* vectors, std::size_t count, std::size_t slots,
                           double scale, std::size_t limbs) {
  if (!std::has_single_bit(slots) || slots > context.degree() / 2) {
    throw std::invalid_argument(std::to_string(slots) + " slots are not a power of two up to " +
                                std::to_string(context.degree() / 2));
  }
  if (!(scale > 0) || !std::isfinite(scale)) throw std::invalid_argument("the scale is not positive and finite");
  Ciphertexts result(context, count, 1, limbs);
  const Encoder encoder{context.kernels(), context.degree()};
  const std::size_t coefficients = Encoder::coefficient_count(slots);
  AlignedBuffer<double> embedded(count * coefficients), scratch(context.pool().threads() * coefficients);
  AlignedBuffer<int> words(count);
  context.pool().run(count, [&](std::size_t index, std::size_t worker) {
    const double* const values = vectors + index * slots;
    for (std::size_t i = 0; i < slots; ++i) {
      if (!std::isfinite(values[i])) throw std::invalid_argument("a value to encode is not finite");
    }
    words[index] = encoder.embed(values, slots, scale, embedded.data() + index * coefficients,
                                 scratch.data() + worker * coefficients);
    if (words[index] == 0) throw std::invalid_argument("a value at its scale is too large to encode");
  });
  BufferPool::Buffer compact = context.borrow(context.pool().threads() * coefficients);
  context.pool().run(count * limbs, [&](std::size_t index, std::size_t worker) {
    const std::size_t limb = index % limbs, vector = index / limbs;
    encoder.limb(embedded.data() + vector * coefficients, coefficients, words[vector], context.tables(limb).view(),
                 result.limb(vector, 0, limb), compact.data() + worker * coefficients);
  });
  return result;
}

}  // namespace hecc

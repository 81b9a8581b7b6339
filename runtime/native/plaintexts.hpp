// Vectors of slot values as plaintexts.
#pragma once

#include <cstddef>

#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// `count` vectors of `slots` values, a power of two, each repeated to the slots of the ring and encoded at `scale`: one
// polynomial each. Throws std::invalid_argument when a value is not finite or too large, or a number out of range.
Ciphertexts encode_vectors(const Context& context, const double* vectors, std::size_t count, std::size_t slots,
                           double scale, std::size_t limbs);

}  // namespace hecc

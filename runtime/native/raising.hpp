// Raising the modulus: what bootstrapping begins with (Cheon, Han, Kim, Kim and Song, EUROCRYPT 2018, section 3), under
// a sparse ephemeral secret (Bossuat, Troncoso-Pastoriza and Hubaux, "Bootstrapping for approximate homomorphic
// encryption with negligible failure-probability by using sparse-secret encapsulation", ACNS 2022, section 3).
#pragma once

#include <cstddef>

#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// Ciphertexts of two polynomials with one limb, raised to the first `limbs` data primes. What decrypts to m modulo the
// first prime q decrypts to m + q I afterwards, I small integers. The keys are that of one limb to the sparse secret,
// and that of one digit back. Throws std::invalid_argument, with a sentence for the user, when operands, keys or limbs
// do not fit one another.
Ciphertexts raise_to(const Context& context, const Ciphertexts& x, const SwitchingKey& dense_to_sparse,
                     const SwitchingKey& sparse_to_dense, std::size_t limbs);

}  // namespace hecc

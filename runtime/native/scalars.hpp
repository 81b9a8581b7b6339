// Numbers that are the same in all slots: constant polynomials, whose residues in NTT form are all alike.
#pragma once

#include <cstdint>

#include "ciphertexts.hpp"
#include "context.hpp"

namespace hecc {

// value * scale rounded to an integer, halves away from zero, as SEAL encodes a number. Throws std::invalid_argument
// unless the scale is positive and all is finite.
double scaled_integer(double value, double scale);

// The residue of a double that is an integer, however large.
std::uint64_t residue_of(double integer, const Modulus& modulus);

// x + value encoded at `scale`, that of x; and x times value encoded at `scale`.
Ciphertexts add_scalar(const Context& context, const Ciphertexts& x, double value, double scale);
Ciphertexts multiply_scalar(const Context& context, const Ciphertexts& x, double value, double scale);

}  // namespace hecc

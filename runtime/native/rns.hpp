// Residue number systems: from the residues modulo some primes to those modulo others.
//
// With D the product of the source primes, y_i = x * (D / q_i)^-1 mod q_i gives x = sum y_i * (D / q_i) - v * D
// exactly, where v = floor(sum y_i / q_i) (Halevi, Polyakov and Shoup, CT-RSA 2019, section 2). v is found in double
// precision: where x / D is within 2^-42 of an integer it can be off by one, and x is then off by D, which CKKS
// tolerates as it tolerates any other representative. With one source prime v is 0, and everything is exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "aligned.hpp"
#include "modulus.hpp"
#include "ntt.hpp"

namespace hecc {

struct Kernels;

// Words of one polynomial that a conversion works on at a time.
inline constexpr std::size_t kConversionChunk = 512;

// What the kernel reads: plain data.
struct ConversionView {
  std::size_t sources, targets;
  const Modulus* source;
  const Modulus* target;
  const Encoded* scale;          // per source: (D / q_i)^-1 mod q_i, in the implementation's format
  const std::uint64_t* offset;   // per source: added to x first: D/2 mod q_i when centred, else 0
  const std::uint64_t* weights;  // per target: sources + 1 words, D / q_i mod p_j, then -D mod p_j
  const std::uint64_t* counter;  // per target: added at the end: -D/2 mod p_j when centred, else 0
};

struct RnsKernels {
  // Coefficients: `input` holds one array per source, `output` one per target, each of `count` residues (a multiple of
  // kBlock). An output must not be an input. `scratch` holds conversion_scratch(sources) words.
  void (*convert)(const ConversionView& conversion, const std::uint64_t* const* input, std::uint64_t* const* output,
                  std::size_t count, std::uint64_t* scratch);

  // One limb to another prime: `x`, residues modulo q, stands for the integers closest to zero, and `out`, which may be
  // `x`, receives these modulo p.
  void (*lift)(const std::uint64_t* x, const Modulus& q, std::uint64_t* out, std::size_t count, const Modulus& p);
};

inline std::size_t conversion_scratch(std::size_t sources) { return (sources + 1) * kConversionChunk; }

// A conversion's constants.
class BasisConversion {
 public:
  // x in [0, D) is given by its residues modulo `sources`, and wanted modulo `targets`: a mod-up. If `centred`, what is
  // converted is the representative of x in [-D/2, D/2): what a mod-down and a rescale subtract. Throws
  // std::invalid_argument if there are no sources, more than 64, more than 256 targets, or one prime twice.
  BasisConversion(const std::vector<Modulus>& sources, const std::vector<Modulus>& targets, bool centred,
                  FactorFormat format);

  const ConversionView& view() const { return view_; }

 private:
  std::vector<Modulus> source_, target_;
  std::vector<Encoded> scale_;
  std::vector<std::uint64_t> offset_, weights_, counter_;
  ConversionView view_{};

 public:
  // A copy's view would point into the original.
  BasisConversion(const BasisConversion&) = delete;
  BasisConversion& operator=(const BasisConversion&) = delete;
  // Moving a vector keeps its elements in place.
  BasisConversion(BasisConversion&&) = default;
  BasisConversion& operator=(BasisConversion&&) = default;
};

// Division by the product P of the last limbs with rounding, all in NTT form: a mod-down by the special primes, or,
// with a single last limb, a rescale. x becomes (x - c) / P with c the representative of x mod P in [-P/2, P/2): for
// one prime the result is Microsoft SEAL's to the bit.
class ModDown {
 public:
  // `kept` and `dropped` in the order of the limbs. Throws what BasisConversion throws, and std::invalid_argument if
  // the tables are of different degrees or formats.
  ModDown(const std::vector<const NttTables*>& kept, const std::vector<const NttTables*>& dropped, FactorFormat format);

  std::size_t kept() const { return kept_.size(); }
  std::size_t dropped() const { return dropped_.size(); }
  std::size_t degree() const { return degree_; }
  std::size_t scratch_words() const { return (dropped() + kept()) * degree_ + conversion_scratch(dropped()); }

  // `input` holds kept() + dropped() limbs, `output` kept() limbs; output j may be input j. `scratch` holds
  // scratch_words() words. The kernels must be those whose format the tables have.
  void apply(const Kernels& kernels, const std::uint64_t* const* input, std::uint64_t* const* output,
             std::uint64_t* scratch) const;

 private:
  std::size_t degree_;
  std::vector<const NttView*> kept_, dropped_;
  BasisConversion conversion_;
  std::vector<std::uint64_t> inverse_;  // P^-1 modulo each kept prime
};

}  // namespace hecc

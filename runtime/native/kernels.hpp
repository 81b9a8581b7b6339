// All kernels of one implementation, and the choice among implementations.
#pragma once

#include <string_view>
#include <vector>

#include "automorphism.hpp"
#include "encoding.hpp"
#include "ntt.hpp"
#include "pointwise.hpp"
#include "ring.hpp"
#include "rns.hpp"
#include "series.hpp"

namespace hecc {

// Pointers to plain functions: `kernels.inner_product(...)`. The families document their contracts.
struct Kernels : NttKernels,
                 PointwiseKernels,
                 RnsKernels,
                 AutomorphismKernels,
                 EncodingKernels,
                 RingKernels,
                 SeriesKernels {
  const char* name;
};

// What this processor and its operating system can run, the fastest first, "portable" last. The environment variable
// HECC_MASK_CPU names features of the processor that are taken for absent; it is read once, at the first call. Throws
// std::invalid_argument if it names anything else.
const std::vector<const Kernels*>& available_kernels();

// The implementation of a name, "avx512ifma", "avx2" or "portable"; std::invalid_argument if it is unknown or cannot
// run here.
const Kernels& kernels_named(std::string_view name);

// The one that the environment variable HECC_KERNELS names, or the fastest. The variable is read once, at the first
// call. Throws what kernels_named throws.
const Kernels& default_kernels();

// The implementations, each in a translation unit of its own with compiler flags of its own. Run only what is
// available.
extern const Kernels kPortableKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512IfmaKernels;

}  // namespace hecc

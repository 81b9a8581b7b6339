// How long the kernels take, measured inside the extension: what `benchmarks/kernels.py` and the cost model ask for.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace hecc {

// Seconds of `repeats` samples by kernel, on random data of `limbs` (at least 2) limbs of primes of `bits` bits, in a
// ring of this degree, on the calling thread. A sample is the mean over all limbs where a kernel works on one limb.
// Throws std::invalid_argument for parameters that no ring has, or if there are not enough primes.
std::map<std::string, std::vector<double>> time_kernels(const Kernels& kernels, std::uint64_t degree, std::size_t limbs,
                                                        int bits, std::size_t repeats);

}  // namespace hecc

#include "automorphism_kernels.hpp"
#include "encoding_kernels.hpp"
#include "isa_portable.hpp"
#include "kernels.hpp"
#include "ntt_kernels.hpp"
#include "pointwise_kernels.hpp"
#include "ring_kernels.hpp"
#include "rns_kernels.hpp"
#include "series_kernels.hpp"

namespace hecc {
namespace {

void forward(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  transform_forward<Portable::Field>(tables, log_size, 1, input, output);
}

void forward_half(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  transform_forward<Portable::Field>(tables, log_size - 1, 2, input, output);
}

}  // namespace

constinit const Kernels kPortableKernels = {
    {Portable::kFormat, forward, forward_half, transform_inverse<Portable::Field>},
    Pointwise<Portable>::kernels(),
    Rns<Portable>::kernels(),
    Automorphism<Portable>::kernels(),
    Encoding<Portable>::kernels(),
    Ring<Portable>::kernels(),
    Series<Portable>::kernels(),
    "portable"};

}  // namespace hecc

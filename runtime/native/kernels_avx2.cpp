// Compiled with AVX2 and FMA switched on; nothing in here may run where they are missing.
#include "automorphism_kernels.hpp"
#include "encoding_kernels.hpp"
#include "isa_avx2.hpp"
#include "kernels.hpp"
#include "ntt_kernels.hpp"
#include "pointwise_kernels.hpp"
#include "ring_kernels.hpp"
#include "rns_kernels.hpp"
#include "series_kernels.hpp"

namespace hecc {
namespace {

void forward_below(const NttView& tables, int log_size, std::size_t node, const std::uint64_t* input,
                   std::uint64_t* output) {
  const auto kernel =
      tables.modulus.bits <= 48 ? transform_forward<Avx2::Field<true>> : transform_forward<Avx2::Field<false>>;
  kernel(tables, log_size, node, input, output);
}

void forward(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  forward_below(tables, log_size, 1, input, output);
}

void forward_half(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  forward_below(tables, log_size - 1, 2, input, output);
}

}  // namespace

constinit const Kernels kAvx2Kernels = {{Avx2::kFormat, forward, forward_half, transform_inverse<Avx2::Field<false>>},
                                        Pointwise<Avx2>::kernels(),
                                        Rns<Avx2>::kernels(),
                                        Automorphism<Avx2>::kernels(),
                                        Encoding<Avx2>::kernels(),
                                        Ring<Avx2>::kernels(),
                                        Series<Avx2>::kernels(),
                                        "avx2"};

}  // namespace hecc

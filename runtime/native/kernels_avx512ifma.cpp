// Compiled with AVX-512 F, DQ, VL and IFMA switched on; nothing in here may run where they are missing.
#include "automorphism_kernels.hpp"
#include "encoding_kernels.hpp"
#include "isa_avx512ifma.hpp"
#include "kernels.hpp"
#include "ntt_kernels.hpp"
#include "pointwise_kernels.hpp"
#include "ring_kernels.hpp"
#include "rns_kernels.hpp"
#include "series_kernels.hpp"

namespace hecc {
namespace {

using Bound = Avx512Ifma::Bound;

void forward_below(const NttView& tables, int log_size, std::size_t node, const std::uint64_t* input,
                   std::uint64_t* output) {
  const auto kernel = tables.modulus.bits <= 46   ? transform_forward<Avx512Ifma::Field<Bound::k46>>
                      : tables.modulus.bits <= 48 ? transform_forward<Avx512Ifma::Field<Bound::k48>>
                                                  : transform_forward<Avx512Ifma::Field<Bound::k50>>;
  kernel(tables, log_size, node, input, output);
}

void forward(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  forward_below(tables, log_size, 1, input, output);
}

void forward_half(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  forward_below(tables, log_size - 1, 2, input, output);
}

void inverse(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  const auto kernel = tables.modulus.bits <= 48 ? transform_inverse<Avx512Ifma::Field<Bound::k48>>
                                                : transform_inverse<Avx512Ifma::Field<Bound::k50>>;
  kernel(tables, log_size, input, output);
}

}  // namespace

constinit const Kernels kAvx512IfmaKernels = {{Avx512Ifma::kFormat, forward, forward_half, inverse},
                                              Pointwise<Avx512Ifma>::kernels(),
                                              Rns<Avx512Ifma>::kernels(),
                                              Automorphism<Avx512Ifma>::kernels(),
                                              Encoding<Avx512Ifma>::kernels(),
                                              Ring<Avx512Ifma>::kernels(),
                                              Series<Avx512Ifma>::kernels(),
                                              "avx512ifma"};

}  // namespace hecc

#include "automorphism_kernels.hpp"
#include "encoding_kernels.hpp"
#include "isa_portable.hpp"
#include "kernels.hpp"
#include "ntt_kernels.hpp"
#include "pointwise_kernels.hpp"
#include "rns_kernels.hpp"

namespace hecc {

constinit const Kernels kPortableKernels = {
    {Portable::kFormat, transform_forward<Portable::Field>, transform_inverse<Portable::Field>},
    Pointwise<Portable>::kernels(),
    Rns<Portable>::kernels(),
    Automorphism<Portable>::kernels(),
    Encoding<Portable>::kernels(),
    "portable"};

}  // namespace hecc

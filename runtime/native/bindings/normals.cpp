// Normal numbers for simulations.
#include "normals.hpp"

#include <cstdint>

#include "arrays.hpp"
#include "native_module.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

using Reals = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;  // writable

void fill(NormalStream& stream, const Reals& out) {
  check_alignment(out.data());
  // One thread at a time: the stream has a state.
  stream.fill(out.data(), out.shape(0));
}

}  // namespace

void bind_normals(nb::module_& module) {
  nb::class_<NormalStream>(module, "NormalStream")
      .def(nb::init<std::uint64_t, std::uint64_t>(), "seed"_a, "stream"_a)
      .def("fill", fill, "out"_a.noconvert());
}

}  // namespace hecc

// Kernels of residues one by one.
#include <cstddef>
#include <cstdint>

#include "arrays.hpp"
#include "kernels.hpp"
#include "modulus.hpp"
#include "native_module.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

template <class Call>
void binary(const Words& a, const Words& b, const Output& out, std::uint64_t modulus, Call call) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("b", b, {count});
  check_shape("out", out, {count});
  check_in_place(out, a);
  check_in_place(out, b);
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  check_reduced(b, q);
  call(a.data(), b.data(), out.data(), count, q);
}

// add, subtract or multiply.
template <auto kernel>
void combine(const KernelSet& set, const Words& a, const Words& b, const Output& out, std::uint64_t modulus) {
  binary(a, b, out, modulus, set.kernels->*kernel);
}

void subtract_multiply_scalar(const KernelSet& set, const Words& a, const Words& b, std::uint64_t scalar,
                              const Output& out, std::uint64_t modulus) {
  check_below(&scalar, 1, modulus, "residue");
  binary(a, b, out, modulus,
         [&](const std::uint64_t* x, const std::uint64_t* y, std::uint64_t* z, std::size_t count, const Modulus& q) {
           set.kernels->subtract_multiply_scalar(x, y, scalar, z, count, q);
         });
}

template <class Call>
void unary(const Words& a, const Output& out, std::uint64_t modulus, std::uint64_t bound, Call call) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("out", out, {count});
  check_in_place(out, a);
  const nb::gil_scoped_release release;
  check_below(a.data(), count, bound, bound == modulus ? "residue" : "word");
  call(a.data(), out.data(), count, q);
}

void encode_factors(const KernelSet& set, const Words& a, const Output& values, const Output& quotients,
                    std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("values", values, {count});
  check_shape("quotients", quotients, {count});
  check_in_place(values, a);
  check_apart(quotients, a);
  check_apart(quotients, values);
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  set.kernels->encode_factors(a.data(), values.data(), quotients.data(), count, q);
}

void multiply_encoded(const KernelSet& set, const Words& a, const Words& values, const Words& quotients,
                      const Output& out, std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("a", a);
  check_shape("a", a, {count});
  check_shape("values", values, {count});
  check_shape("quotients", quotients, {count});
  check_shape("out", out, {count});
  for (const Words* const input : {&a, &values, &quotients}) check_in_place(out, *input);
  const nb::gil_scoped_release release;
  check_reduced(a, q);
  set.kernels->multiply_encoded(a.data(), values.data(), quotients.data(), out.data(), count, q);
}

}  // namespace

void bind_pointwise(KernelsClass& kernels) {
  kernels
      .def("add", combine<&PointwiseKernels::add>, "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(),
           "modulus"_a)
      .def("subtract", combine<&PointwiseKernels::subtract>, "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(),
           "modulus"_a)
      .def("multiply", combine<&PointwiseKernels::multiply>, "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(),
           "modulus"_a)
      .def(
          "negate",
          [](const KernelSet& set, const Words& a, const Output& out, std::uint64_t modulus) {
            unary(a, out, modulus, modulus, set.kernels->negate);
          },
          "a"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def(
          "reduce",
          [](const KernelSet& set, const Words& a, const Output& out, std::uint64_t modulus) {
            unary(a, out, modulus, std::uint64_t{1} << 52, set.kernels->reduce);
          },
          "a"_a.noconvert(), "out"_a.noconvert(), "modulus"_a)
      .def(
          "multiply_scalar",
          [](const KernelSet& set, const Words& a, std::uint64_t scalar, const Output& out, std::uint64_t modulus) {
            check_below(&scalar, 1, modulus, "residue");
            unary(a, out, modulus, modulus,
                  [&](const std::uint64_t* x, std::uint64_t* y, std::size_t count, const Modulus& q) {
                    set.kernels->multiply_scalar(x, scalar, y, count, q);
                  });
          },
          "a"_a.noconvert(), "scalar"_a, "out"_a.noconvert(), "modulus"_a)
      .def("subtract_multiply_scalar", subtract_multiply_scalar, "a"_a.noconvert(), "b"_a.noconvert(), "scalar"_a,
           "out"_a.noconvert(), "modulus"_a)
      .def("encode_factors", encode_factors, "a"_a.noconvert(), "values"_a.noconvert(), "quotients"_a.noconvert(),
           "modulus"_a)
      .def("multiply_encoded", multiply_encoded, "a"_a.noconvert(), "values"_a.noconvert(), "quotients"_a.noconvert(),
           "out"_a.noconvert(), "modulus"_a);
}

}  // namespace hecc

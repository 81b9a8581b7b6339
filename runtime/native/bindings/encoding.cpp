// Encoding: slots to coefficients, and those to residues.
#include "encoding.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aligned.hpp"
#include "arrays.hpp"
#include "kernels.hpp"
#include "modulus.hpp"
#include "native_module.hpp"
#include "ntt.hpp"

namespace hecc {
namespace {

using namespace nb::literals;

void fold_conjugates(const KernelSet& set, const Words& residues, std::uint64_t root, const Output& out,
                     std::uint64_t modulus) {
  const Modulus q = make_modulus(modulus);
  const std::size_t count = count_of("out", out);
  check_shape("residues", residues, {count + 1});
  check_shape("out", out, {count});
  check_apart(out, residues);
  check_below(&root, 1, modulus, "residue");
  if (residues.data()[count] != 0) refuse("the last of the residues is not zero");
  const nb::gil_scoped_release release;
  check_reduced(residues, q);
  set.kernels->fold_conjugates(residues.data(), root, out.data(), count, q);
}

struct RingEncoder {
  Encoder encoder;

  RingEncoder(const KernelSet& set, std::uint64_t degree) : encoder{*set.kernels, static_cast<std::size_t>(degree)} {
    if (!std::has_single_bit(degree) || std::countr_zero(degree) < kMinLogDegree ||
        std::countr_zero(degree) > kMaxLogDegree) {
      refuse("the degree " + std::to_string(degree) + " is not a power of two from 2^11 to 2^17");
    }
  }

  template <class T>
  void check_values(const Slots<T>& values, double scale) const {
    const std::size_t slots = values.shape(0);
    if (!std::has_single_bit(slots) || slots > encoder.degree / 2) {
      refuse("the number of slots " + std::to_string(slots) + " is not a power of two up to " +
             std::to_string(encoder.degree / 2));
    }
    if (reinterpret_cast<std::uintptr_t>(values.data()) % alignof(T) != 0) refuse("the slot values are not aligned");
    if (!std::isfinite(scale) || !(scale > 0)) refuse("the scale " + std::to_string(scale) + " is not positive");
    for (std::size_t i = 0; i < slots; ++i) {
      if (!std::isfinite(std::abs(values.data()[i]))) refuse("slot value " + std::to_string(i) + " is not finite");
    }
  }

  static void refuse_large() { refuse("a coefficient of the encoded values is 2^148 or more: the scale is too large"); }

  template <class T>
  auto embed(const Slots<T>& values, double scale) const {
    check_values<T>(values, scale);
    const std::size_t count = Encoder::coefficient_count(values.shape(0));
    auto coefficients = std::make_unique<AlignedBuffer<double>>(count);
    {
      const nb::gil_scoped_release release;
      AlignedBuffer<double> scratch(count);
      if (encoder.embed(values.data(), values.shape(0), scale, coefficients->data(), scratch.data()) == 0) {
        refuse_large();
      }
    }
    double* const data = coefficients->data();
    nb::capsule owner(coefficients.release(), [](void* p) noexcept { delete static_cast<AlignedBuffer<double>*>(p); });
    return nb::ndarray<nb::numpy, double, nb::ndim<1>>(data, {count}, owner);
  }

  void check_tables(const std::vector<Tables>& tables) const {
    for (const Tables& one : tables) {
      if (one.kernels != &encoder.kernels) refuse("the tables are of another implementation");
      if (one.shared->degree() != encoder.degree) refuse("the tables are of another degree");
    }
  }

  // Coefficients that may come from anywhere.
  void limbs(const Coefficients& coefficients, const std::vector<Tables>& tables, const Output& out) const {
    const std::size_t count = coefficients.shape(0);
    if (!std::has_single_bit(count) || count > encoder.degree || count < std::size_t{1} << kMinLogTransform) {
      refuse("the number of coefficients " + std::to_string(count) + " is not a power of two from 64 to the degree");
    }
    check_alignment(coefficients.data());
    check_tables(tables);
    check_shape("out", out, {tables.size(), encoder.degree});
    check_apart(out, coefficients);
    double largest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double x = coefficients.data()[i];
      if (!std::isfinite(x) || std::trunc(x) != x) refuse("coefficient " + std::to_string(i) + " is not an integer");
      largest = std::max(largest, std::abs(x));
    }
    const int words = word_count(largest);
    if (words == 0) refuse_large();
    const nb::gil_scoped_release release;
    write_limbs(coefficients.data(), count, words, tables, out);
  }

  template <class T>
  void encode(const Slots<T>& values, double scale, const std::vector<Tables>& tables, const Output& out) const {
    check_values<T>(values, scale);
    check_tables(tables);
    check_shape("out", out, {tables.size(), encoder.degree});
    check_apart(out, values);
    const std::size_t count = Encoder::coefficient_count(values.shape(0));
    const nb::gil_scoped_release release;
    AlignedBuffer<double> coefficients(count), scratch(count);
    const int words = encoder.embed(values.data(), values.shape(0), scale, coefficients.data(), scratch.data());
    if (words == 0) refuse_large();
    write_limbs(coefficients.data(), count, words, tables, out);
  }

  void write_limbs(const double* coefficients, std::size_t count, int words, const std::vector<Tables>& tables,
                   const Output& out) const {
    AlignedBuffer<std::uint64_t> scratch(count);
    for (std::size_t i = 0; i < tables.size(); ++i) {
      encoder.limb(coefficients, count, words, tables[i].shared->view(), out.data() + i * encoder.degree,
                   scratch.data());
    }
  }
};

}  // namespace

void bind_encoding(nb::module_& module, KernelsClass& kernels) {
  kernels.def("fold_conjugates", fold_conjugates, "residues"_a.noconvert(), "root"_a, "out"_a.noconvert(), "modulus"_a);

  nb::class_<RingEncoder>(module, "Encoder")
      .def(nb::init<const KernelSet&, std::uint64_t>(), "kernels"_a, "degree"_a)
      .def("embed", &RingEncoder::embed<double>, "values"_a.noconvert(), "scale"_a)
      .def("embed", &RingEncoder::embed<float>, "values"_a.noconvert(), "scale"_a)
      .def("embed", &RingEncoder::embed<std::complex<double>>, "values"_a.noconvert(), "scale"_a)
      .def("limbs", &RingEncoder::limbs, "coefficients"_a.noconvert(), "tables"_a, "out"_a.noconvert())
      .def("encode", &RingEncoder::encode<double>, "values"_a.noconvert(), "scale"_a, "tables"_a, "out"_a.noconvert())
      .def("encode", &RingEncoder::encode<float>, "values"_a.noconvert(), "scale"_a, "tables"_a, "out"_a.noconvert())
      .def("encode", &RingEncoder::encode<std::complex<double>>, "values"_a.noconvert(), "scale"_a, "tables"_a,
           "out"_a.noconvert());
}

}  // namespace hecc

// The Python module hecc.runtime.native._evaluator: ciphertexts, switching keys and linear transforms as objects that
// have been checked once. What is checked here is everything that memory safety rests on.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arithmetic.hpp"
#include "ciphertexts.hpp"
#include "context.hpp"
#include "linear_transform.hpp"
#include "matrix_product.hpp"
#include "plaintexts.hpp"
#include "raising.hpp"
#include "scalars.hpp"
#include "seal_random.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace hecc {
namespace {

// C-contiguous, native-endian. Anything else is a TypeError: `noconvert` below forbids a silent copy.
template <class T, std::size_t dimensions>
using Array = nb::ndarray<T, nb::ndim<dimensions>, nb::c_contig, nb::device::cpu>;

using SharedContext = std::shared_ptr<Context>;

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

template <class A>
void check_alignment(const A& array) {
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(typename A::Scalar) != 0) {
    refuse("an array is not aligned to its elements");
  }
}

template <class A>
void check_shape(const A& array, std::initializer_list<std::size_t> expected) {
  check_alignment(array);
  std::string found, wanted;
  bool equal = true;
  std::size_t i = 0;
  for (const std::size_t size : expected) {
    found.append(" ").append(std::to_string(array.shape(i)));
    wanted.append(" ").append(std::to_string(size));
    equal = equal && array.shape(i++) == size;
  }
  if (!equal) refuse("an array has the shape" + found + " instead of" + wanted);
}

std::vector<std::size_t> data_limbs(std::size_t limbs) {
  std::vector<std::size_t> primes;
  for (std::size_t i = 0; i < limbs; ++i) primes.push_back(i);
  return primes;
}

// A switching key, and what keeps its memory and its primes alive.
struct Key {
  SharedContext context;
  Array<const std::uint8_t, 1> array;
  SwitchingKey key;

  // The key of as many limbs as there are bytes for, at most `most`; key_of(limbs) says how such a key lies in memory.
  template <class KeyOf>
  Key(SharedContext the_context, Array<const std::uint8_t, 1> residues, std::size_t most, const KeyOf& key_of)
      : context(std::move(the_context)), array(std::move(residues)), key(key_of(1)) {
    while (key.bytes(*context) < array.shape(0) && key.limbs < most) key = key_of(key.limbs + 1);
    if (key.bytes(*context) != array.shape(0)) {
      refuse("a switching key of " + std::to_string(array.shape(0)) + " bytes is of no number of limbs");
    }
    check_alignment(array);
    const nb::gil_scoped_release release;
    check_residues(*context, key);
  }
};

using Bytes = Array<const std::uint8_t, 1>;

Key* hybrid_key(const SharedContext& context, const Bytes& residues) {
  return new Key(context, residues, context->data_limbs(),
                 [&](std::size_t limbs) { return SwitchingKey::hybrid(*context, residues.data(), limbs); });
}

Key* dense_to_sparse_key(const SharedContext& context, const Bytes& residues) {
  return new Key(context, residues, 1, [&](std::size_t) { return SwitchingKey::of_one_limb(residues.data()); });
}

Key* sparse_to_dense_key(const SharedContext& context, const Bytes& residues) {
  return new Key(context, residues, context->data_limbs(),
                 [&](std::size_t limbs) { return SwitchingKey::of_one_digit(*context, residues.data(), limbs); });
}

const SwitchingKey& any_key_of(const SharedContext& context, const Key& key) {
  if (key.context != context) refuse("a switching key was made for another context");
  return key.key;
}

// The key of a rotation or of relinearisation.
const SwitchingKey& key_of(const SharedContext& context, const Key& key) {
  const SwitchingKey& found = any_key_of(context, key);
  if (!found.is_hybrid(*context)) refuse("a switching key of another shape: it is for raising ciphertexts");
  return found;
}

GaloisKey galois_key(const SharedContext& context, const Key& key, std::uint64_t element) {
  return {element, key_of(context, key)};
}

std::vector<GaloisKey> galois_keys(const SharedContext& context, const std::vector<const Key*>& keys,
                                   const std::vector<std::uint64_t>& elements) {
  if (keys.size() != elements.size()) refuse("there must be one key for each Galois element");
  std::vector<GaloisKey> result;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == nullptr) refuse("a switching key is missing");
    result.push_back(galois_key(context, *keys[i], elements[i]));
  }
  return result;
}

Ciphertexts from_array(const SharedContext& context, const Array<const std::uint64_t, 4>& residues) {
  Ciphertexts result(*context, residues.shape(0), residues.shape(1), residues.shape(2));
  check_shape(residues, {result.count(), result.polynomials(), result.limbs(), context->degree()});
  const nb::gil_scoped_release release;
  // Copied first, so that what has been checked cannot change any more.
  std::memcpy(result.limb(0, 0, 0), residues.data(), result.words() * sizeof(std::uint64_t));
  check_residues(*context, result.limb(0, 0, 0), result.count() * result.polynomials(), data_limbs(result.limbs()));
  return result;
}

Ciphertexts from_bytes(const SharedContext& context, const Array<const std::uint8_t, 1>& residues,
                       std::size_t polynomials, std::size_t limbs, const std::optional<nb::bytes>& seed) {
  if (seed && seed->size() != kSeedBytes) refuse("a seed has " + std::to_string(kSeedBytes) + " bytes");
  const auto* const bytes = seed ? reinterpret_cast<const std::uint8_t*>(seed->c_str()) : nullptr;
  const nb::gil_scoped_release release;
  return read_ciphertext(*context, {residues.data(), residues.size()}, polynomials, limbs, bytes);
}

// places[i] are the number of an array and an index in it.
std::vector<Place> places_of(const std::vector<const Ciphertexts*>& arrays,
                             const Array<const std::int64_t, 2>& places) {
  check_alignment(places);
  check_shape(places, {places.shape(0), 2});
  std::vector<Place> result;
  for (std::size_t i = 0; i < places.shape(0); ++i) {
    const auto array = static_cast<std::size_t>(places(i, 0)), index = static_cast<std::size_t>(places(i, 1));
    if (array >= arrays.size() || arrays[array] == nullptr) refuse("there is no array " + std::to_string(array));
    result.push_back({arrays[array], index});
  }
  return result;
}

nb::ndarray<nb::numpy, const std::uint64_t, nb::ndim<4>> to_array(nb::handle self) {
  const Ciphertexts& x = nb::cast<const Ciphertexts&>(self);
  return {x.limb(0, 0, 0), {x.count(), x.polynomials(), x.limbs(), x.degree()}, self};
}

Ciphertexts encode(const SharedContext& context, const Array<const double, 2>& vectors, double scale,
                   std::size_t limbs) {
  check_alignment(vectors);
  const nb::gil_scoped_release release;
  return encode_vectors(*context, vectors.data(), vectors.shape(0), vectors.shape(1), scale, limbs);
}

// The limbs of a context, or those of any primes.
void expand(const Kernels& kernels, ThreadPool& pool, const nb::bytes& seed, const std::vector<Modulus>& moduli,
            const Array<std::uint64_t, 2>& output) {
  if (seed.size() != kSeedBytes) refuse("a seed has " + std::to_string(kSeedBytes) + " bytes");
  std::uint8_t bytes[kSeedBytes];
  std::memcpy(bytes, seed.c_str(), kSeedBytes);
  const nb::gil_scoped_release release;
  expand_seed(kernels, pool, bytes, moduli, output.shape(1), output.data());
}

void expand_in_context(const SharedContext& context, const nb::bytes& seed, const Array<std::uint64_t, 2>& output) {
  context->check_limbs(output.shape(0));
  check_shape(output, {output.shape(0), context->degree()});
  std::vector<Modulus> moduli;
  for (std::size_t limb = 0; limb < output.shape(0); ++limb) moduli.push_back(context->modulus(limb));
  expand(context->kernels(), context->pool(), seed, moduli, output);
}

void expand_alone(const nb::bytes& seed, const std::vector<std::uint64_t>& primes,
                  const Array<std::uint64_t, 2>& output) {
  check_shape(output, {primes.size(), output.shape(1)});
  if (output.shape(1) % kSeedDegree != 0) {
    refuse("a degree of " + std::to_string(output.shape(1)) + " is no multiple of " + std::to_string(kSeedDegree));
  }
  std::vector<Modulus> moduli;
  for (const std::uint64_t prime : primes) moduli.push_back(make_modulus(prime));
  ThreadPool pool(1);
  expand(default_kernels(), pool, seed, moduli, output);
}

// A linear transform, and what keeps its arrays and its primes alive.
class Transform {
 public:
  Transform(SharedContext context, std::size_t rows, std::size_t columns, std::size_t slots, std::size_t limbs,
            double scale, const Array<const std::int32_t, 1>& row, const Array<const std::int32_t, 1>& column,
            const Array<const std::int32_t, 1>& baby, const Array<const std::int32_t, 1>& giant,
            const Array<const std::int64_t, 1>& offsets, Array<const std::uint16_t, 1> value_slots,
            Array<const float, 1> values, std::size_t memory)
      : context_(std::move(context)),
        value_slots_(std::move(value_slots)),
        values_(std::move(values)),
        transform_(*context_, rows, columns, slots, limbs, scale,
                   checked(row, column, baby, giant, offsets, value_slots_, values_), memory) {}

  Transform(SharedContext context, std::size_t limbs, double scale, const Array<const std::int32_t, 1>& baby,
            const Array<const std::int32_t, 1>& giant, Array<const std::complex<double>, 2> values, std::size_t memory)
      : context_(std::move(context)),
        complex_values_(std::move(values)),
        transform_(*context_, limbs, scale, checked(baby, giant, complex_values_), memory) {}

  Ciphertexts apply(const Ciphertexts& x, const std::vector<const Key*>& keys,
                    const std::vector<std::uint64_t>& elements, std::size_t memory) {
    const std::vector<GaloisKey> galois = galois_keys(context_, keys, elements);
    const nb::gil_scoped_release release;
    return transform_.apply(*context_, x, galois, memory);
  }

  const std::vector<std::size_t>& steps() const { return transform_.steps(); }
  std::size_t kept_bytes() const { return transform_.kept_bytes(); }

 private:
  static SparseDiagonals checked(const Array<const std::int32_t, 1>& row, const Array<const std::int32_t, 1>& column,
                                 const Array<const std::int32_t, 1>& baby, const Array<const std::int32_t, 1>& giant,
                                 const Array<const std::int64_t, 1>& offsets,
                                 const Array<const std::uint16_t, 1>& value_slots,
                                 const Array<const float, 1>& values) {
    const std::size_t size = row.shape(0);
    for (const auto* array : {&row, &column, &baby, &giant}) check_shape(*array, {size});
    check_shape(offsets, {size + 1});
    check_shape(value_slots, {values.shape(0)});
    check_alignment(values);
    return {size,         values.shape(0), row.data(),         column.data(), baby.data(),
            giant.data(), offsets.data(),  value_slots.data(), values.data()};
  }

  static PeriodicDiagonals checked(const Array<const std::int32_t, 1>& baby, const Array<const std::int32_t, 1>& giant,
                                   const Array<const std::complex<double>, 2>& values) {
    const std::size_t size = values.shape(0);
    for (const auto* array : {&baby, &giant}) check_shape(*array, {size});
    check_alignment(values);
    return {size, values.shape(1), baby.data(), giant.data(), values.data()};
  }

  SharedContext context_;
  Array<const std::uint16_t, 1> value_slots_;
  Array<const float, 1> values_;
  Array<const std::complex<double>, 2> complex_values_;
  LinearTransform transform_;
};

template <auto operation>
Ciphertexts unary(const SharedContext& context, const Ciphertexts& x) {
  const nb::gil_scoped_release release;
  return operation(*context, x);
}

template <auto operation>
Ciphertexts binary(const SharedContext& context, const Ciphertexts& x, const Ciphertexts& y) {
  const nb::gil_scoped_release release;
  return operation(*context, x, y);
}

template <auto operation>
Ciphertexts with_scalar(const SharedContext& context, const Ciphertexts& x, double value, double scale) {
  const nb::gil_scoped_release release;
  return operation(*context, x, value, scale);
}

ScalarMatrix make_matrix(std::size_t columns, double scale, const Array<const std::int64_t, 1>& offsets,
                         const Array<const std::int32_t, 1>& column, const Array<const float, 1>& values,
                         const Array<const double, 1>& bias, double bias_scale) {
  if (offsets.shape(0) < 2) refuse("a matrix without rows");
  check_alignment(offsets);
  check_alignment(values);
  check_alignment(bias);
  check_shape(column, {values.shape(0)});
  const nb::gil_scoped_release release;
  return {{offsets.shape(0) - 1, values.shape(0), offsets.data(), column.data(), values.data()},
          {bias.shape(0), bias.data(), bias_scale},
          columns,
          scale};
}

template <auto operation>
Ciphertexts fewer_limbs(const SharedContext& context, const Ciphertexts& x, std::size_t dropped) {
  const nb::gil_scoped_release release;
  return operation(*context, x, dropped);
}

}  // namespace
}  // namespace hecc

NB_MODULE(_evaluator, module) {
  using namespace hecc;
  // Objects that a traceback still holds when the interpreter exits are no fault to report to a user.
  nb::set_leak_warnings(false);
  module.doc() = "hecc's native evaluator; use it through hecc.runtime.ckks.devices.native.evaluator";

  module.def("expand_seed", &expand_alone, "seed"_a, "primes"_a, "output"_a.noconvert());

  nb::class_<Ciphertexts>(module, "Ciphertexts")
      .def_prop_ro("count", &Ciphertexts::count)
      .def_prop_ro("polynomials", &Ciphertexts::polynomials)
      .def_prop_ro("limbs", &Ciphertexts::limbs)
      .def("array", &to_array);

  nb::class_<Context>(module, "Context")
      .def(nb::init<std::uint64_t, const std::vector<std::uint64_t>&, const std::vector<std::uint64_t>&, std::size_t,
                    std::size_t, const std::string&>(),
           "degree"_a, "data_primes"_a, "special_primes"_a, "digit_limbs"_a, "threads"_a, "kernels"_a,
           nb::call_guard<nb::gil_scoped_release>())
      .def_prop_ro("threads", [](const SharedContext& context) { return context->pool().threads(); })
      .def_prop_ro("kernels", [](const SharedContext& context) { return std::string(context->kernels().name); })
      .def("ciphertexts", &from_array, "residues"_a.noconvert())
      .def("read_ciphertext", &from_bytes, "residues"_a.noconvert(), "polynomials"_a, "limbs"_a, "seed"_a.none())
      .def(
          "gather",
          [](const SharedContext& context, const std::vector<const Ciphertexts*>& arrays,
             const Array<const std::int64_t, 2>& places) {
            const std::vector<Place> chosen = places_of(arrays, places);
            const nb::gil_scoped_release release;
            return gather(*context, chosen);
          },
          "arrays"_a, "places"_a.noconvert())
      .def("encode", &encode, "vectors"_a.noconvert(), "scale"_a, "limbs"_a)
      .def("expand_seed", &expand_in_context, "seed"_a, "output"_a.noconvert())
      .def("add", &binary<add>, "x"_a, "y"_a)
      .def("subtract", &binary<subtract>, "x"_a, "y"_a)
      .def("negate", &unary<negate>, "x"_a)
      .def("multiply", &binary<multiply>, "x"_a, "y"_a)
      .def("square", &unary<square>, "x"_a)
      .def("add_plain", &binary<add_plain>, "x"_a, "plain"_a)
      .def("multiply_plain", &binary<multiply_plain>, "x"_a, "plain"_a)
      .def("add_scalar", &with_scalar<add_scalar>, "x"_a, "value"_a, "scale"_a)
      .def("multiply_scalar", &with_scalar<multiply_scalar>, "x"_a, "value"_a, "scale"_a)
      .def(
          "matrix_product",
          [](const SharedContext& context, const Ciphertexts& x, const ScalarMatrix& matrix) {
            const nb::gil_scoped_release release;
            return matrix.multiply(*context, x);
          },
          "x"_a, "matrix"_a)
      .def(
          "matrix_product_of",
          [](const SharedContext& context, const std::vector<const Ciphertexts*>& arrays,
             const Array<const std::int64_t, 2>& places, const ScalarMatrix& matrix) {
            const std::vector<Place> chosen = places_of(arrays, places);
            const nb::gil_scoped_release release;
            return matrix.multiply(*context, chosen);
          },
          "arrays"_a, "places"_a.noconvert(), "matrix"_a)
      .def("rescale", &fewer_limbs<rescale>, "x"_a, "dropped"_a)
      .def(
          "raise_to",
          [](const SharedContext& context, const Ciphertexts& x, const Key& dense_to_sparse, const Key& sparse_to_dense,
             std::size_t limbs) {
            const SwitchingKey& down = any_key_of(context, dense_to_sparse);
            const SwitchingKey& up = any_key_of(context, sparse_to_dense);
            const nb::gil_scoped_release release;
            return raise_to(*context, x, down, up, limbs);
          },
          "x"_a, "dense_to_sparse"_a, "sparse_to_dense"_a, "limbs"_a)
      .def("drop_limbs", &fewer_limbs<drop_limbs>, "x"_a, "dropped"_a)
      .def(
          "relinearize",
          [](const SharedContext& context, const Ciphertexts& x, const Key& key) {
            const SwitchingKey& switching = key_of(context, key);
            const nb::gil_scoped_release release;
            return relinearize(*context, x, switching);
          },
          "x"_a, "key"_a)
      .def(
          "rotate",
          [](const SharedContext& context, const Ciphertexts& x, const Key& key, std::uint64_t element) {
            const GaloisKey galois = galois_key(context, key, element);
            const nb::gil_scoped_release release;
            return rotate(*context, x, galois);
          },
          "x"_a, "key"_a, "element"_a)
      .def(
          "separate",
          [](const SharedContext& context, const Ciphertexts& x, const Key& key, std::uint64_t element,
             std::size_t count) {
            const GaloisKey galois = galois_key(context, key, element);
            const nb::gil_scoped_release release;
            return separate(*context, x, galois, count);
          },
          "x"_a, "key"_a, "element"_a, "count"_a)
      .def(
          "rotate_hoisted",
          [](const SharedContext& context, const Ciphertexts& x, const std::vector<const Key*>& keys,
             const std::vector<std::uint64_t>& elements) {
            const std::vector<GaloisKey> galois = galois_keys(context, keys, elements);
            const nb::gil_scoped_release release;
            return rotate_hoisted(*context, x, galois);
          },
          "x"_a, "keys"_a, "elements"_a)
      .def(
          "rotate_and_add",
          [](const SharedContext& context, const Ciphertexts& x, const std::vector<const Key*>& keys,
             const std::vector<std::uint64_t>& elements) {
            const std::vector<GaloisKey> galois = galois_keys(context, keys, elements);
            const nb::gil_scoped_release release;
            return rotate_and_add(*context, x, galois);
          },
          "x"_a, "keys"_a, "elements"_a);

  nb::class_<Key>(module, "SwitchingKey")
      .def(nb::new_(&hybrid_key), "context"_a, "residues"_a.noconvert())
      .def_static("dense_to_sparse", &dense_to_sparse_key, "context"_a, "residues"_a.noconvert())
      .def_static("sparse_to_dense", &sparse_to_dense_key, "context"_a, "residues"_a.noconvert())
      .def_prop_ro("limbs", [](const Key& key) { return key.key.limbs; });

  nb::class_<ScalarMatrix>(module, "ScalarMatrix")
      .def(nb::new_(&make_matrix), "columns"_a, "scale"_a, "offsets"_a.noconvert(), "column"_a.noconvert(),
           "values"_a.noconvert(), "bias"_a.noconvert(), "bias_scale"_a)
      .def_prop_ro("groups", &ScalarMatrix::groups);

  nb::class_<Transform>(module, "LinearTransform")
      .def(nb::init<SharedContext, std::size_t, std::size_t, std::size_t, std::size_t, double,
                    const Array<const std::int32_t, 1>&, const Array<const std::int32_t, 1>&,
                    const Array<const std::int32_t, 1>&, const Array<const std::int32_t, 1>&,
                    const Array<const std::int64_t, 1>&, Array<const std::uint16_t, 1>, Array<const float, 1>,
                    std::size_t>(),
           "context"_a, "rows"_a, "columns"_a, "slots"_a, "limbs"_a, "scale"_a, "row"_a.noconvert(),
           "column"_a.noconvert(), "baby"_a.noconvert(), "giant"_a.noconvert(), "offsets"_a.noconvert(),
           "value_slots"_a.noconvert(), "values"_a.noconvert(), "memory"_a)
      .def(nb::init<SharedContext, std::size_t, double, const Array<const std::int32_t, 1>&,
                    const Array<const std::int32_t, 1>&, Array<const std::complex<double>, 2>, std::size_t>(),
           "context"_a, "limbs"_a, "scale"_a, "baby"_a.noconvert(), "giant"_a.noconvert(),
           "complex_values"_a.noconvert(), "memory"_a)
      .def("apply", &Transform::apply, "x"_a, "keys"_a, "elements"_a, "memory"_a)
      .def_prop_ro("steps", &Transform::steps)
      .def_prop_ro("kept_bytes", &Transform::kept_bytes);
}

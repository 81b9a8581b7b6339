// The parts of the Python module hecc.runtime.native._native, one subject a file, and the objects that they share. The
// kernels check nothing, so these files check everything that memory safety and correctness rest on.
#pragma once

// The conversions between Python and C++ are the same in all files.
#include <nanobind/nanobind.h>
#include <nanobind/stl/complex.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "arrays.hpp"
#include "kernels.hpp"
#include "ntt.hpp"

namespace hecc {

// One implementation, as an object of Python.
struct KernelSet {
  const Kernels* kernels;

  explicit KernelSet(const std::optional<std::string>& name)
      : kernels(name ? &kernels_named(*name) : &default_kernels()) {}
};

// Tables together with the kernels whose format they have.
struct Tables {
  const Kernels* kernels;
  std::shared_ptr<const NttTables> shared;

  Tables(std::uint64_t degree, std::uint64_t modulus, const std::optional<std::string>& name)
      : kernels(KernelSet(name).kernels) {
    const nb::gil_scoped_release release;
    shared = shared_ntt_tables(degree, modulus, kernels->format);
  }
};

// Each adds its functions and classes to the module, and its kernels to the class of all kernels.
using KernelsClass = nb::class_<KernelSet>;
void bind_normals(nb::module_& module);
void bind_pointwise(KernelsClass& kernels);
void bind_products(nb::module_& module, KernelsClass& kernels);
void bind_transforms(nb::module_& module);
void bind_ring(KernelsClass& kernels);
void bind_rns(nb::module_& module, KernelsClass& kernels);
void bind_automorphisms(nb::module_& module, KernelsClass& kernels);
void bind_encoding(nb::module_& module, KernelsClass& kernels);
void bind_series(KernelsClass& kernels);

}  // namespace hecc

// Residue number systems: conversions of bases, and divisions by primes that are dropped.
#include "rns.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
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

struct Conversion {
  const Kernels* kernels;
  std::vector<std::uint64_t> sources, targets;
  BasisConversion constants;

  static std::vector<Modulus> moduli(const std::vector<std::uint64_t>& values) {
    std::vector<Modulus> result;
    for (const std::uint64_t value : values) result.push_back(make_modulus(value));
    return result;
  }

  Conversion(const KernelSet& set, std::vector<std::uint64_t> from, std::vector<std::uint64_t> to, bool centred)
      : kernels(set.kernels),
        sources(std::move(from)),
        targets(std::move(to)),
        constants(moduli(sources), moduli(targets), centred, set.kernels->format) {}

  void convert(const Words& residues, const Output& out) const {
    const std::size_t count = count_of("residues", residues);
    check_shape("residues", residues, {sources.size(), count});
    check_shape("out", out, {targets.size(), count});
    check_apart(out, residues);
    const nb::gil_scoped_release release;
    check_limbs(residues, sources);
    AlignedBuffer<std::uint64_t> scratch(conversion_scratch(sources.size()));
    kernels->convert(constants.view(), rows(residues).data(), rows(out).data(), count, scratch.data());
  }
};

void lift(const KernelSet& set, const Words& residues, std::uint64_t source, const Output& out, std::uint64_t target) {
  const Modulus q = make_modulus(source), p = make_modulus(target);
  const std::size_t count = count_of("residues", residues);
  check_shape("residues", residues, {count});
  check_shape("out", out, {count});
  check_in_place(out, residues);
  const nb::gil_scoped_release release;
  check_reduced(residues, q);
  set.kernels->lift(residues.data(), q, out.data(), count, p);
}

struct Division {
  const Kernels* kernels;
  std::vector<std::shared_ptr<const NttTables>> tables;
  std::vector<std::uint64_t> moduli;
  ModDown constants;

  static std::vector<const NttTables*> pointers(const std::vector<Tables>& all, const Kernels* kernels) {
    std::vector<const NttTables*> result;
    for (const Tables& one : all) {
      if (one.kernels != kernels) refuse("the tables are of different implementations");
      result.push_back(one.shared.get());
    }
    return result;
  }

  Division(const KernelSet& set, const std::vector<Tables>& kept, const std::vector<Tables>& dropped)
      : kernels(set.kernels),
        constants(pointers(kept, set.kernels), pointers(dropped, set.kernels), set.kernels->format) {
    for (const std::vector<Tables>* const group : {&kept, &dropped}) {
      for (const Tables& one : *group) {
        tables.push_back(one.shared);
        moduli.push_back(one.shared->modulus().value);
      }
    }
  }

  void apply(const Words& residues, const Output& out) const {
    const std::size_t kept = constants.kept(), degree = constants.degree();
    check_shape("residues", residues, {moduli.size(), degree});
    check_shape("out", out, {kept, degree});
    const bool same = static_cast<const void*>(out.data()) == static_cast<const void*>(residues.data());
    if (!same) check_apart(out, residues);
    const nb::gil_scoped_release release;
    check_limbs(residues, moduli);
    AlignedBuffer<std::uint64_t> scratch(constants.scratch_words());
    constants.apply(*kernels, rows(residues).data(), rows(out).data(), scratch.data());
  }
};

}  // namespace

void bind_rns(nb::module_& module, KernelsClass& kernels) {
  kernels.def("lift", lift, "residues"_a.noconvert(), "source"_a, "out"_a.noconvert(), "target"_a);

  nb::class_<Conversion>(module, "BasisConversion")
      .def(nb::init<const KernelSet&, std::vector<std::uint64_t>, std::vector<std::uint64_t>, bool>(), "kernels"_a,
           "sources"_a, "targets"_a, nb::kw_only(), "centred"_a)
      .def("convert", &Conversion::convert, "residues"_a.noconvert(), "out"_a.noconvert());

  nb::class_<Division>(module, "ModDown")
      .def(nb::init<const KernelSet&, const std::vector<Tables>&, const std::vector<Tables>&>(), "kernels"_a, "kept"_a,
           "dropped"_a)
      .def("apply", &Division::apply, "residues"_a.noconvert(), "out"_a.noconvert());
}

}  // namespace hecc

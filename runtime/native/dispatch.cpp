// Which implementations this machine can run. HECC_X86_KERNELS says that the vector ones were compiled at all.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels.hpp"

#if HECC_X86_KERNELS
#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace hecc {
namespace {

// What the vector kernels need of a processor, under the names that Linux has for the bits of CPUID.
constexpr std::array<std::string_view, 7> kFeatureNames{"avx",      "fma",      "avx2",      "avx512f",
                                                        "avx512dq", "avx512vl", "avx512ifma"};

// The features that HECC_MASK_CPU names, with commas between them: they are taken for absent, which is how the choice
// on a lesser machine is tested on a better one. The names are the same on every machine, and an unknown one is
// refused.
std::vector<std::string_view> masked_features() {
  const char* const text = std::getenv("HECC_MASK_CPU");
  std::string_view rest = text == nullptr ? "" : text;
  std::vector<std::string_view> masked;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const auto* const known = std::find(kFeatureNames.begin(), kFeatureNames.end(), name);
    if (known == kFeatureNames.end()) {
      std::string names;
      for (const std::string_view feature : kFeatureNames) names += (names.empty() ? "" : ", ") + std::string(feature);
      throw std::invalid_argument("HECC_MASK_CPU names '" + std::string(name) +
                                  "', which is no feature that the kernels use; they use: " + names);
    }
    masked.push_back(*known);
  }
  return masked;
}

#if HECC_X86_KERNELS

struct Registers {
  std::uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
#if defined(_MSC_VER) && !defined(__clang__)
  int values[4];
  __cpuidex(values, static_cast<int>(leaf), static_cast<int>(subleaf));
  return {static_cast<std::uint32_t>(values[0]), static_cast<std::uint32_t>(values[1]),
          static_cast<std::uint32_t>(values[2]), static_cast<std::uint32_t>(values[3])};
#else
  Registers r{};
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};  // above the highest leaf
  return r;
#endif
}

// The register states that the operating system saves. Only to be called where CPUID says OSXSAVE.
std::uint64_t xgetbv() {
#if defined(_MSC_VER) && !defined(__clang__)
  return _xgetbv(0);
#else
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
#endif
}

struct Features {
  bool avx2 = false, avx512ifma = false;
};

Features detect(const std::vector<std::string_view>& masked) {
  const auto bit = [](std::uint32_t word, int index) { return ((word >> index) & 1) != 0; };
  const auto has = [&](std::string_view feature, std::uint32_t word, int index) {
    return bit(word, index) && std::find(masked.begin(), masked.end(), feature) == masked.end();
  };
  Features features;
  const Registers basic = cpuid(1, 0);
  const bool osxsave = bit(basic.ecx, 27);
  if (!osxsave || !has("avx", basic.ecx, 28)) return features;
  const std::uint64_t saved = xgetbv();
  const bool ymm = (saved & 0x6) == 0x6;    // xmm and the upper halves of ymm
  const bool zmm = (saved & 0xE6) == 0xE6;  // and mask registers, upper halves of zmm, zmm16 to zmm31
  const Registers extended = cpuid(7, 0);
  features.avx2 = ymm && has("fma", basic.ecx, 12) && has("avx2", extended.ebx, 5);
  features.avx512ifma = features.avx2 && zmm && has("avx512f", extended.ebx, 16) && has("avx512dq", extended.ebx, 17) &&
                        has("avx512ifma", extended.ebx, 21) && has("avx512vl", extended.ebx, 31);
  return features;
}

#endif

std::vector<const Kernels*> detect_kernels() {
  std::vector<const Kernels*> found;
  const std::vector<std::string_view> masked = masked_features();
#if HECC_X86_KERNELS
  const Features features = detect(masked);
  if (features.avx512ifma) found.push_back(&kAvx512IfmaKernels);
  if (features.avx2) found.push_back(&kAvx2Kernels);
#endif
  found.push_back(&kPortableKernels);
  return found;
}

const Kernels& chosen_kernels() {
  const char* const name = std::getenv("HECC_KERNELS");
  return name == nullptr || *name == '\0' ? *available_kernels().front() : kernels_named(name);
}

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
  static const std::vector<const Kernels*> kAvailable = detect_kernels();
  return kAvailable;
}

const Kernels& kernels_named(std::string_view name) {
  std::string names;
  for (const Kernels* const kernels : available_kernels()) {
    if (name == kernels->name) return *kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw std::invalid_argument("there are no kernels '" + std::string(name) +
                              "' for this machine; it can run: " + names);
}

const Kernels& default_kernels() {
  static const Kernels& kChosen = chosen_kernels();  // an exception leaves it unset, for the next call to try again
  return kChosen;
}

}  // namespace hecc

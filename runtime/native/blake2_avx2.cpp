// Compiled with AVX2 switched on; nothing in here may run where it is missing.
#include <immintrin.h>

#include "blake2_lanes.hpp"

namespace hecc {
namespace {

struct Lanes {
  static constexpr std::size_t kWidth = 4;
  using Word = __m256i;

  static Word load(const std::uint64_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(std::uint64_t* p, Word x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
  static Word broadcast(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
  static Word add(Word x, Word y) { return _mm256_add_epi64(x, y); }
  static Word exclusive_or(Word x, Word y) { return _mm256_xor_si256(x, y); }
  template <int bits>
  static Word rotate(Word x) {
    return _mm256_or_si256(_mm256_srli_epi64(x, bits), _mm256_slli_epi64(x, 64 - bits));
  }
};

}  // namespace

void blake2_leaves_avx2(const std::uint64_t (&root)[8], std::uint32_t node, std::uint32_t length,
                        std::uint8_t* output) {
  blake2_leaves<Lanes>(root, node, length, output);
}

}  // namespace hecc

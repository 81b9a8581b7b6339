// Compiled with AVX-512 switched on; nothing in here may run where it is missing.
#include <immintrin.h>

#include "blake2_lanes.hpp"

namespace hecc {
namespace {

struct Lanes {
  static constexpr std::size_t kWidth = 8;
  using Word = __m512i;

  static Word load(const std::uint64_t* p) { return _mm512_loadu_si512(p); }
  static void store(std::uint64_t* p, Word x) { _mm512_storeu_si512(p, x); }
  static Word broadcast(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
  static Word add(Word x, Word y) { return _mm512_add_epi64(x, y); }
  static Word exclusive_or(Word x, Word y) { return _mm512_xor_si512(x, y); }
  template <int bits>
  static Word rotate(Word x) {
    return _mm512_ror_epi64(x, bits);
  }
};

}  // namespace

void blake2_leaves_avx512(const std::uint64_t (&root)[8], std::uint32_t node, std::uint32_t length,
                          std::uint8_t* output) {
  blake2_leaves<Lanes>(root, node, length, output);
}

}  // namespace hecc

#include "timing.hpp"

#include <bit>
#include <chrono>
#include <memory>
#include <random>
#include <stdexcept>

#include "aligned.hpp"
#include "packing.hpp"

namespace hecc {
namespace {

std::vector<std::uint64_t> ntt_primes(std::uint64_t degree, int bits, std::size_t count) {
  const std::uint64_t low = std::uint64_t{1} << (bits - 1), step = 2 * degree;
  std::vector<std::uint64_t> primes;
  for (std::uint64_t q = (2 * low - 2) / step * step + 1; q > low && primes.size() < count; q -= step) {
    if (is_prime(q)) primes.push_back(q);
  }
  if (primes.size() < count) throw std::invalid_argument("there are not enough primes of that length");
  return primes;
}

// Limbs of random residues in one allocation, with a pointer to each.
struct Limbs {
  AlignedBuffer<std::uint64_t> words;
  std::vector<std::uint64_t*> mutable_rows;
  std::vector<const std::uint64_t*> rows;

  Limbs(std::size_t count, std::size_t degree, std::uint64_t bound, std::uint64_t seed) : words(count * degree) {
    std::mt19937_64 generator(seed);
    std::uniform_int_distribution<std::uint64_t> distribution(0, bound - 1);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = distribution(generator);
    for (std::size_t i = 0; i < count; ++i) {
      mutable_rows.push_back(words.data() + i * degree);
      rows.push_back(words.data() + i * degree);
    }
  }
};

// Random residues of one limb of a switching key of so many digits, packed as a key of that prime is.
AlignedBuffer<std::uint8_t> packed_key_limb(std::size_t digits, std::size_t degree, std::uint64_t prime) {
  const std::size_t bytes = packed_bytes(prime);
  AlignedBuffer<std::uint8_t> key(2 * digits * degree * bytes);
  std::mt19937_64 generator(3);
  std::uniform_int_distribution<std::uint64_t> distribution(0, prime - 1);
  std::uint64_t words[kKeyRun];
  with_packed_bytes(bytes, [&](auto width) {
    for (std::uint8_t* run = key.data(); run != key.data() + key.size(); run += kKeyRun * width.value) {
      for (std::uint64_t& word : words) word = distribution(generator);
      pack_run<width.value>(words, kKeyRun, run);
    }
  });
  return key;
}

template <class Work>
std::vector<double> samples(std::size_t repeats, std::size_t divisor, Work work) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  work();  // warms the caches up
  for (std::size_t i = 0; i < repeats; ++i) {
    const Clock::time_point start = Clock::now();
    work();
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    seconds.push_back(elapsed.count() / static_cast<double>(divisor));
  }
  return seconds;
}

}  // namespace

std::map<std::string, std::vector<double>> time_kernels(const Kernels& k, std::uint64_t degree, std::size_t limbs,
                                                        int bits, std::size_t repeats) {
  if (limbs < 2 || limbs > 64 || bits < 20 || bits > kModulusBits) {
    throw std::invalid_argument("timing needs 2 to 64 limbs of 20 to 50 bits");
  }
  if (!std::has_single_bit(degree) || std::countr_zero(degree) > kMaxLogDegree) {
    throw std::invalid_argument("the degree " + std::to_string(degree) + " is not a power of two up to 2^17");
  }
  const std::vector<std::uint64_t> primes = ntt_primes(degree, bits, limbs + 1);
  std::vector<std::shared_ptr<const NttTables>> owners;
  std::vector<const NttTables*> tables;
  std::vector<Modulus> moduli;
  for (const std::uint64_t prime : primes) {
    owners.push_back(shared_ntt_tables(degree, prime, k.format));
    tables.push_back(owners.back().get());
    moduli.push_back(owners.back()->modulus());
  }
  const int log_degree = std::countr_zero(degree);
  const std::size_t n = static_cast<std::size_t>(degree);
  Limbs a(limbs + 1, n, primes.back(), 1), b(limbs + 1, n, primes.back(), 2);
  Limbs out(limbs + 1, n, primes.back(), 4);
  std::map<std::string, std::vector<double>> result;

  // A kernel of one limb: a sample goes through all of them.
  const auto by_limb = [&](const char* name, auto&& work) {
    result[name] = samples(repeats, limbs, [&] {
      for (std::size_t i = 0; i < limbs; ++i) work(i, moduli[i]);
    });
  };
  by_limb("ntt_forward", [&](std::size_t i, const Modulus&) {
    k.ntt_forward(tables[i]->view(), log_degree, a.rows[i], out.mutable_rows[i]);
  });
  by_limb("ntt_inverse", [&](std::size_t i, const Modulus&) {
    k.ntt_inverse(tables[i]->view(), log_degree, a.rows[i], out.mutable_rows[i]);
  });
  by_limb("add", [&](std::size_t i, const Modulus& q) { k.add(a.rows[i], b.rows[i], out.mutable_rows[i], n, q); });
  by_limb("multiply",
          [&](std::size_t i, const Modulus& q) { k.multiply(a.rows[i], b.rows[i], out.mutable_rows[i], n, q); });
  by_limb("multiply_scalar",
          [&](std::size_t i, const Modulus& q) { k.multiply_scalar(a.rows[i], 12345, out.mutable_rows[i], n, q); });
  by_limb("reduce", [&](std::size_t i, const Modulus& q) { k.reduce(a.rows[i], out.mutable_rows[i], n, q); });
  const GaloisPermutation permutation(degree, 3);
  by_limb("permute",
          [&](std::size_t i, const Modulus&) { k.permute(permutation.view(), a.rows[i], out.mutable_rows[i]); });
  // All primes have the same length, so that one limb of a key serves for each.
  const std::size_t key_stride = 2 * limbs * kKeyRun * packed_bytes(primes.back());
  const AlignedBuffer<std::uint8_t> key = packed_key_limb(limbs, n, primes.back());
  by_limb("key_products", [&](std::size_t i, const Modulus& q) {
    k.key_products(a.rows.data(), limbs, key.data(), key_stride, nullptr, 0, out.mutable_rows[i],
                   out.mutable_rows[(i + 1) % limbs], n, q);
  });

  const auto conversion = [&](std::size_t sources, bool centred) {
    const auto middle = moduli.begin() + static_cast<std::ptrdiff_t>(sources);
    return BasisConversion({moduli.begin(), middle}, {middle, moduli.end()}, centred, k.format);
  };
  AlignedBuffer<std::uint64_t> conversion_words(conversion_scratch(limbs));
  const auto mod_up = [&](const char* name, std::size_t sources) {
    const BasisConversion constants = conversion(sources, false);
    result[name] = samples(repeats, limbs + 1 - sources, [&] {
      k.convert(constants.view(), a.rows.data(), out.mutable_rows.data(), n, conversion_words.data());
    });
  };
  mod_up("mod_up_one", 1);
  mod_up("mod_up_third", (limbs + 2) / 3);

  const std::vector<const NttTables*> kept(tables.begin(), tables.end() - 2),
      dropped(tables.end() - 2, tables.end() - 1);
  const ModDown rescale(kept, dropped, k.format);
  AlignedBuffer<std::uint64_t> rescale_words(rescale.scratch_words());
  result["rescale"] =
      samples(repeats, 1, [&] { rescale.apply(k, a.rows.data(), out.mutable_rows.data(), rescale_words.data()); });

  const Encoder encoder{k, n};
  std::mt19937_64 generator(5);
  std::uniform_real_distribution<double> distribution(-1, 1);
  std::vector<double> slots(n / 2);
  for (double& slot : slots) slot = distribution(generator);
  AlignedBuffer<double> coefficients(n), scratch(n);
  AlignedBuffer<std::uint64_t> word_scratch(n);
  const auto encode = [&](const char* name, std::size_t count) {
    result[name] = samples(repeats, 1, [&] {
      const int words = encoder.embed(slots.data(), count, 0x1p40, coefficients.data(), scratch.data());
      for (std::size_t i = 0; i < limbs; ++i) {
        encoder.limb(coefficients.data(), Encoder::coefficient_count(count), words, tables[i]->view(),
                     out.mutable_rows[i], word_scratch.data());
      }
    });
  };
  encode("encode", n / 2);
  encode("encode_eighth", n / 16);
  result["embed"] =
      samples(repeats, 1, [&] { encoder.embed(slots.data(), n / 2, 0x1p40, coefficients.data(), scratch.data()); });
  return result;
}

}  // namespace hecc

// Runs every kernel of every implementation that this machine has, on random and on extreme residues, in arrays that
// end where the sanitizers notice, and compares the results with the portable ones and those with plain 128-bit
// arithmetic. A kernel reads and writes exactly the words it is given: the arrays are never longer. Prints what failed;
// the exit status is the number of failures, at most 1.
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace {

using namespace hecc;  // NOLINT: a program of its own
using Words = std::vector<std::uint64_t>;

int failures = 0;

void check(bool passed, const std::string& what) {
  if (passed) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  failures = 1;
}

std::mt19937_64& generator() {
  static std::mt19937_64 instance(20261120);
  return instance;
}

Words uniform(std::size_t count, std::uint64_t bound) {
  std::uniform_int_distribution<std::uint64_t> distribution(0, bound - 1);
  Words words(count);
  for (std::uint64_t& word : words) word = distribution(generator());
  return words;
}

Words extreme(std::size_t count, std::uint64_t bound) {
  const std::uint64_t values[] = {0, 1, bound - 1, bound - 2, bound / 2, bound / 2 + 1};
  Words words = uniform(count, bound);
  for (std::size_t i = 0; i < count; i += 2) words[i] = values[generator()() % 6];
  return words;
}

std::uint64_t prime(std::uint64_t step, int bits, int skip = 0) {
  std::uint64_t candidate = ((std::uint64_t{1} << bits) - 2) / step * step + 1;
  while (!is_prime(candidate) || skip-- > 0) candidate -= step;
  return candidate;
}

// a * b mod q by 50 additions: slow, and unlike anything it is compared with.
std::uint64_t slow_product(std::uint64_t a, std::uint64_t b, std::uint64_t q) {
  std::uint64_t result = 0;
  for (int bit = 49; bit >= 0; --bit) result = (2 * result + ((b >> bit) & 1) * a) % q;
  return result;
}

std::vector<const std::uint64_t*> pointers(const std::vector<Words>& arrays) {
  std::vector<const std::uint64_t*> result;
  for (const Words& array : arrays) result.push_back(array.data());
  return result;
}
std::vector<std::uint64_t*> pointers(std::vector<Words>& arrays) {
  std::vector<std::uint64_t*> result;
  for (Words& array : arrays) result.push_back(array.data());
  return result;
}

void test_pointwise(const Kernels& k, std::uint64_t modulus) {
  const std::string name = std::string(k.name) + " modulo " + std::to_string(modulus) + ": ";
  const Modulus q = make_modulus(modulus);
  const std::size_t count = 3 * kBlock;
  const Words a = extreme(count, modulus), b = extreme(count, modulus), wide = extreme(count, std::uint64_t{1} << 52);
  const std::uint64_t scalar = uniform(1, modulus)[0];
  Words out(count), values(count), quotients(count);
  const auto expect = [&](const char* what, auto&& expected) {
    bool equal = true;
    for (std::size_t i = 0; i < count; ++i) equal = equal && out[i] == expected(i);
    check(equal, name + what);
  };
  k.add(a.data(), b.data(), out.data(), count, q);
  expect("add", [&](std::size_t i) { return (a[i] + b[i]) % modulus; });
  k.subtract(a.data(), b.data(), out.data(), count, q);
  expect("subtract", [&](std::size_t i) { return (a[i] + modulus - b[i]) % modulus; });
  k.negate(a.data(), out.data(), count, q);
  expect("negate", [&](std::size_t i) { return (modulus - a[i]) % modulus; });
  k.multiply(a.data(), b.data(), out.data(), count, q);
  expect("multiply", [&](std::size_t i) { return slow_product(a[i], b[i], modulus); });
  k.multiply_scalar(a.data(), scalar, out.data(), count, q);
  expect("multiply_scalar", [&](std::size_t i) { return slow_product(a[i], scalar, modulus); });
  k.subtract_multiply_scalar(a.data(), b.data(), scalar, out.data(), count, q);
  expect("subtract_multiply_scalar",
         [&](std::size_t i) { return slow_product((a[i] + modulus - b[i]) % modulus, scalar, modulus); });
  k.reduce(wide.data(), out.data(), count, q);
  expect("reduce", [&](std::size_t i) { return wide[i] % modulus; });
  k.encode_factors(b.data(), values.data(), quotients.data(), count, q);
  k.multiply_encoded(a.data(), values.data(), quotients.data(), out.data(), count, q);
  expect("multiply_encoded", [&](std::size_t i) { return slow_product(a[i], b[i], modulus); });
}

void test_sums(const Kernels& k, std::uint64_t modulus, std::size_t terms) {
  const std::string name = std::string(k.name) + " with " + std::to_string(terms) + " terms: ";
  const Modulus q = make_modulus(modulus);
  const std::size_t count = kBlock;
  std::vector<Words> a, b, c;
  for (std::size_t t = 0; t < terms; ++t) {
    a.push_back(Words(count, modulus - 1));
    b.push_back(extreme(count, modulus));
    c.push_back(uniform(count, modulus));
  }
  Words expected0(count), expected1(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t t = 0; t < terms; ++t) {  // a is -1
      expected0[i] = (expected0[i] + modulus - b[t][i]) % modulus;
      expected1[i] = (expected1[i] + modulus - c[t][i]) % modulus;
    }
  }
  const auto pa = pointers(std::as_const(a)), pb = pointers(std::as_const(b)), pc = pointers(std::as_const(c));
  Words out0(count), out1(count);
  k.inner_product(pa.data(), pb.data(), terms, out0.data(), count, q);
  check(out0 == expected0, name + "inner_product");
  k.inner_product_pair(pa.data(), pb.data(), pc.data(), terms, out0.data(), out1.data(), count, q);
  check(out0 == expected0 && out1 == expected1, name + "inner_product_pair");

  Words low(count), high(count), low1(count), high1(count);
  for (std::size_t done = 0; done < terms; done += 4095) {
    const std::size_t now = std::min<std::size_t>(terms - done, 4095);
    k.multiply_accumulate(pa.data() + done, pb.data() + done, now, low.data(), high.data(), count);
    k.fold(low.data(), high.data(), count, q);
  }
  k.reduce_sums(low.data(), high.data(), out0.data(), count, q);
  check(out0 == expected0, name + "multiply_accumulate");
  if (terms <= kMaxTerms) {
    std::fill(low.begin(), low.end(), 0);
    std::fill(high.begin(), high.end(), 0);
    k.multiply_accumulate_pair(pa.data(), pb.data(), pc.data(), terms, low.data(), high.data(), low1.data(),
                               high1.data(), count);
    k.reduce_sums(low1.data(), high1.data(), low1.data(), count, q);
    k.reduce_sums(low.data(), high.data(), high.data(), count, q);
    check(high == expected0 && low1 == expected1, name + "multiply_accumulate_pair");
  }

  const std::size_t rows = 7;
  const Words weights(rows * terms, modulus - 1);
  std::vector<Words> product(rows, Words(count));
  k.matrix_product(weights.data(), pb.data(), rows, terms, pointers(product).data(), count, q);
  check(std::all_of(product.begin(), product.end(), [&](const Words& row) { return row == expected0; }),
        name + "matrix_product");
}

void test_transforms(const Kernels& k, int log_degree, int bits) {
  const std::string name =
      std::string(k.name) + " 2^" + std::to_string(log_degree) + ", " + std::to_string(bits) + " bits: ";
  const std::size_t degree = std::size_t{1} << log_degree;
  const std::uint64_t modulus = prime(2 * degree, bits);
  const auto tables = shared_ntt_tables(degree, modulus, k.format);
  const auto reference = shared_ntt_tables(degree, modulus, kPortableKernels.format);
  const Words inputs[] = {uniform(degree, modulus), extreme(degree, modulus), Words(degree, modulus - 1)};
  for (const Words& input : inputs) {
    Words forward(degree), inverse(degree), back(degree), expected(degree);
    k.ntt_forward(tables->view(), log_degree, input.data(), forward.data());
    kPortableKernels.ntt_forward(reference->view(), log_degree, input.data(), expected.data());
    check(forward == expected, name + "ntt_forward");
    k.ntt_inverse(tables->view(), log_degree, input.data(), inverse.data());
    kPortableKernels.ntt_inverse(reference->view(), log_degree, input.data(), expected.data());
    check(inverse == expected, name + "ntt_inverse");
    k.ntt_inverse(tables->view(), log_degree, forward.data(), back.data());
    check(back == input, name + "round trip");
  }
  for (int log_size = kMinLogTransform; log_size <= log_degree; ++log_size) {
    const std::size_t size = std::size_t{1} << log_size;
    const Words input = extreme(size, modulus);
    Words values = input, repeated(degree), full(degree);
    for (std::size_t i = 0; i < size; ++i) full[i * (degree / size)] = input[i];
    k.ntt_forward(tables->view(), log_degree, full.data(), full.data());
    k.ntt_forward(tables->view(), log_size, values.data(), values.data());
    k.repeat(values.data(), degree / size, repeated.data(), size);
    check(repeated == full, name + "sparse ntt_forward");
    k.ntt_inverse(tables->view(), log_size, values.data(), values.data());
    check(values == input, name + "sparse ntt_inverse");
  }
  for (const std::uint64_t element : {std::uint64_t{3}, std::uint64_t{2 * degree - 1}, std::uint64_t{degree + 1}}) {
    const GaloisPermutation permutation(degree, element);
    Words image(degree), values(degree), permuted(degree);
    k.automorphism_coefficients(inputs[1].data(), image.data(), degree, element, make_modulus(modulus));
    k.ntt_forward(tables->view(), log_degree, image.data(), image.data());
    k.ntt_forward(tables->view(), log_degree, inputs[1].data(), values.data());
    k.permute(permutation.view(), values.data(), permuted.data());
    check(permuted == image, name + "permute");
  }
}

void test_conversion(const Kernels& k, std::size_t sources, std::size_t targets, bool centred, std::size_t count) {
  const std::string name = std::string(k.name) + " from " + std::to_string(sources) + " primes: ";
  std::vector<Modulus> from, to;
  std::vector<Words> input, out(targets, Words(count)), expected(targets, Words(count));
  for (std::size_t i = 0; i < sources; ++i) {
    from.push_back(make_modulus(prime(4096, 50, static_cast<int>(i))));
    input.push_back(extreme(count, from.back().value));
  }
  for (std::size_t j = 0; j < targets; ++j) to.push_back(make_modulus(prime(4096, 45, static_cast<int>(j))));
  const auto run = [&](const Kernels& kernels, std::vector<Words>& result) {
    const BasisConversion conversion(from, to, centred, kernels.format);
    Words scratch(conversion_scratch(sources));
    kernels.convert(conversion.view(), pointers(std::as_const(input)).data(), pointers(result).data(), count,
                    scratch.data());
  };
  run(k, out);
  run(kPortableKernels, expected);
  check(out == expected, name + "convert");
}

void test_mod_down(const Kernels& k, std::size_t kept, std::size_t dropped) {
  const std::size_t degree = 2048, limbs = kept + dropped;
  std::vector<Words> input, out(kept, Words(degree)), expected(kept, Words(degree));
  for (std::size_t i = 0; i < limbs; ++i) input.push_back(extreme(degree, prime(4096, 50, static_cast<int>(i))));
  const auto run = [&](const Kernels& kernels, std::vector<Words>& result) {
    std::vector<std::shared_ptr<const NttTables>> owners;
    std::vector<const NttTables*> tables;
    for (std::size_t i = 0; i < limbs; ++i) {
      owners.push_back(shared_ntt_tables(degree, prime(4096, 50, static_cast<int>(i)), kernels.format));
      tables.push_back(owners.back().get());
    }
    const auto middle = tables.begin() + static_cast<std::ptrdiff_t>(kept);
    const ModDown division({tables.begin(), middle}, {middle, tables.end()}, kernels.format);
    Words scratch(division.scratch_words());
    division.apply(kernels, pointers(std::as_const(input)).data(), pointers(result).data(), scratch.data());
  };
  run(k, out);
  run(kPortableKernels, expected);
  check(out == expected, std::string(k.name) + ": mod-down");
}

void test_encoding(const Kernels& k, std::size_t degree, std::size_t slots, double scale) {
  const std::string name = std::string(k.name) + " " + std::to_string(slots) + " slots: ";
  std::uniform_real_distribution<double> distribution(-1, 1);
  std::vector<std::complex<double>> values(slots);
  std::vector<double> real(slots);
  std::vector<float> single(slots);
  for (std::size_t i = 0; i < slots; ++i) {
    values[i] = {distribution(generator()), distribution(generator())};
    real[i] = values[i].real();
    single[i] = static_cast<float>(real[i]);
  }
  const std::uint64_t modulus = prime(2 * degree, 50);
  const std::size_t count = Encoder::coefficient_count(slots);
  const auto run = [&](const Kernels& kernels, const auto& vector, Words& out) {
    const auto tables = shared_ntt_tables(degree, modulus, kernels.format);
    const Encoder encoder{kernels, degree};
    std::vector<double> coefficients(count), scratch(count);
    Words words_scratch(count);
    const int words = encoder.embed(vector.data(), slots, scale, coefficients.data(), scratch.data());
    encoder.limb(coefficients.data(), count, words, tables->view(), out.data(), words_scratch.data());
    return coefficients;
  };
  const auto compare = [&](const auto& vector, const char* kind) {
    Words out(degree), expected(degree);
    check(run(k, vector, out) == run(kPortableKernels, vector, expected), name + kind + " coefficients");
    check(out == expected, name + kind + " residues");
  };
  compare(values, "complex");
  compare(real, "double");
  compare(single, "float");
}

void test_tables() {
  for (const int bits : {20, 30, 44, 50}) {
    const Modulus q = make_modulus(prime(8192, bits));
    for (const std::uint64_t w : extreme(200, q.value)) {
      check(make_factor(w, q).quotient == shoup_quotient(w, q.value), "make_factor without a division");
      check(multiply_modulo(w, q.value - 1, q) == (q.value - w) % q.value, "multiply_modulo without a division");
    }
  }
  for (const std::uint64_t modulus : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{9},
                                      std::uint64_t{1} << 50, ~std::uint64_t{0}}) {
    bool refused = false;
    try {
      make_modulus(modulus);
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    check(refused, "the modulus " + std::to_string(modulus) + " is refused");
  }
}

}  // namespace

int main() {
  test_tables();
  for (const Kernels* const k : available_kernels()) {
    for (const std::uint64_t modulus : {std::uint64_t{3}, std::uint64_t{12289}, prime(2, 25), prime(2, 26),
                                        prime(2, 40), prime(2, 48), prime(2, 50)}) {
      test_pointwise(*k, modulus);
    }
    for (const std::size_t terms : {0, 1, 5, 4095, 4096, 8200}) test_sums(*k, prime(4096, 50), terms);
    for (int log_degree = kMinLogDegree; log_degree <= kMaxLogDegree; ++log_degree) {
      for (const int bits : {40, 47, 50}) {
        if (log_degree < 14 || bits == 50) test_transforms(*k, log_degree, bits);
      }
    }
    for (const bool centred : {false, true}) {
      test_conversion(*k, 1, 4, centred, 2048);
      test_conversion(*k, 3, 4, centred, kBlock);
      test_conversion(*k, 5, 1, centred, 1024 + kBlock);
      test_conversion(*k, 64, 2, centred, kBlock);
    }
    test_mod_down(*k, 3, 1);
    test_mod_down(*k, 2, 3);
    for (const std::size_t slots : {1, 32, 64, 256, 512, 1024}) test_encoding(*k, 2048, slots, 0x1p40);
    for (const double scale : {0x1p0, 0x1p60, 0x1p100, 0x1p140}) test_encoding(*k, 4096, 2048, scale);
    std::printf("%s: %s\n", k->name, failures == 0 ? "passed" : "failed");
  }
  return failures;
}

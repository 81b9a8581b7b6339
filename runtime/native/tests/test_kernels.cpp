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
#include "packing.hpp"

namespace {

using namespace hecc;  // NOLINT: a program of its own
using Words = std::vector<std::uint64_t>;
using Bytes = std::vector<std::uint8_t>;

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
  std::vector<Words> a, b;
  for (std::size_t t = 0; t < terms; ++t) {
    a.push_back(Words(count, modulus - 1));
    b.push_back(extreme(count, modulus));
  }
  Words expected(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t t = 0; t < terms; ++t) expected[i] = (expected[i] + modulus - b[t][i]) % modulus;  // a is -1
  }
  const auto pa = pointers(std::as_const(a)), pb = pointers(std::as_const(b));
  Words out(count);
  k.inner_product(pa.data(), pb.data(), terms, out.data(), count, q);
  check(out == expected, name + "inner_product");

  const std::size_t rows = 7;
  const Words weights(rows * terms, modulus - 1);
  std::vector<Words> product(rows, Words(count));
  k.matrix_product(weights.data(), pb.data(), rows, terms, pointers(product).data(), count, q);
  check(std::all_of(product.begin(), product.end(), [&](const Words& row) { return row == expected; }),
        name + "matrix_product");
}

Bytes packed(const Words& words, std::size_t run, std::uint64_t modulus) {
  Bytes bytes(words.size() * packed_bytes(modulus));
  with_packed_bytes(packed_bytes(modulus), [&](auto width) {
    for (std::size_t i = 0; i < words.size(); i += run) {
      pack_run<width.value>(words.data() + i, run, bytes.data() + i * width.value);
      for (std::size_t j = 0; j < run; ++j) {
        check(packed_word<width.value>(bytes.data() + i * width.value, run, j) == words[i + j], "packing");
      }
    }
  });
  return bytes;
}

// A key of `own` digits, of which the last `terms` are used, so that what is read ends where the key does.
void test_key_products(const Kernels& k, std::uint64_t modulus, std::size_t terms, std::size_t own, std::size_t count,
                       bool with_addend) {
  const std::string name =
      std::string(k.name) + " modulo " + std::to_string(modulus) + " with " + std::to_string(terms) + " terms: ";
  const Words words = extreme(2 * own * count, modulus), addend = extreme(count, modulus);
  const Bytes key = packed(words, kKeyRun, modulus);
  const std::uint64_t factor = modulus - 1;
  std::vector<Words> digits;
  // Many terms are -1: multiplication is slow.
  for (std::size_t t = 0; t < terms; ++t)
    digits.push_back(t < 50 ? extreme(count, modulus) : Words(count, modulus - 1));
  Words out[2] = {Words(count), Words(count)}, expected[2] = {Words(count), Words(count)};
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t half = 0; half < 2; ++half) {
      std::uint64_t sum = half == 0 && with_addend ? slow_product(addend[i], factor, modulus) : 0;
      for (std::size_t t = 0; t < terms; ++t) {
        const std::size_t run = 2 * (i / kKeyRun * own + own - terms + t) + half;
        const std::uint64_t word = words[run * kKeyRun + i % kKeyRun];
        sum = (sum + (t < 50 ? slow_product(digits[t][i], word, modulus) : modulus - word)) % modulus;
      }
      expected[half][i] = sum;
    }
  }
  const std::size_t digit_bytes = 2 * kKeyRun * packed_bytes(modulus);
  k.key_products(pointers(std::as_const(digits)).data(), terms, key.data() + (own - terms) * digit_bytes,
                 own * digit_bytes, with_addend ? addend.data() : nullptr, factor, out[0].data(), out[1].data(), count,
                 make_modulus(modulus));
  check(out[0] == expected[0] && out[1] == expected[1], name + "key_products");
}

// Runs [first, first + runs) of the halves of two polynomials of `count` coefficients. Of `own` diagonals the last
// `terms` are used, and among the rotations the last one.
void test_diagonal_products(const Kernels& k, std::uint64_t modulus, std::size_t repeats, std::size_t terms,
                            std::size_t count, std::size_t first, std::size_t runs, bool added, bool apart = false) {
  const std::string name = std::string(k.name) + " modulo " + std::to_string(modulus) + " with " +
                           std::to_string(terms) + " terms and " + std::to_string(repeats) +
                           (apart ? " repeats apart: " : " repeats: ");
  const std::size_t images = 3, own = terms + 2, all = count / (2 * kDiagonalRun);
  const std::size_t words = repeats < kDiagonalRun ? kDiagonalRun / repeats : 1;
  const std::size_t shared = repeats < kDiagonalRun ? 1 : repeats / kDiagonalRun;
  const std::size_t ends = apart ? 2 : 1;
  const Words diagonals = extreme((all + shared - 1) / shared * own * ends * words, modulus);
  const Words rotated = extreme(all * images * 4 * kDiagonalRun, modulus);
  const Bytes values = packed(diagonals, words, modulus);
  std::vector<std::uint32_t> rotations;
  for (std::size_t t = 0; t < terms; ++t) {
    rotations.push_back(static_cast<std::uint32_t>(t == 0 ? images - 1 : generator()() % images));
  }
  Words out[2] = {extreme(count, modulus), extreme(count, modulus)};
  Words expected[2] = {out[0], out[1]};
  for (std::size_t run = first; run < first + runs; ++run) {
    for (std::size_t i = 0; i < 4 * kDiagonalRun; ++i) {
      const std::size_t half = i / (2 * kDiagonalRun), lane = i % kDiagonalRun;
      const bool mirrored = i / kDiagonalRun % 2 == 1;
      std::uint64_t& target =
          expected[half][(mirrored ? count - kDiagonalRun - run * kDiagonalRun : run * kDiagonalRun) + lane];
      std::uint64_t sum = added ? target : 0;
      for (std::size_t t = 0; t < terms; ++t) {
        const std::size_t place = (mirrored ? kDiagonalRun - 1 - lane : lane) * words / kDiagonalRun;
        const std::size_t row = (run / shared * own + own - terms + t) * ends + (apart && mirrored ? 1 : 0);
        const std::uint64_t value = diagonals[row * words + place];
        const std::uint64_t x = rotated[(run * images + rotations[t]) * 4 * kDiagonalRun + i];
        sum = (sum + slow_product(value, x, modulus)) % modulus;
      }
      target = sum;
    }
  }
  const std::size_t bytes = ends * words * packed_bytes(modulus), front = first * kDiagonalRun;
  const std::size_t back = count - front - kDiagonalRun;
  std::uint64_t* const outputs[] = {out[0].data() + front, out[0].data() + back, out[1].data() + front,
                                    out[1].data() + back};
  k.diagonal_products(values.data() + (first / shared * own + own - terms) * bytes, own * bytes, repeats, apart,
                      rotated.data() + first * images * 4 * kDiagonalRun, images * 4 * kDiagonalRun, rotations.data(),
                      terms, runs, added, outputs, make_modulus(modulus));
  check(out[0] == expected[0] && out[1] == expected[1], name + "diagonal_products");
}

void test_packed_products(const Kernels& k) {
  std::vector<std::uint64_t> moduli{3};
  for (const int bits : {20, 30, 32, 33, 40, 41, 48, 49, 50}) moduli.push_back(prime(2, bits));
  for (const std::uint64_t modulus : moduli) {
    for (const std::size_t terms : {0, 1, 2, 5, 40}) {
      test_key_products(k, modulus, terms, terms, kBlock, terms % 2 == 1);
      test_key_products(k, modulus, terms, terms + 3, kBlock, terms % 2 == 0);
    }
    test_key_products(k, modulus, 3, 4, 3 * kBlock, true);
    for (std::size_t repeats = 1; repeats <= 2048; repeats *= 2) {
      test_diagonal_products(k, modulus, repeats, 3, 128, 0, 4, false);
      test_diagonal_products(k, modulus, repeats, 4, 128, 2, 2, true);
      test_diagonal_products(k, modulus, repeats, 4, 128, 2, 2, true, true);
    }
    test_diagonal_products(k, modulus, 1, 40, 64, 0, 2, true);
    test_diagonal_products(k, modulus, 64, 40, 512, 8, 8, false);
    test_diagonal_products(k, modulus, 2, 0, 64, 1, 1, false);
    test_diagonal_products(k, modulus, 2, 0, 64, 1, 1, true);
  }
  test_key_products(k, prime(2, 50), kMaxTerms - 1, kMaxTerms - 1, kBlock, false);
  test_key_products(k, prime(2, 50), kMaxTerms - 2, kMaxTerms - 2, kBlock, true);
  test_diagonal_products(k, prime(2, 50), 1, kMaxTerms - 1, 32, 0, 1, true);
}

void test_lift(const Kernels& k) {
  const std::size_t count = 2 * kBlock;
  for (const std::uint64_t source : {std::uint64_t{3}, prime(2, 20), prime(2, 40), prime(2, 49), prime(2, 50)}) {
    for (const std::uint64_t target : {std::uint64_t{3}, prime(2, 20), prime(2, 40), prime(2, 49), prime(2, 50)}) {
      const Words x = extreme(count, source);
      Words out(count), expected(count);
      for (std::size_t i = 0; i < count; ++i) {
        expected[i] = x[i] > source / 2 ? (target - (source - x[i]) % target) % target : x[i] % target;
      }
      k.lift(x.data(), make_modulus(source), out.data(), count, make_modulus(target));
      check(out == expected,
            std::string(k.name) + ": lift from " + std::to_string(source) + " to " + std::to_string(target));
    }
  }
}

void test_half_transforms(const Kernels& k, int log_degree, int bits) {
  const std::string name =
      std::string(k.name) + " 2^" + std::to_string(log_degree) + ", " + std::to_string(bits) + " bits: ";
  const std::size_t degree = std::size_t{1} << log_degree;
  const std::uint64_t modulus = prime(2 * degree, bits);
  const auto tables = shared_ntt_tables(degree, modulus, k.format);
  for (int log_size = kMinLogTransform + 1; log_size <= log_degree; ++log_size) {
    const std::size_t half = std::size_t{1} << (log_size - 1);
    Words front = extreme(half + 1, modulus), folded(half), values(half), full(2 * half), transformed(2 * half);
    front[half] = 0;
    for (std::size_t i = 0; i < half; ++i) full[i] = front[i];
    for (std::size_t i = 1; i < half; ++i) full[2 * half - i] = (modulus - front[i]) % modulus;
    k.fold_conjugates(front.data(), tables->root_of_minus_one(), folded.data(), half, make_modulus(modulus));
    k.ntt_forward_half(tables->view(), log_size, folded.data(), values.data());
    k.ntt_forward(tables->view(), log_size, full.data(), transformed.data());
    check(std::equal(values.begin(), values.end(), transformed.begin()), name + "the first half");
    check(std::equal(values.begin(), values.end(), transformed.rbegin()), name + "the second half");
    k.ntt_forward_half(tables->view(), log_size, folded.data(), folded.data());
    check(folded == values, name + "ntt_forward_half in place");
  }
  for (const std::uint64_t element : {std::uint64_t{3}, std::uint64_t{2 * degree - 1}, std::uint64_t{degree + 1}}) {
    const GaloisPermutation permutation(degree, element);
    const std::size_t images = 2, runs = degree / (2 * kDiagonalRun), stride = images * 4 * kDiagonalRun;
    const Words inputs[] = {uniform(degree, modulus), uniform(degree, modulus)};
    Words out(runs * stride), expected(runs * stride), image(degree);
    for (std::size_t half = 0; half < 2; ++half) {
      k.permute(permutation.view(), inputs[half].data(), image.data());
      for (std::size_t i = 0; i < degree; ++i) {
        const std::size_t run = i / kDiagonalRun, from_end = 2 * runs - 1 - run;
        const std::size_t place = run < runs ? run * stride : from_end * stride + kDiagonalRun;
        expected[place + (images - 1) * 4 * kDiagonalRun + half * 2 * kDiagonalRun + i % kDiagonalRun] = image[i];
      }
    }
    k.permute_to_runs(permutation.view(), inputs[0].data(), inputs[1].data(),
                      out.data() + (images - 1) * 4 * kDiagonalRun, stride);
    check(out == expected, name + "permute_to_runs");
  }
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
    test_packed_products(*k);
    test_lift(*k);
    for (int log_degree = kMinLogDegree; log_degree <= kMaxLogDegree; ++log_degree) {
      for (const int bits : {40, 47, 50}) {
        if (log_degree >= 14 && bits != 50) continue;
        test_transforms(*k, log_degree, bits);
        test_half_transforms(*k, log_degree, bits);
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

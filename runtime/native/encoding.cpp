#include "encoding.hpp"

#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace hecc {
namespace {

// exp(-2 pi i k / m) for m divisible by 8, from an angle in the first octant, where the functions are most accurate.
std::complex<double> root_of_unity(std::size_t k, std::size_t m) {
  const std::size_t quarter = m / 4;
  const std::size_t in_quarter = k % quarter;
  const bool mirrored = in_quarter > quarter / 2;
  const double angle =
      2 * std::numbers::pi * static_cast<double>(mirrored ? quarter - in_quarter : in_quarter) / static_cast<double>(m);
  double real = mirrored ? std::sin(angle) : std::cos(angle);
  double imaginary = mirrored ? std::cos(angle) : std::sin(angle);
  for (std::size_t turn = k / quarter % 4; turn != 0; --turn) {
    const double old_real = real;
    real = -imaginary;
    imaginary = old_real;
  }
  return {real, -imaginary};
}

// Slot values into real and imaginary parts, odd slots conjugated, repeated to the smallest size there is.
template <class T>
int embed_values(const Encoder& encoder, const T* values, std::size_t slots, double scale, double* coefficients,
                 double* scratch) {
  const int log_points = Encoder::log_points(slots);
  const std::size_t points = std::size_t{1} << log_points;
  for (std::size_t first = 0; first < points; first += slots) {
    double* const real = coefficients + first;
    double* const imaginary = real + points;
    for (std::size_t j = 0; j < slots; ++j) {
      if constexpr (std::is_same_v<T, std::complex<double>>) {
        real[j] = values[j].real();
        imaginary[j] = (first + j) % 2 == 0 ? values[j].imag() : -values[j].imag();
      } else {
        real[j] = static_cast<double>(values[j]);
        imaginary[j] = 0;
      }
    }
  }
  const double largest =
      encoder.kernels.embed(shared_embedding(log_points)->view(), scale, coefficients, scratch, coefficients);
  return word_count(largest);
}

}  // namespace

Embedding::Embedding(int log_points) {
  if (log_points < kMinLogPoints || log_points > kMaxLogPoints) {
    throw std::invalid_argument("an embedding has 2^" + std::to_string(kMinLogPoints) + " to 2^" +
                                std::to_string(kMaxLogPoints) + " points, not 2^" + std::to_string(log_points));
  }
  const std::size_t n = std::size_t{1} << log_points;
  tables_ = AlignedBuffer<double>(5 * n);
  double* const real = tables_.data();
  double* const imaginary = real + n;
  double* const repeated_real = imaginary + n;
  double* const repeated_imaginary = repeated_real + 3 * n / 2;
  for (int level = 0; level < log_points; ++level) {
    const std::size_t half = n >> (level + 1), order = 8 * half;
    std::size_t exponent = 1;  // (-3)^p modulo 4 * (2 * half)
    for (std::size_t p = 0; p < half; ++p) {
      const std::complex<double> root = root_of_unity(exponent, order);
      const std::size_t index = n - 2 * half + p;
      real[index] = root.real();
      imaginary[index] = root.imag();
      exponent = (order - 3) * exponent % order;
      if (level > 2) continue;
      for (std::size_t i = 0; i < std::size_t{1} << level; ++i) {
        repeated_real[level * n / 2 + (p << level) + i] = root.real();
        repeated_imaginary[level * n / 2 + (p << level) + i] = root.imag();
      }
    }
  }
  real[n - 1] = imaginary[n - 1] = 0;  // the n - 1 factors leave one entry over
  view_ = {log_points, real, imaginary, repeated_real, repeated_imaginary};
}

std::shared_ptr<const Embedding> shared_embedding(int log_points) {
  static std::mutex mutex;
  static std::map<int, std::shared_ptr<const Embedding>> cache;
  const std::lock_guard lock(mutex);
  auto found = cache.find(log_points);
  if (found == cache.end()) found = cache.emplace(log_points, std::make_shared<const Embedding>(log_points)).first;
  return found->second;
}

int word_count(double magnitude) {
  if (magnitude < 0x1p52) return 1;
  if (magnitude < 0x1p100) return 2;
  return magnitude < kMaxCoefficient ? 3 : 0;
}

int Encoder::log_points(std::size_t slots) {
  const int log_slots = std::countr_zero(slots);
  return log_slots < kMinLogPoints ? kMinLogPoints : log_slots;
}

int Encoder::embed(const double* values, std::size_t slots, double scale, double* coefficients, double* scratch) const {
  return embed_values(*this, values, slots, scale, coefficients, scratch);
}

int Encoder::embed(const float* values, std::size_t slots, double scale, double* coefficients, double* scratch) const {
  return embed_values(*this, values, slots, scale, coefficients, scratch);
}

int Encoder::embed(const std::complex<double>* values, std::size_t slots, double scale, double* coefficients,
                   double* scratch) const {
  return embed_values(*this, values, slots, scale, coefficients, scratch);
}

void Encoder::limb(const double* coefficients, std::size_t count, int words, const NttView& tables, std::uint64_t* out,
                   std::uint64_t* scratch) const {
  const std::size_t times = degree / count;
  std::uint64_t* const values = times == 1 ? out : scratch;
  kernels.residues(coefficients, words, values, count, tables.modulus);
  kernels.ntt_forward(tables, std::countr_zero(count), values, values);
  kernels.repeat(values, times, out, count);
}

}  // namespace hecc

// The transforms, written once for all implementations: which butterflies in which order. An implementation's Field
// says what a butterfly is, and its types lie in an unnamed namespace, so that every instantiation stays in its own
// translation unit.
//
// A transform of 2^k points is a binary tree. Node 1 is the whole array, node n's halves are the nodes 2n and 2n + 1,
// and the butterflies of node n all use power n of the tables. A *pass* does one to three levels of one node in
// registers; the tree below is walked depth first, so that once a node fits the first-level cache it stays there. The
// lowest levels are the *base*: a few vectors whose last levels lie inside a vector.
//
// The inverse uses the negated power of the mirror node: see NttView. The mirror of child i of R of a node is child
// R - 1 - i of its mirror.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ntt.hpp"

namespace hecc {
namespace {

template <class Field>
class Transform {
 public:
  using Value = typename Field::Value;
  using Twiddle = typename Field::Twiddle;
  static constexpr int kWidth = Field::kWidth;
  static constexpr int kLogBaseVectors = Field::kLogBaseVectors;
  static constexpr int kLogBase = kLogBaseVectors + Field::kLogWidth;

  explicit Transform(const NttView& tables)
      : field_(tables.modulus), powers_(tables.powers), quotients_(tables.quotients) {}

  // Everything below a node, from residues: node 1 is the whole transform, node 2 the first half of the outputs of one
  // twice as large, whose first level is done already.
  void forward(int log_size, std::size_t node, const std::uint64_t* input, std::uint64_t* output) const {
    const int levels = pass_levels(log_size);
    switch (levels) {
      case 0:
        return forward_base<true>(node, input, output);
      case 1:
        forward_pass<1, true>(log_size, node, input, output);
        break;
      case 2:
        forward_pass<2, true>(log_size, node, input, output);
        break;
      default:
        forward_pass<3, true>(log_size, node, input, output);
    }
    forward_children(levels, log_size, node, output);
  }

  void inverse(int log_size, Twiddle scale, Twiddle scale_times_root, const std::uint64_t* input,
               std::uint64_t* output) const {
    const int levels = pass_levels(log_size);
    inverse_children(levels, log_size, 1, input, output);
    const Last last{scale, scale_times_root};
    switch (levels) {
      case 0:
        return inverse_base<true>(1, input, output, &last);
      case 1:
        return inverse_pass<1, true>(log_size, 1, output, &last);
      case 2:
        return inverse_pass<2, true>(log_size, 1, output, &last);
      default:
        return inverse_pass<3, true>(log_size, 1, output, &last);
    }
  }

 private:
  // The factors of the last level of the inverse.
  struct Last {
    Twiddle sum, difference;
  };

  // Levels of a node's pass, 0 for a base: as many as registers allow, and no single ones if that can be helped. Where
  // registers allow two, an odd level is made part of the largest pass, whose loop is the longest.
  static constexpr int pass_levels(int log_size) {
    const int rest = log_size - kLogBase;
    if (Field::kLogRadix == 2) return rest < 3 ? rest : 2 + rest % 2;
    return rest == 4 ? 2 : rest < 3 ? rest : 3;
  }

  // The twiddles of kLog levels below a node: level s at indices 2^s and up.
  template <int kLog>
  void load_twiddles(std::size_t node, Twiddle (&twiddles)[1 << kLog]) const {
#pragma GCC unroll 8
    for (int i = 1; i < 1 << kLog; ++i) {
      const int level = i < 2 ? 0 : i < 4 ? 1 : 2;
      const std::size_t index = (node << level) + i - (1 << level);
      twiddles[i] = field_.broadcast(powers_ + index, quotients_ + index);
    }
  }
  template <int kLog>
  void load_mirrored_twiddles(std::size_t mirror, Twiddle (&twiddles)[1 << kLog]) const {
#pragma GCC unroll 8
    for (int i = 1; i < 1 << kLog; ++i) {
      const int level = i < 2 ? 0 : i < 4 ? 1 : 2;
      const std::size_t index = (mirror << level) + (2 << level) - 1 - i;
      twiddles[i] = field_.broadcast(powers_ + index, quotients_ + index);
    }
  }

  template <int kLog>
  void forward_levels(Value (&x)[1 << kLog], const Twiddle (&twiddles)[1 << kLog]) const {
#pragma GCC unroll 3
    for (int level = 0; level < kLog; ++level) {
      const int half = 1 << (kLog - 1 - level);
#pragma GCC unroll 8
      for (int i = 0; i < 1 << (kLog - 1); ++i) {
        const int block = i / half;
        const int u = 2 * half * block + i % half;
        field_.forward(x[u], x[u + half], twiddles[(1 << level) + block]);
      }
    }
  }

  template <int kLog, bool kFirst>
  void forward_pass(int log_size, std::size_t node, const std::uint64_t* input, std::uint64_t* output) const {
    constexpr int kRadix = 1 << kLog;
    const std::size_t stride = std::size_t{1} << (log_size - kLog);
    Twiddle twiddles[kRadix];
    load_twiddles<kLog>(node, twiddles);
    for (std::size_t j = 0; j < stride; j += kWidth) {
      Value x[kRadix];
#pragma GCC unroll 8
      for (int i = 0; i < kRadix; ++i) {
        x[i] = kFirst ? field_.from_residues(input + j + i * stride) : field_.load(output + j + i * stride);
      }
      if (!kFirst) {
#pragma GCC unroll 4
        for (int i = 0; i < kRadix / 2; ++i) x[i] = field_.relax(x[i]);
      }
      forward_levels<kLog>(x, twiddles);
#pragma GCC unroll 8
      for (int i = 0; i < kRadix; ++i) field_.store(output + j + i * stride, x[i]);
    }
  }

  void forward_node(int log_size, std::size_t node, std::uint64_t* values) const {
    const int levels = pass_levels(log_size);
    switch (levels) {
      case 0:
        return forward_base<false>(node, values, values);
      case 1:
        forward_pass<1, false>(log_size, node, values, values);
        break;
      case 2:
        forward_pass<2, false>(log_size, node, values, values);
        break;
      default:
        forward_pass<3, false>(log_size, node, values, values);
    }
    forward_children(levels, log_size, node, values);
  }

  void forward_children(int levels, int log_size, std::size_t node, std::uint64_t* values) const {
    const int log_child = log_size - levels;
    const std::size_t first = node << levels;
    for (std::size_t i = 0; i < std::size_t{1} << levels; ++i) {
      std::uint64_t* const child = values + (i << log_child);
      if (log_child == kLogBase) {
        forward_base<false>(first + i, child, child);
      } else {
        forward_node(log_child, first + i, child);
      }
    }
  }

  template <bool kFirst>
  void forward_base(std::size_t node, const std::uint64_t* input, std::uint64_t* output) const {
    constexpr int kVectors = 1 << kLogBaseVectors;
    Twiddle twiddles[kVectors];
    load_twiddles<kLogBaseVectors>(node, twiddles);
    Value x[kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      x[i] = kFirst ? field_.from_residues(input + i * kWidth) : field_.load(input + i * kWidth);
    }
    if (!kFirst) {
#pragma GCC unroll 4
      for (int i = 0; i < kVectors / 2; ++i) x[i] = field_.relax(x[i]);
    }
    forward_levels<kLogBaseVectors>(x, twiddles);
    if constexpr (kWidth > 1) {
      const std::size_t first = node << kLogBaseVectors;  // the node of the first vector
#pragma GCC unroll 4
      for (int i = 0; i < kVectors; i += 2) {
        field_.forward_pair(x[i], x[i + 1], powers_, quotients_, first + i);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) field_.finish(output + i * kWidth, x[i]);
  }

  template <int kLog>
  void inverse_levels(Value (&x)[1 << kLog], const Twiddle (&twiddles)[1 << kLog], int done, const Last* last) const {
    inverse_level<kLog, kLog - 1>(x, twiddles, done, last);
  }
  template <int kLog, int kLevel>
  void inverse_level(Value (&x)[1 << kLog], const Twiddle (&twiddles)[1 << kLog], int done, const Last* last) const {
    constexpr int kHalf = 1 << (kLog - 1 - kLevel);
#pragma GCC unroll 8
    for (int i = 0; i < 1 << (kLog - 1); ++i) {
      const int block = i / kHalf;
      const int u = 2 * kHalf * block + i % kHalf;
      const Value sum = field_.sum(x[u], x[u + kHalf]);
      const Value difference = field_.template difference<kLog - 1 - kLevel>(x[u + kHalf], x[u], done);
      const bool scaled = kLevel == 0 && last != nullptr;
      x[u] = scaled ? field_.product(sum, last->sum) : sum;
      x[u + kHalf] = field_.product(difference, scaled ? last->difference : twiddles[(1 << kLevel) + block]);
    }
    if constexpr (kLevel > 0) inverse_level<kLog, kLevel - 1>(x, twiddles, done, last);
  }

  template <int kLog, bool kLast>
  void inverse_pass(int log_size, std::size_t mirror, std::uint64_t* values, const Last* last) const {
    constexpr int kRadix = 1 << kLog;
    const std::size_t stride = std::size_t{1} << (log_size - kLog);
    Twiddle twiddles[kRadix];
    load_mirrored_twiddles<kLog>(mirror, twiddles);
    for (std::size_t j = 0; j < stride; j += kWidth) {
      Value x[kRadix];
#pragma GCC unroll 8
      for (int i = 0; i < kRadix; ++i) x[i] = field_.load(values + j + i * stride);
      inverse_levels<kLog>(x, twiddles, log_size - kLog, kLast ? last : nullptr);
      if (kLast) {
#pragma GCC unroll 8
        for (int i = 0; i < kRadix; ++i) field_.finish_product(values + j + i * stride, x[i]);
      } else {
#pragma GCC unroll 8
        for (int i = 0; i < kRadix; ++i) {
          field_.store(values + j + i * stride, i < kRadix / 2 ? field_.settle(x[i], log_size) : x[i]);
        }
      }
    }
  }

  void inverse_node(int log_size, std::size_t mirror, const std::uint64_t* input, std::uint64_t* output) const {
    const int levels = pass_levels(log_size);
    inverse_children(levels, log_size, mirror, input, output);
    switch (levels) {
      case 1:
        return inverse_pass<1, false>(log_size, mirror, output, nullptr);
      case 2:
        return inverse_pass<2, false>(log_size, mirror, output, nullptr);
      default:
        return inverse_pass<3, false>(log_size, mirror, output, nullptr);
    }
  }

  void inverse_children(int levels, int log_size, std::size_t mirror, const std::uint64_t* input,
                        std::uint64_t* output) const {
    if (levels == 0) return;
    const int log_child = log_size - levels;
    const std::size_t last = ((mirror + 1) << levels) - 1;
    for (std::size_t i = 0; i < std::size_t{1} << levels; ++i) {
      const std::size_t offset = i << log_child;
      if (log_child == kLogBase) {
        inverse_base<false>(last - i, input + offset, output + offset, nullptr);
      } else {
        inverse_node(log_child, last - i, input + offset, output + offset);
      }
    }
  }

  template <bool kLast>
  void inverse_base(std::size_t mirror, const std::uint64_t* input, std::uint64_t* output, const Last* last) const {
    constexpr int kVectors = 1 << kLogBaseVectors;
    Value x[kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) x[i] = field_.from_residues(input + i * kWidth);
    if constexpr (kWidth > 1) {
      const std::size_t final_mirror = ((mirror + 1) << kLogBaseVectors) - 1;  // the mirror of the first vector
#pragma GCC unroll 4
      for (int i = 0; i < kVectors; i += 2) {
        field_.inverse_pair(x[i], x[i + 1], powers_, quotients_, final_mirror - i);
      }
    }
    Twiddle twiddles[kVectors];
    load_mirrored_twiddles<kLogBaseVectors>(mirror, twiddles);
    inverse_levels<kLogBaseVectors>(x, twiddles, Field::kLogWidth, kLast ? last : nullptr);
    if (kLast) {
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; ++i) field_.finish_product(output + i * kWidth, x[i]);
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; ++i) {
        field_.store(output + i * kWidth, i < kVectors / 2 ? field_.settle(x[i], kLogBase) : x[i]);
      }
    }
  }

  Field field_;
  const std::uint64_t* powers_;
  const std::uint64_t* quotients_;
};

template <class Field>
void transform_forward(const NttView& tables, int log_size, std::size_t node, const std::uint64_t* input,
                       std::uint64_t* output) {
  Transform<Field>(tables).forward(log_size, node, input, output);
}

template <class Field>
void transform_inverse(const NttView& tables, int log_size, const std::uint64_t* input, std::uint64_t* output) {
  const Encoded scale = tables.inverse_size[log_size];
  const Encoded root = tables.inverse_size_times_root[log_size];
  const Field field(tables.modulus);
  Transform<Field>(tables).inverse(log_size, field.broadcast(&scale.value, &scale.quotient),
                                   field.broadcast(&root.value, &root.quotient), input, output);
}

}  // namespace
}  // namespace hecc

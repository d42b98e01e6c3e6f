#include "rtl/core/dtype.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace rtl {
namespace {

/// The definition: nearest representable value, ties to the even pattern, by search over neighbours.
std::uint16_t nearest_pattern(double value, double (*decode)(std::uint16_t), std::uint16_t candidate) {
  std::uint16_t best = candidate;
  for (int offset = -2; offset <= 2; ++offset) {
    const auto other = static_cast<std::uint16_t>(candidate + offset);
    if ((other & 0x8000u) != (candidate & 0x8000u) || !std::isfinite(decode(other))) continue;
    const double gain = std::fabs(decode(best) - value) - std::fabs(decode(other) - value);
    if (gain > 0 || (gain == 0 && other != best && other % 2 == 0)) best = other;
  }
  return best;
}

/// IEEE half from its definition.
double decode_half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  if (exponent == 31) return fraction == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

double decode_bfloat(std::uint16_t bits) {
  const int exponent = (bits >> 7) & 255;
  const int fraction = bits & 127;
  if (exponent == 255) return fraction == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -133) : std::ldexp(128 + fraction, exponent - 134);
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

TEST(DType, EveryHalfConvertsExactlyAndBack) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float16 half{static_cast<std::uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(to_float(to_float16(value)))) << bits;
      continue;
    }
    if (std::isfinite(value)) {
      ASSERT_EQ(static_cast<double>(value), decode_half(half.bits)) << bits;
    }
    ASSERT_EQ(to_float16(value).bits, bits);
  }
}

TEST(DType, EveryBfloatConvertsExactlyAndBack) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const bfloat16 small{static_cast<std::uint16_t>(bits)};
    const float value = to_float(small);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(to_float(to_bfloat16(value)))) << bits;
      continue;
    }
    if (std::isfinite(value)) {
      ASSERT_EQ(static_cast<double>(value), decode_bfloat(small.bits)) << bits;
    }
    ASSERT_EQ(to_bfloat16(value).bits, bits);
  }
}

TEST(DType, RoundsToNearestEven) {
  std::mt19937 generator(20240501);
  for (int i = 0; i < 200000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(generator()));
    if (!std::isfinite(value)) continue;
    const std::uint16_t half = to_float16(value).bits;
    if (std::fabs(value) < 65520.0f) {
      ASSERT_EQ(half, nearest_pattern(value, decode_half, half)) << value;
    } else {
      ASSERT_EQ(half & 0x7fffu, 0x7c00u) << value;
    }
    const std::uint16_t small = to_bfloat16(value).bits;
    if (std::fabs(value) < 3.38e38f) {
      ASSERT_EQ(small, nearest_pattern(value, decode_bfloat, small)) << value;
    }
  }
  EXPECT_EQ(to_float16(1.0f + 0x1p-11f).bits, 0x3c00u);      // a tie goes to the even pattern, down ...
  EXPECT_EQ(to_float16(1.0f + 3 * 0x1p-11f).bits, 0x3c02u);  // ... and up
  EXPECT_EQ(to_float16(0x1p-25f).bits, 0u);                  // half of the smallest subnormal ties to zero
  EXPECT_EQ(to_float16(0x1.8p-25f).bits, 1u);
  EXPECT_EQ(to_float16(65519.996f).bits, 0x7bffu);
  EXPECT_EQ(to_float16(65520.0f).bits, 0x7c00u);
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(size_of(DType::f64), 8u);
  EXPECT_EQ(size_of(dtype_of<bfloat16>()), 2u);
  EXPECT_EQ(size_of(dtype_of<const std::uint8_t>()), 1u);
  EXPECT_EQ(name_of(DType::bf16), "bf16");
  EXPECT_TRUE(is_floating(DType::f16));
  EXPECT_FALSE(is_floating(DType::i64));
}

}  // namespace
}  // namespace rtl

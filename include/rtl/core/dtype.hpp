// Element types of tensors, and the two 16-bit floating-point types.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "rtl/core/macros.hpp"

namespace rtl {

enum class DType : std::uint8_t { f32, f64, bf16, f16, i32, i64, u8 };

/// Brain floating point: the upper half of an IEEE single. Products multiply it; sums, and all else, are in f32.
struct bfloat16 {
  std::uint16_t bits = 0;
};

/// IEEE half precision. Storage only: gathers and casts convert it.
struct float16 {
  std::uint16_t bits = 0;
};

/// Exact.
RTL_HOST_DEVICE inline float to_float(bfloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Rounds to nearest even; NaN stays NaN, overflow becomes infinity.
RTL_HOST_DEVICE inline bfloat16 to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

/// Exact, subnormals included.
RTL_HOST_DEVICE inline float to_float(float16 value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // 2^112 moves the half's exponent bias to the single's, and normalises subnormals exactly.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

/// Rounds to nearest even; NaN stays NaN, overflow becomes infinity.
RTL_HOST_DEVICE inline float16 to_float16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {
    // Adding 0.5 aligns the subnormal's last bit with the single's, so the addition itself rounds.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3f000000u))};
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u;
  return {static_cast<std::uint16_t>(sign | (rounded >> 13))};
}

/// Bytes of one element.
std::size_t size_of(DType dtype) noexcept;

/// "f32", "f64", "bf16", "f16", "i32", "i64" or "u8".
std::string_view name_of(DType dtype) noexcept;

/// True for f32, f64, bf16 and f16.
bool is_floating(DType dtype) noexcept;

/// What goes with images and activations of a dtype: parameters, statistics, sums. f32 for bf16 and f16, else the dtype
/// itself.
DType parameter_dtype(DType activations) noexcept;

/// The type in which a kernel calculates with elements of T: float for the two 16-bit types.
template <typename T>
using Arithmetic =
    std::conditional_t<std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>, float, std::remove_cv_t<T>>;

/// The DType of a C++ element type. Not defined for other types.
template <typename T>
constexpr DType dtype_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, float>) {
    return DType::f32;
  } else if constexpr (std::is_same_v<U, double>) {
    return DType::f64;
  } else if constexpr (std::is_same_v<U, bfloat16>) {
    return DType::bf16;
  } else if constexpr (std::is_same_v<U, float16>) {
    return DType::f16;
  } else if constexpr (std::is_same_v<U, std::int32_t>) {
    return DType::i32;
  } else if constexpr (std::is_same_v<U, std::int64_t>) {
    return DType::i64;
  } else {
    static_assert(std::is_same_v<U, std::uint8_t>, "not an element type of rtl");
    return DType::u8;
  }
}

}  // namespace rtl

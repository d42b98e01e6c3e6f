// Conversion between all pairs of dtypes on the host. Only what is converted in bulk has loops for each instruction
// set: images, features and weights to real numbers.
#include "kernels/cpu/cast.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "kernels/backend/pointwise.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cast.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

namespace rtl::kernels::cpu {
#ifndef RTL_KERNELS_CPU_CAST_BULK
#define RTL_KERNELS_CPU_CAST_BULK
template <typename T>
constexpr bool is_real = std::is_floating_point_v<T> || functors::is_half<T>;

template <typename From, typename To>
constexpr bool in_bulk = is_real<To> && !std::is_same_v<From, std::int64_t> && !std::is_same_v<From, To>;
#endif
}  // namespace rtl::kernels::cpu

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

template <typename From, typename To>
void convert_row(const From* x, To* y, std::int64_t count) {
  if constexpr (std::is_same_v<From, float> && std::is_same_v<To, bfloat16>) return narrow(x, y, count);
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) y[i] = functors::convert<To>(x[i]);
}

void convert_target(DType from, const void* x, DType to, void* y, std::int64_t count) {
  functors::visit_any(from, [&](auto source) {
    functors::visit_any(to, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      if constexpr (in_bulk<From, To>) convert_row(static_cast<const From*>(x), static_cast<To*>(y), count);
    });
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(convert_target);

template <typename Word>
void move_words(const void* from, std::int64_t from_step, void* to, std::int64_t to_step, std::int64_t count) {
  const auto* in = static_cast<const Word*>(from);
  auto* out = static_cast<Word*>(to);
  for (std::int64_t i = 0; i < count; ++i) out[i * to_step] = in[i * from_step];
}

/// Elements of `size` bytes from one stride to another.
void move_elements(std::size_t size, const void* from, std::int64_t from_step, void* to, std::int64_t to_step,
                   std::int64_t count) {
  switch (size) {
    case 1:
      return move_words<std::uint8_t>(from, from_step, to, to_step, count);
    case 2:
      return move_words<std::uint16_t>(from, from_step, to, to_step, count);
    case 4:
      return move_words<std::uint32_t>(from, from_step, to, to_step, count);
    default:
      return move_words<std::uint64_t>(from, from_step, to, to_step, count);
  }
}

/// A row of any strides: gathered, converted and spread in pieces.
void convert_strided(DType from, const std::byte* x, std::int64_t step_x, DType to, std::byte* y, std::int64_t step_y,
                     std::int64_t length) {
  constexpr std::int64_t most = 256;
  alignas(std::max_align_t) std::array<std::byte, 8 * most> gathered, converted;
  const std::size_t size_x = size_of(from), size_y = size_of(to);
  for (std::int64_t i = 0; i < length; i += most) {
    const std::int64_t count = std::min(most, length - i);
    move_elements(size_x, x + i * step_x * static_cast<std::int64_t>(size_x), step_x, gathered.data(), 1, count);
    convert_elements(from, gathered.data(), to, converted.data(), count);
    move_elements(size_y, converted.data(), 1, y + i * step_y * static_cast<std::int64_t>(size_y), step_y, count);
  }
}

}  // namespace

void convert_elements(DType from, const void* x, DType to, void* y, std::int64_t count) {
  if (from == to) {
    std::memmove(y, x, static_cast<std::size_t>(count) * size_of(to));
    return;
  }
  if (is_floating(to) && from != DType::i64) {
    HWY_DYNAMIC_DISPATCH(convert_target)(from, x, to, y, count);
    return;
  }
  functors::visit_any(from, [&](auto source) {
    functors::visit_any(to, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      if constexpr (!in_bulk<From, To> && !std::is_same_v<From, To>) {
        const auto* in = static_cast<const From*>(x);
        auto* out = static_cast<To*>(y);
        for (std::int64_t i = 0; i < count; ++i) out[i] = functors::convert<To>(in[i]);
      }
    });
  });
}

void cast(const Device&, ConstView x, View y) {
  const StridedLoop<2> loop(y.shape(), {x.strides(), y.strides()});
  const auto* from = static_cast<const std::byte*>(x.data());
  auto* to = static_cast<std::byte*>(y.data());
  const auto size_x = static_cast<std::int64_t>(size_of(x.dtype()));
  const auto size_y = static_cast<std::int64_t>(size_of(y.dtype()));
  loop.run([&](const std::array<std::int64_t, 2>& at, std::int64_t length) {
    const std::byte* row = from + at[0] * size_x;
    std::byte* out = to + at[1] * size_y;
    if (loop.step(0) == 1 && loop.step(1) == 1) {
      convert_elements(x.dtype(), row, y.dtype(), out, length);
    } else {
      convert_strided(x.dtype(), row, loop.step(0), y.dtype(), out, loop.step(1), length);
    }
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

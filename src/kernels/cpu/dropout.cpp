// Random tensors on the host: Philox blocks are made a vector at a time.
#include <array>

#include "kernels/backend/dropout.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dropout.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

/// Elements [begin, end); begin is a multiple of 4, a whole Philox block.
template <typename T>
void dropout_range(const functors::Dropout<T>& f, const T* x, T* y, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t blocks = 16;
  std::array<std::uint32_t, 4 * blocks> bits;
  for (std::int64_t at = begin; at < end; at += 4 * blocks) {
#pragma omp simd
    for (std::int64_t block = 0; block < blocks; ++block) {
      const PhiloxBlock words = f.philox.block(static_cast<std::uint64_t>(at / 4 + block));
      for (std::size_t word = 0; word < 4; ++word) bits[static_cast<std::size_t>(4 * block) + word] = words.word[word];
    }
    const std::int64_t length = end - at < 4 * blocks ? end - at : 4 * blocks;
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[at + i] = f.apply(x[at + i], bits[static_cast<std::size_t>(i)]);
  }
}

void dropout_f32(const functors::Dropout<float>& f, const float* x, float* y, std::int64_t begin, std::int64_t end) {
  dropout_range(f, x, y, begin, end);
}

void dropout_f64(const functors::Dropout<double>& f, const double* x, double* y, std::int64_t begin, std::int64_t end) {
  dropout_range(f, x, y, begin, end);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(dropout_f32);
HWY_EXPORT(dropout_f64);

/// y[i] = f(i) for every element.
template <typename T, typename F>
void generate(View y, const F& f) {
  T* to = y.data_as<T>();
  parallel_ranges(y.count(), elements_per_thread / 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(f(static_cast<std::uint64_t>(i)));
  });
}

}  // namespace

void dropout(const Device&, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y) {
  const std::int64_t count = y.count();
  parallel_ranges((count + 3) / 4, elements_per_thread / 8, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t begin = 4 * first, end = std::min(4 * last, count);
    if (y.dtype() == DType::f32) {
      HWY_DYNAMIC_DISPATCH(dropout_f32)
      ({seed, stream, probability}, x.data_as<float>(), y.data_as<float>(), begin, end);
    } else {
      HWY_DYNAMIC_DISPATCH(dropout_f64)
      ({seed, stream, probability}, x.data_as<double>(), y.data_as<double>(), begin, end);
    }
  });
}

void uniform(const Device&, double low, double high, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_floating(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    generate<T>(y, functors::Uniform<T>{Philox(seed, stream), low, high - low});
  });
}

void normal(const Device&, double mean, double deviation, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_floating(y.dtype(), [&](auto zero) {
    generate<decltype(zero)>(y, functors::Normal{Philox(seed, stream), mean, deviation});
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

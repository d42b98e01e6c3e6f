#include "kernels/cpu/transform_features.hpp"

#include <algorithm>

#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/transform_features.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

template <typename From, typename To>
void transform_row(const From* x, const float* shift, const float* factor, const float* offset, float bound, To* y,
                   std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    float value = (functors::convert<float>(x[i]) - shift[i]) * factor[i] + offset[i];
    value = value > bound ? bound : value;
    value = value < -bound ? -bound : value;
    y[i] = value;
  }
}

/// By pieces in f32, which are then rounded.
template <typename From>
void transform_row(const From* x, const float* shift, const float* factor, const float* offset, float bound,
                   bfloat16* y, std::int64_t count) {
  constexpr std::int64_t most = 256;
  float piece[most];
  for (std::int64_t i = 0; i < count; i += most) {
    const std::int64_t width = std::min(most, count - i);
    transform_row(x + i, shift + i, factor + i, offset + i, bound, piece, width);
    narrow(piece, y + i, width);
  }
}

void transform_target(DType from, const void* x, const float* transform, float bound, DType to, void* y,
                      std::int64_t count) {
  const auto write = [&](auto stored) {
    using From = decltype(stored);
    functors::visit_activations(to, [&](auto wanted) {
      using To = decltype(wanted);
      transform_row(static_cast<const From*>(x), transform, transform + count, transform + 2 * count, bound,
                    static_cast<To*>(y), count);
    });
  };
  functors::visit_features(from, write);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(transform_target);

}  // namespace

void transform_elements(DType from, const void* x, const float* transform, float bound, DType to, void* y,
                        std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(transform_target)(from, x, transform, bound, to, y, count);
}

}  // namespace rtl::kernels::cpu
#endif

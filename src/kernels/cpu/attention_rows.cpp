#include "kernels/cpu/attention_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_rows.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// exp(x) for x <= 0, or NaN, for which Highway's is not defined.
template <class D, class V>
HWY_INLINE V exp_of(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

/// The largest of the first `count` scores; they need not fill vectors.
template <class D>
HWY_INLINE hn::TFromD<D> largest_of(D d, const hn::TFromD<D>* scores, std::int64_t count) {
  using A = hn::TFromD<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto largest = hn::Set(d, -std::numeric_limits<A>::infinity());
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) largest = hn::Max(largest, hn::LoadU(d, scores + i));
  A result = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; i < count; ++i) result = std::max(result, scores[i]);
  return result;
}

/// Elements behind the last whole vector pass through padded memory, so that theirs are the bits of a vector.
template <class D>
struct Tail {
  HWY_ALIGN hn::TFromD<D> values[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)];
  HWY_INLINE auto load(D d, const hn::TFromD<D>* from, std::int64_t count, hn::TFromD<D> padding) {
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(hn::Lanes(d)); ++i)
      values[i] = i < count ? from[i] : padding;
    return hn::Load(d, values);
  }
  template <class V>
  HWY_INLINE void store(D d, V value, hn::TFromD<D>* to, std::int64_t count) {
    hn::Store(value, d, values);
    std::copy_n(values, count, to);
  }
};

template <typename T>
Arithmetic<T> softmax_row_of(const SoftmaxRow<T>& row) {
  using A = Arithmetic<T>;
  constexpr A lowest = -std::numeric_limits<A>::infinity();
  const hn::ScalableTag<A> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (row.visible == 0) {
    std::fill(row.probabilities, row.probabilities + row.length, T{});
    return A{1};
  }
  // The largest product with the scale is that of the largest, or, below zero, of the smallest score.
  A* const scores = row.scores;
  const A before = *row.largest;
  A here = largest_of(d, scores, row.visible) * row.scale;
  if (row.scale < A{0}) {
    here = lowest;
    for (std::int64_t i = 0; i < row.visible; ++i) here = std::max(here, scores[i] * row.scale);
  }
  const A largest = std::max(before, here);
  const A kept = before == lowest ? A{0} : std::exp(before - largest);
  const auto shift = hn::Set(d, -largest), scale = hn::Set(d, row.scale);
  auto sums = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= row.visible; i += lanes) {
    const auto e = exp_of(d, hn::MulAdd(hn::LoadU(d, scores + i), scale, shift));
    sums = hn::Add(sums, e);
    hn::StoreU(e, d, scores + i);
  }
  if (const std::int64_t rest = row.visible - i; rest > 0) {
    Tail<decltype(d)> tail;
    auto e = exp_of(d, hn::MulAdd(tail.load(d, scores + i, rest, A{0}), scale, shift));
    e = hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(rest)), e);
    sums = hn::Add(sums, e);
    tail.store(d, e, scores + i, rest);
  }
  *row.largest = largest;
  *row.sum = *row.sum * kept + hn::GetLane(hn::SumOfLanes(d, sums));
  if (row.dropped.probability > 0) drop_row(row.dropped, scores, row.visible);
  if constexpr (std::is_same_v<T, bfloat16>) narrow(scores, row.probabilities, row.visible);
  std::fill(row.probabilities + row.visible, row.probabilities + row.length, T{});
  return kept;
}

/// With P = exp(scale scores - log_sum_exp): probabilities P, dropped, and P (gradients, dropped - delta) scale.
template <typename T>
void softmax_gradient_row_of(const SoftmaxGradientRow<T>& row) {
  using A = Arithmetic<T>;
  const hn::ScalableTag<A> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  if (row.dropped.probability > 0) drop_row(row.dropped, row.gradients, row.visible);
  const auto shift = hn::Set(d, -row.log_sum_exp), scale = hn::Set(d, row.scale), delta = hn::Set(d, row.delta);
  std::int64_t i = 0;
  for (; i + lanes <= row.visible; i += lanes) {
    const auto p = exp_of(d, hn::MulAdd(hn::LoadU(d, row.scores + i), scale, shift));
    const auto g = hn::Mul(hn::Mul(p, scale), hn::Sub(hn::LoadU(d, row.gradients + i), delta));
    hn::StoreU(p, d, row.scores + i);
    store(g, d, row.score_gradients + i);
  }
  if (const std::int64_t rest = row.visible - i; rest > 0) {
    Tail<decltype(d)> tail;
    const auto p = exp_of(d, hn::MulAdd(tail.load(d, row.scores + i, rest, A{0}), scale, shift));
    const auto g = hn::Mul(hn::Mul(p, scale), hn::Sub(tail.load(d, row.gradients + i, rest, A{0}), delta));
    tail.store(d, p, row.scores + i, rest);
    tail.store(d, g, row.gradients + i, rest);
    for (std::int64_t k = i; k < row.visible; ++k) row.score_gradients[k] = functors::convert<T>(row.gradients[k]);
  }
  if (row.dropped.probability > 0) drop_row(row.dropped, row.scores, row.visible);
  if constexpr (std::is_same_v<T, bfloat16>) narrow(row.scores, row.probabilities, row.visible);
  std::fill(row.probabilities + row.visible, row.probabilities + row.length, T{});
  std::fill(row.score_gradients + row.visible, row.score_gradients + row.length, T{});
}

template <typename T>
Arithmetic<T> dot_of(const T* a, const T* b, std::int64_t count) {
  using A = Arithmetic<T>;
  const hn::ScalableTag<A> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto sums = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) sums = hn::MulAdd(load(d, a + i), load(d, b + i), sums);
  A sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < count; ++i) sum += functors::convert<A>(a[i]) * functors::convert<A>(b[i]);
  return sum;
}

template <typename T>
void scale_of(const Arithmetic<T>* x, Arithmetic<T> factor, T* y, std::int64_t count) {
  const hn::ScalableTag<Arithmetic<T> > d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto scale = hn::Set(d, factor);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(hn::Mul(hn::LoadU(d, x + i), scale), d, y + i);
  for (; i < count; ++i) y[i] = functors::convert<T>(x[i] * factor);
}

float softmax_f32(const SoftmaxRow<float>& row) { return softmax_row_of(row); }
double softmax_f64(const SoftmaxRow<double>& row) { return softmax_row_of(row); }
float softmax_bf16(const SoftmaxRow<bfloat16>& row) { return softmax_row_of(row); }
void gradient_f32(const SoftmaxGradientRow<float>& row) { softmax_gradient_row_of(row); }
void gradient_f64(const SoftmaxGradientRow<double>& row) { softmax_gradient_row_of(row); }
void gradient_bf16(const SoftmaxGradientRow<bfloat16>& row) { softmax_gradient_row_of(row); }
float dot_f32(const float* a, const float* b, std::int64_t count) { return dot_of(a, b, count); }
double dot_f64(const double* a, const double* b, std::int64_t count) { return dot_of(a, b, count); }
float dot_bf16(const bfloat16* a, const bfloat16* b, std::int64_t count) { return dot_of(a, b, count); }
void scale_f32(const float* x, float factor, float* y, std::int64_t count) { scale_of<float>(x, factor, y, count); }
void scale_f64(const double* x, double factor, double* y, std::int64_t count) { scale_of<double>(x, factor, y, count); }
void scale_bf16(const float* x, float factor, bfloat16* y, std::int64_t count) {
  scale_of<bfloat16>(x, factor, y, count);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(softmax_f32);
HWY_EXPORT(softmax_f64);
HWY_EXPORT(softmax_bf16);
HWY_EXPORT(gradient_f32);
HWY_EXPORT(gradient_f64);
HWY_EXPORT(gradient_bf16);
HWY_EXPORT(dot_f32);
HWY_EXPORT(dot_f64);
HWY_EXPORT(dot_bf16);
HWY_EXPORT(scale_f32);
HWY_EXPORT(scale_f64);
HWY_EXPORT(scale_bf16);

float softmax_row(const SoftmaxRow<float>& row) { return HWY_DYNAMIC_DISPATCH(softmax_f32)(row); }
double softmax_row(const SoftmaxRow<double>& row) { return HWY_DYNAMIC_DISPATCH(softmax_f64)(row); }
float softmax_row(const SoftmaxRow<bfloat16>& row) { return HWY_DYNAMIC_DISPATCH(softmax_bf16)(row); }

void softmax_gradient_row(const SoftmaxGradientRow<float>& row) { HWY_DYNAMIC_DISPATCH(gradient_f32)(row); }
void softmax_gradient_row(const SoftmaxGradientRow<double>& row) { HWY_DYNAMIC_DISPATCH(gradient_f64)(row); }
void softmax_gradient_row(const SoftmaxGradientRow<bfloat16>& row) { HWY_DYNAMIC_DISPATCH(gradient_bf16)(row); }

float dot_of_row(const float* a, const float* b, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(dot_f32)(a, b, count);
}
double dot_of_row(const double* a, const double* b, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(dot_f64)(a, b, count);
}
float dot_of_row(const bfloat16* a, const bfloat16* b, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(dot_bf16)(a, b, count);
}

void scale_row(const float* x, float factor, float* y, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(scale_f32)(x, factor, y, count);
}
void scale_row(const double* x, double factor, double* y, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(scale_f64)(x, factor, y, count);
}
void scale_row(const float* x, float factor, bfloat16* y, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(scale_bf16)(x, factor, y, count);
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

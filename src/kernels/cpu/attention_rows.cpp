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
void dots_of(TileRows<const T> a, TileRows<const T> b, std::int64_t rows, std::int64_t size, Arithmetic<T>* sums) {
  for (std::int64_t i = 0; i < rows; ++i) sums[i] = dot_of(a.data + i * a.step, b.data + i * b.step, size);
}

template <typename T>
void scale_of(TileRows<const Arithmetic<T> > from, const Arithmetic<T>* factors, TileRows<T> to, std::int64_t rows,
              std::int64_t size) {
  using A = Arithmetic<T>;
  const hn::ScalableTag<A> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t row = 0; row < rows; ++row) {
    const A factor = factors == nullptr ? A{1} : factors[row], *x = from.data + row * from.step;
    T* y = to.data + row * to.step;
    const auto scale = hn::Set(d, factor);
    std::int64_t i = 0;
    for (; i + lanes <= size; i += lanes) store(hn::Mul(hn::LoadU(d, x + i), scale), d, y + i);
    for (; i < size; ++i) y[i] = functors::convert<T>(x[i] * factor);
  }
}

void softmax_f32(const SoftmaxRow<float>* rows, std::int64_t count, float* kept) {
  for (std::int64_t i = 0; i < count; ++i) kept[i] = softmax_row_of(rows[i]);
}
void gradient_f32(const SoftmaxGradientRow<float>* rows, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) softmax_gradient_row_of(rows[i]);
}
void dots_f32(TileRows<const float> a, TileRows<const float> b, std::int64_t rows, std::int64_t size, float* sums) {
  dots_of(a, b, rows, size, sums);
}
void scale_f32(TileRows<const float> x, const float* factors, TileRows<float> y, std::int64_t rows, std::int64_t size) {
  scale_of(x, factors, y, rows, size);
}
void softmax_f64(const SoftmaxRow<double>* rows, std::int64_t count, double* kept) {
  for (std::int64_t i = 0; i < count; ++i) kept[i] = softmax_row_of(rows[i]);
}
void gradient_f64(const SoftmaxGradientRow<double>* rows, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) softmax_gradient_row_of(rows[i]);
}
void dots_f64(TileRows<const double> a, TileRows<const double> b, std::int64_t rows, std::int64_t size, double* sums) {
  dots_of(a, b, rows, size, sums);
}
void scale_f64(TileRows<const double> x, const double* factors, TileRows<double> y, std::int64_t rows,
               std::int64_t size) {
  scale_of(x, factors, y, rows, size);
}
void softmax_bf16(const SoftmaxRow<bfloat16>* rows, std::int64_t count, float* kept) {
  for (std::int64_t i = 0; i < count; ++i) kept[i] = softmax_row_of(rows[i]);
}
void gradient_bf16(const SoftmaxGradientRow<bfloat16>* rows, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) softmax_gradient_row_of(rows[i]);
}
void dots_bf16(TileRows<const bfloat16> a, TileRows<const bfloat16> b, std::int64_t rows, std::int64_t size,
               float* sums) {
  dots_of(a, b, rows, size, sums);
}
void scale_bf16(TileRows<const float> x, const float* factors, TileRows<bfloat16> y, std::int64_t rows,
                std::int64_t size) {
  scale_of(x, factors, y, rows, size);
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
HWY_EXPORT(dots_f32);
HWY_EXPORT(dots_f64);
HWY_EXPORT(dots_bf16);
HWY_EXPORT(scale_f32);
HWY_EXPORT(scale_f64);
HWY_EXPORT(scale_bf16);

void softmax_rows(const SoftmaxRow<float>* rows, std::int64_t count, float* kept) {
  HWY_DYNAMIC_DISPATCH(softmax_f32)(rows, count, kept);
}
void softmax_gradient_rows(const SoftmaxGradientRow<float>* rows, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(gradient_f32)(rows, count);
}
void dots_of_rows(TileRows<const float> a, TileRows<const float> b, std::int64_t rows, std::int64_t size, float* sums) {
  HWY_DYNAMIC_DISPATCH(dots_f32)(a, b, rows, size, sums);
}
void scale_rows(TileRows<const float> x, const float* factors, TileRows<float> y, std::int64_t rows,
                std::int64_t size) {
  HWY_DYNAMIC_DISPATCH(scale_f32)(x, factors, y, rows, size);
}

void softmax_rows(const SoftmaxRow<double>* rows, std::int64_t count, double* kept) {
  HWY_DYNAMIC_DISPATCH(softmax_f64)(rows, count, kept);
}
void softmax_gradient_rows(const SoftmaxGradientRow<double>* rows, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(gradient_f64)(rows, count);
}
void dots_of_rows(TileRows<const double> a, TileRows<const double> b, std::int64_t rows, std::int64_t size,
                  double* sums) {
  HWY_DYNAMIC_DISPATCH(dots_f64)(a, b, rows, size, sums);
}
void scale_rows(TileRows<const double> x, const double* factors, TileRows<double> y, std::int64_t rows,
                std::int64_t size) {
  HWY_DYNAMIC_DISPATCH(scale_f64)(x, factors, y, rows, size);
}

void softmax_rows(const SoftmaxRow<bfloat16>* rows, std::int64_t count, float* kept) {
  HWY_DYNAMIC_DISPATCH(softmax_bf16)(rows, count, kept);
}
void softmax_gradient_rows(const SoftmaxGradientRow<bfloat16>* rows, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(gradient_bf16)(rows, count);
}
void dots_of_rows(TileRows<const bfloat16> a, TileRows<const bfloat16> b, std::int64_t rows, std::int64_t size,
                  float* sums) {
  HWY_DYNAMIC_DISPATCH(dots_bf16)(a, b, rows, size, sums);
}
void scale_rows(TileRows<const float> x, const float* factors, TileRows<bfloat16> y, std::int64_t rows,
                std::int64_t size) {
  HWY_DYNAMIC_DISPATCH(scale_bf16)(x, factors, y, rows, size);
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

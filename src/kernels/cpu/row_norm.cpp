// Layer norm and RMS norm on the host. A row is read from memory once and stays in the first cache between its
// statistics and its values; backward, its share of the parameters' gradients is added in the same visit.
#include <algorithm>
#include <cmath>

#include "kernels/backend/row_norm.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/row_norm.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

#ifndef RTL_KERNELS_CPU_ROW_NORM_ONCE
#define RTL_KERNELS_CPU_ROW_NORM_ONCE
namespace rtl::kernels::cpu {

/// Of rows of T: `mean` is null for RMS norm.
template <typename T>
struct RowNormForward {
  const T* x;
  const Arithmetic<T>*gamma, *beta;
  double epsilon;
  T* y;
  Arithmetic<T>*mean, *inverse;
};

template <typename T>
struct RowNormBackward {
  const T *x, *dy;
  const Arithmetic<T>*gamma, *mean, *inverse;
  T* dx;
  double *dgamma, *dbeta;     ///< [columns], to which the rows' shares are added
  Arithmetic<T>*part, *last;  ///< room for [columns] each
};

/// Rows whose shares are added in the arithmetic of the row before they go to f64.
constexpr std::int64_t rows_of_a_piece = 64;

}  // namespace rtl::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The first `count` elements, zeros behind them.
template <class D, typename T>
HWY_INLINE auto load_first(D d, const T* from, std::int64_t count) {
  using A = hn::TFromD<D>;
  HWY_ALIGN A part[HWY_MAX_BYTES / sizeof(A)] = {};
  for (std::int64_t i = 0; i < count; ++i) part[i] = functors::convert<A>(from[i]);
  return hn::Load(d, part);
}

template <class D, class V, typename T>
HWY_INLINE void store_first(V value, D d, T* to, std::int64_t count) {
  using A = hn::TFromD<D>;
  HWY_ALIGN A part[HWY_MAX_BYTES / sizeof(A)];
  hn::Store(value, d, part);
  for (std::int64_t i = 0; i < count; ++i) to[i] = functors::convert<T>(part[i]);
}

/// Calls f(place, load, store) for every vector of a row; the last may be a part of one.
template <class D, typename F>
HWY_INLINE void over_row(D d, std::int64_t columns, const F& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= columns; i += lanes) {
    f(
        i, [d](const auto* from) HWY_ATTR { return load(d, from); },
        [d](auto value, auto* to) HWY_ATTR { store(value, d, to); });
  }
  if (const std::int64_t rest = columns - i; rest > 0) {
    f(
        i, [d, rest](const auto* from) HWY_ATTR { return load_first(d, from, rest); },
        [d, rest](auto value, auto* to) HWY_ATTR { store_first(value, d, to, rest); });
  }
}

/// The sum of f(value) over a row, in four lines that do not wait for each other.
template <class D, typename T, typename F>
HWY_INLINE hn::TFromD<D> sum_of_row(D d, const T* x, std::int64_t columns, const F& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  std::int64_t i = 0;
  for (; i + 4 * lanes <= columns; i += 4 * lanes) {
    sum0 = hn::Add(sum0, f(load(d, x + i)));
    sum1 = hn::Add(sum1, f(load(d, x + i + lanes)));
    sum2 = hn::Add(sum2, f(load(d, x + i + 2 * lanes)));
    sum3 = hn::Add(sum3, f(load(d, x + i + 3 * lanes)));
  }
  for (; i + lanes <= columns; i += lanes) sum0 = hn::Add(sum0, f(load(d, x + i)));
  if (const std::int64_t rest = columns - i; rest > 0) {
    const auto inside = hn::FirstN(d, static_cast<std::size_t>(rest));
    sum1 = hn::Add(sum1, hn::IfThenElseZero(inside, f(load_first(d, x + i, rest))));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

template <bool centred, typename T>
void forward_rows(const RowNormForward<T>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  using A = Arithmetic<T>;
  const hn::ScalableTag<A> d;
  for (std::int64_t row = begin; row < end; ++row) {
    const T* x = pass.x + row * columns;
    T* y = pass.y + row * columns;
    A mean = 0;
    if constexpr (centred) {
      mean = sum_of_row(d, x, columns, [](auto v) HWY_ATTR { return v; }) / static_cast<A>(columns);
      pass.mean[row] = mean;
    }
    const auto centre = hn::Set(d, mean);
    const A squares = sum_of_row(d, x, columns, [centre](auto v) HWY_ATTR {
      const auto difference = centred ? hn::Sub(v, centre) : v;
      return hn::Mul(difference, difference);
    });
    const A inverse =
        static_cast<A>(1.0 / std::sqrt(static_cast<double>(squares) / static_cast<double>(columns) + pass.epsilon));
    pass.inverse[row] = inverse;
    const auto scale = hn::Set(d, inverse);
    over_row(d, columns, [&](std::int64_t i, const auto& load_at, const auto& store_at) HWY_ATTR {
      const auto value = load_at(x + i);
      const auto normal = hn::Mul(centred ? hn::Sub(value, centre) : value, scale);
      const auto gamma = load_at(pass.gamma + i);
      store_at(centred ? hn::MulAdd(normal, gamma, load_at(pass.beta + i)) : hn::Mul(normal, gamma), y + i);
    });
  }
}

/// One row: dx = inverse (g - mean(g) - n mean(g n)), g = dy gamma, n = (x - mean) inverse; and its share of dgamma and
/// dbeta.
template <bool centred, typename T>
void backward_row(const RowNormBackward<T>& pass, std::int64_t columns, std::int64_t row) {
  using A = Arithmetic<T>;
  const hn::ScalableTag<A> d;
  const T *x = pass.x + row * columns, *dy = pass.dy + row * columns;
  T* dx = pass.dx + row * columns;
  const auto centre = hn::Set(d, centred ? pass.mean[row] : A{0}), scale = hn::Set(d, pass.inverse[row]);
  auto sums = hn::Zero(d), products = hn::Zero(d);
  over_row(d, columns, [&](std::int64_t i, const auto& load_at, const auto& store_at) HWY_ATTR {
    const auto value = load_at(x + i), gradient = load_at(dy + i);
    const auto normal = hn::Mul(centred ? hn::Sub(value, centre) : value, scale);
    // Zeros behind the row's end have gradients of zero.
    const auto g = hn::Mul(gradient, load_at(pass.gamma + i));
    if constexpr (centred) {
      sums = hn::Add(sums, g);
      store_at(hn::Add(load_at(pass.last + i), gradient), pass.last + i);
    }
    products = hn::MulAdd(g, normal, products);
    store_at(hn::MulAdd(gradient, normal, load_at(pass.part + i)), pass.part + i);
  });
  const auto share = static_cast<A>(columns);
  const auto mean_gradient = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, sums)) / share);
  const auto mean_product = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, products)) / share);
  over_row(d, columns, [&](std::int64_t i, const auto& load_at, const auto& store_at) HWY_ATTR {
    const auto value = load_at(x + i), gradient = load_at(dy + i);
    const auto normal = hn::Mul(centred ? hn::Sub(value, centre) : value, scale);
    auto rest = hn::NegMulAdd(normal, mean_product, hn::Mul(gradient, load_at(pass.gamma + i)));
    if constexpr (centred) rest = hn::Sub(rest, mean_gradient);
    store_at(hn::Mul(scale, rest), dx + i);
  });
}

template <bool centred, typename T>
void backward_rows(const RowNormBackward<T>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  for (std::int64_t first = begin; first < end; first += rows_of_a_piece) {
    std::fill(pass.part, pass.part + columns, Arithmetic<T>{0});
    if constexpr (centred) std::fill(pass.last, pass.last + columns, Arithmetic<T>{0});
    for (std::int64_t row = first; row < std::min(end, first + rows_of_a_piece); ++row) {
      backward_row<centred>(pass, columns, row);
    }
    for (std::int64_t c = 0; c < columns; ++c) pass.dgamma[c] += static_cast<double>(pass.part[c]);
    if constexpr (!centred) continue;
    for (std::int64_t c = 0; c < columns; ++c) pass.dbeta[c] += static_cast<double>(pass.last[c]);
  }
}

#define RTL_ROW_NORM_TARGETS(T, name)                                                                                \
  void forward_##name(const RowNormForward<T>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {   \
    pass.mean != nullptr ? forward_rows<true>(pass, columns, begin, end)                                             \
                         : forward_rows<false>(pass, columns, begin, end);                                           \
  }                                                                                                                  \
  void backward_##name(const RowNormBackward<T>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) { \
    pass.mean != nullptr ? backward_rows<true>(pass, columns, begin, end)                                            \
                         : backward_rows<false>(pass, columns, begin, end);                                          \
  }
RTL_ROW_NORM_TARGETS(float, f32)
RTL_ROW_NORM_TARGETS(double, f64)
RTL_ROW_NORM_TARGETS(bfloat16, bf16)
#undef RTL_ROW_NORM_TARGETS

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);
HWY_EXPORT(forward_bf16);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);
HWY_EXPORT(backward_bf16);

void run(const RowNormForward<float>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_f32)(pass, columns, begin, end);
}
void run(const RowNormForward<double>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_f64)(pass, columns, begin, end);
}
void run(const RowNormForward<bfloat16>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_bf16)(pass, columns, begin, end);
}
void run(const RowNormBackward<float>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(pass, columns, begin, end);
}
void run(const RowNormBackward<double>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(pass, columns, begin, end);
}
void run(const RowNormBackward<bfloat16>& pass, std::int64_t columns, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward_bf16)(pass, columns, begin, end);
}

/// beta and mean are not given for RMS norm.
void forward(ConstView x, ConstView gamma, ConstView beta, double epsilon, View y, View mean, View inverse) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const std::int64_t columns = x.extent(-1), rows = x.count() / columns;
    const RowNormForward<T> pass{x.data_as<T>(),
                                 gamma.data_as<A>(),
                                 beta.given() ? beta.data_as<A>() : nullptr,
                                 epsilon,
                                 y.data_as<T>(),
                                 mean.given() ? mean.data_as<A>() : nullptr,
                                 inverse.data_as<A>()};
    parallel_ranges(rows, grain_of(columns),
                    [&](std::int64_t begin, std::int64_t end) { run(pass, columns, begin, end); });
  });
}

/// mean and dbeta are not given for RMS norm.
void backward(const Device& device, ConstView x, ConstView gamma, ConstView mean, ConstView inverse, ConstView dy,
              View dx, View dgamma, View dbeta) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const std::int64_t columns = x.extent(-1), rows = x.count() / columns;
    constexpr std::int64_t most_pieces = 64;
    const std::int64_t pieces = std::clamp<std::int64_t>(rows / rows_of_a_piece, 1, most_pieces);
    const int chunks = chunk_count(pieces, (grain_of(columns) - 1) * pieces / rows + 1);
    const Scratch<double> totals(device, 2 * pieces * columns, 0.0);
    const Scratch<A> rooms(device, 2 * chunks * columns);
    parallel_chunks(pieces, chunks, [&](int chunk, std::int64_t first, std::int64_t last) {
      for (std::int64_t piece = first; piece < last; ++piece) {
        double* const total = totals.data() + 2 * piece * columns;
        A* const room = rooms.data() + 2 * chunk * columns;
        run(RowNormBackward<T>{x.data_as<T>(), dy.data_as<T>(), gamma.data_as<A>(),
                               mean.given() ? mean.data_as<A>() : nullptr, inverse.data_as<A>(), dx.data_as<T>(), total,
                               total + columns, room, room + columns},
            columns, rows * piece / pieces, rows * (piece + 1) / pieces);
      }
    });
    for (std::int64_t i = 2 * columns; i < totals.size(); ++i) totals[i % (2 * columns)] += totals[i];
    for (std::int64_t c = 0; c < columns; ++c) {
      dgamma.data_as<A>()[c] = static_cast<A>(totals[c]);
      if (dbeta.given()) dbeta.data_as<A>()[c] = static_cast<A>(totals[columns + c]);
    }
  });
}

}  // namespace

void layer_norm_forward(const Device&, ConstView x, ConstView gamma, ConstView beta, double epsilon, View y,
                        View saved_mean, View saved_inverse_deviation) {
  forward(x, gamma, beta, epsilon, y, saved_mean, saved_inverse_deviation);
}

void layer_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_mean,
                         ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta) {
  backward(device, x, gamma, saved_mean, saved_inverse_deviation, dy, dx, dgamma, dbeta);
}

void rms_norm_forward(const Device&, ConstView x, ConstView gamma, double epsilon, View y, View saved_inverse) {
  forward(x, gamma, {}, epsilon, y, {}, saved_inverse);
}

void rms_norm_backward(const Device& device, ConstView x, ConstView gamma, ConstView saved_inverse, ConstView dy,
                       View dx, View dgamma) {
  backward(device, x, gamma, {}, saved_inverse, dy, dx, dgamma, {});
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

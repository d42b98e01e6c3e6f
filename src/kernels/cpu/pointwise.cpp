// Elementwise operations on the host: the functors in loops that the compiler vectorises for each instruction set.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "kernels/backend/pointwise.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/functors.hpp"
#include "kernels/repeated_byte.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pointwise.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Below this in magnitude exp is a normal number, and Highway's Exp is right to one unit in the last place.
template <typename T>
constexpr T exp_limit = sizeof(T) == 4 ? T{87} : T{706};

/// The function made of exp of one vector; what is no ordinary number is left to the functor, lane by lane.
template <typename F, typename T>
void exp_vector(F f, const T* x, T* y) {
  const hn::ScalableTag<T> d;
  const auto one = hn::Set(d, T{1}), limit = hn::Set(d, exp_limit<T>);
  const auto v = hn::LoadU(d, x), magnitude = hn::Abs(v);
  const bool ordinary = hn::AllTrue(d, hn::Le(magnitude, limit));
  HWY_ALIGN T before[HWY_MAX_BYTES / sizeof(T)];
  if (!ordinary) hn::Store(v, d, before);
  if constexpr (std::is_same_v<F, functors::Sigmoid>) {
    const auto e = hn::Exp(d, hn::Neg(magnitude));
    hn::StoreU(hn::Div(hn::IfThenElse(hn::Lt(v, hn::Zero(d)), e, one), hn::Add(one, e)), d, y);
  } else {
    hn::StoreU(hn::Exp(d, v), d, y);
  }
  if (ordinary) return;
  for (std::size_t lane = 0; lane < hn::Lanes(d); ++lane) {
    if (!(std::abs(before[lane]) <= exp_limit<T>)) y[lane] = f(before[lane]);
  }
}

/// y[i] = f(x[i]) where f is made of exp. An element's bits depend on its value only, not on its place: the end of a
/// row and rows with other steps pass through a vector too.
template <typename F, typename T>
void exp_row(F f, const T* x, std::int64_t step_x, T* y, std::int64_t step_y, std::int64_t length) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  if (step_x == 1 && step_y == 1) {
    for (; i + lanes <= length; i += lanes) exp_vector(f, x + i, y + i);
  }
  HWY_ALIGN T part[HWY_MAX_BYTES / sizeof(T)] = {};
  for (; i < length; i += lanes) {
    const std::int64_t count = std::min(lanes, length - i);
    for (std::int64_t lane = 0; lane < count; ++lane) part[lane] = x[(i + lane) * step_x];
    exp_vector(f, part, part);
    for (std::int64_t lane = 0; lane < count; ++lane) y[(i + lane) * step_y] = part[lane];
  }
}

/// y[i] = f(x[i]); the common steps are constants so that the loops vectorise.
template <typename F, typename T>
void unary_row(F f, const T* x, std::int64_t step_x, T* y, std::int64_t step_y, std::int64_t length) {
  constexpr bool made_of_exp = std::is_same_v<F, functors::Exp> || std::is_same_v<F, functors::Sigmoid>;
  if constexpr (made_of_exp) {
    exp_row(f, x, step_x, y, step_y, length);
  } else if (step_x != 1 || step_y != 1) {
    for (std::int64_t i = 0; i < length; ++i) y[i * step_y] = f(x[i * step_x]);
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[i] = f(x[i]);
  }
}

template <typename F, typename T>
void binary_row(F f, const T* a, std::int64_t step_a, const T* b, std::int64_t step_b, T* y, std::int64_t step_y,
                std::int64_t length) {
  if (step_a == 1 && step_b == 1 && step_y == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[i] = f(a[i], b[i]);
  } else if (step_a == 1 && step_b == 0 && step_y == 1) {
    const T repeated = *b;
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[i] = f(a[i], repeated);
  } else {
    for (std::int64_t i = 0; i < length; ++i) y[i * step_y] = f(a[i * step_a], b[i * step_b]);
  }
}

template <typename F, typename T>
void unary_view(F f, ConstView x, View y) {
  const StridedLoop<2> loop(y.shape(), {x.strides(), y.strides()});
  const T* from = x.data_as<T>();
  T* to = y.data_as<T>();
  loop.run([&](const std::array<std::int64_t, 2>& at, std::int64_t length) {
    unary_row(f, from + at[0], loop.step(0), to + at[1], loop.step(1), length);
  });
}

template <typename F, typename T>
void binary_view(F f, ConstView a, ConstView b, View y) {
  const StridedLoop<3> loop(y.shape(), {a.strides(), b.strides(), y.strides()});
  const T* from_a = a.data_as<T>();
  const T* from_b = b.data_as<T>();
  T* to = y.data_as<T>();
  loop.run([&](const std::array<std::int64_t, 3>& at, std::int64_t length) {
    binary_row(f, from_a + at[0], loop.step(0), from_b + at[1], loop.step(1), to + at[2], loop.step(2), length);
  });
}

void unary_target(UnaryOp op, ConstView x, View y) {
  functors::visit(op, [&](auto f) {
    functors::visit_floating(y.dtype(), [&](auto zero) { unary_view<decltype(f), decltype(zero)>(f, x, y); });
  });
}

void binary_target(BinaryOp op, ConstView a, ConstView b, View y) {
  functors::visit(op, [&](auto f) {
    functors::visit_floating(y.dtype(), [&](auto zero) { binary_view<decltype(f), decltype(zero)>(f, a, b, y); });
  });
}

void scale_add_target(double alpha, ConstView x, double beta, View y) {
  functors::visit_floating(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const functors::ScaleAdd<T> f{static_cast<T>(alpha), static_cast<T>(beta)};
    if (beta == 0) {
      unary_view<functors::ScaleAdd<T>, T>(f, x, y);
    } else {
      binary_view<functors::ScaleAdd<T>, T>(f, x, y, y);
    }
  });
}

void add_relu_target(ConstView a, ConstView b, View y) {
  functors::visit_floating(y.dtype(), [&](auto zero) { binary_view<functors::AddRelu, decltype(zero)>({}, a, b, y); });
}

void relu_backward_target(ConstView y, ConstView dy, View dx) {
  functors::visit_floating(dx.dtype(),
                           [&](auto zero) { binary_view<functors::ReluBackward, decltype(zero)>({}, y, dy, dx); });
}

template <typename From, typename To>
void cast_row(const From* x, std::int64_t step_x, To* y, std::int64_t step_y, std::int64_t length) {
  if (step_x == 1 && step_y == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[i] = functors::convert<To>(x[i]);
  } else {
    for (std::int64_t i = 0; i < length; ++i) y[i * step_y] = functors::convert<To>(x[i * step_x]);
  }
}

template <typename From, typename To>
void cast_view(ConstView x, View y) {
  const StridedLoop<2> loop(y.shape(), {x.strides(), y.strides()});
  const From* from = x.data_as<From>();
  To* to = y.data_as<To>();
  loop.run([&](const std::array<std::int64_t, 2>& at, std::int64_t length) {
    cast_row(from + at[0], loop.step(0), to + at[1], loop.step(1), length);
  });
}

void cast_target(ConstView x, View y) {
  functors::visit_any(x.dtype(), [&](auto from) {
    functors::visit_any(y.dtype(), [&](auto to) { cast_view<decltype(from), decltype(to)>(x, y); });
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(unary_target);
HWY_EXPORT(binary_target);
HWY_EXPORT(scale_add_target);
HWY_EXPORT(add_relu_target);
HWY_EXPORT(relu_backward_target);
HWY_EXPORT(cast_target);

void unary(const Device&, UnaryOp op, ConstView x, View y) { HWY_DYNAMIC_DISPATCH(unary_target)(op, x, y); }

void binary(const Device&, BinaryOp op, ConstView a, ConstView b, View y) {
  HWY_DYNAMIC_DISPATCH(binary_target)(op, a, b, y);
}

void scale_add(const Device&, double alpha, ConstView x, double beta, View y) {
  HWY_DYNAMIC_DISPATCH(scale_add_target)(alpha, x, beta, y);
}

void add_relu(const Device&, ConstView a, ConstView b, View y) { HWY_DYNAMIC_DISPATCH(add_relu_target)(a, b, y); }

void relu_backward(const Device&, ConstView y, ConstView dy, View dx) {
  HWY_DYNAMIC_DISPATCH(relu_backward_target)(y, dy, dx);
}

void fill(const Device&, double value, View y) {
  functors::visit_any(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T filler = functors::convert<T>(value);
    if (const auto byte = repeated_byte(filler); byte && y.is_contiguous()) {
      return parallel_ranges(y.count(), grain_of(1), [&](std::int64_t begin, std::int64_t end) {
        std::memset(static_cast<void*>(y.data_as<T>() + begin), *byte,
                    static_cast<std::size_t>(end - begin) * sizeof(T));
      });
    }
    const StridedLoop<1> loop(y.shape(), {y.strides()});
    T* to = y.data_as<T>();
    loop.run([&](const std::array<std::int64_t, 1>& at, std::int64_t length) {
      for (std::int64_t i = 0; i < length; ++i) to[at[0] + i * loop.step(0)] = filler;
    });
  });
}

void cast(const Device&, ConstView x, View y) { HWY_DYNAMIC_DISPATCH(cast_target)(x, y); }

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

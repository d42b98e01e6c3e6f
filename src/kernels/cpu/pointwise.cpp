// Elementwise operations on the host: the functors in loops that the compiler vectorises for each instruction set.
#include <algorithm>
#include <array>
#include <bit>
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
#include "kernels/cpu/bfloat16-inl.hpp"
#include "kernels/cpu/activations-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Below this in magnitude exp is a normal number, and Highway's Exp is right to one unit in the last place.
template <typename T>
constexpr T exp_limit = sizeof(T) == 4 ? T{87} : T{706};

/// The function made of exp of one vector; what is no ordinary number is left to the functor, lane by lane.
template <typename F, class D, class V>
auto exp_vector(F f, D d, V v) {
  using T = hn::TFromD<D>;
  if constexpr (has_activation_vector<F, T>) return activation_vector(f, d, v);
  const auto one = hn::Set(d, T{1}), limit = hn::Set(d, exp_limit<T>);
  const auto magnitude = hn::Abs(v);
  auto y = v;
  if constexpr (std::is_same_v<F, functors::Sigmoid>) {
    const auto e = hn::Exp(d, hn::Neg(magnitude));
    y = hn::Div(hn::IfThenElse(hn::Lt(v, hn::Zero(d)), e, one), hn::Add(one, e));
  } else {
    y = hn::Exp(d, v);
  }
  if (hn::AllTrue(d, hn::Le(magnitude, limit))) return y;
  HWY_ALIGN T before[HWY_MAX_BYTES / sizeof(T)], after[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(v, d, before);
  hn::Store(y, d, after);
  for (std::size_t lane = 0; lane < hn::Lanes(d); ++lane) {
    if (!(std::abs(before[lane]) <= exp_limit<T>)) after[lane] = f(before[lane]);
  }
  return hn::Load(d, after);
}

/// y[i] = f(x[i]) where f is made of exp. An element's bits depend on its value only, not on its place: the end of a
/// row and rows with other steps pass through a vector too.
template <typename F, typename T>
void exp_row(F f, const T* x, std::int64_t step_x, T* y, std::int64_t step_y, std::int64_t length) {
  const hn::ScalableTag<Arithmetic<T> > d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  if (step_x == 1 && step_y == 1) {
    for (; i + lanes <= length; i += lanes) store(exp_vector(f, d, load(d, x + i)), d, y + i);
  }
  HWY_ALIGN Arithmetic<T> part[HWY_MAX_BYTES / sizeof(Arithmetic<T>)] = {};
  for (; i < length; i += lanes) {
    const std::int64_t count = std::min(lanes, length - i);
    for (std::int64_t lane = 0; lane < count; ++lane)
      part[lane] = functors::convert<Arithmetic<T> >(x[(i + lane) * step_x]);
    store(exp_vector(f, d, load(d, part)), d, part);
    for (std::int64_t lane = 0; lane < count; ++lane) y[(i + lane) * step_y] = functors::convert<T>(part[lane]);
  }
}

/// y[i] = f(a[i], b[i]), by the vectors of an activation.
template <typename F, typename T>
void activation_row(F f, const T* a, std::int64_t step_a, const T* b, std::int64_t step_b, T* y, std::int64_t step_y,
                    std::int64_t length) {
  using A = Arithmetic<T>;
  const hn::ScalableTag<A> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  if (step_a == 1 && step_b == 1 && step_y == 1) {
    for (; i + lanes <= length; i += lanes) {
      store(activation_vector(f, d, load(d, a + i), load(d, b + i)), d, y + i);
    }
  }
  HWY_ALIGN A left[HWY_MAX_BYTES / sizeof(A)] = {}, right[HWY_MAX_BYTES / sizeof(A)] = {};
  for (; i < length; i += lanes) {
    const std::int64_t count = std::min(lanes, length - i);
    for (std::int64_t lane = 0; lane < count; ++lane) {
      left[lane] = functors::convert<A>(a[(i + lane) * step_a]);
      right[lane] = functors::convert<A>(b[(i + lane) * step_b]);
    }
    store(activation_vector(f, d, load(d, left), load(d, right)), d, left);
    for (std::int64_t lane = 0; lane < count; ++lane) y[(i + lane) * step_y] = functors::convert<T>(left[lane]);
  }
}

inline std::uint32_t load_pair(const bfloat16* x, std::int64_t pair) {
  std::uint32_t bits;
  std::memcpy(&bits, x + 2 * pair, sizeof bits);
  return bits;
}

/// The bits of an f32 whose upper half is the nearest bf16: to_bfloat16 without the shift.
inline std::uint32_t rounded_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return value != value ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
}

/// y[i] = f(x[i]...) in bf16, by pairs that fill a word: so they are widened and joined within their lanes.
template <bool exact, typename F, typename... T>
void pair_row(F f, bfloat16* y, std::int64_t length, const T*... x) {
  const auto bits_of = [](float value) {
    if constexpr (exact) return std::bit_cast<std::uint32_t>(value);
    return rounded_bits(value);
  };
#pragma omp simd
  for (std::int64_t i = 0; i < length / 2; ++i) {
    const std::uint32_t lower = bits_of(f(std::bit_cast<float>(load_pair(x, i) << 16)...));
    const std::uint32_t upper = bits_of(f(std::bit_cast<float>(load_pair(x, i) & 0xffff0000u)...));
    const std::uint32_t both = (lower >> 16) | (upper & 0xffff0000u);
    std::memcpy(&y[2 * i].bits, &both, sizeof both);
  }
  if (length % 2 != 0) y[length - 1] = {static_cast<std::uint16_t>(bits_of(f(to_float(x[length - 1])...)) >> 16)};
}

/// y[i] = f(x[i]); the common steps are constants so that the loops vectorise.
template <typename F, typename T>
void unary_row(F f, const T* x, std::int64_t step_x, T* y, std::int64_t step_y, std::int64_t length) {
  constexpr bool made_of_exp = std::is_same_v<F, functors::Exp> || std::is_same_v<F, functors::Sigmoid> ||
                               has_activation_vector<F, Arithmetic<T> >;
  if constexpr (made_of_exp) {
    exp_row(f, x, step_x, y, step_y, length);
  } else if (step_x != 1 || step_y != 1) {
    const auto apply = functors::on_elements<T>(f);
    for (std::int64_t i = 0; i < length; ++i) y[i * step_y] = apply(x[i * step_x]);
  } else if constexpr (std::is_same_v<T, bfloat16> && !functors::only_moves<F>) {
    pair_row<functors::is_exact<F> >(f, y, length, x);
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[i] = f(x[i]);
  }
}

template <typename F, typename T>
void binary_row(F f, const T* a, std::int64_t step_a, const T* b, std::int64_t step_b, T* y, std::int64_t step_y,
                std::int64_t length) {
  const auto apply = functors::on_elements<T>(f);
  if constexpr (has_activation_vector<F, Arithmetic<T> >) {
    return activation_row(f, a, step_a, b, step_b, y, step_y, length);
  } else if constexpr (std::is_same_v<T, bfloat16> && !functors::only_moves<F>) {
    if (step_a == 1 && step_y == 1 && (step_b == 1 || step_b == 0)) {
      if (step_b == 1) return pair_row<functors::is_exact<F> >(f, y, length, a, b);
      const auto bound = [f, repeated = to_float(*b)](float x) { return f(x, repeated); };
      return pair_row<functors::is_exact<F> >(bound, y, length, a);
    }
  }
  if (step_a == 1 && step_b == 1 && step_y == 1) {
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[i] = apply(a[i], b[i]);
  } else if (step_a == 1 && step_b == 0 && step_y == 1) {
    const T repeated = *b;
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[i] = apply(a[i], repeated);
  } else {
    for (std::int64_t i = 0; i < length; ++i) y[i * step_y] = apply(a[i * step_a], b[i * step_b]);
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
    functors::visit_activations(y.dtype(), [&](auto zero) { unary_view<decltype(f), decltype(zero)>(f, x, y); });
  });
}

void binary_target(BinaryOp op, ConstView a, ConstView b, View y) {
  functors::visit(op, [&](auto f) {
    functors::visit_activations(y.dtype(), [&](auto zero) { binary_view<decltype(f), decltype(zero)>(f, a, b, y); });
  });
}

void scale_add_target(double alpha, ConstView x, double beta, View y) {
  functors::visit_activations(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const functors::ScaleAdd<A> f{static_cast<A>(alpha), static_cast<A>(beta)};
    if (beta == 0) {
      unary_view<functors::ScaleAdd<A>, T>(f, x, y);
    } else {
      binary_view<functors::ScaleAdd<A>, T>(f, x, y, y);
    }
  });
}

void add_relu_target(ConstView a, ConstView b, View y) {
  functors::visit_activations(y.dtype(),
                              [&](auto zero) { binary_view<functors::AddRelu, decltype(zero)>({}, a, b, y); });
}

void relu_backward_target(ConstView y, ConstView dy, View dx) {
  functors::visit_activations(dx.dtype(),
                              [&](auto zero) { binary_view<functors::ReluBackward, decltype(zero)>({}, y, dy, dx); });
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

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

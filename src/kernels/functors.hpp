// Elementwise arithmetic, written once: the host loops and the CUDA kernels apply these same functors.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/activation_functors.hpp"
#include "rtl/core/dtype.hpp"
#include "rtl/core/macros.hpp"
#include "rtl/core/random.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels::functors {

/// The functors Unary<UnaryOp::relu> and Binary<BinaryOp::add>, of the rows of rtl/kernels/elementwise_functions.inc.
template <UnaryOp op>
struct Unary;
template <BinaryOp op>
struct Binary;

template <>
struct Unary<UnaryOp::copy> {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T x) const {
    return x;
  }
};

#define RTL_UNARY(name, value, gradient)      \
  template <>                                 \
  struct Unary<UnaryOp::name> {               \
    template <typename T>                     \
    RTL_HOST_DEVICE T operator()(T x) const { \
      return value;                           \
    }                                         \
  };
#define RTL_BINARY(name, value, gradient_a, gradient_b) \
  template <>                                           \
  struct Binary<BinaryOp::name> {                       \
    template <typename T>                               \
    RTL_HOST_DEVICE T operator()(T a, T b) const {      \
      return value;                                     \
    }                                                   \
  };
#include "rtl/kernels/elementwise_functions.inc"

// Those that other kernels apply, too, or have vectors for.
using Copy = Unary<UnaryOp::copy>;
using Exp = Unary<UnaryOp::exp>;
using Relu = Unary<UnaryOp::relu>;
using Relu6 = Unary<UnaryOp::relu6>;
using Sigmoid = Unary<UnaryOp::sigmoid>;
using Gelu = Unary<UnaryOp::gelu>;
using GeluTanh = Unary<UnaryOp::gelu_tanh>;
using Silu = Unary<UnaryOp::silu>;
using Add = Binary<BinaryOp::add>;
using Maximum = Binary<BinaryOp::maximum>;
using Minimum = Binary<BinaryOp::minimum>;
using Swiglu = Binary<BinaryOp::swiglu>;
using GeluBackward = Binary<BinaryOp::gelu_backward>;
using GeluTanhBackward = Binary<BinaryOp::gelu_tanh_backward>;
using SiluBackward = Binary<BinaryOp::silu_backward>;

struct AddRelu {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T a, T b) const {
    return Relu()(a + b);
  }
};

struct ReluBackward {
  template <typename T>
  RTL_HOST_DEVICE T operator()(T y, T dy) const {
    return y > T{0} ? dy : T{0};
  }
  /// y > 0 are the bits from 1 to those of infinity.
  RTL_HOST_DEVICE bfloat16 operator()(bfloat16 y, bfloat16 dy) const {
    return {static_cast<std::uint16_t>(static_cast<std::uint16_t>(y.bits - 1) < 0x7f80u ? dy.bits : 0)};
  }
};

/// Whether a functor's result is one of its operands but for the sign, or 0, 1 or 6: of bf16 operands it needs no
/// rounding.
template <typename F>
constexpr bool is_exact = false;
template <UnaryOp op>
constexpr bool is_exact<Unary<op>> =
    op == UnaryOp::negate || op == UnaryOp::absolute || op == UnaryOp::relu || op == UnaryOp::relu6;
template <BinaryOp op>
constexpr bool is_exact<Binary<op>> =
    op == BinaryOp::maximum || op == BinaryOp::minimum || op == BinaryOp::greater_equal;

/// A functor of f32 on elements of bf16: calculated in f32, rounded once.
template <typename F>
struct Widened {
  F f;
  template <typename... T>
  RTL_HOST_DEVICE bfloat16 operator()(T... x) const {
    const float result = f(to_float(x)...);
    if constexpr (is_exact<F>) return {static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(result) >> 16)};
    return to_bfloat16(result);
  }
};

/// Whether a functor takes elements of any type as they are stored.
template <typename F>
constexpr bool only_moves = std::is_same_v<F, Copy> || std::is_same_v<F, ReluBackward>;

/// The functor as it is applied to elements of T.
template <typename T, typename F>
RTL_HOST_DEVICE auto on_elements(F f) {
  if constexpr (std::is_same_v<T, bfloat16> && !only_moves<F>) {
    return Widened<F>{f};
  } else {
    return f;
  }
}

/// alpha * x, and alpha * x + beta * y.
template <typename T>
struct ScaleAdd {
  T alpha;
  T beta;
  RTL_HOST_DEVICE T operator()(T x) const { return alpha * x; }
  RTL_HOST_DEVICE T operator()(T x, T y) const { return alpha * x + beta * y; }
};

/// The single nearest to `value` among those whose last bit records what was cut off ("round to odd"): rounding it
/// again, to 16 bits, then equals rounding `value` once.
RTL_HOST_DEVICE inline float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  const double back = static_cast<double>(nearest);
  if (back == value || nearest != nearest) return nearest;
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  if ((bits & 1u) != 0) return nearest;
  // Step from the even neighbour toward the value.
  const bool outward = (value > back) == (value > 0);
  return std::bit_cast<float>(outward ? bits + 1 : bits - 1);
}

/// A double with `value`'s leading 52 bits and a last bit that records the rest, for the same purpose.
RTL_HOST_DEVICE inline double round_to_odd(std::int64_t value) {
  const std::uint64_t magnitude =
      value < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  if (magnitude < (std::uint64_t{1} << 53)) return static_cast<double>(value);
  const std::uint64_t kept = ((magnitude >> 11) | ((magnitude & 0x7ffu) != 0 ? 1u : 0u)) << 11;
  return value < 0 ? -static_cast<double>(kept) : static_cast<double>(kept);
}

template <typename T>
inline constexpr bool is_half = std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;

/// Float to integer: truncated, saturated, NaN gives 0. Integer to integer: saturated.
template <typename To, typename From>
RTL_HOST_DEVICE inline To to_integer(From value) {
  constexpr bool small = sizeof(To) < sizeof(std::int64_t);
  constexpr auto lowest = std::is_same_v<To, std::uint8_t>   ? std::int64_t{0}
                          : std::is_same_v<To, std::int32_t> ? std::int64_t{INT32_MIN}
                                                             : INT64_MIN;
  constexpr auto largest = std::is_same_v<To, std::uint8_t>   ? std::int64_t{255}
                           : std::is_same_v<To, std::int32_t> ? std::int64_t{INT32_MAX}
                                                              : INT64_MAX;
  if constexpr (std::is_floating_point_v<From>) {
    if (value != value) return To{0};
    if (value <= static_cast<From>(lowest)) return static_cast<To>(lowest);
    // INT64_MAX and INT32_MAX are not floats: what reaches them saturates.
    if (value >= static_cast<From>(largest)) return static_cast<To>(largest);
    return static_cast<To>(value);
  } else {
    const auto wide = static_cast<std::int64_t>(value);
    if (small && wide < lowest) return static_cast<To>(lowest);
    if (small && wide > largest) return static_cast<To>(largest);
    return static_cast<To>(wide);
  }
}

/// Conversion between any two element types, rounded once to nearest even.
template <typename To, typename From>
RTL_HOST_DEVICE inline To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (is_half<From>) {
    return convert<To>(to_float(value));
  } else if constexpr (is_half<To>) {
    float single;
    if constexpr (std::is_same_v<From, std::int64_t>) {
      single = round_to_odd(round_to_odd(value));
    } else if constexpr (std::is_same_v<From, float> || std::is_same_v<From, std::uint8_t>) {
      single = static_cast<float>(value);
    } else {
      single = round_to_odd(static_cast<double>(value));
    }
    if constexpr (std::is_same_v<To, bfloat16>) {
      return to_bfloat16(single);
    } else {
      return to_float16(single);
    }
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(value);
  } else {
    return to_integer<To>(value);
  }
}

/// Element i of dropout's mask, applied to x. Draws are multiples of 2^-24, so they are compared as integers: draw >=
/// probability if and only if 2^24 draw >= ceil(2^24 probability).
template <typename T>
struct Dropout {
  Philox philox;
  std::uint32_t threshold;
  T keep_scale;
  Dropout(std::uint64_t seed, std::uint64_t stream, double probability)
      : philox(seed, stream),
        threshold(static_cast<std::uint32_t>(std::ceil(probability * 0x1p24))),
        keep_scale(static_cast<T>(1.0 / (1.0 - probability))) {}
  RTL_HOST_DEVICE T operator()(T x, std::uint64_t i) const { return apply(x, philox.bits(i)); }
  /// `bits` is draw i of the stream.
  RTL_HOST_DEVICE T apply(T x, std::uint32_t bits) const { return (bits >> 8) >= threshold ? x * keep_scale : T{0}; }
};

/// T says how many bits a draw has. The fused operation in f64, rounded once, gives the same bits on every device.
template <typename T>
struct Uniform {
  Philox philox;
  double low;
  double extent;  ///< high - low
  RTL_HOST_DEVICE double operator()(std::uint64_t i) const {
    if constexpr (std::is_same_v<T, double>) {
      return std::fma(extent, philox.uniform_double(i), low);
    } else {
      return std::fma(extent, static_cast<double>(philox.uniform(i)), low);
    }
  }
};

/// Box-Muller: draws 2j and 2j + 1 are the cosine and the sine branch of block j.
struct Normal {
  Philox philox;
  double mean;
  double deviation;
  RTL_HOST_DEVICE double operator()(std::uint64_t i) const {
    const std::uint64_t even = i & ~std::uint64_t{1};
    const double radius = std::sqrt(-2.0 * std::log1p(-philox.uniform_double(even)));
    const double angle = 2.0 * std::numbers::pi * philox.uniform_double(even + 1);
    return std::fma(deviation, radius * (i == even ? std::cos(angle) : std::sin(angle)), mean);
  }
};

/// Calls f(functor of op).
template <typename F>
void visit(UnaryOp op, F&& f) {
  switch (op) {
    case UnaryOp::copy:
      return f(Copy());
#define RTL_UNARY(name, value, gradient) \
  case UnaryOp::name:                    \
    return f(Unary<UnaryOp::name>());
#include "rtl/kernels/elementwise_functions.inc"
  }
}

template <typename F>
void visit(BinaryOp op, F&& f) {
  switch (op) {
#define RTL_BINARY(name, value, gradient_a, gradient_b) \
  case BinaryOp::name:                                  \
    return f(Binary<BinaryOp::name>());
#include "rtl/kernels/elementwise_functions.inc"
  }
}

/// Calls f(T()) with the element type of a dtype that a front has checked to be f32 or f64.
template <typename F>
void visit_floating(DType dtype, F&& f) {
  if (dtype == DType::f32) {
    f(float());
  } else {
    f(double());
  }
}

/// Calls f(T()) with the element type of activations: f32, f64 or bf16, which a front has checked.
template <typename F>
void visit_activations(DType dtype, F&& f) {
  if (dtype == DType::bf16) {
    f(bfloat16());
  } else {
    visit_floating(dtype, f);
  }
}

/// Calls f(T(), Result()) with the element types of activations and of what is summed up from them, which is of the
/// same dtype, or f32 from bf16.
template <typename F>
void visit_sums(DType activations, DType results, const F& f) {
  visit_activations(activations, [&](auto element) {
    if constexpr (std::is_same_v<decltype(element), bfloat16>) {
      if (results == DType::f32) return f(element, float());
    }
    f(element, element);
  });
}

/// Calls f(T()) with the element type of features as they are stored: f32, bf16, f16 or u8.
template <typename F>
void visit_features(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bf16:
      return f(bfloat16());
    case DType::f16:
      return f(float16());
    case DType::u8:
      return f(std::uint8_t());
    default:
      return f(float());
  }
}

/// Calls f(T()) with the element type of any dtype.
template <typename F>
void visit_any(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(float());
    case DType::f64:
      return f(double());
    case DType::bf16:
      return f(bfloat16());
    case DType::f16:
      return f(float16());
    case DType::i32:
      return f(std::int32_t());
    case DType::i64:
      return f(std::int64_t());
    case DType::u8:
      return f(std::uint8_t());
  }
}

}  // namespace rtl::kernels::functors

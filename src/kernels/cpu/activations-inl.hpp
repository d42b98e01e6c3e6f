// Vectors of the activations of transformers, for files that are compiled once for each vector extension. They are
// those of kernels/functors.hpp but for a few roundoffs; NaN stays NaN. An element's bits do not depend on its place.
#if defined(RTL_KERNELS_CPU_ACTIVATIONS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef RTL_KERNELS_CPU_ACTIVATIONS_INL
#undef RTL_KERNELS_CPU_ACTIVATIONS_INL
#else
#define RTL_KERNELS_CPU_ACTIVATIONS_INL
#endif

#include <hwy/highway.h>

#include <type_traits>

#include "hwy/contrib/math/math-inl.h"
#include "kernels/functors.hpp"

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

/// Functors that have vectors here, of elements that are calculated with as A. The error function has none in f64.
template <typename F, typename A>
constexpr bool has_activation_vector = std::is_same_v<F, functors::Silu> || std::is_same_v<F, functors::SiluBackward> ||
                                       std::is_same_v<F, functors::Swiglu> || std::is_same_v<F, functors::GeluTanh> ||
                                       std::is_same_v<F, functors::GeluTanhBackward> ||
                                       (std::is_same_v<A, float> && (std::is_same_v<F, functors::Gelu> ||
                                                                     std::is_same_v<F, functors::GeluBackward>));

/// 1 / (1 + exp(-x)).
template <class D, class V>
HWY_INLINE V sigmoid_vector(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  using T = hn::TFromD<D>;
  const auto one = hn::Set(d, T{1});
  const auto e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

/// Of a standard normal variable at x, in f32: exp(-x^2 / 2), and the probability of less than x.
template <class V>
struct NormalDistribution {
  V exponential, below;
};

/// erfc(z) = exp(-z^2) t p(t) with t = 1 / (1 + 0.35 z), z = |x| / sqrt(2); p is the Chebyshev fit of degree 9 on [0,
/// 1], right to 2.5e-8.
template <class D, class V>
HWY_INLINE NormalDistribution<V> normal_distribution(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  constexpr float coefficients[] = {0.0425999202F, -0.181937993F, 0.236249298F, -0.101973169F, 0.150047064F,
                                    0.111403145F,  0.163474634F,  0.18519932F,  0.197471455F,  0.197466329F};
  const auto one = hn::Set(d, 1.0F), half = hn::Set(d, 0.5F);
  const auto magnitude = hn::Min(hn::Abs(x), hn::Set(d, 40.0F));
  const auto square = hn::Mul(magnitude, magnitude);
  const auto rest = hn::MulSub(magnitude, magnitude, square);  // what rounding the square cut off
  const auto exponential = hn::Mul(hn::Exp(d, hn::Neg(hn::Mul(square, half))), hn::NegMulAdd(half, rest, one));
  const auto t = hn::Div(one, hn::MulAdd(magnitude, hn::Set(d, 0.35F * 0.707106781F), one));
  auto polynomial = hn::Set(d, coefficients[0]);
  for (int i = 1; i < 10; ++i) polynomial = hn::MulAdd(polynomial, t, hn::Set(d, coefficients[i]));
  const auto tail = hn::Mul(hn::Mul(exponential, half), hn::Mul(polynomial, t));
  return {exponential, hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail))};
}

/// The sigmoid of GELU's tanh form, and its slope's factor.
template <class D, class V>
HWY_INLINE V gelu_tanh_share(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  using T = hn::TFromD<D>;
  const auto cubic = hn::MulAdd(hn::Mul(x, x), hn::Set(d, functors::gelu_cubic<T>), hn::Set(d, T{1}));
  return sigmoid_vector(d, hn::Mul(hn::Mul(x, hn::Set(d, functors::gelu_slope<T>)), cubic));
}

template <class D, class V>
HWY_INLINE V activation_vector(functors::Silu /*f*/, D d, V x) {
  return hwy::HWY_NAMESPACE::Mul(x, sigmoid_vector(d, x));
}

template <class D, class V>
HWY_INLINE V activation_vector(functors::Gelu /*f*/, D d, V x) {
  return hwy::HWY_NAMESPACE::Mul(x, normal_distribution(d, x).below);
}

template <class D, class V>
HWY_INLINE V activation_vector(functors::GeluTanh /*f*/, D d, V x) {
  return hwy::HWY_NAMESPACE::Mul(x, gelu_tanh_share(d, x));
}

template <class D, class V>
HWY_INLINE V activation_vector(functors::Swiglu /*f*/, D d, V gate, V x) {
  return hwy::HWY_NAMESPACE::Mul(activation_vector(functors::Silu(), d, gate), x);
}

template <class D, class V>
HWY_INLINE V activation_vector(functors::SiluBackward /*f*/, D d, V x, V dy) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto one = hn::Set(d, hn::TFromD<D>{1}), share = sigmoid_vector(d, x);
  return hn::Mul(dy, hn::Mul(share, hn::MulAdd(x, hn::Sub(one, share), one)));
}

template <class D, class V>
HWY_INLINE V activation_vector(functors::GeluBackward /*f*/, D d, V x, V dy) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto normal = normal_distribution(d, x);
  const auto density = hn::Mul(normal.exponential, hn::Set(d, functors::inverse_root_two_pi<float>));
  return hn::Mul(dy, hn::MulAdd(x, density, normal.below));
}

template <class D, class V>
HWY_INLINE V activation_vector(functors::GeluTanhBackward /*f*/, D d, V x, V dy) {
  namespace hn = hwy::HWY_NAMESPACE;
  using T = hn::TFromD<D>;
  const auto one = hn::Set(d, T{1}), share = gelu_tanh_share(d, x);
  const auto slope = hn::Mul(hn::Set(d, functors::gelu_slope<T>),
                             hn::MulAdd(hn::Mul(x, x), hn::Set(d, T{3} * functors::gelu_cubic<T>), one));
  return hn::Mul(dy, hn::Mul(share, hn::MulAdd(hn::Mul(x, slope), hn::Sub(one, share), one)));
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // RTL_KERNELS_CPU_ACTIVATIONS_INL

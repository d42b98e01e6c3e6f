// A case for each row of rtl/kernels/elementwise_functions.inc: what it is and its derivatives, from which the tests of
// kernels and of graphs are made. A row without a case fails the latter.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

#include "rtl/kernels/pointwise.hpp"

namespace rtl::test {

using Real = long double;

/// Inputs are drawn uniformly between the two.
struct Interval {
  double low = -2, high = 2;
};

struct UnaryCase {
  std::string_view name;  ///< of the row
  Real (*exact)(Real x);
  Real (*derivative)(Real x);
  /// Largest error of the kernel in roundoffs of the result. Two a unit in the last place: CUDA's table of its
  /// mathematical functions gives 1 for expf and logf, 2 for tanhf; sigmoid adds an addition and a division.
  double roundoffs;
  Interval inputs = {-3, 3};     ///< of the kernel
  Interval differentiated = {};  ///< of the graph's operation, where differences of values show its derivatives
};

struct BinaryCase {
  std::string_view name;
  Real (*exact)(Real a, Real b);
  Real (*derivative_a)(Real a, Real b);
  Real (*derivative_b)(Real a, Real b);
  double roundoffs;
  bool of_second = false;  ///< errors are relative to 1.13 times the second operand, not to the result
  Interval differentiated = {};
  /// Of value and gradients in bf16, as OperationCase has it.
  double bf16_roundoffs = 4;
};

/// What a new row's case says until it is written.
inline Real not_written() {
  ADD_FAILURE() << "not written";
  return NAN;
}

inline constexpr Real inverse_root_two_pi = 0.39894228040143267793994605993438L;
inline constexpr Real tanh_slope = 1.5957691216057307117597842397375L, tanh_cubic = 0.044715L;

inline Real logistic(Real x) { return 1 / (1 + std::exp(-x)); }
inline Real normal_density(Real x) { return inverse_root_two_pi * std::exp(-x * x / 2); }
inline Real normal_below(Real x) { return std::erfc(-x * std::sqrt(0.5L)) / 2; }

/// x sigmoid(u(x)) and its derivatives, from u and its derivatives at x.
struct Gated {
  Real x, u, first, second;
  Real value() const { return x * logistic(u); }
  Real derivative() const {
    const Real s = logistic(u);
    return s + x * s * (1 - s) * first;
  }
  Real curvature() const {
    const Real s = logistic(u), bend = s * (1 - s);
    return bend * (2 * first + x * second + x * first * first * (1 - 2 * s));
  }
};
inline Gated silu_of(Real x) { return {x, x, 1, 0}; }
inline Gated gelu_tanh_of(Real x) {
  return {x, tanh_slope * (x + tanh_cubic * x * x * x), tanh_slope * (1 + 3 * tanh_cubic * x * x),
          tanh_slope * 6 * tanh_cubic * x};
}

// clang-format off
inline constexpr UnaryCase unary_cases[] = {
    {"negate", [](Real x) { return -x; }, [](Real) { return -1.0L; }, 0},
    {"absolute", [](Real x) { return std::fabs(x); }, [](Real x) { return x < 0 ? -1.0L : 1.0L; }, 0},
    {"exp", [](Real x) { return std::exp(x); }, [](Real x) { return std::exp(x); }, 4, {-30, 30}},
    {"log", [](Real x) { return std::log(x); }, [](Real x) { return 1 / x; }, 4, {1e-3, 30}, {0.5, 3}},
    {"sqrt", [](Real x) { return std::sqrt(x); }, [](Real x) { return 0.5L / std::sqrt(x); }, 1, {0, 30}, {0.5, 3}},
    {"square", [](Real x) { return x * x; }, [](Real x) { return 2 * x; }, 1},
    {"reciprocal", [](Real x) { return 1 / x; }, [](Real x) { return -1 / (x * x); }, 1, {0.1, 30}, {0.5, 3}},
    {"relu", [](Real x) { return x > 0 ? x : 0; }, [](Real x) { return x > 0 ? 1.0L : 0.0L; }, 0},
    {"relu6", [](Real x) { return x < 0 ? 0 : x > 6 ? 6 : x; }, [](Real x) { return x > 0 && x < 6 ? 1.0L : 0.0L; }, 0,
     {-9, 9}, {-8, 8}},
    {"sigmoid", logistic, [](Real x) { return logistic(x) * logistic(-x); }, 6, {-30, 30}},
    {"tanh", [](Real x) { return std::tanh(x); }, [](Real x) { return 1 - std::tanh(x) * std::tanh(x); }, 4},
    // The tails are exp of rounded numbers of some units: at -4 erfc multiplies the two roundings of its argument by 16.
    {"gelu", [](Real x) { return x * normal_below(x); },
     [](Real x) { return normal_below(x) + x * normal_density(x); }, 36, {-4, 6}},
    {"gelu_tanh", [](Real x) { return gelu_tanh_of(x).value(); },
     [](Real x) { return gelu_tanh_of(x).derivative(); }, 32, {-3, 6}},
    {"silu", [](Real x) { return silu_of(x).value(); }, [](Real x) { return silu_of(x).derivative(); }, 8, {-20, 20}},
};  // unary_cases

inline constexpr BinaryCase binary_cases[] = {
    {"add", [](Real a, Real b) { return a + b; }, [](Real, Real) { return 1.0L; }, [](Real, Real) { return 1.0L; }, 1},
    {"subtract", [](Real a, Real b) { return a - b; }, [](Real, Real) { return 1.0L; },
     [](Real, Real) { return -1.0L; }, 1},
    {"multiply", [](Real a, Real b) { return a * b; }, [](Real, Real b) { return b; }, [](Real a, Real) { return a; }, 1},
    {"divide", [](Real a, Real b) { return a / b; }, [](Real, Real b) { return 1 / b; },
     [](Real a, Real b) { return -a / (b * b); }, 1, false, {0.5, 3}},
    {"maximum", [](Real a, Real b) { return a > b ? a : b; }, [](Real a, Real b) { return a >= b ? 1.0L : 0.0L; },
     [](Real a, Real b) { return a >= b ? 0.0L : 1.0L; }, 0},
    {"minimum", [](Real a, Real b) { return a < b ? a : b; }, [](Real a, Real b) { return a <= b ? 1.0L : 0.0L; },
     [](Real a, Real b) { return a <= b ? 0.0L : 1.0L; }, 0},
    {"greater_equal", [](Real a, Real b) { return a >= b ? 1.0L : 0.0L; }, [](Real, Real) { return 0.0L; },
     [](Real, Real) { return 0.0L; }, 0},
    {"swiglu", [](Real a, Real b) { return silu_of(a).value() * b; },
     [](Real a, Real b) { return silu_of(a).derivative() * b; }, [](Real a, Real) { return silu_of(a).value(); }, 9},
    // Slopes are sums that may nearly cancel: in units of the largest, 1.13.
    {"gelu_backward", [](Real x, Real dy) { return dy * (normal_below(x) + x * normal_density(x)); },
     [](Real x, Real dy) { return dy * normal_density(x) * (2 - x * x); },
     [](Real x, Real) { return normal_below(x) + x * normal_density(x); }, 8, true, {}, 8},
    {"gelu_tanh_backward", [](Real x, Real dy) { return dy * gelu_tanh_of(x).derivative(); },
     [](Real x, Real dy) { return dy * gelu_tanh_of(x).curvature(); },
     [](Real x, Real) { return gelu_tanh_of(x).derivative(); }, 32, true, {}, 8},
    {"silu_backward", [](Real x, Real dy) { return dy * silu_of(x).derivative(); },
     [](Real x, Real dy) { return dy * silu_of(x).curvature(); },
     [](Real x, Real) { return silu_of(x).derivative(); }, 8, true, {}, 8},
};
// clang-format on

/// The kernel's functions by the names of their rows, or "copy".
inline kernels::UnaryOp unary_op(std::string_view row) {
  if (row == "copy") return kernels::UnaryOp::copy;
#define RTL_UNARY(name, value, gradient) \
  if (row == #name) return kernels::UnaryOp::name;
#include "rtl/kernels/elementwise_functions.inc"
  throw std::invalid_argument(std::string(row) + ": rtl/kernels/elementwise_functions.inc has no such row");
}

inline kernels::BinaryOp binary_op(std::string_view row) {
#define RTL_BINARY(name, value, gradient_a, gradient_b) \
  if (row == #name) return kernels::BinaryOp::name;
#include "rtl/kernels/elementwise_functions.inc"
  throw std::invalid_argument(std::string(row) + ": rtl/kernels/elementwise_functions.inc has no such row");
}

/// The case of a row; throws where there is none.
template <typename Case, std::size_t count>
const Case& case_of(const Case (&cases)[count], std::string_view row) {
  const auto found = std::find_if(std::begin(cases), std::end(cases), [&](const Case& c) { return c.name == row; });
  if (found != std::end(cases)) return *found;
  throw std::invalid_argument(std::string(row) + " has no case in tests/support/elementwise_cases.hpp");
}

}  // namespace rtl::test

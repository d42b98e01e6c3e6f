// Elementwise operations, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "graph/operation_case.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph::test {
namespace {

Numbers mapped(const Numbers& x, const std::function<double(double)>& f) {
  Numbers y;
  for (const double value : x) y.push_back(f(value));
  return y;
}

OperationCase unary(const std::string& name, Value (*operation)(const Value&), const std::function<double(double)>& f,
                    double low = -2, double high = 2) {
  return {.name = name,
          .shapes = {{3, 31}},
          .record = [operation](Graph&, std::span<const Value> in) { return operation(in[0]); },
          .reference = [f](const std::vector<Numbers>& in) { return mapped(in[0], f); },
          .low = low,
          .high = high};
}

TEST(Elementwise, UnaryOperations) {
  check(unary("negate", negate, [](double x) { return -x; }));
  check(unary("absolute", absolute, [](double x) { return std::abs(x); }));
  check(unary("exp", exp, [](double x) { return std::exp(x); }));
  check(unary(
      "log", log, [](double x) { return std::log(x); }, 0.5, 3));
  check(unary(
      "sqrt", sqrt, [](double x) { return std::sqrt(x); }, 0.5, 3));
  check(unary("square", square, [](double x) { return x * x; }));
  check(unary(
      "reciprocal", reciprocal, [](double x) { return 1 / x; }, 0.5, 3));
  check(unary("relu", relu, [](double x) { return std::max(x, 0.0); }));
  check(unary("sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }));
  check(unary(
      "relu6", [](const Value& x) { return relu6(scale(x, 4)); },
      [](double x) { return std::clamp(4 * x, 0.0, 6.0); }));
  check(unary("tanh", tanh, [](double x) { return std::tanh(x); }));
  check(unary("gelu", gelu, [](double x) { return x * std::erfc(-x * std::sqrt(0.5)) / 2; }));
  check(unary("gelu_tanh", gelu_tanh, [](double x) {
    return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }));
  check(unary("silu", silu, [](double x) { return x / (1 + std::exp(-x)); }));
}

OperationCase binary(const std::string& name, Value (*operation)(const Value&, const Value&),
                     const std::function<double(double, double)>& f, double low = -2, double high = 2) {
  return {.name = name,
          .shapes = {{3, 1, 5}, {7, 5}},
          .record = [operation](Graph&, std::span<const Value> in) { return operation(in[0], in[1]); },
          .reference =
              [f](const std::vector<Numbers>& in) {
                Numbers y;
                for (std::size_t i = 0; i < 3; ++i) {
                  for (std::size_t j = 0; j < 7; ++j) {
                    for (std::size_t k = 0; k < 5; ++k) y.push_back(f(in[0][i * 5 + k], in[1][j * 5 + k]));
                  }
                }
                return y;
              },
          .low = low,
          .high = high};
}

TEST(Elementwise, BinaryOperationsBroadcast) {
  check(binary("add", add, [](double a, double b) { return a + b; }));
  check(binary("subtract", subtract, [](double a, double b) { return a - b; }));
  check(binary("multiply", multiply, [](double a, double b) { return a * b; }));
  check(binary(
      "divide", divide, [](double a, double b) { return a / b; }, 0.5, 3));
  check(binary("maximum", maximum, [](double a, double b) { return std::max(a, b); }));
  check(binary("minimum", minimum, [](double a, double b) { return std::min(a, b); }));
  check(binary("swiglu", swiglu, [](double a, double b) { return a / (1 + std::exp(-a)) * b; }));
  check(binary("greater_equal", greater_equal, [](double a, double b) { return a >= b ? 1.0 : 0.0; }));
}

TEST(Elementwise, ScaleAndCast) {
  check({.name = "scale",
         .shapes = {{33}},
         .record = [](Graph&, std::span<const Value> in) { return scale(in[0], -1.5); },
         .reference = [](const std::vector<Numbers>& in) { return mapped(in[0], [](double x) { return -1.5 * x; }); }});
  check({.name = "cast there and back",
         .shapes = {{33}},
         .record = [](Graph&, std::span<const Value> in) { return cast(cast(in[0], DType::f64), in[0].dtype()); },
         .reference = [](const std::vector<Numbers>& in) { return in[0]; }});
}

TEST(Elementwise, FaultsNameShapesAndTypes) {
  Graph graph(Device::cpu(1));
  const Value a = graph.input("a", {2, 3}, DType::f32), b = graph.input("b", {4}, DType::f32);
  EXPECT_THROW(add(a, b), ShapeError);
  EXPECT_THROW(add(a, graph.input("c", {2, 3}, DType::f64)), DTypeError);
  EXPECT_THROW(relu(graph.input("labels", {2}, DType::i32)), DTypeError);
  EXPECT_THROW(relu(Value()), ValueError);
  EXPECT_THROW(add(a, Value()), ValueError);
  Graph other(Device::cpu(1));
  EXPECT_THROW(add(a, other.input("a", {2, 3}, DType::f32)), ValueError);
}

}  // namespace
}  // namespace rtl::graph::test

// Elementwise operations, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"
#include "support/elementwise_cases.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

Numbers mapped(const Numbers& x, const std::function<double(double)>& f) {
  Numbers y;
  for (const double value : x) y.push_back(f(value));
  return y;
}

using rtl::test::BinaryCase;
using rtl::test::case_of;
using rtl::test::Interval;
using rtl::test::Real;
using rtl::test::UnaryCase;

using Record = std::function<Value(std::span<const Value>)>;
using Exact = std::function<Real(std::size_t operand, const std::vector<Real>& at)>;

/// Expects the gradients of the sum of an operation in f64 to be its derivatives at the same places.
void check_derivatives(std::string_view name, Interval interval, std::size_t operands, const Record& record,
                       const Exact& derivative) {
  constexpr std::int64_t places = 100;
  for (const Device& device : rtl::test::devices()) {
    const auto graph = std::make_shared<Graph>(device);
    std::vector<Value> inputs;
    std::vector<Numbers> values(operands, Numbers(places));
    RandomSequence random(rtl::test::seed());
    for (std::size_t i = 0; i < operands; ++i) {
      for (double& value : values[i]) value = interval.low + (interval.high - interval.low) * random.uniform();
      inputs.push_back(graph->constant("operand", Tensor::from(values[i], {places}, device)));
    }
    const std::vector<Value> given = gradients(sum(record(inputs)), inputs);
    Execution execution(std::make_shared<const Plan>(graph, given, PlanOptions{}));
    execution.run();
    for (std::size_t i = 0; i < operands; ++i) {
      const View result = execution.view(given[i]);
      Tensor host(result.shape(), DType::f64, Device::cpu(1));
      copy_bytes(result, host);
      const Numbers here = host.to_vector<double>();
      for (std::size_t place = 0; place < here.size(); ++place) {
        std::vector<Real> at;
        for (const Numbers& operand : values) at.push_back(operand[place]);
        const auto wanted = static_cast<double>(derivative(i, at));
        ASSERT_NEAR(here[place], wanted, 1e-13 * std::max(1.0, std::abs(wanted)))
            << name << " by operand " << i << " at " << values[0][place];
      }
    }
  }
}

void check_unary(const UnaryCase& facts, Value (*operation)(const Value&)) {
  check({.name = std::string(facts.name),
         .shapes = {{3, 31}},
         .record = [operation](Graph&, std::span<const Value> in) { return operation(in[0]); },
         .reference =
             [&facts](const std::vector<Numbers>& in) {
               return mapped(in[0], [&facts](double x) { return static_cast<double>(facts.exact(x)); });
             },
         .low = facts.differentiated.low,
         .high = facts.differentiated.high});
  check_derivatives(
      facts.name, facts.differentiated, 1, [operation](std::span<const Value> in) { return operation(in[0]); },
      [&facts](std::size_t, const std::vector<Real>& at) { return facts.derivative(at[0]); });
}

void check_binary(const BinaryCase& facts, Value (*operation)(const Value&, const Value&)) {
  check({.name = std::string(facts.name),
         .shapes = {{3, 1, 5}, {7, 5}},
         .record = [operation](Graph&, std::span<const Value> in) { return operation(in[0], in[1]); },
         .reference =
             [&facts](const std::vector<Numbers>& in) {
               Numbers y;
               for (std::size_t i = 0; i < 3; ++i) {
                 for (std::size_t j = 0; j < 7; ++j) {
                   for (std::size_t k = 0; k < 5; ++k) {
                     y.push_back(static_cast<double>(facts.exact(in[0][i * 5 + k], in[1][j * 5 + k])));
                   }
                 }
               }
               return y;
             },
         .low = facts.differentiated.low,
         .high = facts.differentiated.high,
         .bf16_roundoffs = facts.bf16_roundoffs});
  check_derivatives(
      facts.name, facts.differentiated, 2, [operation](std::span<const Value> in) { return operation(in[0], in[1]); },
      [&facts](std::size_t operand, const std::vector<Real>& at) {
        return operand == 0 ? facts.derivative_a(at[0], at[1]) : facts.derivative_b(at[0], at[1]);
      });
}

TEST(Elementwise, FunctionsOfOneOperand) {
#define RTL_UNARY(name, value, gradient) check_unary(case_of(rtl::test::unary_cases, #name), graph::name);
#include "rtl/kernels/elementwise_functions.inc"
}

TEST(Elementwise, FunctionsOfTwoOperandsBroadcast) {
#define RTL_BINARY(name, value, gradient_a, gradient_b) \
  check_binary(case_of(rtl::test::binary_cases, #name), graph::name);
#include "rtl/kernels/elementwise_functions.inc"
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

// Differentiation of graphs: operations in company, operands that are used twice, gradients of one operand alone, and
// what is refused. The operations by themselves are in the other files of this folder.
#include "rtl/graph/gradients.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rtl/graph/gradient_check.hpp"
#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::graph {
namespace {

using Inputs = std::span<const Value>;

struct Case {
  const char* name;
  std::vector<Shape> shapes;
  RecordFunction record;
};

Value labels(Graph& graph) {
  return graph.constant("labels", Tensor::from(std::vector<std::int32_t>{2, 0, 6, 3, 3}, {5}, graph.device()));
}

Value statistic(Graph& graph, const char* name, std::int64_t channels, double value) {
  const std::vector<double> values(static_cast<std::size_t>(channels), value);
  return graph.variable(name, Storage(Tensor::from(values, {channels}, graph.device())));
}

/// [relu](norm(x) + residual) of inputs x, gamma, beta, residual.
Value norm(Graph& graph, Inputs in, bool training) {
  const std::int64_t channels = in[1].extent(0);
  const auto record = training ? batch_norm_training : batch_norm_evaluation;
  const Value y = record(in[0], in[1], in[2], statistic(graph, "mean", channels, 0.1),
                         statistic(graph, "variance", channels, 0.7), {});
  return relu(add(y, in[3]));
}

const std::vector<Shape> image_norm{{2, 3, 3, 4}, {4}, {4}, {2, 3, 3, 4}};

const Case cases[] = {
    {"subtract from itself", {{7}}, [](Graph&, Inputs in) { return subtract(in[0], in[0]); }},
    {"an operand twice", {{33}}, [](Graph&, Inputs in) { return multiply(in[0], in[0]); }},
    {"relu of a sum of both", {{4, 9}}, [](Graph&, Inputs in) { return relu(add(in[0], scale(in[0], 0.5))); }},
    {"relu of linear", {{5, 3}, {4, 3}, {4}}, [](Graph&, Inputs in) { return relu(linear(in[0], in[1], in[2])); }},
    {"relu of linear without bias", {{5, 3}, {4, 3}}, [](Graph&, Inputs in) { return relu(linear(in[0], in[1], {})); }},
    {"relu of conv2d",
     {{2, 3, 3, 2}, {3, 2, 1, 1}, {3}},
     [](Graph&, Inputs in) {
       return relu(conv2d(in[0], in[1], in[2], {1, 0}));
     }},
    {"batch_norm, training, residual, relu", image_norm, [](Graph& graph, Inputs in) { return norm(graph, in, true); }},
    {"batch_norm, evaluation, residual, relu", image_norm,
     [](Graph& graph, Inputs in) { return norm(graph, in, false); }},
    {"cross_entropy of scaled logits",
     {{5, 7}},
     [](Graph& graph, Inputs in) { return scale(cross_entropy(scale(in[0], 3), labels(graph)), 2); }},
};

std::vector<double> numbers(Execution& execution, const Value& value) {
  return test::copy_of(execution.view(value)).to_vector<double>();
}

TEST(Gradients, OfOperationsInCompany) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const Case& one : cases) {
      SCOPED_TRACE(std::string(one.name) + " on " + device.name() + ", seed " + std::to_string(seed));
      test::RandomTensors random(seed);
      std::vector<Storage> inputs;
      for (const Shape& shape : one.shapes) inputs.emplace_back(random.f64(shape, device));
      const GradientCheck found = gradient_check(one.record, inputs, {.step = 1e-6, .seed = seed});
      EXPECT_LT(found.largest_error, 1e-7) << found.where;
      EXPECT_GT(found.entries, 0);
    }
  }
}

/// Nothing may depend on the other operands' gradients being asked for.
TEST(Gradients, OfOneOperandAloneAreTheSame) {
  test::RandomTensors random(test::fresh_seed());
  for (const Device& device : test::devices()) {
    for (const Case& one : cases) {
      SCOPED_TRACE(std::string(one.name) + " on " + device.name());
      const auto graph = std::make_shared<Graph>(device);
      std::vector<Value> inputs;
      for (const Shape& shape : one.shapes) inputs.push_back(graph->constant("input", random.f64(shape, device)));
      const Value value = one.record(*graph, inputs);
      const Value loss = sum(multiply(value, graph->constant("weights", random.f64(value.shape(), device))));
      const std::vector<Value> together = gradients(loss, inputs);
      std::vector<Value> results = together;
      for (const Value& input : inputs) results.push_back(gradients(loss, {&input, 1}).at(0));
      Execution execution(std::make_shared<const Plan>(graph, results));
      execution.run();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const std::vector<double> all = numbers(execution, together[i]);
        const std::vector<double> alone = numbers(execution, results[inputs.size() + i]);
        for (std::size_t k = 0; k < all.size(); ++k) ASSERT_NEAR(alone[k], all[k], 1e-12) << i << ", " << k;
      }
    }
  }
}

/// Of a loss of two numbers, at 3 and 5.
std::vector<double> gradients_at_3_and_5(const Device& device, const std::function<Value(Value, Value)>& record) {
  const auto three = Tensor::from(std::vector<double>{3}, {1}, device);
  const auto five = Tensor::from(std::vector<double>{5}, {1}, device);
  std::vector<double> values;
  for (const Tensor& gradient :
       test::evaluate({three, five}, [&](Inputs in) { return gradients(record(in[0], in[1]), in); })) {
    values.push_back(gradient.item<double>());
  }
  return values;
}

TEST(Gradients, OfSharedValuesAdd) {
  for (const Device& device : test::devices()) {
    // y = (a + b) * a * b, used twice; dy/da = 2ab + b^2, dy/db = a^2 + 2ab.
    const std::vector<double> found = gradients_at_3_and_5(device, [](Value a, Value b) {
      const Value product = multiply(multiply(add(a, b), a), b);
      return add(product, product);
    });
    EXPECT_EQ(found, (std::vector<double>{2 * (2 * 15 + 25), 2 * (9 + 2 * 15)}));
  }
}

TEST(Gradients, OfDeepAndWideGraphs) {
  const Device device = Device::cpu();
  EXPECT_EQ(gradients_at_3_and_5(device,
                                 [](Value a, Value b) {
                                   for (int i = 0; i < 20000; ++i) a = scale(a, 1.0);
                                   return add(a, b);
                                 }),
            (std::vector<double>{1, 1}));
  // 2^60 paths, 60 nodes.
  EXPECT_EQ(gradients_at_3_and_5(device,
                                 [](Value a, Value b) {
                                   for (int i = 0; i < 60; ++i) a = add(a, a);
                                   return add(a, b);
                                 }),
            (std::vector<double>{0x1p60, 1}));
}

TEST(Gradients, AreNotDefinedWhereTheLossDoesNotDepend) {
  Graph graph(Device::cpu());
  const Value a = graph.input("a", {1}, DType::f64), b = graph.input("b", {1}, DType::f64);
  const Value both[] = {a, b};
  const std::vector<Value> found = gradients(scale(a, 2), both);
  EXPECT_TRUE(found[0].defined());
  EXPECT_FALSE(found[1].defined());
}

/// Half of the gradient it should give, and none of the second operand.
class WrongDouble final : public Operation {
 public:
  std::string_view name() const noexcept override { return "wrong_double"; }
  std::vector<Type> infer(std::span<const Value> operands) const override { return {operands[0].type()}; }
  void run(const Call& call) const override { kernels::scale_add(call.device(), 2.0, call.in(0), 0.0, call.out(0)); }
  void gradient(GradientCall& call) const override { call.give(0, call.gradient()); }
};

class WithoutGradient final : public Operation {
 public:
  std::string_view name() const noexcept override { return "no_way_back"; }
  std::vector<Type> infer(std::span<const Value> operands) const override { return {operands[0].type()}; }
  void run(const Call& call) const override { copy_bytes(call.in(0), call.out(0)); }
};

TEST(Gradients, RefuseWhatCannotBeDifferentiated) {
  Graph graph(Device::cpu()), other(Device::cpu());
  const Value a = graph.input("a", {2}, DType::f64), b = other.input("b", {1}, DType::f64);
  EXPECT_THROW(gradients(a, {&a, 1}), ShapeError) << "two elements";
  EXPECT_THROW(gradients(sum(a), {&b, 1}), ValueError) << "another graph";
  EXPECT_THROW(gradients(Value(), {&a, 1}), ValueError);
  const Value dead_end = graph.add_one(std::make_shared<const WithoutGradient>(), {a});
  try {
    gradients(sum(dead_end), {&a, 1});
    ADD_FAILURE() << "it has no rule";
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("no_way_back"), std::string::npos) << error.what();
  }
}

TEST(GradientCheck, FindsAWrongGradient) {
  const Device device = Device::cpu();
  test::RandomTensors random(3);
  const std::vector<Storage> inputs{Storage(random.f64({4}, device, 0.5, 1))};
  const RecordFunction wrong = [](Graph& graph, Inputs in) {
    return graph.add_one(std::make_shared<const WrongDouble>(), {in[0]});
  };
  const GradientCheck found = gradient_check(wrong, inputs);
  EXPECT_GT(found.largest_error, 0.01);
  EXPECT_NE(found.where.find("input 0"), std::string::npos);
  EXPECT_THROW(gradient_check(wrong, {}), ValueError);
  EXPECT_THROW(gradient_check(wrong, {Storage(random.f32({4}, device))}), DTypeError);
}

}  // namespace
}  // namespace rtl::graph

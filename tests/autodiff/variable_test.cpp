// The graph: where it exists, what it keeps, how it is used up.
#include "rtl/autodiff/variable.hpp"

#include <gtest/gtest.h>

#include "rtl/autodiff/gradient_check.hpp"
#include "rtl/autodiff/operations.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace rtl::autodiff {
namespace {

Variable number(double value, const Device& device, bool requires_gradient = true) {
  return Variable(Tensor::from(std::vector<double>{value}, {1}, device), requires_gradient);
}

TEST(Variable, RecordsNothingWhereNothingRequiresAGradient) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    const Variable x(random.f32({2, 8, 8, 3}, device));
    const Variable w(random.f32({4, 3, 3, 3}, device));
    const std::size_t before = device.memory().in_use;
    const Variable y = max_pool(relu(conv2d(x, w, {}, {1, 1})), {2, 2});
    EXPECT_FALSE(y.requires_gradient());
    EXPECT_TRUE(y.node()->parents.empty());
    EXPECT_FALSE(y.node()->backward);
    EXPECT_TRUE(y.node()->saved.empty());
    // Only the result is left: 2 * 4 * 4 * 4 floats.
    EXPECT_EQ(device.memory().in_use - before, 512u);
    EXPECT_THROW(sum(y).backward(), ValueError);
  }
}

TEST(Variable, RecordsNothingUnderNoGraph) {
  const Device device = Device::cpu();
  const Variable w = number(2, device);
  {
    const NoGraph off;
    { const NoGraph nested; }
    const Variable y = multiply(w, w);
    EXPECT_FALSE(y.requires_gradient());
    EXPECT_FALSE(records({&w}));
  }
  EXPECT_TRUE(records({&w}));
  EXPECT_TRUE(multiply(w, w).requires_gradient());
}

TEST(Variable, BackwardReturnsAllMemoryOfTheGraph) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(2);
    Variable w(random.f32({16, 16}, device), true);
    Variable gamma(random.f32({16}, device), true);
    Variable beta(random.f32({16}, device), true);
    Tensor mean = random.f32({16}, device);
    Tensor variance = random.f32({16}, device, 0.5, 1);
    const Variable x(random.f32({32, 16}, device));
    const Tensor labels = random.i32(32, 16, device);
    const auto step = [&] {
      Variable loss;
      {
        Variable y = x;
        for (int layer = 0; layer < 4; ++layer) {
          y = batch_norm(linear(y, w, {}, true), gamma, beta, mean, variance, {.training = true});
          y = dropout(y, 0.5, 1, static_cast<std::uint64_t>(layer));
        }
        loss = cross_entropy(y, labels);
      }
      loss.backward();
      EXPECT_TRUE(w.gradient().defined());
      for (Variable* parameter : {&w, &gamma, &beta}) parameter->clear_gradient();
    };
    const std::size_t before = device.memory().in_use;
    step();
    EXPECT_EQ(device.memory().in_use, before);
    const std::size_t allocations = device.memory().allocations;
    step();
    EXPECT_EQ(device.memory().allocations, allocations) << "the second step must live from the cache";
  }
}

TEST(Variable, AGraphThatIsDroppedReturnsItsMemory) {
  const Device device = Device::cpu();
  const Variable w = number(1, device);
  const std::size_t before = device.memory().in_use;
  {
    Variable y = w;
    for (int i = 0; i < 10; ++i) y = add(y, w);
    EXPECT_GT(device.memory().in_use, before);
  }
  EXPECT_EQ(device.memory().in_use, before);
}

TEST(Variable, GradientsOfSharedValuesAdd) {
  for (const Device& device : test::devices()) {
    Variable a = number(3, device);
    Variable b = number(5, device);
    // y = (a + b) * a * b, used twice; dy/da = 2ab + b^2, dy/db = a^2 + 2ab.
    const Variable s = add(a, b);
    const Variable product = multiply(multiply(s, a), b);
    add(product, product).backward();
    EXPECT_DOUBLE_EQ(a.gradient().item<double>(), 2 * (2 * 15 + 25));
    EXPECT_DOUBLE_EQ(b.gradient().item<double>(), 2 * (9 + 2 * 15));
    // A second graph adds to the leaves' gradients.
    scale(a, 7).backward();
    EXPECT_DOUBLE_EQ(a.gradient().item<double>(), 117);
    a.clear_gradient();
    EXPECT_FALSE(a.gradient().defined());
  }
}

TEST(Variable, DeepGraphsNeedNoStack) {
  const Device device = Device::cpu();
  Variable w = number(1, device);
  constexpr int depth = 20000;
  {
    Variable y = w;
    for (int i = 0; i < depth; ++i) y = scale(y, 1.0);
    y.backward();
    EXPECT_DOUBLE_EQ(w.gradient().item<double>(), 1);
  }
  Variable dropped = w;
  for (int i = 0; i < depth; ++i) dropped = scale(dropped, 1.0);
}

TEST(Variable, WideGraphsRunEveryNodeOnce) {
  const Device device = Device::cpu();
  Variable w = number(1, device);
  Variable y = w;
  // 2^60 paths, 60 nodes.
  for (int i = 0; i < 60; ++i) y = add(y, y);
  y.backward();
  EXPECT_DOUBLE_EQ(w.gradient().item<double>(), 0x1p60);
}

TEST(Variable, RefusesWhatCannotBeDifferentiated) {
  const Device device = Device::cpu();
  Variable w(Tensor::from(std::vector<double>{1, 2}, {2}, device), true);
  EXPECT_THROW(scale(w, 2).backward(), ShapeError);
  EXPECT_THROW(w.backward(), ValueError);
  const Variable shared = scale(w, 2);
  const Variable loss = sum(shared);
  const Variable other = mean(multiply(shared, shared));
  loss.backward();
  EXPECT_THROW(loss.backward(), ValueError);
  const std::vector<double> before = w.gradient().to_vector<double>();
  EXPECT_THROW(other.backward(), ValueError) << "part of its graph is used up";
  EXPECT_EQ(w.gradient().to_vector<double>(), before);
  // The refusal leaves no trace: a fresh graph on the same leaf works.
  sum(w).backward();
  EXPECT_EQ(w.gradient().to_vector<double>(), (std::vector<double>{3, 3}));
  Variable result = scale(w, 2);
  EXPECT_THROW(result.set_requires_gradient(false), ValueError);
  EXPECT_THROW(Variable(Tensor::zeros({1}, DType::i32, device), true), DTypeError);
}

TEST(Variable, FrozenLeavesGetNoGradient) {
  const Device device = Device::cpu();
  Variable a = number(2, device);
  Variable b = number(3, device);
  b.set_requires_gradient(false);
  multiply(a, b).backward();
  EXPECT_DOUBLE_EQ(a.gradient().item<double>(), 3);
  EXPECT_FALSE(b.gradient().defined());
}

TEST(Variable, BackwardIsReproducible) {
  for (const Device& device : test::devices()) {
    const auto run = [&] {
      test::RandomTensors random(9);
      Variable w(random.f32({33, 31}, device), true);
      const Variable x(random.f32({65, 31}, device));
      const Tensor labels = random.i32(65, 33, device);
      cross_entropy(add(linear(x, w, {}, true), linear(x, w, {})), labels).backward();
      return w.gradient().to_vector<float>();
    };
    EXPECT_EQ(run(), run());
  }
}

TEST(GradientCheck, FindsAWrongGradient) {
  const Device device = Device::cpu();
  test::RandomTensors random(3);
  const std::vector<Variable> inputs{Variable(random.f64({4}, device, 0.5, 1), true)};
  const auto wrong = [](std::span<const Variable> in) {
    Tensor y = scale(in[0], 2).value().clone();
    return make_result(std::move(y), {in[0]},
                       [](detail::Node& node) { accumulate(node.parents[0], node.gradient.clone()); });
  };
  const GradientCheck found = gradient_check(wrong, inputs);
  EXPECT_GT(found.largest_error, 0.01);
  EXPECT_NE(found.where.find("input 0"), std::string::npos);
  EXPECT_FALSE(inputs[0].gradient().defined());
  EXPECT_THROW(gradient_check(wrong, {Variable(random.f64({4}, device))}), ValueError);
  EXPECT_THROW(gradient_check(wrong, {Variable(random.f32({4}, device), true)}), DTypeError);
}

}  // namespace
}  // namespace rtl::autodiff

// The gradient of every differentiable operation against central differences, in f64, on every device.
#include "rtl/autodiff/operations.hpp"

#include <gtest/gtest.h>

#include "rtl/autodiff/gradient_check.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace rtl::autodiff {
namespace {

using Inputs = std::span<const Variable>;

struct Case {
  const char* name;
  std::function<std::vector<Tensor>(test::RandomTensors&, const Device&)> inputs;
  std::function<Variable(Inputs, const Device&)> operation;
};

/// Shapes of the inputs, values uniform in [-1, 1).
auto shapes(std::vector<Shape> wanted) {
  return [wanted](test::RandomTensors& random, const Device& device) {
    std::vector<Tensor> tensors;
    for (const Shape& shape : wanted) tensors.push_back(random.f64(shape, device));
    return tensors;
  };
}

/// Distinct values at least 0.01 apart and off zero, in random order: for operations with kinks.
auto distinct(Shape shape) {
  return [shape](test::RandomTensors& random, const Device& device) {
    const auto count = static_cast<std::size_t>(shape.count());
    std::vector<double> keys = random.values(shape.count());
    std::vector<double> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t rank = 0;
      for (const double key : keys) rank += key < keys[i] ? 1 : 0;
      values[i] = 0.01 * (static_cast<double>(rank) - static_cast<double>(count) / 2 + 0.25);
    }
    std::vector<Tensor> tensors;
    tensors.push_back(Tensor::from(values, shape, device));
    return tensors;
  };
}

Tensor labels(const Device& device) { return Tensor::from(std::vector<std::int32_t>{2, 0, 6, 3, 3}, {5}, device); }

/// What a graph refers to until backward has run. Emptied by check_all: no memory of a GPU may outlive main.
std::vector<Tensor> kept;

/// Batch norm of inputs x, gamma, beta[, residual]; the running statistics are made anew for each call.
Variable norm(Inputs in, const Device& device, const BatchNormOptions& options) {
  const std::int64_t channels = in[1].shape().count();
  Tensor mean = Tensor::from(std::vector<double>(static_cast<std::size_t>(channels), 0.1), {channels}, device);
  Tensor variance = Tensor::from(std::vector<double>(static_cast<std::size_t>(channels), 0.7), {channels}, device);
  kept.clear();
  kept.push_back(std::move(mean));
  kept.push_back(std::move(variance));
  return batch_norm(in[0], in[1], in[2], kept[0], kept[1], options, in.size() > 3 ? in[3] : Variable());
}

std::vector<Case> pointwise_cases() {
  return {
      {"add", shapes({{3, 5}, {3, 5}}), [](Inputs in, const Device&) { return add(in[0], in[1]); }},
      {"add, both broadcast", shapes({{3, 1}, {2, 1, 5}}), [](Inputs in, const Device&) { return add(in[0], in[1]); }},
      {"subtract", shapes({{4}, {3, 4}}), [](Inputs in, const Device&) { return subtract(in[0], in[1]); }},
      {"subtract from itself", shapes({{7}}), [](Inputs in, const Device&) { return subtract(in[0], in[0]); }},
      {"multiply", shapes({{3, 4}, {4}}), [](Inputs in, const Device&) { return multiply(in[0], in[1]); }},
      {"square", shapes({{33}}), [](Inputs in, const Device&) { return multiply(in[0], in[0]); }},
      {"scale", shapes({{5}}), [](Inputs in, const Device&) { return scale(in[0], -2.5); }},
      {"relu", distinct({31}), [](Inputs in, const Device&) { return relu(in[0]); }},
      {"sigmoid", shapes({{31}}), [](Inputs in, const Device&) { return sigmoid(in[0]); }},
      {"tanh", shapes({{31}}), [](Inputs in, const Device&) { return tanh(in[0]); }},
      {"add_relu", distinct({4, 9}), [](Inputs in, const Device&) { return add_relu(in[0], scale(in[0], 0.5)); }},
      {"sum", shapes({{3, 5}}), [](Inputs in, const Device&) { return sum(in[0]); }},
      {"mean", shapes({{3, 5}}), [](Inputs in, const Device&) { return mean(in[0]); }},
      {"dropout", shapes({{65}}), [](Inputs in, const Device&) { return dropout(in[0], 0.3, 5, 6); }},
      {"gather_rows, repeated", shapes({{4, 3}}),
       [](Inputs in, const Device& device) {
         return gather_rows(in[0], Tensor::from(std::vector<std::int64_t>{2, 0, 2, 3, 2}, {5}, device));
       }},
  };
}

std::vector<Case> matrix_cases() {
  return {
      {"linear", shapes({{5, 3}, {4, 3}, {4}}), [](Inputs in, const Device&) { return linear(in[0], in[1], in[2]); }},
      {"linear without bias", shapes({{1, 33}, {2, 33}}),
       [](Inputs in, const Device&) { return linear(in[0], in[1], {}); }},
      {"linear with relu", shapes({{5, 3}, {4, 3}, {4}}),
       [](Inputs in, const Device&) { return linear(in[0], in[1], in[2], true); }},
      {"linear without bias, with relu", shapes({{5, 3}, {4, 3}}),
       [](Inputs in, const Device&) { return linear(in[0], in[1], {}, true); }},
      {"residual_fusion of one block", shapes({{5, 3}, {7, 3}, {7}}),
       [](Inputs in, const Device&) {
         const FusionInput blocks[] = {{in[0], 2.0}};
         return residual_fusion(blocks, in[1], in[2]);
       }},
      {"residual_fusion of three blocks", shapes({{5, 3}, {5, 2}, {5, 4}, {7, 9}, {7}}),
       [](Inputs in, const Device& device) {
         kept.clear();
         kept.push_back(Tensor::from(std::vector<double>{1, 0, 2, 0, 1}, {5}, device));
         const FusionInput blocks[] = {{in[0], 1.0}, {in[1], 0.5, kept[0]}, {in[2], -1.5}};
         return residual_fusion(blocks, in[3], in[4]);
       }},
      {"cross_entropy", shapes({{5, 7}}),
       [](Inputs in, const Device& device) { return cross_entropy(in[0], labels(device)); }},
      {"cross_entropy of scaled logits", shapes({{5, 7}}),
       [](Inputs in, const Device& device) { return scale(cross_entropy(scale(in[0], 3), labels(device)), 2); }},
  };
}

std::vector<Case> image_cases() {
  using kernels::Conv2dOptions;
  return {
      {"conv2d", shapes({{2, 5, 4, 3}, {4, 3, 3, 3}, {4}}),
       [](Inputs in, const Device&) {
         return conv2d(in[0], in[1], in[2], Conv2dOptions{1, 1});
       }},
      {"conv2d with stride", shapes({{2, 5, 6, 2}, {3, 2, 3, 3}}),
       [](Inputs in, const Device&) {
         return conv2d(in[0], in[1], {}, Conv2dOptions{2, 1});
       }},
      {"conv2d 1x1 with relu", shapes({{2, 3, 3, 2}, {3, 2, 1, 1}, {3}}),
       [](Inputs in, const Device&) {
         return conv2d(in[0], in[1], in[2], Conv2dOptions{1, 0}, true);
       }},
      {"max_pool", distinct({2, 5, 4, 3}),
       [](Inputs in, const Device&) {
         return max_pool(in[0], {2, 2});
       }},
      {"max_pool, overlapping", distinct({1, 5, 5, 2}),
       [](Inputs in, const Device&) {
         return max_pool(in[0], {3, 1});
       }},
      {"average_pool", shapes({{2, 5, 4, 3}}),
       [](Inputs in, const Device&) {
         return average_pool(in[0], {2, 2});
       }},
      {"global_average_pool", shapes({{2, 5, 4, 3}}),
       [](Inputs in, const Device&) { return global_average_pool(in[0]); }},
      {"flatten", shapes({{2, 5, 4, 3}}), [](Inputs in, const Device&) { return flatten(in[0]); }},
      {"shortcut_a", shapes({{2, 5, 4, 3}}), [](Inputs in, const Device&) { return shortcut_a(in[0], 7); }},
  };
}

std::vector<Case> norm_cases() {
  const auto plain = shapes({{6, 5}, {5}, {5}});
  const auto image = shapes({{2, 3, 3, 4}, {4}, {4}, {2, 3, 3, 4}});
  return {
      {"batch_norm, training", plain,
       [](Inputs in, const Device& device) { return norm(in, device, {.training = true}); }},
      {"batch_norm, training, residual and relu", image,
       [](Inputs in, const Device& device) { return norm(in, device, {.training = true, .relu = true}); }},
      {"batch_norm, training, residual", image,
       [](Inputs in, const Device& device) { return norm(in, device, {.training = true}); }},
      {"batch_norm, evaluation", plain, [](Inputs in, const Device& device) { return norm(in, device, {}); }},
      {"batch_norm, evaluation, residual and relu", image,
       [](Inputs in, const Device& device) { return norm(in, device, {.relu = true}); }},
  };
}

void check_all(const std::vector<Case>& cases) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const Case& test : cases) {
      SCOPED_TRACE(std::string(test.name) + " on " + device.name() + ", seed " + std::to_string(seed));
      test::RandomTensors random(seed);
      std::vector<Variable> inputs;
      for (Tensor& tensor : test.inputs(random, device)) inputs.emplace_back(std::move(tensor), true);
      const GradientCheck found =
          gradient_check([&](Inputs in) { return test.operation(in, device); }, inputs, {.step = 1e-6, .seed = seed});
      EXPECT_LT(found.largest_error, 1e-7) << found.where;
      EXPECT_GT(found.entries, 0);
      // Each input alone: nothing may depend on the others' requiring a gradient.
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        for (std::size_t j = 0; j < inputs.size(); ++j) inputs[j].set_requires_gradient(i == j);
        const GradientCheck alone = gradient_check([&](Inputs in) { return test.operation(in, device); }, inputs,
                                                   {.step = 1e-6, .entries = 3, .seed = seed});
        EXPECT_LT(alone.largest_error, 1e-7) << "alone: " << alone.where;
      }
    }
    kept.clear();
  }
}

TEST(Gradients, Pointwise) { check_all(pointwise_cases()); }
TEST(Gradients, Matrix) { check_all(matrix_cases()); }
TEST(Gradients, Image) { check_all(image_cases()); }
TEST(Gradients, BatchNorm) { check_all(norm_cases()); }

TEST(Operations, ComputeWhatTheySay) {
  for (const Device& device : test::devices()) {
    const Variable a(Tensor::from(std::vector<double>{1, -2, 3, 4}, {2, 2}, device));
    const Variable b(Tensor::from(std::vector<double>{10, 20}, {2}, device));
    const auto values = [](const Variable& x) { return x.value().to_vector<double>(); };
    EXPECT_EQ(values(add(a, b)), (std::vector<double>{11, 18, 13, 24}));
    EXPECT_EQ(values(subtract(a, b)), (std::vector<double>{-9, -22, -7, -16}));
    EXPECT_EQ(values(multiply(a, b)), (std::vector<double>{10, -40, 30, 80}));
    EXPECT_EQ(values(scale(a, -1)), (std::vector<double>{-1, 2, -3, -4}));
    EXPECT_EQ(values(relu(a)), (std::vector<double>{1, 0, 3, 4}));
    EXPECT_EQ(values(sum(a)), std::vector<double>{6});
    EXPECT_EQ(values(mean(a)), std::vector<double>{1.5});
    EXPECT_EQ(values(linear(a, a, b)), (std::vector<double>{15, 15, 5, 45}));
    EXPECT_EQ(values(linear(a, a, {}, true)), (std::vector<double>{5, 0, 0, 25}));
  }
}

TEST(Operations, RefuseShapesThatDoNotFit) {
  const Device device = Device::cpu();
  test::RandomTensors random(1);
  const Variable vector(random.f64({3}, device));
  const Variable matrix(random.f64({2, 4}, device));
  const Variable image(random.f64({1, 2, 2, 3}, device));
  EXPECT_THROW(add(vector, matrix), ShapeError);
  EXPECT_THROW(linear(matrix, vector, {}), ShapeError);
  EXPECT_THROW(linear(matrix, Variable(random.f64({3, 5}, device)), {}), ShapeError);
  EXPECT_THROW(conv2d(matrix, image, {}, {}), ShapeError);
  EXPECT_THROW(conv2d(image, matrix, {}, {}), ShapeError);
  EXPECT_THROW(max_pool(image, {3, 1}), ShapeError);
  EXPECT_THROW(max_pool(image, {2, 0}), ValueError);
  EXPECT_THROW(flatten(matrix), ShapeError);
  EXPECT_THROW(residual_fusion({}, matrix, {}), ValueError);
  EXPECT_THROW(linear(Variable(), matrix, {}), ValueError);
}

}  // namespace
}  // namespace rtl::autodiff

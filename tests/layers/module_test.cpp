// Every layer: gradients in f64 against central differences, with respect to its input and its parameters.
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/graph/gradient_check.hpp"
#include "rtl/layers/basic_block.hpp"
#include "rtl/layers/bottleneck.hpp"
#include "rtl/layers/dense_block.hpp"
#include "rtl/layers/group_norm.hpp"
#include "rtl/layers/inverted_residual.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/sequential.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

Construction construction(const Device& device, DType dtype = DType::f64) {
  return {.device = device, .seed = 3, .dtype = dtype};
}

/// Checks d(module)/d(input, parameters) at the input; running statistics may move, they do not matter in training.
void check_gradients(Module& module, const Shape& input, const Device& device, bool training) {
  const std::uint64_t seed = test::fresh_seed();
  SCOPED_TRACE(device.name() + (training ? ", training" : ", evaluation") + ", seed " + std::to_string(seed));
  test::RandomTensors random(seed);
  std::vector<graph::Storage> inputs{graph::Storage(random.f64(input, device))};
  for (const NamedParameter& parameter : module.state().parameters) {
    // Away from the initial values, where a norm's gamma is 1 and its beta 0.
    copy_bytes(random.f64(parameter.value().shape(), device), parameter.value());
    inputs.push_back(parameter.parameter->storage);
  }
  for (const NamedBuffer& buffer : module.state().buffers) {
    copy_bytes(random.f64(buffer.value().shape(), device, 0.5, 1.5), buffer.value());
  }
  const graph::GradientCheck found = graph::gradient_check(
      [&](Graph& graph, std::span<const Value> in) {
        return module.forward(in[0], {.training = training, .counters = test::counters(graph, 7, 3)});
      },
      inputs, {.step = 1e-7, .entries = 20, .seed = seed});
  // A kink of ReLU or max pooling within 1e-7 of a random point spoils an entry once in 10^5 runs.
  EXPECT_LT(found.largest_error, 1e-6) << found.where;
}

void check_layer(const std::function<std::unique_ptr<Module>(const Construction&)>& make, const Shape& input) {
  for (const Device& device : test::devices()) {
    const std::unique_ptr<Module> module = make(construction(device));
    check_gradients(*module, input, device, true);
    check_gradients(*module, input, device, false);
  }
}

template <typename Layer, typename Options>
void check_layer_of(const Options& options, const Shape& input) {
  check_layer([&](const Construction& c) { return std::make_unique<Layer>(options, c); }, input);
}

TEST(LayerGradients, Bottleneck) {
  check_layer_of<Bottleneck>(BottleneckOptions{.inputs = 3, .inner = 2, .outputs = 4, .stride = 2}, {2, 5, 4, 3});
  check_layer_of<Bottleneck>(BottleneckOptions{.inputs = 4, .inner = 2, .outputs = 4}, {2, 3, 4, 4});
}

TEST(LayerGradients, InvertedResidual) {
  check_layer_of<InvertedResidual>(InvertedResidualOptions{.inputs = 3, .outputs = 3, .expansion = 2}, {2, 5, 4, 3});
  check_layer_of<InvertedResidual>(
      InvertedResidualOptions{.inputs = 2, .outputs = 3, .kernel = 5, .stride = 2, .expansion = 1}, {2, 6, 5, 2});
}

TEST(LayerGradients, DenseBlock) {
  check_layer_of<DenseBlock>(DenseBlockOptions{.inputs = 3, .growth = 2, .layers = 2}, {2, 3, 4, 3});
}

TEST(LayerGradients, GroupNorm) {
  check_layer_of<GroupNorm>(GroupNormOptions{.channels = 6, .groups = 2}, {2, 3, 4, 6});
  check_layer_of<GroupNorm>(GroupNormOptions{.channels = 4, .groups = 4, .relu = true}, {2, 3, 2, 4});
}

TEST(GroupNorm, NormalisesEachGroupOfEachImage) {
  for (const Device& device : test::devices()) {
    GroupNorm norm({.channels = 4, .groups = 2}, construction(device, DType::f32));
    const Tensor x = test::RandomTensors(test::fresh_seed()).f32({3, 2, 5, 4}, device, -3, 5);
    const std::vector<float> in = x.to_vector<float>(), out = test::forward(norm, x).to_vector<float>();
    for (std::size_t image = 0; image < 3; ++image) {
      for (std::size_t group = 0; group < 2; ++group) {
        std::vector<std::size_t> members;
        for (std::size_t i = 0; i < 40; ++i) {
          if (i % 4 / 2 == group) members.push_back(image * 40 + i);
        }
        double mean = 0, variance = 0;
        for (const std::size_t i : members) mean += in[i] / 20.0;
        for (const std::size_t i : members) variance += (in[i] - mean) * (in[i] - mean) / 20.0;
        for (const std::size_t i : members) {
          EXPECT_NEAR(out[i], (in[i] - mean) / std::sqrt(variance + 1e-5), 1e-5) << device.name() << ", " << i;
        }
      }
    }
    EXPECT_THROW(GroupNorm({.channels = 4, .groups = 3}, construction(device)), ValueError);
  }
}

TEST(LayerGradients, Linear) {
  check_layer(
      [](const Construction& c) { return std::make_unique<Linear>(LinearOptions{.inputs = 5, .outputs = 3}, c); },
      {4, 5});
  check_layer(
      [](const Construction& c) {
        return std::make_unique<Linear>(LinearOptions{.inputs = 5, .outputs = 3, .bias = false, .relu = true}, c);
      },
      {4, 5});
}

TEST(LayerGradients, Conv2d) {
  check_layer(
      [](const Construction& c) {
        return std::make_unique<Conv2d>(Conv2dLayerOptions{.inputs = 2, .outputs = 3, .relu = true}, c);
      },
      {2, 5, 4, 2});
}

TEST(LayerGradients, BatchNorm) {
  check_layer(
      [](const Construction& c) {
        return std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 3, .relu = true}, c);
      },
      {2, 3, 3, 3});
}

TEST(LayerGradients, BasicBlock) {
  const BasicBlockOptions variants[] = {{.inputs = 2, .outputs = 2},
                                        {.inputs = 2, .outputs = 4, .stride = 2},
                                        {.inputs = 2, .outputs = 3, .stride = 2, .shortcut = Shortcut::projection},
                                        {.inputs = 2, .outputs = 3, .shortcut = Shortcut::projection}};
  for (const BasicBlockOptions& options : variants) {
    check_layer([&](const Construction& c) { return std::make_unique<BasicBlock>(options, c); }, {2, 5, 4, 2});
  }
}

TEST(LayerGradients, SequentialOfEverything) {
  check_layer(
      [](const Construction& c) {
        auto all = std::make_unique<Sequential>();
        all->add("conv", std::make_unique<Conv2d>(Conv2dLayerOptions{.inputs = 2, .outputs = 4}, c.child("conv")));
        all->add("norm", std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 4}, c.child("norm")));
        all->add(std::make_unique<Relu>());
        all->add(std::make_unique<MaxPool>());
        all->add(std::make_unique<Dropout>(0.3, "drop"));
        all->add(std::make_unique<AveragePool>(kernels::PoolOptions{.window = 2, .stride = 1}));
        all->add(std::make_unique<Flatten>());
        all->add("fc", std::make_unique<Linear>(LinearOptions{.inputs = 8, .outputs = 3}, c.child("fc")));
        return all;
      },
      {2, 6, 5, 2});
  check_layer(
      [](const Construction&) {
        auto pooled = std::make_unique<Sequential>();
        pooled->add(std::make_unique<GlobalAveragePool>());
        return pooled;
      },
      {2, 3, 3, 2});
}

TEST(Sequential, NamesItsChildrensTensors) {
  const Construction c = construction(Device::cpu());
  Sequential all;
  all.add("conv", std::make_unique<Conv2d>(Conv2dLayerOptions{.inputs = 2, .outputs = 4, .bias = false}, c));
  all.add("norm", std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 4}, c));
  all.add(std::make_unique<Relu>());
  ModuleState state;
  all.visit("a.", state);
  std::vector<std::string> names;
  for (const NamedParameter& parameter : state.parameters) names.push_back(parameter.name);
  for (const NamedBuffer& buffer : state.buffers) names.push_back(buffer.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a.conv.weight", "a.norm.weight", "a.norm.bias", "a.norm.running_mean",
                                             "a.norm.running_var"}));
  EXPECT_EQ(all.parameter_count(), 72 + 8);
}

TEST(Construction, LayersOfOneNameAreRefused) {
  const Construction c = construction(Device::cpu());
  const Linear first({.inputs = 4, .outputs = 4}, c);
  const Construction copy = c;
  for (const Construction& same : {c, copy}) {
    try {
      Linear({.inputs = 4, .outputs = 4}, same);
      ADD_FAILURE() << "two layers start equal";
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find("'weight'"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("child"), std::string::npos) << error.what();
    }
    EXPECT_THROW(Conv2d({.inputs = 4, .outputs = 4}, same), ValueError);
  }
  const Linear second({.inputs = 4, .outputs = 4}, c.child("second"));
  EXPECT_NE(first.weight().value().to_vector<double>(), second.weight().value().to_vector<double>());
  EXPECT_THROW(Linear({.inputs = 4, .outputs = 4}, c.child("second")), ValueError);
  // Another network of the same seed agrees on purpose.
  const Linear again({.inputs = 4, .outputs = 4}, construction(Device::cpu()));
  EXPECT_EQ(first.weight().value().to_vector<double>(), again.weight().value().to_vector<double>());
}

TEST(Sequential, ChildrenOfOneNameAreRefused) {
  const Construction c = construction(Device::cpu());
  Sequential all;
  all.add("fc", std::make_unique<Linear>(LinearOptions{.inputs = 4, .outputs = 4}, c.child("fc")));
  auto other = [&](const std::string& name) {
    return std::make_unique<Linear>(LinearOptions{.inputs = 4, .outputs = 4}, c.child(name));
  };
  EXPECT_THROW(all.add("fc", other("a")), ValueError);
  EXPECT_EQ(all.size(), 1U);
  all.add(other("b"));
  EXPECT_THROW(all.add(other("c")), ValueError) << "two without a name";
  all.add(std::make_unique<Relu>()).add(std::make_unique<Relu>());
  EXPECT_EQ(all.size(), 4U);
}

TEST(BatchNorm, StatisticsMoveInTrainingOnly) {
  for (const Device& device : test::devices()) {
    test::RandomTensors random(1);
    BatchNorm norm({.channels = 3}, construction(device));
    const Tensor x = random.f64({8, 3}, device, 1, 2);
    const auto statistics = [&] {
      std::vector<double> all = norm.state().buffers[0].value().to_vector<double>();
      const std::vector<double> variance = norm.state().buffers[1].value().to_vector<double>();
      all.insert(all.end(), variance.begin(), variance.end());
      return all;
    };
    const std::vector<double> before = statistics();
    EXPECT_EQ(before, (std::vector<double>{0, 0, 0, 1, 1, 1}));
    test::forward(norm, x, {.training = false});
    EXPECT_EQ(statistics(), before);
    norm.set_trainable(false);
    test::forward(norm, x, {.training = true});
    EXPECT_EQ(statistics(), before) << "a frozen norm keeps its statistics in training too";
    norm.set_trainable(true);
    test::forward(norm, x, {.training = true});
    EXPECT_NE(statistics(), before);
  }
}

TEST(Dropout, MaskFollowsSeedStepAndName) {
  for (const Device& device : test::devices()) {
    const Tensor x = Tensor::from(std::vector<float>(1025, 1.0f), {1025}, device);
    const auto mask = [&](const char* name, std::uint64_t seed, std::int64_t step, bool training = true) {
      const auto record = [&](const Value& in) {
        return Dropout(0.5, name).forward(in,
                                          {.training = training, .counters = test::counters(in.graph(), seed, step)});
      };
      return test::evaluate(x, record).to_vector<float>();
    };
    EXPECT_EQ(mask("a", 1, 2), mask("a", 1, 2));
    EXPECT_NE(mask("a", 1, 2), mask("b", 1, 2));
    EXPECT_NE(mask("a", 1, 2), mask("a", 2, 2));
    EXPECT_NE(mask("a", 1, 2), mask("a", 1, 3));
    EXPECT_EQ(mask("a", 1, 2, false), std::vector<float>(1025, 1.0f));
    for (const float value : mask("a", 1, 2)) EXPECT_TRUE(value == 0 || value == 2);
  }
  EXPECT_THROW(Dropout(1.0, "a"), ValueError);
}

TEST(Layers, RefuseExtentsThatAreNotPositive) {
  const Construction c = construction(Device::cpu());
  EXPECT_THROW(Linear({.inputs = 0, .outputs = 1}, c), ValueError);
  EXPECT_THROW(Conv2d({.inputs = 1, .outputs = 0}, c), ValueError);
  EXPECT_THROW(BatchNorm({.channels = 0}, c), ValueError);
  EXPECT_THROW(BasicBlock({.inputs = 2, .outputs = 4}, c), ValueError) << "option A needs stride 2";
  EXPECT_THROW(BasicBlock({.inputs = 2, .outputs = 5, .stride = 2}, c), ValueError);
}

}  // namespace
}  // namespace rtl::layers

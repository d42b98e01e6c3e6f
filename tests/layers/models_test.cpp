// The model zoo: sizes, names, initial weights, shapes.
#include "rtl/layers/models.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "rtl/layers/frozen_network.hpp"
#include "rtl/layers/linear.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

std::int64_t count(const Architecture& architecture) {
  return make_network(architecture, Device::cpu(), 1)->parameter_count();
}

std::int64_t trunk_count(Network& network) {
  ModuleState state;
  network.visit_trunk("", state);
  return state.parameter_count();
}

Tensor features_of(Network& network, const Tensor& x) {
  return test::evaluate(x, [&](const Value& in) { return network.features(in, {}); });
}

TEST(Models, AnMlpHasTheHiddenLayersThatWereAskedFor) {
  for (const Device& device : test::devices()) {
    const auto linear = models::mlp({.inputs = 6, .hidden = {}, .classes = 3, .seed = 4}, device);
    EXPECT_EQ(linear->parameter_count(), 6 * 3 + 3);
    EXPECT_EQ(linear->feature_count(), 6);
    EXPECT_EQ(linear->architecture().to_string(), "mlp:none");
    const Tensor x = test::RandomTensors(5).f32({4, 6}, device);
    const std::vector<float> values = x.to_vector<float>();
    EXPECT_EQ(features_of(*linear, x).to_vector<float>(), values) << "the features are the inputs";
    Tensor features({4, 6}, DType::f32, device);
    FrozenNetwork(*linear).features(x, features);
    EXPECT_EQ(features.to_vector<float>(), values);
    const auto copy = clone(*linear, device);
    EXPECT_EQ(test::forward(*copy, x).to_vector<float>(), test::forward(*linear, x).to_vector<float>());
  }
  const Device device = Device::cpu();
  EXPECT_EQ(models::mlp({.inputs = 6, .hidden = {5}, .classes = 3}, device)->parameter_count(), 6 * 5 + 5 + 5 * 3 + 3);
  EXPECT_EQ(models::mlp({.inputs = 6, .classes = 3}, device)->architecture().variant, "128");
  EXPECT_EQ(count({"mlp", "none", {4, 4, 3}, 2}), 48 * 2 + 2);
  EXPECT_THROW(models::mlp({.inputs = 6, .hidden = {0}, .classes = 3}, device), ValueError);
  EXPECT_THROW(models::mlp({.inputs = 6, .hidden = {5, -1}, .classes = 3}, device), ValueError);
  EXPECT_THROW(make_network({"mlp", "none", {6}, 0}, device, 1), ValueError) << "no head, no layer";
}

TEST(Models, HaveTheParameterCountsOfThePapers) {
  const Shape cifar{32, 32, 3};
  EXPECT_EQ(count({"paper_big_cnn", "", cifar, 10}), 12'528'298);
  EXPECT_EQ(count({"paper_big_cnn", "", cifar, 100}), 12'758'788);
  EXPECT_EQ(count({"paper_cnn", "", cifar, 10}), 586'250);
  EXPECT_EQ(count({"paper_cnn", "", cifar, 100}), 632'420);
  EXPECT_EQ(count({"paper_cnn", "32-64-64-128", cifar, 10}), 188'810);
  EXPECT_EQ(count({"resnet_cifar", "20", cifar, 10}), 269'722);
  EXPECT_EQ(count({"resnet_cifar", "32", cifar, 10}), 464'154);
  EXPECT_EQ(count({"resnet_cifar", "44", cifar, 10}), 658'586);
  EXPECT_EQ(count({"resnet_cifar", "56", cifar, 10}), 853'018);
  EXPECT_EQ(count({"mlp", "128", {64}, 10}), 64 * 128 + 128 + 128 * 10 + 10);
}

TEST(Models, HaveTheParameterCountsOfTheirPublishedFiles) {
  const Shape imagenet{224, 224, 3}, small{32, 32, 3};
  EXPECT_EQ(count({"resnet", "18", imagenet, 1000}), 11'689'512);
  EXPECT_EQ(count({"resnet", "34", imagenet, 1000}), 21'797'672);
  EXPECT_EQ(count({"resnet", "50", imagenet, 1000}), 25'557'032);
  EXPECT_EQ(count({"resnet", "18", small, 40}), 11'197'032) << "DomainNet's source";
  EXPECT_EQ(count({"resnet", "10", small, 40}), 4'926'312) << "DomainNet's residual encoder";
  EXPECT_EQ(count({"resnet", "18-small", small, 10}), 11'173'962);
  EXPECT_EQ(count({"densenet", "121", imagenet, 1000}), 7'978'856);
  EXPECT_EQ(count({"densenet", "169", imagenet, 1000}), 14'149'480);
  EXPECT_EQ(count({"efficientnet_lite", "0", imagenet, 1000}), 4'652'008);
  EXPECT_EQ(count({"paper_demo", "", small, 10}), 2'307'584 + 2'570);
  EXPECT_EQ(count({"paper_demo", "h", small, 10}), 578'112 + 1'290);
}

// Too much memory to fill under sanitizers.
#ifndef __SANITIZE_ADDRESS__
TEST(Models, TheLargestHaveTheParameterCountsOfTheirPublishedFiles) {
  const Shape imagenet{224, 224, 3};
  EXPECT_EQ(count({"resnet", "wide50", imagenet, 1000}), 68'883'240);
  EXPECT_EQ(count({"resnet", "101", imagenet, 1000}), 44'549'160);
  EXPECT_EQ(count({"vgg", "11", imagenet, 1000}), 132'863'336);
  EXPECT_EQ(count({"vgg", "16-bn", imagenet, 1000}), 138'365'992);
}
#endif

TEST(Models, RefineAndProbeHaveTheParameterCountsOfThePaper) {
  const Device device = Device::cpu();
  const Construction construction{.device = device};
  const std::unique_ptr<Network> h = models::paper_cnn({}, device);
  EXPECT_EQ(trunk_count(*h), 581'120);
  Linear fusion({.inputs = h->feature_count() + 2560, .outputs = 10}, construction.child("fusion"));
  EXPECT_EQ(fusion.parameter_count(), 30'730);
  EXPECT_EQ(trunk_count(*h) + fusion.parameter_count(), 611'850);
  EXPECT_EQ(Linear({.inputs = 2560, .outputs = 10}, construction.child("head")).parameter_count(), 25'610);
  EXPECT_EQ(models::paper_big_cnn({}, device)->feature_count(), 2560);
}

TEST(Models, SizesOfHAreThoseOfTheAblation) {
  const std::pair<const char*, std::int64_t> sizes[] = {
      {"h0", 81'290}, {"h1", 321'290}, {"h2", 1'147'466}, {"h3", 1'804'554}, {"h4", 4'576'394}};
  for (const auto& [size, parameters] : sizes) {
    EXPECT_EQ(count({"paper_cnn", size, {32, 32, 3}, 10}), parameters) << size;
  }
}

TEST(Models, NameTensorsAsCheckpointsDo) {
  const auto names = [](Network& network) {
    std::vector<std::string> all;
    for (const NamedParameter& parameter : network.state().parameters) all.push_back(parameter.name);
    for (const NamedBuffer& buffer : network.state().buffers) all.push_back(buffer.name);
    return all;
  };
  const Device device = Device::cpu();
  EXPECT_EQ(names(*models::mlp({.inputs = 4, .hidden = {3, 2}}, device)),
            (std::vector<std::string>{"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "head.weight", "head.bias"}));
  EXPECT_EQ(names(*models::paper_cnn({}, device)),
            (std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "conv3.weight",
                                      "conv3.bias", "fc1.weight", "fc1.bias", "head.weight", "head.bias"}));
  const std::vector<std::string> resnet = names(*models::resnet_cifar({}, device));
  EXPECT_EQ(resnet.size(), 97u);
  for (const char* name : {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.bn2.weight",
                           "layer3.2.bn1.running_var", "linear.weight", "linear.bias"}) {
    EXPECT_NE(std::find(resnet.begin(), resnet.end(), name), resnet.end()) << name;
  }
}

TEST(Models, InitialWeightsFollowPyTorchsDistributions) {
  const Device device = Device::cpu();
  const auto expect = [](const Tensor& tensor, double bound, double deviation, const std::string& name) {
    double sum = 0, squares = 0, largest = 0;
    for (const float value : tensor.to_vector<float>()) {
      sum += value;
      squares += static_cast<double>(value) * value;
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    const auto n = static_cast<double>(tensor.count());
    if (bound > 0) {
      EXPECT_LE(largest, bound) << name;
    }
    if (n < 1000) return;
    EXPECT_NEAR(sum / n, 0, 5 * deviation / std::sqrt(n)) << name;
    EXPECT_NEAR(std::sqrt(squares / n), deviation, 0.05 * deviation) << name;
  };
  const std::unique_ptr<Network> cnn = models::paper_cnn({.seed = 5}, device);
  for (const NamedParameter& parameter : cnn->state().parameters) {
    const std::map<std::string, double> fan_in = {
        {"conv1", 27}, {"conv2", 288}, {"conv3", 576}, {"fc1", 1024}, {"head", 512}};
    const double bound = 1 / std::sqrt(fan_in.at(parameter.name.substr(0, parameter.name.find('.'))));
    expect(parameter.value(), bound, bound / std::sqrt(3.0), parameter.name);
  }
  const std::unique_ptr<Network> resnet = models::resnet_cifar({.seed = 5}, device);
  for (const NamedParameter& parameter : resnet->state().parameters) {
    const Shape& shape = parameter.value().shape();
    if (shape.rank() == 4) {
      expect(parameter.value(), 0, std::sqrt(2.0 / static_cast<double>(shape.count() / shape[0])), parameter.name);
    }
  }
}

TEST(Models, InitialWeightsDependOnSeedAndNameOnly) {
  const Device host = Device::cpu();
  const auto weights = [](Network& network, const std::string& name) {
    for (const NamedParameter& parameter : network.state().parameters) {
      if (parameter.name == name) return parameter.value().to_vector<float>();
    }
    return std::vector<float>();
  };
  const std::unique_ptr<Network> ten = models::paper_cnn({.classes = 10, .seed = 4}, host);
  for (const Device& device : test::devices()) {
    const std::unique_ptr<Network> hundred = models::paper_cnn({.classes = 100, .seed = 4}, device);
    EXPECT_EQ(weights(*ten, "fc1.weight"), weights(*hundred, "fc1.weight"));
    EXPECT_EQ(weights(*ten, "conv2.bias"), weights(*hundred, "conv2.bias"));
  }
  EXPECT_NE(weights(*ten, "fc1.weight"), weights(*models::paper_cnn({.seed = 5}, host), "fc1.weight"));
  const std::vector<float> head = weights(*ten, "head.weight");
  ten->reset_head(10, 4);
  EXPECT_EQ(weights(*ten, "head.weight"), head) << "the same seed and shape give the same head";
  ten->reset_head(7, 9);
  EXPECT_EQ(weights(*ten, "head.weight").size(), 7u * 512u);
  EXPECT_EQ(ten->architecture().classes, 7);
  EXPECT_THROW(ten->reset_head(0, 1), ValueError);
}

TEST(Models, ComputeFeaturesAndLogitsOfTheRightShape) {
  const Architecture all[] = {{"paper_cnn", "h0", {28, 28, 1}, 3},
                              {"paper_cnn", "8-8-8-16", {17, 9, 3}, 5},
                              {"mlp", "7-5", {6, 4, 3}, 4},
                              {"mlp", "", {9}, 4},
                              {"resnet_cifar", "8", {12, 12, 3}, 6}};
  for (const Device& device : test::devices()) {
    for (const Architecture& architecture : all) {
      SCOPED_TRACE(architecture.to_string() + " on " + device.name());
      const std::unique_ptr<Network> network = make_network(architecture, device, 2);
      test::RandomTensors random(1);
      std::vector<std::int64_t> extents{2};
      for (const std::int64_t extent : architecture.input.extents()) extents.push_back(extent);
      const Tensor x = random.f32(Shape(extents), device);
      const Tensor features = features_of(*network, x);
      EXPECT_EQ(features.shape(), (Shape{2, network->feature_count()}));
      const Tensor logits = test::evaluate(features, [&](const Value& in) { return network->head(in, {}); });
      EXPECT_EQ(logits.shape(), (Shape{2, architecture.classes}));
      EXPECT_EQ(logits.to_vector<float>(), test::forward(*network, x).to_vector<float>());
      const std::unique_ptr<Network> copy = clone(*network, Device::cpu());
      EXPECT_EQ(copy->architecture(), network->architecture());
      EXPECT_THROW(test::forward(*network, random.f32({2, 3}, device)), ShapeError);
    }
  }
}

TEST(Models, HeadDropoutIsThatOfDropFeatures) {
  const Device device = Device::cpu();
  const std::unique_ptr<Network> network = models::paper_cnn({.size = "h0"}, device);
  EXPECT_EQ(network->head_dropout(), 0.5);
  test::RandomTensors random(1);
  const Tensor features = random.f32({4, network->feature_count()}, device);
  const std::vector<Tensor> logits = test::evaluate({features}, [&](std::span<const Value> in) {
    const ForwardContext context{.training = true, .counters = test::counters(in[0].graph(), 3, 8)};
    EXPECT_EQ(network->drop_features(in[0], {}), in[0]) << "evaluation drops nothing";
    return std::vector{network->head(network->drop_features(in[0], context), {}), network->head(in[0], context)};
  });
  EXPECT_EQ(logits[0].to_vector<float>(), logits[1].to_vector<float>());
}

TEST(Models, CloneKeepsEverything) {
  for (const Device& device : test::devices()) {
    const std::unique_ptr<Network> network = models::resnet_cifar({.depth = 8, .seed = 3}, device);
    test::RandomTensors random(1);
    const Tensor x = random.f32({4, 32, 32, 3}, device);
    test::forward(*network, x, {.training = true});
    const std::unique_ptr<Network> copy = clone(*network, device);
    EXPECT_EQ(test::forward(*copy, x).to_vector<float>(), test::forward(*network, x).to_vector<float>());
    const std::unique_ptr<Network> other = models::resnet_cifar({.depth = 14}, device);
    EXPECT_THROW(copy_state(*network, *other), ShapeError);
  }
}

TEST(Models, RefuseUnknownArchitecturesAndListTheKnown) {
  const Device device = Device::cpu();
  try {
    make_network({"alexnet", "", {32, 32, 3}, 10}, device, 1);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("resnet_cifar"), std::string::npos) << error.what();
  }
  const Architecture bad[] = {{"paper_cnn", "h5", {32, 32, 3}, 10},
                              {"paper_cnn", "1-2-3", {32, 32, 3}, 10},
                              {"paper_cnn", "", {7, 32, 3}, 10},
                              {"paper_cnn", "", {64}, 10},
                              {"paper_big_cnn", "", {28, 28, 1}, 4},
                              {"paper_big_cnn", "h1", {32, 32, 3}, 4},
                              {"resnet_cifar", "21", {32, 32, 3}, 4},
                              {"resnet_cifar", "2", {32, 32, 3}, 4},
                              {"mlp", "12--3", {4}, 2},
                              {"mlp", "-1", {4}, 2},
                              {"mlp", "12", {4}, -1}};
  for (const Architecture& architecture : bad) {
    EXPECT_THROW(make_network(architecture, device, 1), ValueError) << architecture.to_string();
  }
}

}  // namespace
}  // namespace rtl::layers

// Features of inner layers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/graph/operations.hpp"
#include "rtl/layers/frozen_network.hpp"
#include "rtl/layers/models.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

using Names = std::vector<std::string>;

const Architecture every_kind[] = {{"paper_cnn", "4-5-6-7", {8, 9, 3}, 3},
                                   {"paper_big_cnn", "", {32, 32, 1}, 2},
                                   {"mlp", "12-9", {33}, 4},
                                   {"mlp", "6", {4, 3, 2}, 4},
                                   {"resnet_cifar", "8", {8, 8, 3}, 5},
                                   {"resnet", "10", {33, 40, 3}, 5},
                                   {"resnet", "10-small", {8, 8, 1}, 3},
                                   {"paper_demo", "", {8, 8, 3}, 5},
                                   {"paper_demo", "h", {12, 12, 2}, 5},
                                   {"efficientnet_lite", "0", {40, 33, 3}, 4}};

Tensor samples(const Architecture& architecture, std::int64_t count, const Device& device) {
  std::vector<std::int64_t> extents{count};
  for (const std::int64_t extent : architecture.input.extents()) extents.push_back(extent);
  return test::RandomTensors(7).f32(Shape(extents), device);
}

Tensor features_at(Network& network, const std::string& layer, const Tensor& x) {
  return test::evaluate(x, [&](const Value& in) { return network.features_at(layer, in, {}); });
}

TEST(NamedLayers, AreThoseOfTheTrunk) {
  const Device device = Device::cpu(1);
  const auto names = [&](const Architecture& architecture) {
    return make_network(architecture, device, 1)->layer_names();
  };
  EXPECT_EQ(names(every_kind[0]), (Names{"conv1", "conv2", "conv3", "fc1"}));
  EXPECT_EQ(names(every_kind[2]), (Names{"fc1", "fc2"}));
  EXPECT_EQ(names({"mlp", "none", {5}, 2}), Names());
  EXPECT_EQ(names({"resnet_cifar", "14", {8, 8, 3}, 5}),
            (Names{"conv1", "bn1", "layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1"}));
}

TEST(NamedLayers, EachGivesFeaturesAndTheLastThoseOfTheTrunk) {
  for (const Device& device : test::devices()) {
    for (const Architecture& architecture : every_kind) {
      // Millions of parameters take long elsewhere, and their layers are those of the small ones.
      const bool large = architecture.name == "resnet" || architecture.name == "efficientnet_lite";
      if (large && device.kind() != DeviceKind::cpu) continue;
      const auto network = make_network(architecture, device, 3);
      const Tensor x = samples(architecture, 2, device);
      std::vector<float> last;
      for (const std::string& layer : network->layer_names()) {
        SCOPED_TRACE(architecture.to_string() + " " + layer + " on " + device.name());
        const Tensor features = features_at(*network, layer, x);
        ASSERT_EQ(features.shape().rank(), 2);
        ASSERT_EQ(features.shape()[0], 2);
        last = features.to_vector<float>();
        FrozenNetwork frozen(*network, Precision::f32, layer);
        ASSERT_EQ(frozen.feature_count(), features.shape()[1]);
        EXPECT_EQ(frozen.classes(), architecture.classes);
        Tensor out(features.shape(), DType::f32, device);
        frozen.features(x, out);
        const std::vector<float> got = out.to_vector<float>();
        float largest = 0;
        for (const float value : last) largest = std::max(largest, std::abs(value));
        for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], last[i], 1e-5F * largest) << i;
      }
      const Tensor all = test::evaluate(x, [&](const Value& in) { return network->features(in, {}); });
      EXPECT_EQ(last, all.to_vector<float>()) << architecture.to_string();
    }
  }
}

/// Reads a network's tensors by name into a graph.
struct ByHand {
  Network& network;
  Value of(const Value& x, const std::string& name) const {
    const ModuleState state = network.state();
    for (const auto* tensors : {&state.parameters, &state.buffers}) {
      for (const NamedParameter& tensor : *tensors) {
        if (tensor.name == name) return x.graph().constant(name, tensor.parameter->storage);
      }
    }
    throw ValueError("there is no tensor " + name);
  }
  Value convolution(const Value& x, const std::string& name, bool bias) const {
    return graph::conv2d(x, of(x, name + ".weight"), bias ? of(x, name + ".bias") : Value(),
                         {.stride = 1, .padding = 1});
  }
  Value norm(const Value& x, const std::string& name) const {
    return graph::batch_norm_evaluation(x, of(x, name + ".weight"), of(x, name + ".bias"),
                                        of(x, name + ".running_mean"), of(x, name + ".running_var"));
  }
};

using Features = std::vector<std::pair<std::string, Value>>;

void expect_features(Network& network, const Tensor& x, const std::function<Features(const Value&)>& by_hand) {
  Names names;
  std::vector<Tensor> wanted = test::evaluate({x}, [&](std::span<const Value> in) {
    std::vector<Value> values;
    for (const auto& [name, value] : by_hand(in[0])) {
      names.push_back(name);
      values.push_back(value);
    }
    return values;
  });
  ASSERT_GE(names.size(), 2U);
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(features_at(network, names[i], x).to_vector<float>(), wanted[i].to_vector<float>()) << names[i];
  }
}

TEST(NamedLayers, GiveWhatThePlainForwardGives) {
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name());
    const auto cnn = make_network(every_kind[0], device, 3);
    expect_features(*cnn, samples(every_kind[0], 2, device), [&](const Value& x) {
      const ByHand hand{*cnn};
      const Value first = graph::relu(hand.convolution(x, "conv1", true));
      const Value second = graph::relu(hand.convolution(graph::max_pool(first, {}), "conv2", true));
      return Features{{"conv1", graph::global_average_pool(first)}, {"conv2", graph::global_average_pool(second)}};
    });
    const auto mlp = make_network(every_kind[2], device, 3);
    expect_features(*mlp, samples(every_kind[2], 2, device), [&](const Value& x) {
      const ByHand hand{*mlp};
      const Value first = graph::relu(graph::linear(x, hand.of(x, "fc1.weight"), hand.of(x, "fc1.bias")));
      const Value second = graph::relu(graph::linear(first, hand.of(x, "fc2.weight"), hand.of(x, "fc2.bias")));
      return Features{{"fc1", first}, {"fc2", second}};
    });
    const auto resnet = make_network(every_kind[4], device, 3);
    expect_features(*resnet, samples(every_kind[4], 2, device), [&](const Value& x) {
      const ByHand hand{*resnet};
      const Value conv = hand.convolution(x, "conv1", false);
      const Value stem = graph::relu(hand.norm(conv, "bn1"));
      const Value inner = graph::relu(hand.norm(hand.convolution(stem, "layer1.0.conv1", false), "layer1.0.bn1"));
      const Value outer = hand.norm(hand.convolution(inner, "layer1.0.conv2", false), "layer1.0.bn2");
      const Value block = graph::relu(graph::add(outer, stem));
      return Features{{"conv1", graph::global_average_pool(conv)},
                      {"bn1", graph::global_average_pool(stem)},
                      {"layer1.0", graph::global_average_pool(block)}};
    });
  }
}

TEST(NamedLayers, RecordNothingBehindThem) {
  const auto network = make_network(every_kind[4], Device::cpu(1), 3);
  Graph graph(network->device());
  const Value x = graph.input("x", {2, 8, 8, 3}, DType::f32);
  network->features_at("conv1", x, {.training = true});
  EXPECT_EQ(graph.nodes().size(), 2U) << "the convolution and the mean";
}

TEST(NamedLayers, ThatThereAreNotAreRefusedWithThoseThereAre) {
  const Device device = Device::cpu(1);
  const auto fault = [&](const Architecture& architecture, const std::string& layer) {
    try {
      const auto network = make_network(architecture, device, 1);
      FrozenNetwork frozen(*network, Precision::f32, layer);
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(fault(every_kind[2], "fc3"), "mlp:12-9 has no layer 'fc3'; there are fc1, fc2");
  EXPECT_EQ(fault({"mlp", "none", {5}, 2}, "fc1"), "mlp:none has no layer 'fc1'; there is none to take features from");
  EXPECT_NE(fault(every_kind[4], "layer1").find("layer1.0"), std::string::npos);
}

}  // namespace
}  // namespace rtl::layers

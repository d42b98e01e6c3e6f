// Frozen networks against the networks they were made from.
#include "rtl/layers/frozen_network.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

/// Gives parameters and running statistics values that differ from those of a new network.
void shake(Network& network, test::RandomTensors& random) {
  ModuleState state = network.state();
  for (const NamedParameter& parameter : state.parameters) {
    if (!parameter.name.ends_with("weight") || parameter.value().shape().rank() == 1) {
      copy_bytes(random.f32(parameter.value().shape(), network.device(), 0.5, 1.5), parameter.value());
    }
  }
  for (const NamedBuffer& buffer : state.buffers) {
    copy_bytes(random.f32(buffer.value().shape(), network.device(), 0.2, 1.2), buffer.value());
  }
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  float largest = 0;
  for (const float value : b) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5F * largest) << i;
}

class FrozenArchitecture : public testing::TestWithParam<Architecture> {};

TEST_P(FrozenArchitecture, AgreesWithTheNetworkInEvaluation) {
  test::RandomTensors random(test::fresh_seed());
  for (const Device& device : test::devices_and_threads()) {
    SCOPED_TRACE(test::name_of(device));
    const std::int64_t count = device.is_cuda() ? 1 : 11;
    const auto network = make_network(GetParam(), device, 3);
    shake(*network, random);
    std::vector<std::int64_t> extents{count};
    for (const std::int64_t extent : GetParam().input.extents()) extents.push_back(extent);
    const Tensor x = random.f32(Shape(extents), device);
    const std::vector<Tensor> wanted = test::evaluate({x}, [&](std::span<const Value> in) {
      return std::vector{network->features(in[0], {}), network->forward(in[0], {})};
    });
    FrozenNetwork frozen(*network);
    EXPECT_EQ(frozen.feature_count(), network->feature_count());
    EXPECT_EQ(frozen.classes(), GetParam().classes);
    Tensor out({count, frozen.feature_count()}, DType::f32, device);
    Tensor logits({count, frozen.classes()}, DType::f32, device);
    frozen.features(x, out);
    frozen.logits(x, logits);
    expect_close(out.to_vector<float>(), wanted[0].to_vector<float>());
    expect_close(logits.to_vector<float>(), wanted[1].to_vector<float>());
  }
}

INSTANTIATE_TEST_SUITE_P(Zoo, FrozenArchitecture,
                         testing::Values(Architecture{"resnet_cifar", "20", {32, 32, 3}, 10},
                                         Architecture{"paper_cnn", "h0", {32, 32, 3}, 7},
                                         Architecture{"paper_cnn", "", {28, 28, 1}, 10},
                                         Architecture{"mlp", "40-24", {33}, 3}),
                         [](const auto& info) { return info.param.name + std::to_string(info.index); });

TEST(FrozenNetwork, GivesTheSameBytesWithAnyNumberOfThreadsAndInAnyCompany) {
  test::RandomTensors random(test::fresh_seed());
  const Tensor x = random.f32({21, 32, 32, 3}, Device::cpu(1));
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    const auto network = make_network({"resnet_cifar", "20", {32, 32, 3}, 10}, Device::cpu(threads), 3);
    FrozenNetwork frozen(*network);
    Tensor out({21, 64}, DType::f32, Device::cpu(threads));
    frozen.features(x, out);
    if (first.empty()) first = out.to_vector<float>();
    EXPECT_EQ(out.to_vector<float>(), first) << threads << " threads";
    Tensor alone({1, 64}, DType::f32, Device::cpu(threads));
    frozen.features(x.view().slice(0, 20, 21), alone);
    EXPECT_EQ(alone.to_vector<float>(), std::vector<float>(first.end() - 64, first.end()));
  }
}

TEST(FrozenNetwork, LeavesItsNetworkAloneAndDoesNotFollowIt) {
  const Device device = Device::cpu(1);
  const auto network = make_network({"resnet_cifar", "20", {32, 32, 3}, 10}, device, 3);
  test::RandomTensors random(test::fresh_seed());
  std::vector<std::vector<float>> before;
  for (const NamedParameter& parameter : network->state().parameters) {
    before.push_back(parameter.value().to_vector<float>());
  }
  FrozenNetwork frozen(*network);
  const Tensor x = random.f32({2, 32, 32, 3}, device);
  Tensor logits({2, 10}, DType::f32, device);
  frozen.logits(x, logits);
  std::size_t i = 0;
  for (const NamedParameter& parameter : network->state().parameters) {
    EXPECT_EQ(parameter.value().to_vector<float>(), before[i++]) << parameter.name;
    copy_bytes(random.f32(parameter.value().shape(), device), parameter.value());
  }
  Tensor again({2, 10}, DType::f32, device);
  frozen.logits(x, again);
  EXPECT_EQ(again.to_vector<float>(), logits.to_vector<float>());
}

TEST(FrozenNetwork, RefusesWhatDoesNotFit) {
  const Device device = Device::cpu(1);
  const auto network = make_network({"mlp", "8", {5}, 3}, device, 3);
  FrozenNetwork frozen(*network);
  const Tensor x = Tensor::zeros({4, 5}, DType::f32, device);
  const Tensor wide = Tensor::zeros({4, 6}, DType::f32, device);
  const Tensor doubles = Tensor::zeros({4, 5}, DType::f64, device);
  Tensor out({4, 8}, DType::f32, device);
  EXPECT_THROW(frozen.features(wide, out), ShapeError);
  EXPECT_THROW(frozen.logits(x, out), ShapeError);
  EXPECT_THROW(frozen.features(doubles, out), DTypeError);
  Tensor none({0, 8}, DType::f32, device);
  EXPECT_NO_THROW(frozen.features(x.view().slice(0, 0, 0), none));
  const auto precise = make_network({"mlp", "8", {5}, 3}, device, 3, DType::f64);
  EXPECT_THROW(FrozenNetwork{*precise}, DTypeError);
}

}  // namespace
}  // namespace rtl::layers

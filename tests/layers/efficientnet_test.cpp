// EfficientNet-Lite0 of ImageNet against an independent implementation of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/io/npy.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/frozen_network.hpp"
#include "support/devices.hpp"
#include "support/real_data.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

constexpr const char* weights = "models/efficientnet_lite0_imagenet.safetensors";

/// Largest difference to the golden numbers of the first rows, relative to the largest of these.
double largest_difference(const Tensor& found, const std::vector<float>& golden) {
  const std::vector<float> values = found.to_vector<float>();
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(golden[i])));
    difference = std::max(difference, std::abs(static_cast<double>(values[i]) - static_cast<double>(golden[i])));
  }
  return difference / largest;
}

/// The first images, [count, 96, 96, 3].
Tensor images(std::int64_t count, const Device& device) {
  const Device host = Device::cpu(1);
  const Tensor planes = io::read_npy(test::real_data("golden/efficientnet_lite0/inputs.npy"), host);
  Tensor made({count, 96, 96, 3}, DType::f32, host);
  kernels::unary(host, kernels::UnaryOp::copy, planes.view().slice(0, 0, count).permuted({0, 2, 3, 1}), made);
  return made.to(device);
}

std::vector<float> golden(const char* name) {
  return io::read_npy(test::real_data(std::string("golden/efficientnet_lite0/") + name), Device::cpu(1))
      .to_vector<float>();
}

TEST(RealDataEfficientNet, GivesTheGoldenFeaturesAndLogits) {
  RTL_NEEDS_REAL_DATA(weights);
  for (const char* name : {"inputs.npy", "features.npy", "logits.npy"}) {
    RTL_NEEDS_REAL_DATA(std::string("golden/efficientnet_lite0/") + name);
  }
  const std::vector<float> features = golden("features.npy"), logits = golden("logits.npy");
  for (const Device& device : test::devices()) {
    const bool emulated = device.is_cuda() && std::string(RTL_CUDA_MODE) == "EMULATED";
    const std::int64_t count = emulated ? 1 : 8;
    const LoadedNetwork loaded = load_network(test::real_data(weights), device, {}, DType::f32, Shape{96, 96, 3});
    EXPECT_EQ(loaded.network->architecture(), (Architecture{"efficientnet_lite", "0", {96, 96, 3}, 1000}));
    const Tensor x = images(count, device);
    FrozenNetwork frozen(*loaded.network);
    Tensor found_features({count, 1280}, DType::f32, device), found_logits({count, 1000}, DType::f32, device);
    frozen.features(x, found_features);
    frozen.logits(x, found_logits);
    EXPECT_LT(largest_difference(found_features, features), 1e-3) << device.name();
    EXPECT_LT(largest_difference(found_logits, logits), 1e-3) << device.name();
    const Tensor plain = test::forward(*loaded.network, x);
    EXPECT_LT(largest_difference(plain, logits), 1e-3) << device.name() << ", node by node";
  }
}

TEST(RealDataEfficientNet, KeepsItsFeaturesInBf16) {
  RTL_NEEDS_REAL_DATA(weights);
  RTL_NEEDS_REAL_DATA("golden/efficientnet_lite0/inputs.npy");
  RTL_NEEDS_REAL_DATA("golden/efficientnet_lite0/features.npy");
  const Device device = Device::cpu();
  const LoadedNetwork loaded = load_network(test::real_data(weights), device, {}, DType::f32, Shape{96, 96, 3});
  const Tensor x = images(8, device);
  Tensor narrow(x.shape(), DType::bf16, device), features({8, 1280}, DType::f32, device);
  kernels::cast(device, x, narrow);
  FrozenNetwork(*loaded.network, Precision::bf16).features(narrow, features);
  // Rounded some fifty times on their way; together, not one by one.
  const std::vector<float> found = features.to_vector<float>(), expected = golden("features.npy");
  double squares = 0, differences = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double value = expected[i], difference = found[i] - value;
    squares += value * value;
    differences += difference * difference;
  }
  RecordProperty("relative_difference", std::to_string(std::sqrt(differences / squares)));
  EXPECT_LT(std::sqrt(differences / squares), 0.1);
}

TEST(RealDataEfficientNet, HasTheSizeOfTheDataOnlyWhereTheFileDoesNotSayIt) {
  RTL_NEEDS_REAL_DATA(weights);
  const Device device = Device::cpu();
  const LoadedNetwork plain = load_network(test::real_data(weights), device);
  EXPECT_EQ(plain.network->architecture().input, (Shape{224, 224, 3}));
  EXPECT_FALSE(plain.normalization);
}

}  // namespace
}  // namespace rtl::layers

// The small networks of studies: sizes by their definition, and towers that do not look at each other.
#include <gtest/gtest.h>

#include "rtl/layers/network.hpp"
#include "rtl/transfer/source.hpp"
#include "studies/cifar_files.hpp"
#include "studies/thin_networks.hpp"

namespace rtl::test {
namespace {

std::unique_ptr<layers::Network> network(const std::string& name, const std::string& variant) {
  studies::register_thin_networks();
  return layers::make_network({.name = name, .variant = variant, .input = {16, 16, 3}, .classes = 10}, Device::cpu(1),
                              1);
}

TEST(ThinNetworks, HaveTheSizesOfTheirWidths) {
  // Convolutions of 3x3, two numbers a channel for the norms, and the head.
  const auto residual = [](std::int64_t w) {
    return 9 * (3 * w + 2 * w * w + (2 + 4) * w * w + (8 + 16) * w * w) + 2 * (3 * w + 4 * w + 8 * w) + 4 * w * 10 + 10;
  };
  EXPECT_EQ(network("thin_resnet", "8")->parameter_count(), residual(8));
  EXPECT_EQ(network("thin_resnet", "8")->feature_count(), 32);
  // The published ResNet of eight layers has 16 channels.
  const auto published = layers::make_network(
      {.name = "resnet_cifar", .variant = "8", .input = {16, 16, 3}, .classes = 10}, Device::cpu(1), 1);
  EXPECT_EQ(network("thin_resnet", "16")->parameter_count(), published->parameter_count());
  EXPECT_EQ(network("thin_vgg", "4")->parameter_count(),
            9 * (3 * 4 + 16 + (2 + 4) * 16 + (8 + 16) * 16) + 2 * 2 * (4 + 8 + 16) + 16 * 10 + 10);
  EXPECT_THROW(network("thin_resnet", "8-2-2"), ValueError);
  EXPECT_THROW(network("thin_vgg", "8-2"), ValueError);
  EXPECT_THROW(network("thin_vgg", ""), ValueError);
}

TEST(ThinNetworks, TowersAreApart) {
  studies::register_thin_networks();
  const data::Dataset samples = noise_images(12, 10);
  const auto towers = layers::make_network(
      {.name = "thin_resnet", .variant = "2-3", .input = samples.sample_shape(), .classes = 10}, Device::cpu(1), 1);
  const auto features = [&] {
    return transfer::FrozenSource(layers::clone(*towers, Device::cpu(1)), data::Normalization::half)
        .features(samples)
        .to_vector<float>();
  };
  const std::vector<float> before = features();
  for (const layers::NamedParameter& parameter : towers->state().parameters) {
    if (!parameter.name.starts_with("towers.tower2.")) continue;
    *parameter.value().data_as<float>() += 1;
  }
  const std::vector<float> after = features();
  bool changed = false;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (i % 24 >= 8 && i % 24 < 16) {
      changed = changed || before[i] != after[i];
    } else {
      EXPECT_EQ(before[i], after[i]) << i;
    }
  }
  EXPECT_TRUE(changed);
}

}  // namespace
}  // namespace rtl::test

// Sources whose features are those of an inner layer.
#include <gtest/gtest.h>

#include "rtl/layers/frozen_network.hpp"
#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

FrozenSource source_at(const std::string& layer, const Device& device) {
  return FrozenSource(testing::make("resnet_cifar", "8", {8, 8, 3}, 3, 5, device), {}, "resnet", Precision::f32, layer);
}

TEST(SourceLayer, GivesTheFeaturesOfTheLayer) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 20, 3, 8, device);
    const FrozenSource last = source_at("", device), inner = source_at("layer2.0", device);
    EXPECT_EQ(last.layer(), "");
    EXPECT_EQ(last.feature_count(), 64);
    EXPECT_EQ(inner.layer(), "layer2.0");
    EXPECT_EQ(inner.feature_count(), 32);
    EXPECT_EQ(inner.features(data).shape(), (Shape{20, 32}));
    // What lies behind the last block is the mean alone.
    EXPECT_EQ(source_at("layer3.0", device).features(data).to_vector<float>(), last.features(data).to_vector<float>());
    EXPECT_EQ(inner.copy_network(device)->architecture().classes, 3);
  }
}

TEST(SourceLayer, HasFeaturesOfItsOwnInTheCache) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 20, 3, 8, device);
  const testing::Folder folder;
  const FrozenSource last = source_at("", device), conv = source_at("conv1", device), norm = source_at("bn1", device);
  EXPECT_EQ(last.fingerprint(), weights_hash(*last.copy_network(device)));
  EXPECT_EQ(conv.feature_count(), norm.feature_count()) << "only the layer tells them apart";
  EXPECT_NE(conv.fingerprint(), norm.fingerprint());
  EXPECT_EQ(conv.fingerprint(), source_at("conv1", device).fingerprint());
  EXPECT_EQ(conv.current_hash(), conv.fingerprint());
  EXPECT_NE(FeatureKey::of(conv, data, DType::f32).hash(), FeatureKey::of(norm, data, DType::f32).hash());
  FeatureCache cache(folder.path());
  for (const FrozenSource& source : {last, conv, norm, conv}) {
    EXPECT_TRUE(testing::same_bytes(cache.get(source, data)->gather(nullptr, device).to_vector<float>(),
                                    source.features(data).to_vector<float>()));
  }
  EXPECT_EQ(cache.statistics().computed, 3);
  EXPECT_EQ(cache.statistics().reused, 1);
}

TEST(SourceLayer, ServesProbeAndRefineAndNotFineTune) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 3, 8, device);
  const FrozenSource source = source_at("layer1.0", device);
  StrategyOptions options;
  options.model = "paper_cnn:4-4-8-16";
  const Fitted probed = probe(source, data, testing::quick(2), options);
  EXPECT_EQ(probed.trainable_parameters(), 16 * 3 + 3);
  EXPECT_EQ(probed.outputs(data).shape(), (Shape{40, 3}));
  EXPECT_EQ(refine({source}, data, testing::quick(1), options).outputs(data).shape(), (Shape{40, 3}));
  try {
    fine_tune(source, data, testing::quick(1), options);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("layer1.0"), std::string::npos) << error.what();
  }
  EXPECT_EQ(source.classes(), 0) << "its head does not take these features";
  EXPECT_THROW(source.logits(data), ValueError);
  options.values["head_start"] = "pretrained";
  EXPECT_THROW(probe(source, data, testing::quick(1), options), ValueError);
}

TEST(SourceLayer, MustBeThere) {
  try {
    source_at("layer4.0", Device::cpu(1));
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_EQ(std::string(error.what()),
              "resnet_cifar:8 has no layer 'layer4.0'; there are conv1, bn1, layer1.0, layer2.0, layer3.0");
  }
}

}  // namespace
}  // namespace rtl::transfer

// Bottlenecks on frozen features and in residual branches.
#include <gtest/gtest.h>

#include <cmath>

#include "transfer/adapted_network.hpp"
#include "transfer/feature_network.hpp"
#include "transfer/sources.hpp"

namespace rtl::transfer {
namespace {

using testing::fit_one;
using testing::named_values;
using testing::plain_source;
using testing::quick;
using testing::residual_source;
using testing::Values;
using testing::values_of_source;

TEST(Adapter, CountsThoseOfThePaper) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 12, 10, 32, device);
  const FrozenSource source(testing::make("paper_big_cnn", "", {32, 32, 3}, 10, 1, device));
  EXPECT_EQ(fit_one("adapter", source, data, quick(0)).trainable_parameters(), 683658);
  EXPECT_EQ(fit_one("adapter:bottleneck=8", source, data, quick(0)).trainable_parameters(),
            (2560 * 8 + 8) + (8 * 2560 + 2560) + 25610);
}

TEST(Adapter, OnFeaturesIsTwoLayersAndAHead) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 20, 4, 8, device);
    const FrozenSource source = plain_source(device);
    const Fitted fitted = fit_one("adapter:bottleneck=3", source, data, quick(2));
    Values values = named_values(fitted.state());
    std::vector<double> x;
    for (const float value : source.features(data).to_vector<float>()) x.push_back(value);
    const auto layer = [&](const std::string& name, bool relu) {
      const std::vector<float>&w = values.at(name + ".weight"), &b = values.at(name + ".bias");
      const std::size_t inputs = w.size() / b.size(), rows = x.size() / inputs;
      std::vector<double> y;
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t o = 0; o < b.size(); ++o) {
          double sum = b[o];
          for (std::size_t j = 0; j < inputs; ++j) sum += double{w[o * inputs + j]} * x[i * inputs + j];
          y.push_back(relu ? std::max(sum, 0.0) : sum);
        }
      }
      x = y;
    };
    layer("fc1", true);
    layer("fc2", true);
    layer("head", false);
    const std::vector<float> outputs = fitted.outputs(data).to_vector<float>();
    ASSERT_EQ(outputs.size(), x.size());
    double largest = 0;
    for (const double value : x) largest = std::max(largest, std::abs(value));
    // Sums of 16, 3 and 16 products with a bias, in f32, each bounded by the sum of its terms' sizes, which here stays
    // within four times the largest output.
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(outputs[i], x[i], 4 * 38 * std::pow(2.0, -24) * largest);
  }
}

TEST(Adapter, DropsOnlyWhileItTrains) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = plain_source(device);
  const Fitted dropped = fit_one("adapter", source, data, quick());
  const Fitted whole = fit_one("adapter:adapter_dropout=0", source, data, quick());
  EXPECT_NE(dropped.training().losses, whole.training().losses);
  EXPECT_TRUE(testing::same_bytes(dropped.outputs(data).to_vector<float>(), dropped.outputs(data).to_vector<float>()));
  // Without any it is a network that is trained on the features as vectors.
  data::Dataset vectors;
  vectors.inputs = source.features(data);
  vectors.labels = data.labels.clone();
  vectors.classes = 4;
  const auto network = testing::make("mlp", "128-16", {16}, 4, 7, device);
  const TrainingRecord record = train(*network, vectors, data::Normalization::none, quick());
  EXPECT_EQ(whole.training().losses, record.losses);
}

TEST(Adapter, StartsWithTheSourcesHeadWhereAsked) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = residual_source(device);
  const Values own = values_of_source(source);
  const Values here = named_values(fit_one("adapter:pretrained", source, data, quick(0)).state());
  EXPECT_TRUE(testing::same_bytes(here.at("head.weight"), own.at("linear.weight")));
  EXPECT_TRUE(testing::same_bytes(here.at("head.bias"), own.at("linear.bias")));
  EXPECT_THROW(fit_one("adapter:pretrained", residual_source(device, 10), data, quick(0)), ValueError);
}

TEST(Adapter, InBlocksStartsAsTheSource) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = residual_source(device);
    const Fitted fitted = fit_one("adapter:blocks:pretrained", source, data, quick(0));
    const Fitted copy = fit_one("bitfit:pretrained", source, data, quick(0));
    const std::vector<float> own = copy.outputs(data).to_vector<float>();
    const std::vector<float> here = fitted.outputs(data).to_vector<float>();
    double largest = 0;
    for (const float value : own) largest = std::max(largest, std::abs(double{value}));
    // r + 0 is r; frozen norms are folded into convolutions, seven of them, of up to 576 products.
    for (std::size_t i = 0; i < own.size(); ++i) {
      EXPECT_NEAR(here[i], own[i], 7 * std::sqrt(576.0) * std::pow(2.0, -24) * largest);
    }
    EXPECT_EQ(fitted.sources().size(), 0U);
  }
}

TEST(Adapter, InBlocksLeavesTheSourceAlone) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = residual_source(device);
    const Fitted fitted = fit_one("adapter:blocks", source, data, quick());
    // Branches of 16, 32 and 64 channels, bottlenecks of 4, 8 and 16.
    const std::int64_t bottlenecks = (2 * 16 * 4 + 4 + 16) + (2 * 32 * 8 + 8 + 32) + (2 * 64 * 16 + 16 + 64);
    EXPECT_EQ(fitted.trainable_parameters(), bottlenecks + 4 * 64 + 4);
    EXPECT_EQ(fit_one("adapter:blocks:bottleneck=2", source, data, quick(1)).trainable_parameters(),
              2 * 2 * (16 + 32 + 64) + 3 * 2 + 16 + 32 + 64 + 4 * 64 + 4);
    const Values before = values_of_source(source), after = named_values(fitted.state());
    for (const auto& [name, values] : after) {
      if (name.find("bottleneck") != std::string::npos) {
        double size = 0;
        for (const float value : values) size += std::abs(double{value});
        EXPECT_GT(size, 0) << name;
      } else if (!name.starts_with("linear.")) {
        EXPECT_TRUE(testing::same_bytes(values, before.at(name))) << name;
      }
    }
    EXPECT_EQ(after.size(), before.size() + 3 * 4);
    const testing::Folder folder;
    fitted.save(folder / "model");
    const Fitted loaded = Fitted::load(folder / "model", device);
    EXPECT_TRUE(testing::same_bytes(loaded.outputs(data).to_vector<float>(), fitted.outputs(data).to_vector<float>()));
    EXPECT_TRUE(testing::same_bytes(testing::values_of(loaded.state()), testing::values_of(fitted.state())));
  }
}

TEST(Adapter, InBlocksRepeatsResumesAndTrainsInBf16) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = residual_source(device);
  const testing::Folder folder;
  TrainingOptions training = quick(4);
  const Fitted whole = fit_one("adapter:blocks", source, data, training);
  testing::expect_equal(whole, fit_one("adapter:blocks", source, data, training));
  training.checkpoint = folder / "state";
  training.resume = true;
  training.stop = [] { return true; };
  EXPECT_FALSE(fit_one("adapter:blocks", source, data, training).training().complete);
  training.stop = nullptr;
  testing::expect_equal(whole, fit_one("adapter:blocks", source, data, training));
  TrainingOptions rounded = quick(4);
  rounded.precision = Precision::bf16;
  const Fitted coarse = fit_one("adapter:blocks", source, data, rounded);
  EXPECT_NE(coarse.training().losses, whole.training().losses);
  EXPECT_NEAR(coarse.training().losses.back(), whole.training().losses.back(), 0.03 * whole.training().losses.back());
}

TEST(Adapter, SaysWhatCannotBe) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource features = FrozenSource::of_features("pixels", 2, [](const data::Dataset& of) {
    return Tensor::zeros({of.size(), 2}, DType::f32, of.inputs.device());
  });
  EXPECT_EQ(fit_one("adapter", features, data, quick(0)).trainable_parameters(),
            (2 * 128 + 128) + (128 * 2 + 2) + (2 * 4 + 4));
  EXPECT_THROW(fit_one("adapter:blocks", features, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("adapter:blocks", plain_source(device), data, quick(0)), ValueError);
  const FrozenSource inner(testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 3, device), {}, {}, Precision::f32,
                           "layer1.0");
  EXPECT_THROW(fit_one("adapter:blocks", inner, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("adapter:bottleneck=-1", features, data, quick(0)), ValueError);
  EXPECT_THROW(fit_one("adapter:adapter_dropout=1", features, data, quick(0)), ValueError);
}

TEST(StochasticNorm, OfNoShareIsFineTuning) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = residual_source(device), plain = plain_source(device);
    const Fitted whole = fit_one("fine-tune", source, data, quick());
    testing::expect_equal(whole, fit_one("stochastic-norm:running_share=0", source, data, quick()));
    const Fitted half = fit_one("stochastic-norm", source, data, quick());
    EXPECT_NE(half.training().losses, whole.training().losses);
    EXPECT_EQ(testing::moved(source, half).size(), values_of_source(source).size());
    testing::expect_equal(fit_one("fine-tune", plain, data, quick()), fit_one("stochastic-norm", plain, data, quick()));
    EXPECT_THROW(fit_one("stochastic-norm:running_share=1", source, data, quick(0)), ValueError);
  }
}

}  // namespace
}  // namespace rtl::transfer

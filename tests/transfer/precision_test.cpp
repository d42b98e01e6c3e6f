// bf16 arithmetic with f32 weights: training, frozen sources, what is kept of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/core/precision.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/layers/frozen_network.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

TrainingOptions quick_in(Precision precision, std::int64_t epochs = 3) {
  TrainingOptions options = quick(epochs);
  options.precision = precision;
  return options;
}

StrategyOptions small_options() {
  StrategyOptions options;
  options.model = "paper_cnn:4-4-8-16";
  return options;
}

FrozenSource source_in(Precision precision, const Device& device) {
  return FrozenSource(testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 3, device), {}, "small", precision);
}

double largest(const std::vector<float>& values) {
  double result = 0;
  for (const float value : values) result = std::max(result, std::abs(static_cast<double>(value)));
  return result;
}

/// Root mean square of a - b over that of a.
double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    apart += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(a[i]), 2);
  }
  return std::sqrt(apart / size);
}

TEST(Precision, HasNames) {
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    EXPECT_EQ(parse_precision(to_string(precision)), precision);
  }
  EXPECT_THROW(parse_precision("half"), ValueError);
  EXPECT_EQ(activation_dtype(Precision::f32, DType::f64), DType::f64);
  EXPECT_EQ(activation_dtype(Precision::bf16, DType::f32), DType::bf16);
}

TEST(Precision, TrainingInBf16IsLikeTrainingInF32) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    for (const Strategy* strategy : testing::library_strategies()) {
      const StrategyInfo& info = strategy->info();
      SCOPED_TRACE(info.name + " " + device.name());
      const auto run = [&](Precision precision) {
        const std::vector<FrozenSource> sources = testing::sources_for(info, source_in(precision, device));
        StrategyOptions options = small_options();
        options.source_data = &data;
        options.values["pretraining_epochs"] = "4";  // few steps of pretraining too, where there is one
        return fit(info.name, sources, data, quick_in(precision), options);
      };
      const Fitted exact = run(Precision::f32), fitted = run(Precision::bf16), again = run(Precision::bf16);
      EXPECT_TRUE(testing::same_bytes(testing::values_of(fitted.state()), testing::values_of(again.state())));
      for (const auto& parameter : fitted.state().parameters) EXPECT_EQ(parameter.value().dtype(), DType::f32);
      const std::vector<float> weights = testing::values_of(exact.state()), here = testing::values_of(fitted.state());
      EXPECT_FALSE(testing::same_bytes(weights, here)) << "it was trained in f32";
      // 9 steps at a rate of 0.01: the weights have moved little, so they differ by much less than they are. Heads in
      // closed form depend on rounded features by the condition of their equations.
      EXPECT_LT(relative_distance(weights, here), 0.03);
      for (std::size_t epoch = 0; epoch < exact.training().losses.size(); ++epoch) {
        EXPECT_NEAR(fitted.training().losses[epoch], exact.training().losses[epoch],
                    0.05 * exact.training().losses[epoch]);
      }
    }
  }
}

TEST(Precision, FeaturesInBf16AreLikeThoseInF32) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource exact = source_in(Precision::f32, device), rounded = source_in(Precision::bf16, device);
    EXPECT_EQ(rounded.precision(), Precision::bf16);
    EXPECT_EQ(rounded.fingerprint(), exact.fingerprint());
    const std::vector<float> wanted = exact.features(data).to_vector<float>();
    const std::vector<float> here = rounded.features(data).to_vector<float>();
    EXPECT_GT(largest(wanted), 0);
    EXPECT_FALSE(testing::same_bytes(wanted, here));
    // Seven convolutions and three sums, each rounded to 2^-9, whose errors add up like independent ones.
    EXPECT_LT(relative_distance(wanted, here), 0.02);
    EXPECT_NE(FeatureKey::of(exact, data, DType::f32), FeatureKey::of(rounded, data, DType::f32));
  }
}

TEST(Precision, FrozenNetworksSayWhichInputsTheyTake) {
  const Device device = Device::cpu(1);
  const auto network = testing::make("resnet_cifar", "8", {8, 8, 3}, 4, 3, device);
  layers::FrozenNetwork frozen(*network, Precision::bf16);
  Tensor x = Tensor::zeros({2, 8, 8, 3}, DType::f32, device), out({2, frozen.feature_count()}, DType::f32, device);
  EXPECT_THROW(frozen.features(x, out), DTypeError);
  x = Tensor::zeros({2, 8, 8, 3}, DType::bf16, device);
  frozen.features(x, out);
  Tensor half({2, frozen.feature_count()}, DType::bf16, device);
  EXPECT_THROW(frozen.features(x, half), DTypeError);
}

TEST(Precision, ASavedModelKeepsThatOfItsSources) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const Folder folder;
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const Fitted fitted = refine({source_in(precision, device)}, data, quick_in(precision), small_options());
    const std::string path = folder / to_string(precision);
    fitted.save(path);
    const Fitted loaded = Fitted::load(path, device);
    EXPECT_EQ(loaded.sources().front().precision(), precision);
    EXPECT_TRUE(testing::same_bytes(loaded.outputs(data).to_vector<float>(), fitted.outputs(data).to_vector<float>()));
  }
}

TEST(Precision, IsPartOfWhatAResumeGoesOnFrom) {
  EXPECT_NE(quick_in(Precision::f32).hash(), quick_in(Precision::bf16).hash());
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const Folder folder;
  TrainingOptions training = quick_in(Precision::f32);
  training.checkpoint = folder / "state";
  training.resume = true;
  training.stop = [] { return true; };
  EXPECT_FALSE(scratch(data, training, small_options()).training().complete);
  training.precision = Precision::bf16;
  EXPECT_THROW(scratch(data, training, small_options()), ValueError);
}

}  // namespace
}  // namespace rtl::transfer

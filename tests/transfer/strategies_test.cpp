// Every strategy: what it trains, what it leaves alone, what it predicts, what it saves.
#include "rtl/transfer/strategies.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "rtl/data/label_flips.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

constexpr const char* encoder = "paper_cnn:4-4-8-16";

FrozenSource image_source(std::int64_t classes, std::uint64_t seed, const Device& device) {
  return FrozenSource(testing::make("resnet_cifar", "8", {8, 8, 3}, classes, seed, device));
}

StrategyOptions small_options() {
  StrategyOptions options;
  options.model = encoder;
  return options;
}

/// For strategies that look at samples of the source.
StrategyOptions with_source_data(const data::Dataset& data) {
  StrategyOptions options = small_options();
  options.source_data = &data;
  return options;
}

TEST(Strategies, ParameterCountsOfThePaper) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 12, 10, 32, device);
  const FrozenSource source(testing::make("paper_big_cnn", "", {32, 32, 3}, 10, 1, device));
  const TrainingOptions none = quick(0);
  EXPECT_EQ(source.parameter_count(), 12528298);
  EXPECT_EQ(scratch(data, none).trainable_parameters(), 586250);
  EXPECT_EQ(probe(source, data, none).trainable_parameters(), 25610);
  EXPECT_EQ(refine({source}, data, none).trainable_parameters(), 611850);
  EXPECT_EQ(fine_tune(source, data, none).trainable_parameters(), 12528298);
  const FrozenSource small(testing::make("paper_cnn", "", {32, 32, 3}, 10, 1, device));
  EXPECT_EQ(refine({small, small, small}, data, none).trainable_parameters(), 586250 + 3 * 5120);
}

TEST(Strategies, SourceBytesStayTheSame) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = image_source(4, 3, device);
    const std::uint64_t before = source.fingerprint();
    for (const Strategy* strategy : testing::library_strategies()) {
      const StrategyInfo& info = strategy->info();
      SCOPED_TRACE(info.name + " " + device.name());
      const std::vector<FrozenSource> sources = testing::sources_for(info, source);
      const Fitted fitted = fit(info.name, sources, data, quick(2), with_source_data(data));
      EXPECT_EQ(fitted.strategy(), info.name);
      fitted.outputs(data);
      EXPECT_EQ(source.current_hash(), before);
    }
  }
}

TEST(Strategies, SameSeedSameBytes) {
  for (const int threads : {1, 2}) {
    const Device device = Device::cpu(threads).separate();
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = image_source(4, 3, device);
    for (const Strategy* strategy : testing::library_strategies()) {
      const StrategyInfo& info = strategy->info();
      SCOPED_TRACE(info.name);
      const std::vector<FrozenSource> sources = testing::sources_for(info, source);
      const auto run = [&] {
        return testing::values_of(fit(info.name, sources, data, quick(2), with_source_data(data)).state());
      };
      EXPECT_TRUE(testing::same_bytes(run(), run()));
    }
  }
}

TEST(Strategies, ResumeEqualsUninterrupted) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = image_source(4, 3, device);
  StrategyOptions options = with_source_data(data);
  options.values["feature_scaling"] = "balance";
  for (const Strategy* strategy : testing::library_strategies()) {
    const StrategyInfo& info = strategy->info();
    SCOPED_TRACE(info.name);
    if (!info.trains) continue;
    const Folder folder;
    const std::vector<FrozenSource> sources = testing::sources_for(info, source);
    TrainingOptions training = quick(4);
    const Fitted whole = fit(info.name, sources, data, training, options);
    training.checkpoint = folder / "state";
    training.resume = true;
    training.stop = [] { return true; };
    EXPECT_FALSE(fit(info.name, sources, data, training, options).training().complete);
    training.stop = nullptr;
    const Fitted resumed = fit(info.name, sources, data, training, options);
    EXPECT_EQ(resumed.training().losses, whole.training().losses);
    EXPECT_TRUE(testing::same_bytes(testing::values_of(resumed.state()), testing::values_of(whole.state())));
  }
}

TEST(Strategies, EveryTrainingSeesTheSameFlippedLabels) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = image_source(4, 3, device);
  TrainingOptions training = quick(3);
  training.label_flips = 0.5;
  data::Dataset flipped = data.clone();
  const std::vector<std::int32_t> labels =
      data::flipped_labels(data.labels.to_vector<std::int32_t>(), 4, {.probability = 0.5, .seed = training.seed}, 0);
  flipped.labels = Tensor::from(labels, {40}, device);
  for (const Strategy* strategy : testing::library_strategies()) {
    const StrategyInfo& info = strategy->info();
    SCOPED_TRACE(info.name);
    const std::vector<FrozenSource> sources = testing::sources_for(info, source);
    const Fitted found = fit(info.name, sources, data, training, with_source_data(data));
    const Fitted expected = fit(info.name, sources, flipped, quick(3), with_source_data(data));
    EXPECT_TRUE(testing::same_bytes(testing::values_of(found.state()), testing::values_of(expected.state())));
  }
}

TEST(Strategies, SourceDataOfOtherClassesIsRefusedByName) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource source = image_source(4, 3, device);
  data::Dataset others = data.clone();
  data.class_names = {"a", "b", "c", "d"};
  others.class_names = {"d", "c", "b", "a"};
  for (const char* name : {"dann-gate", "coral-gate", "importance-weighting"}) {
    EXPECT_THROW(fit(name, {source}, data, quick(1), with_source_data(others)), ValueError) << name;
    const std::vector<std::string> all = strategies_for({source}, data, with_source_data(others));
    EXPECT_EQ(std::count(all.begin(), all.end(), name), 0);
  }
}

TEST(Strategies, RefineWithoutSourcesIsScratch) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const Fitted a = scratch(data, quick(), small_options()), b = refine({}, data, quick(), small_options());
  EXPECT_TRUE(testing::same_bytes(testing::values_of(a.state()), testing::values_of(b.state())));
}

TEST(Strategies, InitialWeightsArePaired) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const Fitted a = scratch(data, quick(0), small_options());
  const Fitted b = refine({image_source(10, 3, device)}, data, quick(0), small_options());
  int equal = 0;
  for (const auto& x : a.state().parameters) {
    for (const auto& y : b.state().parameters) {
      if (x.name != y.name || x.value().shape() != y.value().shape()) continue;
      if (x.name.starts_with("head")) continue;  // drawn for another number of inputs
      EXPECT_EQ(x.value().to_vector<float>(), y.value().to_vector<float>()) << x.name;
      ++equal;
    }
  }
  EXPECT_EQ(equal, 8);  // three convolutions and a linear layer, weight and bias
}

TEST(Strategies, RefineLogitsAreTheSumOfItsBlocks) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const data::Dataset data = testing::make_vectors(1, 50, 5, 3, 1.0, device);
    const FrozenSource first(testing::make("mlp", "7", {5}, 4, 3, device));
    const FrozenSource second(testing::make("mlp", "6-9", {5}, 2, 4, device));
    StrategyOptions options;
    options.model = "mlp:8";
    options.normalization = data::Normalization::none;
    const Fitted fitted = refine({first, second}, data, quick(2), options);
    std::vector<float> weight, bias, w1, b1;
    for (const auto& parameter : fitted.state().parameters) {
      const std::vector<float> values = parameter.value().to_vector<float>();
      if (parameter.name == "head.weight") weight = values;
      if (parameter.name == "head.bias") bias = values;
      if (parameter.name == "fc1.weight") w1 = values;
      if (parameter.name == "fc1.bias") b1 = values;
    }
    ASSERT_EQ(weight.size(), 3U * (8 + 7 + 9));
    const std::vector<float> x = data.inputs.to_vector<float>(), logits = fitted.outputs(data).to_vector<float>();
    const std::vector<float> f1 = first.features(data).to_vector<float>(),
                             f2 = second.features(data).to_vector<float>();
    for (std::size_t i = 0; i < 50; ++i) {
      std::vector<double> z;
      for (std::size_t j = 0; j < 8; ++j) {
        double sum = b1[j];
        for (std::size_t k = 0; k < 5; ++k) sum += static_cast<double>(w1[j * 5 + k]) * x[i * 5 + k];
        z.push_back(std::max(sum, 0.0));
      }
      z.insert(z.end(), f1.begin() + static_cast<std::ptrdiff_t>(i * 7),
               f1.begin() + static_cast<std::ptrdiff_t>(i * 7 + 7));
      z.insert(z.end(), f2.begin() + static_cast<std::ptrdiff_t>(i * 9),
               f2.begin() + static_cast<std::ptrdiff_t>(i * 9 + 9));
      for (std::size_t c = 0; c < 3; ++c) {
        double expected = bias[c];
        for (std::size_t j = 0; j < 24; ++j) expected += weight[c * 24 + j] * z[j];
        EXPECT_NEAR(logits[i * 3 + c], expected, 1e-4);
      }
    }
  }
}

TEST(Strategies, ScalingsHaveTheStatedNorm) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 60, 4, 8, device);
  const FrozenSource source = image_source(10, 3, device);
  StrategyOptions options = small_options();
  const auto norm = [&](FeatureScaling scaling, double scale) {
    options.values["feature_scaling"] = to_string(scaling);
    options.values["feature_scale"] = std::to_string(scale);
    return refine({source}, data, quick(0), options).block_influence(data).at(1).feature_norm;
  };
  const std::vector<float> features = source.features(data).to_vector<float>();
  const double squares = std::inner_product(features.begin(), features.end(), features.begin(), 0.0);
  EXPECT_NEAR(norm(FeatureScaling::raw, 1), std::sqrt(squares / 60), 1e-4);
  const double standardized = norm(FeatureScaling::standardize, 1);
  EXPECT_LE(standardized, 8.0001);  // 64 features of unit variance, less those that are constant
  EXPECT_GT(standardized, 4);
  EXPECT_NEAR(norm(FeatureScaling::balance, 1), standardized / 8, 1e-4);
  EXPECT_NEAR(norm(FeatureScaling::balance, 3), 3 * standardized / 8, 1e-4);
  EXPECT_THROW(norm(FeatureScaling::balance, 0), ValueError);
  EXPECT_THROW(parse_feature_scaling("rwa"), ValueError);
}

TEST(Strategies, InfluenceSharesSumToOne) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 60, 4, 8, device);
  const Fitted fitted =
      refine({image_source(10, 3, device), image_source(10, 4, device)}, data, quick(), small_options());
  const std::vector<BlockInfluence> influence = fitted.block_influence(data);
  ASSERT_EQ(influence.size(), 3U);
  EXPECT_EQ(influence[0].name, "h");
  EXPECT_NEAR(influence[0].share + influence[1].share + influence[2].share, 1, 1e-12);
  EXPECT_TRUE(scratch(data, quick(0), small_options()).block_influence(data).empty());
}

TEST(Strategies, ProbeStartsWhereItIsTold) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const FrozenSource same = image_source(4, 3, device), other = image_source(10, 3, device);
  StrategyOptions options = small_options();
  options.values["head_start"] = "pretrained";
  const std::vector<float> own = same.logits(data).to_vector<float>();
  const std::vector<float> started = probe(same, data, quick(0), options).outputs(data).to_vector<float>();
  for (std::size_t i = 0; i < own.size(); ++i) EXPECT_NEAR(started[i], own[i], 1e-4);
  const std::vector<float> tuned = fine_tune(same, data, quick(0), options).outputs(data).to_vector<float>();
  for (std::size_t i = 0; i < own.size(); ++i) EXPECT_NEAR(tuned[i], own[i], 1e-4);
  EXPECT_THROW(probe(other, data, quick(0), options), ValueError);
  EXPECT_THROW(fine_tune(other, data, quick(0), options), ValueError);
  options.values["head_start"] = "auto";
  EXPECT_EQ(probe(other, data, quick(0), options).outputs(data).shape(), (Shape{40, 4}));
}

TEST(Strategies, SavedModelsPredictTheSame) {
  for (const Device& device : testing::devices()) {
    const Folder folder;
    const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
    const FrozenSource source = image_source(4, 3, device);
    StrategyOptions options = with_source_data(data);
    for (const FeatureScaling scaling : {FeatureScaling::raw, FeatureScaling::standardize}) {
      // How a file is written does not depend on the device.
      if (scaling == FeatureScaling::standardize && device.kind() != DeviceKind::cpu) continue;
      options.values["feature_scaling"] = to_string(scaling);
      for (const Strategy* strategy : testing::library_strategies()) {
        const StrategyInfo& info = strategy->info();
        SCOPED_TRACE(info.name + " " + device.name());
        const std::vector<FrozenSource> sources = testing::sources_for(info, source);
        const Fitted fitted = fit(info.name, sources, data, quick(1), options);
        fitted.save(folder / "model");
        const Fitted loaded = Fitted::load(folder / "model", device);
        EXPECT_EQ(loaded.strategy(), info.name);
        EXPECT_TRUE(
            testing::same_bytes(loaded.outputs(data).to_vector<float>(), fitted.outputs(data).to_vector<float>()));
        EXPECT_THROW(fitted.save(folder / "missing/model"), IoError);
      }
    }
  }
}

TEST(Strategies, VectorsAndCachedFeaturesOfHalfTheBytes) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 90, 5, 3, 3.0, device);
  auto network = testing::make("mlp", "12", {5}, 3, 3, device);
  train(*network, testing::make_vectors(2, 200, 5, 3, 3.0, device), data::Normalization::half, quick(10));
  const FrozenSource source(std::move(network));
  FeatureCache exact, rounded(DType::bf16);
  StrategyOptions options;
  for (FeatureCache* cache : {&exact, &rounded}) {
    options.cache = cache;
    const Fitted fitted = probe(source, data, quick(20), options);
    EXPECT_GT(evaluate(fitted, data, cache).accuracy, 0.85);
  }
  EXPECT_EQ(exact.statistics().computed, 1);
}

TEST(Strategies, OneCallInterface) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 90, 4, 8, device);
  const FrozenSource source = image_source(10, 3, device);
  const auto fitted = refine({source}, data, {.epochs = 8, .batch_size = 16, .seed = 1}, small_options());
  EXPECT_GT(evaluate(fitted, data).accuracy, 0.5);
}

TEST(Strategies, BadArgumentsAreNamed) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_images(1, 40, 4, 8, device);
  const data::Dataset large = testing::make_images(1, 40, 4, 16, device);
  const FrozenSource source = image_source(10, 3, device);
  EXPECT_THROW(fit("refined", {source}, data, quick(0)), ValueError);
  EXPECT_THROW(fit("probe", {source, source}, data, quick(0)), ValueError);
  EXPECT_THROW(fit("probe", {}, data, quick(0)), ValueError);
  EXPECT_THROW(probe(source, large, quick(0)), ShapeError);
  EXPECT_THROW(fine_tune(source, large, quick(0)), ShapeError);
  EXPECT_THROW(scratch(data, quick(0), small_options()).outputs(large), ShapeError);
  StrategyOptions options = small_options();
  options.model = "paper_cnm";
  EXPECT_THROW(scratch(data, quick(0), options), ValueError);
  EXPECT_THROW(FrozenSource(nullptr), ValueError);
}

}  // namespace
}  // namespace rtl::transfer

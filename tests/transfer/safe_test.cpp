// Strategy safe: its parts, its weights, what it predicts, keeps and refuses to be misled by.
#include <gtest/gtest.h>

#include <numeric>

#include "rtl/transfer/compare.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

StrategyOptions small_options(OptionValues values = {}) {
  StrategyOptions options;
  options.model = "mlp:8";
  options.values = std::move(values);
  return options;
}

FrozenSource vector_source(std::int64_t features, std::uint64_t seed, const Device& device) {
  return FrozenSource(testing::make("mlp", "7", {features}, 4, seed, device));
}

/// Normal numbers that know nothing of the samples.
FrozenSource noise_source(std::int64_t width, std::uint64_t seed) {
  return FrozenSource::of_features("noise", width, [width, seed](const data::Dataset& dataset) {
    RandomSequence random(seed, static_cast<std::uint64_t>(dataset.size()));
    std::vector<float> values;
    for (std::int64_t i = 0; i < dataset.size() * width; ++i) values.push_back(static_cast<float>(random.normal()));
    return Tensor::from(values, {dataset.size(), width}, Device::cpu(1));
  });
}

const ReadOuts& read_outs_of(const Fitted& fitted) { return dynamic_cast<const ReadOuts&>(fitted.predictor()); }

data::Dataset real_targets(std::uint64_t seed, std::int64_t count, const Device& device) {
  data::Dataset dataset = testing::make_vectors(seed, count, 5, 2, 0, device);
  const std::vector<float> x = dataset.inputs.to_vector<float>();
  std::vector<float> y;
  for (std::size_t i = 0; i < x.size(); i += 5) y.push_back(1000 + 50 * (x[i] - 2 * x[i + 1]));
  dataset.labels = Tensor();
  dataset.classes = 0;
  dataset.targets = Tensor::from(y, {count, 1}, device);
  return dataset;
}

TEST(Safe, HasANetworkAFoldAndPredictsTheirWeightedMean) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const data::Dataset data = testing::make_vectors(1, 63, 5, 3, 1.5, device);
    const data::Dataset test = testing::make_vectors(2, 31, 5, 3, 1.5, device);
    const Fitted fitted = fit("safe", {vector_source(5, 3, device)}, data, quick(), small_options());
    const ReadOuts& predictor = read_outs_of(fitted);
    ASSERT_EQ(predictor.networks().size(), 4U);
    ASSERT_EQ(predictor.read_outs().size(), 3U);
    const FeatureLookup features = [&](const FrozenSource& source) {
      return std::make_shared<const FeatureTable>(source.features(test));
    };
    std::vector<double> mean(31 * 3);
    const auto add = [&](const Tensor& outputs, std::size_t k, double share) {
      const ReadOut& read_out = predictor.read_outs()[k];
      const std::vector<float> z = outputs.to_vector<float>();
      for (std::size_t i = 0; i < mean.size(); i += 3) {
        double row[3], sum = 0;
        for (std::size_t c = 0; c < 3; ++c) sum += row[c] = std::exp(read_out.temperature * z[i + c]);
        for (std::size_t c = 0; c < 3; ++c) mean[i + c] += share * read_out.weight * row[c] / sum;
      }
    };
    for (const auto& network : predictor.networks()) {
      add(network->predict(test, features), 0, 0.25);
      add(network->shares(network->head_inputs(test, network->scaled_features(features))).front(), 1, 0.25);
    }
    add(predictor.probes().front()->predict(test, features), 2, 1);
    const std::vector<float> predicted = fitted.outputs(test).to_vector<float>();
    for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(std::exp(predicted[i]), mean[i], 1e-5);
  }
}

TEST(Safe, FitsChooseHowManyNetworksThereAre) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 40, 5, 3, 1.5, device);
  const FrozenSource source = vector_source(5, 3, device);
  const auto networks = [&](const OptionValues& values) {
    return read_outs_of(fit("safe", {source}, data, quick(), small_options(values))).networks().size();
  };
  EXPECT_EQ(networks({{"folds", "3"}}), 3U);
  EXPECT_EQ(networks({{"fits", "two"}}), 1U);
  EXPECT_EQ(networks({{"fits", "one"}}), 1U);
  const Fitted one = fit("safe", {source}, data, quick(), small_options({{"fits", "one"}}));
  for (const ReadOut& read_out : one.training().read_outs) {
    EXPECT_DOUBLE_EQ(read_out.weight, 1.0 / 3);
    EXPECT_EQ(read_out.temperature, 1);
    EXPECT_TRUE(std::isnan(read_out.loss));
  }
}

TEST(Safe, TrustsAUsefulSourceAndNoNoise) {
  const Device device = Device::cpu(1);
  StrategyOptions options = small_options();
  options.model = "mlp:16";
  TrainingOptions training = quick(60);
  training.learning_rate = 0.05;
  const auto trust = [&](const FrozenSource& source, std::uint64_t seed) {
    const data::Dataset data = testing::make_vectors(seed, 240, 6, 3, 1.2, device);
    training.seed = seed;
    const std::vector<ReadOut> found = adapt(source, data, training, options).training().read_outs;
    const auto add = [](double sum, const ReadOut& read_out) { return sum + read_out.weight; };
    EXPECT_NEAR(std::accumulate(found.begin(), found.end(), 0.0, add), 1, 1e-9);
    return found[0].weight + found[2].weight;
  };
  for (const std::int64_t width : {16, 64, 512}) EXPECT_LT(trust(noise_source(width, 5), 1), 0.2) << width;
  const FrozenSource useful = FrozenSource::of_features("centred", 3, [](const data::Dataset& dataset) {
    const std::vector<float> x = dataset.inputs.to_vector<float>();
    std::vector<float> first;  // the three columns that tell the classes apart
    for (std::size_t i = 0; i < x.size(); i += 6) first.insert(first.end(), {x[i], x[i + 1], x[i + 2]});
    return Tensor::from(first, {dataset.size(), 3}, Device::cpu(1));
  });
  EXPECT_GT(trust(useful, 1), 0.5);
}

/// One class in ten: a probe that was weighed without its bias would seem worse than the shares of the classes.
TEST(Safe, AProbeOfUnequalClassesIsWeighedAsItPredicts) {
  const Device device = Device::cpu(1);
  const data::Dataset all = testing::make_vectors(3, 1200, 6, 2, 2, device);
  const std::vector<std::int32_t> labels = all.labels.to_vector<std::int32_t>();
  std::vector<std::int64_t> rows;
  std::int64_t rare = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == 0 ? rows.size() < 400 : rare < 40) {
      rows.push_back(static_cast<std::int64_t>(i));
      rare += labels[i];
    }
  }
  const data::Dataset data = all.subset(rows);
  const FrozenSource source =
      FrozenSource::of_features("as they are", 6, [](const data::Dataset& dataset) { return dataset.inputs.clone(); });
  const ReadOut probe = fit("safe", {source}, data, quick(20), small_options()).training().read_outs.at(2);
  const double share = static_cast<double>(rare) / static_cast<double>(rows.size());
  EXPECT_LT(probe.loss, 0.7 * -(share * std::log(share) + (1 - share) * std::log(1 - share)));
  EXPECT_EQ(probe.temperature, 1);
}

/// Three columns that tell the classes apart among hundreds of small ones that do not: in one scale ridge regression
/// leaves these alone.
TEST(Safe, ItsProbeKeepsTheScalesOfFeaturesWhereTheyTellMore) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(5, 80, 6, 3, 2, device);
  const auto source = [](double scale) {
    return FrozenSource::of_features("features", 303, [scale](const data::Dataset& dataset) {
      const std::vector<float> x = dataset.inputs.to_vector<float>();
      RandomSequence random(9, 1);
      std::vector<float> values;
      for (std::size_t i = 0; i < x.size(); i += 6) {
        values.insert(values.end(), {x[i], x[i + 1], x[i + 2]});
        for (int k = 0; k < 300; ++k) values.push_back(static_cast<float>(scale * random.normal()));
      }
      return Tensor::from(values, {dataset.size(), 303}, Device::cpu(1));
    });
  };
  const auto factors = [&](double scale) {
    const Fitted fitted = fit("safe", {source(scale)}, data, quick(), small_options());
    return read_outs_of(fitted).probes().front()->blocks().front().factor.to_vector<float>();
  };
  const std::vector<float> small = factors(0.05), large = factors(20);
  EXPECT_EQ(small.front(), small.back()) << "one factor for all";
  EXPECT_GT(large.front(), 5 * large.back()) << "each its own: large columns of noise would drown the others";
}

TEST(Safe, SeesFlippedLabelsAsTheyAre) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 40, 5, 2, 1.5, device);
  data::Dataset flipped = data.clone();
  std::vector<std::int32_t> labels = data.labels.to_vector<std::int32_t>();
  for (std::int32_t& label : labels) label = 1 - label;
  flipped.labels = Tensor::from(labels, {40}, device);
  const FrozenSource source = vector_source(5, 3, device);
  for (const char* name : {"safe", "ridge-probe"}) {
    TrainingOptions training = quick();
    const Fitted expected = fit(name, {source}, flipped, training, small_options());
    training.label_flips = 1;
    const Fitted found = fit(name, {source}, data, training, small_options());
    EXPECT_TRUE(testing::same_bytes(found.outputs(data).to_vector<float>(), expected.outputs(data).to_vector<float>()))
        << name;
  }
}

TEST(Safe, PredictsRealTargetsInTheirUnits) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const data::Dataset data = real_targets(1, 80, device), test = real_targets(2, 60, device);
    TrainingOptions training = quick(40);
    training.learning_rate = 0.02;
    for (const char* fits : {"folds", "two", "one"}) {
      const Fitted fitted = adapt(vector_source(5, 3, device), data, training, small_options({{"fits", fits}}));
      EXPECT_GT(evaluate(fitted, test).r2, 0.8) << fits;
    }
  }
}

TEST(Safe, SavedAndLoadedItPredictsTheSame) {
  const Device device = Device::cpu(1);
  const Folder folder;
  const data::Dataset data = testing::make_vectors(1, 40, 5, 3, 1.5, device);
  const Fitted fitted =
      adapt({vector_source(5, 3, device), vector_source(5, 4, device)}, data, quick(), small_options());
  ASSERT_EQ(fitted.training().read_outs.size(), 5U);  // the probe on both, and one on each
  fitted.save(folder / "safe");
  const Fitted loaded = Fitted::load(folder / "safe", device);
  EXPECT_TRUE(testing::same_bytes(loaded.outputs(data).to_vector<float>(), fitted.outputs(data).to_vector<float>()));
  for (std::size_t k = 0; k < 5; ++k) {
    EXPECT_EQ(read_outs_of(loaded).read_outs()[k].loss, fitted.training().read_outs[k].loss);
    EXPECT_EQ(read_outs_of(loaded).read_outs()[k].name, fitted.training().read_outs[k].name);
  }
}

TEST(Safe, TooFewSamplesWeighAlike) {
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 4, 5, 4, 1.5, device);  // one a class
  const Fitted fitted = adapt(vector_source(5, 3, device), data, quick(), small_options());
  EXPECT_EQ(read_outs_of(fitted).networks().size(), 1U);
  EXPECT_DOUBLE_EQ(fitted.training().read_outs[1].weight, 1.0 / 3);
  EXPECT_NE(fitted.training().warnings.front().find("too few samples"), std::string::npos);
}

TEST(Safe, AComparisonTellsItsWeights) {
  const Device device = Device::cpu(1);
  const Folder folder;
  data::TrainTest target;
  target.train = testing::make_vectors(1, 40, 5, 3, 1.5, device);
  target.test = testing::make_vectors(2, 30, 5, 3, 1.5, device);
  CompareOptions options;
  options.strategies = {"safe", "safe:fits=one"};
  options.seeds = 2;
  options.training = quick();
  options.strategy = small_options();
  options.state_folder = folder.path();
  const std::vector<FrozenSource> sources{vector_source(5, 3, device)};
  const Comparison first = compare(sources, target, options);
  options.resume = true;
  const Comparison again = compare(sources, target, options);
  for (const Comparison& comparison : {first, again}) {
    const std::vector<ReadOut>& found = comparison.strategies.at(1).read_outs;
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[1].difference, 0);
    EXPECT_GT(found[1].loss, 0);
    EXPECT_NEAR(found[0].weight + found[1].weight + found[2].weight, 1, 1e-9);
    EXPECT_TRUE(std::isnan(comparison.strategies.at(2).read_outs.at(0).loss));
  }
}

TEST(FusedHead, ItsPartsAddUpToWhatItPredicts) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = testing::make_vectors(1, 17, 5, 3, 1.5, device);
    const FrozenSource source = vector_source(5, 3, device);
    const FeatureLookup features = [&](const FrozenSource& of) {
      return std::make_shared<const FeatureTable>(of.features(data));
    };
    const Tensor raw = source.features(data);
    RandomSequence random(2, 3);
    for (const bool with_encoder : {false, true}) {
      std::vector<FrozenBlock> blocks;
      blocks.push_back(FrozenBlock::fit(source, raw, FeatureScaling::standardize, 1));
      auto encoder = with_encoder ? testing::make("mlp", "7", {5}, 4, 8, device) : nullptr;
      FusedHead head(std::move(encoder), {}, std::move(blocks), 3, device, 4);
      std::vector<float> bias;
      for (int c = 0; c < 3; ++c) bias.push_back(static_cast<float>(2 + random.normal()));
      copy_bytes(Tensor::from(bias, {3}, device), head.bias());
      const std::vector<Tensor> parts = head.shares(head.head_inputs(data, head.scaled_features(features)));
      ASSERT_EQ(parts.size(), with_encoder ? 2U : 1U);
      std::vector<double> sum(17 * 3);
      for (const Tensor& part : parts) {
        const std::vector<float> values = part.to_vector<float>();
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
      }
      const std::vector<float> predicted = head.predict(data, features).to_vector<float>();
      for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(predicted[i], sum[i], 1e-5);
    }
  }
}

TEST(FusedHead, CentredFeaturesHaveOneFactor) {
  for (const Device& device : testing::devices()) {
    const Tensor features = Tensor::from(std::vector<float>{1, 10, 3, 30, 5, 50, 7, 70}, {4, 2}, device);
    const FrozenBlock block = FrozenBlock::fit_centred(noise_source(2, 1), features);
    const std::vector<float> found = block.scaled(features.clone()).to_vector<float>();
    const double scale = std::sqrt((5 + 500) / 2.0);  // the variances are 5 and 500
    const std::vector<double> centred{-3, -30, -1, -10, 1, 10, 3, 30};
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], centred[i] / scale, 1e-6);
    const Tensor constant = Tensor::from(std::vector<float>(8, 3.0F), {4, 2}, device);
    const FrozenBlock none = FrozenBlock::fit_centred(noise_source(2, 1), constant);
    for (const float value : none.scaled(constant.clone()).to_vector<float>()) EXPECT_EQ(value, 0.0F);
  }
}

TEST(FusedHead, FeaturesBeyondTheClipAreSetToIt) {
  for (const Device& device : testing::devices()) {
    std::vector<float> values(100, 0.0F);
    for (std::size_t i = 0; i < 100; ++i) values[i] = i % 2 == 0 ? 1.0F : -1.0F;
    values[0] = 50;  // deviation about 5.1: beyond 6 deviations nothing lies, beyond 3 this does
    const Tensor features = Tensor::from(values, {100, 1}, device);
    const FrozenSource source = noise_source(1, 1);
    const FrozenBlock free = FrozenBlock::fit(source, features, FeatureScaling::balance, 2);
    const FrozenBlock clipped = FrozenBlock::fit(source, features, FeatureScaling::balance, 2, 3);
    const std::vector<float> a = free.scaled(features.clone()).to_vector<float>();
    const std::vector<float> b = clipped.scaled(features.clone()).to_vector<float>();
    EXPECT_GT(a[0], 6.0F);
    EXPECT_EQ(b[0], 6.0F);
    for (std::size_t i = 1; i < 100; ++i) EXPECT_EQ(a[i], b[i]);
  }
}

}  // namespace
}  // namespace rtl::transfer

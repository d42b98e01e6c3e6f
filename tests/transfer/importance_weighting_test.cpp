// Weights of a source's samples against known ratios, and the strategy that trains on them by its definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/transfer/compare.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/sample_weights.hpp"
#include "transfer/setting.hpp"

namespace rtl::transfer {
namespace {

using detail::DensityRatioKind;
using testing::quick;

/// Rows around (mean, 0) with deviations `deviation` and 1, and a third number that is the same in all.
Tensor rows_around(std::uint64_t seed, std::int64_t count, double mean, double deviation = 1) {
  RandomSequence random(seed, 4);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(mean + deviation * random.normal()));
    values.push_back(static_cast<float>(random.normal()));
    values.push_back(7);
  }
  return Tensor::from(values, {count, 3}, Device::cpu(1));
}

double mean_of(const std::vector<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST(SampleWeights, OfEqualDomainsAreNearOne) {
  const Tensor source = rows_around(1, 400, 0), target = rows_around(2, 400, 0);
  for (const DensityRatioKind kind : {DensityRatioKind::ulsif, DensityRatioKind::kmm, DensityRatioKind::none}) {
    const auto found = detail::sample_weights(source, target, {.ratio = kind});
    ASSERT_EQ(found.weights.size(), 400U);
    EXPECT_NEAR(mean_of(found.weights), 1, 1e-6);
    double square = 0;
    for (const float weight : found.weights) square += (weight - 1.0) * (weight - 1.0) / 400;
    // Mean matching chooses each weight for itself, so it follows the samples' scatter more than 100 kernels can.
    EXPECT_LT(std::sqrt(square), kind == DensityRatioKind::none ? 1e-12 : kind == DensityRatioKind::ulsif ? 0.2 : 0.7);
  }
  // The same samples: all weights one match the means exactly.
  const auto same = detail::sample_weights(source, source, {.ratio = DensityRatioKind::kmm});
  for (const float weight : same.weights) EXPECT_NEAR(weight, 1, 0.3);
}

/// Mean and variance of the first of three numbers, weighted.
std::pair<double, double> moments(const Tensor& rows, const std::vector<float>& weights) {
  const std::vector<float> x = rows.to_vector<float>();
  double mean = 0, square = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double at = static_cast<double>(x[3 * i]), weight = static_cast<double>(weights[i]) / weights.size();
    mean += weight * at, square += weight * at * at;
  }
  return {mean, square - mean * mean};
}

TEST(SampleWeights, MakeTheSourceLookLikeTheTarget) {
  // A narrow target, so that the ratio is bounded, by 3.9.
  const Tensor source = rows_around(1, 400, 0), target = rows_around(2, 400, 1, 0.5);
  const double wanted = moments(target, std::vector<float>(400, 1.0F)).first;
  const double before = moments(source, std::vector<float>(400, 1.0F)).first;
  for (const DensityRatioKind kind : {DensityRatioKind::ulsif, DensityRatioKind::kmm}) {
    const auto found = detail::sample_weights(source, target, {.ratio = kind, .largest = 20});
    EXPECT_NEAR(mean_of(found.weights), 1, 1e-6);
    EXPECT_GE(*std::min_element(found.weights.begin(), found.weights.end()), 0);
    const auto [mean, variance] = moments(source, found.weights);
    // Regularised estimates do not go all the way.
    EXPECT_LT(variance, 0.5);
    EXPECT_LT(std::abs(mean - wanted), 0.25 * std::abs(before - wanted));
  }
}

TEST(SampleWeights, OfManySamplesAreMadeFromSome) {
  const Tensor source = rows_around(1, 1200, 0), target = rows_around(2, 1100, 0.5);
  const auto ratio = detail::sample_weights(source, target, {.seed = 3});
  EXPECT_EQ(ratio.rows.size(), 1200U) << "the ratio is a function, known of all samples";
  const auto matched = detail::sample_weights(source, target, {.ratio = DensityRatioKind::kmm, .seed = 3});
  EXPECT_EQ(matched.rows.size(), static_cast<std::size_t>(detail::most_matched_samples));
  EXPECT_TRUE(std::is_sorted(matched.rows.begin(), matched.rows.end()));
  EXPECT_EQ(std::adjacent_find(matched.rows.begin(), matched.rows.end()), matched.rows.end());
  EXPECT_EQ(matched.rows, detail::sample_weights(source, target, {.ratio = DensityRatioKind::kmm, .seed = 3}).rows);
  EXPECT_NE(matched.rows, detail::sample_weights(source, target, {.ratio = DensityRatioKind::kmm, .seed = 4}).rows);
  EXPECT_NEAR(mean_of(matched.weights), 1, 1e-6);
}

TEST(SampleWeights, AreBounded) {
  const Tensor source = rows_around(1, 400, 0), target = rows_around(2, 400, 2, 0.3);
  for (const DensityRatioKind kind : {DensityRatioKind::ulsif, DensityRatioKind::kmm}) {
    const auto free = detail::sample_weights(source, target, {.ratio = kind, .largest = 1000}).weights;
    EXPECT_GT(*std::max_element(free.begin(), free.end()), 8);
    const auto bounded = detail::sample_weights(source, target, {.ratio = kind, .largest = 8}).weights;
    EXPECT_LE(*std::max_element(bounded.begin(), bounded.end()), 8);
    EXPECT_NEAR(mean_of(free), 1, 1e-6);
    EXPECT_NEAR(mean_of(bounded), 1, 1e-6);
    if (kind == DensityRatioKind::kmm) continue;  // another problem altogether
    for (std::size_t i = 1; i < free.size(); ++i) {
      EXPECT_FALSE(free[i] > free[i - 1] && bounded[i] < bounded[i - 1]);
      EXPECT_EQ(free[i] == 0, bounded[i] == 0);
    }
  }
}

TEST(SampleWeights, WithoutOverlapAreZero) {
  // Pooled, both domains are narrow; kernels as wide as the target vanish at the source.
  std::vector<float> far, near;
  RandomSequence random(1, 2);
  for (int i = 0; i < 50; ++i) far.push_back(static_cast<float>(random.normal()));
  for (int i = 0; i < 50; ++i) near.push_back(static_cast<float>(1e6 + random.normal()));
  const Tensor source = Tensor::from(far, {50, 1}, Device::cpu(1)),
               target = Tensor::from(near, {50, 1}, Device::cpu(1));
  for (const float weight : detail::sample_weights(source, target, {}).weights) EXPECT_EQ(weight, 0);
}

/// Two numbers x; the class is whether a curved function of the first is above the second, so that a small network must
/// choose where it is right.
data::Dataset curve(std::uint64_t seed, std::int64_t count, double mean, double deviation, const Device& device) {
  RandomSequence random(seed, 5);
  std::vector<float> x;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    const double a = mean + deviation * random.normal(), b = random.normal();
    x.push_back(static_cast<float>(a)), x.push_back(static_cast<float>(b));
    labels.push_back(static_cast<std::int32_t>(a * a - 1 > b));
  }
  data::Dataset dataset;
  dataset.inputs = Tensor::from(x, {count, 2}, device);
  dataset.labels = Tensor::from(labels, {count}, device);
  dataset.classes = 2;
  dataset.name = "curve";
  return dataset;
}

struct Setting : testing::Setting {
  explicit Setting(const Device& device)
      : testing::Setting(curve(1, 16, 1, 0.4, device), curve(2, 2000, 1, 0.4, device), curve(3, 600, -0.7, 1, device)),
        source(FrozenSource::of_matrices("columns", {{&train, train.inputs}, {&source_data, source_data.inputs}})) {
    options.model = "mlp:1";
  }
  Fitted fit(const std::string& name, const TrainingOptions& training) const {
    return testing::Setting::fit(name, {source}, training);
  }
  FrozenSource source;
};

TEST(ImportanceWeighting, WithoutTheSourcesShareIsScratch) {
  for (const Device& device : testing::devices()) {
    Setting setting(device);
    setting.options.source_data = nullptr;
    const Fitted none = setting.fit("importance-weighting:source_share=0", quick(4));
    const Fitted alone = scratch(setting.train, quick(4), setting.options);
    EXPECT_TRUE(testing::same_bytes(testing::values_of(none.state()), testing::values_of(alone.state())));
  }
}

TEST(ImportanceWeighting, FirstLossIsTheFormula) {
  const Device device = Device::cpu(1);
  const Setting setting(device);
  TrainingOptions training = quick(1);
  training.batch_size = 16;
  training.learning_rate = 1e-9;
  // A source of as many samples, so that a batch is all of both.
  const data::Dataset beside = curve(4, 16, 0, 1, device);
  const FrozenSource source =
      FrozenSource::of_matrices("columns", {{&setting.train, setting.train.inputs}, {&beside, beside.inputs}});
  StrategyOptions options = setting.options;
  options.source_data = &beside;
  const Fitted fitted =
      transfer::fit("importance-weighting:source_share=0.3", {source}, setting.train, training, options);
  const auto weights = detail::sample_weights(beside.inputs, setting.train.inputs, {.seed = training.seed}).weights;
  const auto loss_of = [&](const data::Dataset& data, const std::vector<float>& w) {
    const std::vector<float> z = fitted.outputs(data).to_vector<float>();
    const std::vector<std::int32_t> labels = data.labels.to_vector<std::int32_t>();
    double loss = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const double a = static_cast<double>(z[2 * i]), b = static_cast<double>(z[2 * i + 1]);
      const double own = labels[i] == 0 ? a : b;
      loss += static_cast<double>(w[i]) * (std::log(std::exp(a) + std::exp(b)) - own) / 16;
    }
    return loss;
  };
  const double wanted = 0.7 * loss_of(setting.train, std::vector<float>(16, 1.0F)) + 0.3 * loss_of(beside, weights);
  EXPECT_NEAR(fitted.training().losses.front(), wanted, 1e-5);
}

/// A line through the first number, with a slope of 40 from 100.
data::Dataset line(std::uint64_t seed, std::int64_t count, double mean, const Device& device) {
  data::Dataset dataset = curve(seed, count, mean, 1, device);
  const std::vector<float> x = dataset.inputs.to_vector<float>();
  std::vector<float> y;
  for (std::size_t i = 0; i < x.size(); i += 2) y.push_back(100 + 40 * x[i]);
  dataset.labels = {};
  dataset.classes = 0;
  dataset.targets = Tensor::from(y, {count, 1}, device);
  return dataset;
}

TEST(ImportanceWeighting, RealTargetsAreInTheTargetsUnits) {
  const Device device = Device::cpu(1);
  const data::Dataset train = line(1, 16, 1, device), beside = line(2, 16, 0, device);
  const FrozenSource source = FrozenSource::of_matrices("columns", {{&train, train.inputs}, {&beside, beside.inputs}});
  StrategyOptions options;
  options.model = "mlp:4";
  options.source_data = &beside;
  TrainingOptions training = quick(1);
  training.learning_rate = 1e-9;
  const Fitted fitted = transfer::fit("importance-weighting:source_share=0.3", {source}, train, training, options);
  const auto weights = detail::sample_weights(beside.inputs, train.inputs, {.seed = training.seed}).weights;
  const double deviation = fitted.task().deviation.front();
  const auto loss_of = [&](const data::Dataset& data, const std::vector<float>& w) {
    const std::vector<float> f = fitted.outputs(data).to_vector<float>(), y = data.targets.to_vector<float>();
    double loss = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double error = (static_cast<double>(f[i]) - static_cast<double>(y[i])) / deviation;
      loss += static_cast<double>(w[i]) * error * error / 16;
    }
    return loss;
  };
  const double wanted = 0.7 * loss_of(train, std::vector<float>(16, 1.0F)) + 0.3 * loss_of(beside, weights);
  EXPECT_NEAR(fitted.training().losses.front() / wanted, 1, 1e-5);
}

TEST(ImportanceWeighting, SeedsAtOnceEndAsAlone) {
  for (const Device& device : testing::devices()) {
    // More of the source's samples than are matched, so that seeds draw others.
    const data::TrainTest target{curve(1, 40, 1, 0.4, device), curve(2, 50, 1, 0.4, device)};
    const data::Dataset source_data = curve(3, 600, 0, 1, device);
    const FrozenSource source(testing::make("mlp", "6", {2}, 2, 4, device));
    CompareOptions options;
    options.strategy.model = "mlp:4";
    options.strategy.source_data = &source_data;
    options.training = quick(3);
    options.strategies = {"importance-weighting", "importance-weighting:kmm"};
    options.seeds = 3;
    options.train_samples = 24;
    options.threads_per_run = 1;
    options.replicas = 1;
    const Comparison alone = compare({source}, target, options);
    options.replicas = 3;
    const Comparison together = compare({source}, target, options);
    ASSERT_EQ(alone.strategies.size(), together.strategies.size());
    for (std::size_t i = 0; i < alone.strategies.size(); ++i) {
      EXPECT_EQ(alone.strategies[i].accuracy.values, together.strategies[i].accuracy.values);
      EXPECT_EQ(alone.strategies[i].losses, together.strategies[i].losses);
    }
  }
}

TEST(ImportanceWeighting, BeatsWeightsOfOneUnderCovariateShift) {
  const Device device = Device::cpu(1);
  const Setting setting(device);
  double weighted = 0, alike = 0;
  const int seeds = 5;
  for (int seed = 1; seed <= seeds; ++seed) {
    TrainingOptions training = quick(300, static_cast<std::uint64_t>(seed));
    training.learning_rate = 0.05;
    const auto accuracy = [&](const std::string& name) {
      return evaluate(setting.fit("importance-weighting:source_share=1:" + name, training), setting.test).accuracy /
             seeds;
    };
    weighted += accuracy("ulsif");
    alike += accuracy("none");
  }
  EXPECT_GT(weighted, alike + 0.2) << weighted << " and " << alike;
}

TEST(ImportanceWeighting, SaysThatNoSampleIsLikeTheTargets) {
  const Device device = Device::cpu(1);
  const Setting setting(device);
  const FrozenSource apart = FrozenSource::of_features("apart", 2, [&](const data::Dataset& data) {
    std::vector<float> x = data.inputs.to_vector<float>();
    if (data.size() == setting.source_data.size()) {
      for (float& value : x) value += 1e6F;
    }
    return Tensor::from(x, data.inputs.shape(), device);
  });
  const std::string name = "importance-weighting";
  const auto says = [](const Fitted& fitted) {
    const std::vector<std::string>& warnings = fitted.training().warnings;
    return std::any_of(warnings.begin(), warnings.end(), [](const std::string& warning) {
      return warning.find("no sample of the source") != std::string::npos;
    });
  };
  EXPECT_TRUE(says(transfer::fit(name, {apart}, setting.train, quick(1), setting.options)));
  EXPECT_FALSE(says(setting.fit(name, quick(1))));
}

TEST(ImportanceWeighting, RefusesWhatItCannotUse) {
  const Device device = Device::cpu(1);
  Setting setting(device);
  const std::string name = "importance-weighting";
  setting.options.source_data = nullptr;
  EXPECT_THROW(setting.fit(name, quick(1)), ValueError);
  data::Dataset other = setting.source_data.clone();
  other.classes = 3;
  setting.options.source_data = &other;
  EXPECT_THROW(setting.fit(name, quick(1)), ValueError);
  other = setting.source_data.clone();
  other.labels = {};
  EXPECT_THROW(setting.fit(name, quick(1)), ValueError) << "no labels";
  const data::Dataset wide = testing::make_vectors(3, 50, 5, 2, 2.5, device);
  setting.options.source_data = &wide;
  EXPECT_THROW(setting.fit(name, quick(1)), ValueError) << "five columns, not the target's";
  const std::vector<std::string> fitting = strategies_for({setting.source}, setting.train, setting.options);
  EXPECT_EQ(std::count(fitting.begin(), fitting.end(), name), 0);
  EXPECT_EQ(std::count(fitting.begin(), fitting.end(), "dann-gate"), 1) << "which looks at features alone";
  const FrozenSource constant = FrozenSource::of_features("constant", 2, [&](const data::Dataset& data) {
    return Tensor::from(std::vector<float>(static_cast<std::size_t>(2 * data.size()), 1.0F), {data.size(), 2}, device);
  });
  setting.options.source_data = &setting.source_data;
  const Fitted alike = transfer::fit(name, {constant}, setting.train, quick(1), setting.options);
  EXPECT_NE(alike.training().warnings.front().find("all weights are one"), std::string::npos);
  const Fitted none = transfer::fit(name + ":density_ratio=none", {constant}, setting.train, quick(1), setting.options);
  EXPECT_TRUE(testing::same_bytes(testing::values_of(alike.state()), testing::values_of(none.state())));
  for (const char* option : {":source_share=1.5", ":largest_weight=0.5", ":density_ratio=median"}) {
    EXPECT_THROW(setting.fit(name + option, quick(1)), ValueError) << option;
  }
}

}  // namespace
}  // namespace rtl::transfer

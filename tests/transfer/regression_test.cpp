// Real targets everywhere that classes are: training, strategies, scores, comparisons, files.
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/transfer/compare.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

/// y = a linear function of x, far from zero and in large units, plus noise; a second output in small units.
data::Dataset line(std::uint64_t seed, std::int64_t count, std::int64_t outputs, const Device& device) {
  RandomSequence random(seed, 9);
  std::vector<float> x, y;
  for (std::int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int j = 0; j < 4; ++j) {
      x.push_back(static_cast<float>(random.normal()));
      sum += (j + 1) * static_cast<double>(x.back());
    }
    y.push_back(static_cast<float>(1e4 + 100 * (sum + 0.5 * random.normal())));
    if (outputs == 2) y.push_back(static_cast<float>(-3e-3 + 1e-4 * (static_cast<double>(x[x.size() - 4]) - sum)));
  }
  data::Dataset dataset;
  dataset.inputs = Tensor::from(x, {count, 4}, device);
  dataset.targets = Tensor::from(y, {count, outputs}, device);
  dataset.name = "line";
  return dataset;
}

StrategyOptions small() {
  StrategyOptions options;
  options.model = "mlp:16";
  options.values["adapter_dropout"] = "0";  // there are sixteen features: half of them do not give the line
  return options;
}

FrozenSource source_of(const Device& device) {
  const data::Dataset data = line(7, 200, 1, device);
  TrainingOptions training = quick(20);
  return FrozenSource(
      [&] {
        Fitted fitted = scratch(data, training, small());
        auto& network = dynamic_cast<NetworkPredictor&>(fitted.predictor());
        return layers::clone(network.network(), device);
      }(),
      data::fit_normalization(data), "", Precision::f32, "", Task::of(data));
}

TEST(Regression, ScoresAreThoseOfTheTextbook) {
  const std::vector<double> y{1, 2, 3, 6}, f{1, 1, 4, 5};
  const Scores scores = score_regression(f, y, 1);
  // mean 3, total 4 + 1 + 0 + 9 = 14, residual 0 + 1 + 1 + 1 = 3
  EXPECT_NEAR(scores.r2, 1 - 3.0 / 14, 1e-15);
  EXPECT_NEAR(scores.rmse, std::sqrt(3.0 / 4), 1e-15);
  EXPECT_EQ(scores.value(), scores.r2);
  double mean = 0;
  for (const double part : scores.sample_values()) mean += part / 4;
  EXPECT_NEAR(mean, scores.r2, 1e-15);
  const std::vector<double> two_y{1, 10, 2, 20, 3, 30, 6, 10}, two_f{1, 10, 1, 20, 4, 30, 5, 10};
  EXPECT_NEAR(score_regression(two_f, two_y, 2).r2, (1 - 3.0 / 14 + 1) / 2, 1e-15);
  EXPECT_THROW(score_regression(f, {}, 1), ValueError);
  EXPECT_THROW(score_regression(f, y, 3), ShapeError);
  EXPECT_THROW(score_regression(y, std::vector<double>(4, 2.0), 1), ValueError);
  // The mean of ten times 0.1 is not 0.1, but nothing varies.
  const std::vector<double> tenths(10, 0.1);
  EXPECT_THROW(score_regression(tenths, tenths, 1), ValueError);
  data::Dataset constant;
  constant.inputs = Tensor::zeros({10, 1}, DType::f32, Device::cpu(1));
  constant.targets = Tensor::from(std::vector<float>(10, 0.1F), {10, 1}, Device::cpu(1));
  EXPECT_THROW(Task::of(constant), ValueError);
  EXPECT_THROW(score_regression(std::vector<double>{1, NAN, 2, 3}, y, 1), ValueError);
}

TEST(Regression, TargetsAreStandardisedByTheTrainingRows) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = line(1, 50, 2, device);
    const Task task = Task::of(data);
    EXPECT_TRUE(task.regression);
    EXPECT_EQ(task.outputs, 2);
    const std::vector<float> standard = standardized_targets(task, data);
    for (std::size_t output = 0; output < 2; ++output) {
      double mean = 0, square = 0;
      for (std::size_t i = output; i < standard.size(); i += 2) {
        mean += static_cast<double>(standard[i]) / 50;
        square += static_cast<double>(standard[i]) * static_cast<double>(standard[i]) / 50;
      }
      EXPECT_NEAR(mean, 0, 1e-5);
      EXPECT_NEAR(square, 1, 1e-5);
    }
    const Tensor back = in_units(task, Tensor::from(standard, {50, 2}, device));
    const std::vector<float> given = data.targets.to_vector<float>(), there = back.to_vector<float>();
    for (std::size_t i = 0; i < given.size(); ++i) EXPECT_NEAR(there[i] / given[i], 1, 1e-6);
  }
}

TEST(Regression, EveryStrategyThatTakesItLearnsTheLine) {
  for (const Device& device : testing::devices()) {
    const data::Dataset train_part = line(1, 80, 1, device), test_part = line(2, 200, 1, device);
    const data::Dataset source_part = line(7, 200, 1, device);
    const FrozenSource source = source_of(device);
    StrategyOptions options = small();
    options.source_data = &source_part;
    for (const Strategy* strategy : testing::library_strategies()) {
      const StrategyInfo& info = strategy->info();
      SCOPED_TRACE(info.name + " " + device.name());
      const auto run = [&](std::uint64_t seed) {
        return fit(info.name, testing::sources_for(info, source), train_part, quick(30, seed), options);
      };
      if (!info.regression) {
        EXPECT_THROW(run(1), ValueError);
        continue;
      }
      const Fitted fitted = run(1);
      const Scores scores = evaluate(fitted, test_part);
      EXPECT_TRUE(scores.regression);
      EXPECT_GT(scores.r2, 0.9);
      EXPECT_LT(scores.rmse, 250);
      EXPECT_TRUE(fitted.training().warnings.empty()) << fitted.training().warnings.front();
      EXPECT_EQ(fitted.classes(), 0);
      const Folder folder;
      fitted.save(folder / "model");
      const Fitted loaded = Fitted::load(folder / "model", device);
      EXPECT_EQ(loaded.task(), fitted.task());
      EXPECT_TRUE(testing::same_bytes(loaded.outputs(test_part).to_vector<float>(),
                                      fitted.outputs(test_part).to_vector<float>()));
    }
  }
}

TEST(Regression, SeveralOutputsAndStacks) {
  const Device device = Device::cpu(1);
  const data::Dataset train_part = line(1, 80, 2, device), test_part = line(2, 100, 2, device);
  Fitted a = scratch(train_part, quick(30, 1), small()), b = scratch(train_part, quick(30, 2), small());
  EXPECT_GT(evaluate(a, test_part).r2, 0.8);
  const std::vector<float> x = a.predictor().predict(test_part, {}).to_vector<float>();
  const std::vector<float> y = b.predictor().predict(test_part, {}).to_vector<float>();
  const auto copy = [&](Fitted& from) {
    auto& network = dynamic_cast<NetworkPredictor&>(from.predictor());
    return std::make_unique<NetworkPredictor>(layers::clone(network.network(), device), network.normalization());
  };
  std::vector<StackMember> members;
  members.push_back({copy(a), 0.25});
  members.push_back({copy(b), 0.5, 0.8});
  Stack stack(true, std::move(members));
  const std::vector<float> mean = stack.predict(test_part, {}).to_vector<float>();
  for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(mean[i], 0.25F * x[i] + 0.4F * y[i], 1e-5);
}

TEST(Regression, ReplicasAndResumesAreTheSame) {
  for (const Device& device : testing::devices()) {
    const data::TrainTest target{line(1, 60, 1, device), line(2, 60, 1, device)};
    CompareOptions options;
    options.strategies = {"scratch", "probe", "refine", "fine-tune"};
    options.strategy = small();
    options.training = quick(4);
    options.seeds = 3;
    options.train_samples = 40;
    const Folder folder;
    std::vector<Comparison> all;
    for (const std::int64_t replicas : {1, 3}) {
      options.replicas = replicas;
      all.push_back(compare({source_of(device)}, target, options));
    }
    options.state_folder = folder / "runs";
    options.resume = true;
    int epochs = 0;
    options.stop = [&] { return ++epochs == 9; };
    EXPECT_THROW(compare({source_of(device)}, target, options), Interrupted);
    options.stop = nullptr;
    all.push_back(compare({source_of(device)}, target, options));
    for (const Comparison& comparison : all) {
      EXPECT_TRUE(comparison.regression);
      for (std::size_t i = 0; i < comparison.strategies.size(); ++i) {
        EXPECT_EQ(comparison.strategies[i].r2.values, all.front().strategies[i].r2.values);
        EXPECT_EQ(comparison.strategies[i].difference_from_scratch.mean,
                  all.front().strategies[i].difference_from_scratch.mean);
      }
      EXPECT_GT(comparison.scratch.above_majority.mean, -1);
    }
    EXPECT_NEAR(all.front().strategies[1].difference_from_scratch.mean,
                all.front().strategies[1].r2.mean - all.front().strategies[0].r2.mean, 1e-9);
  }
}

TEST(Regression, SaysWhatCannotBe) {
  const Device device = Device::cpu(1);
  const data::Dataset data = line(1, 30, 1, device);
  TrainingOptions flips = quick(1);
  flips.label_flips = 0.1;
  EXPECT_THROW(scratch(data, flips, small()), ValueError);
  const data::Dataset classes = testing::make_vectors(1, 30, 4, 3, 1.0, device);
  const Fitted fitted = scratch(data, quick(1), small());
  EXPECT_THROW(evaluate(fitted, classes), Error);
  data::Dataset constant = line(1, 30, 1, device);
  constant.targets = Tensor::from(std::vector<float>(30, 2.0F), {30, 1}, device);
  EXPECT_THROW(scratch(constant, quick(1), small()), ValueError);
  CompareOptions options;
  options.strategy = small();
  options.training = quick(1);
  EXPECT_THROW(compare({}, {line(1, 30, 1, device), line(1, 30, 2, device)}, options), ValueError);
  EXPECT_THROW(compare({}, {line(1, 30, 1, device), classes.clone()}, options), ValueError);
}

TEST(Regression, ANetworkThatLearnsNothingIsToldOf) {
  const Device device = Device::cpu(1);
  const data::Dataset data = line(1, 40, 1, device);
  TrainingOptions training = quick(1);
  training.learning_rate = 1e-12;
  const Fitted fitted = scratch(data, training, small());
  ASSERT_FALSE(fitted.training().warnings.empty());
  EXPECT_NE(fitted.training().warnings.front().find("learned nothing"), std::string::npos);
}

}  // namespace
}  // namespace rtl::transfer

// What a comparison points out beside its verdicts: runs that diverge, predictions that are constant, a scratch that
// did not learn.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/transfer/compare.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;

data::TrainTest target(const Device& device) {
  return {testing::make_vectors(1, 60, 10, 3, 4.0, device), testing::make_vectors(2, 200, 10, 3, 4.0, device)};
}

/// Every weight of the trunk times `factor`: 0 makes dead features, 1e22 such that a head on them diverges.
FrozenSource source(const Device& device, float factor) {
  auto network = testing::make("mlp", "8", {10}, 3, 3, device);
  for (const auto& parameter : network->state().parameters) {
    Tensor& value = parameter.value();
    for (std::int64_t i = 0; i < value.count(); ++i) value.data_as<float>()[i] *= factor;
  }
  return FrozenSource(std::move(network), {}, "scaled");
}

CompareOptions small_options() {
  CompareOptions options;
  options.seeds = 3;
  options.training = testing::quick(6);
  options.strategy.model = "mlp:12";
  options.strategies = {"probe"};
  return options;
}

TEST(CompareNotes, ADivergedRunCostsItsOwnRow) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  options.strategies = {"probe", "refine:balance"};
  const Folder folder;
  options.state_folder = folder / "runs";
  const FrozenSource wild = source(device, 1e22F);
  const Comparison comparison = compare({wild}, target(device), options);
  const StrategyResult& scratch = comparison.strategies.at(0);
  const StrategyResult& probe = comparison.strategies.at(1);
  const StrategyResult& refine = comparison.strategies.at(2);
  EXPECT_EQ(scratch.diverged, 0);
  EXPECT_GT(scratch.accuracy.mean, 0.6);
  EXPECT_EQ(probe.diverged, 3);
  EXPECT_NE(probe.divergence.find("learning rate"), std::string::npos) << probe.divergence;
  EXPECT_EQ(probe.pairs, 0);
  EXPECT_EQ(probe.accuracy.values.size(), 3U);
  EXPECT_TRUE(std::isnan(probe.accuracy.mean) && std::isnan(probe.accuracy.values[0]));
  EXPECT_EQ(probe.verdict, Verdict::undecided);
  EXPECT_EQ(probe.p_value_holm, 1);
  EXPECT_EQ(refine.diverged, 0);
  EXPECT_EQ(refine.pairs, 3);
  EXPECT_GT(refine.accuracy.mean, 0.6);
  // Kept as what it is.
  options.resume = true;
  int trained = 0;
  options.progress = [&trained](const CompareProgress& progress) { trained += progress.training.epoch > 0; };
  const Comparison again = compare({wild}, target(device), options);
  EXPECT_EQ(trained, 0);
  EXPECT_EQ(again.strategies.at(1).divergence, probe.divergence);
  EXPECT_EQ(again.strategies.at(2).accuracy.values, refine.accuracy.values);
}

TEST(CompareNotes, AScratchThatDivergesLeavesNothingToCompare) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  options.training.learning_rate = 1e30;
  const Comparison comparison = compare({source(device, 1)}, target(device), options);
  EXPECT_EQ(comparison.strategies.at(0).diverged, 3);
  EXPECT_NE(comparison.strategies.at(0).divergence.find("1e+30"), std::string::npos);
  EXPECT_EQ(comparison.strategies.at(1).verdict, Verdict::undecided);
  EXPECT_TRUE(std::isnan(comparison.strategies.at(1).difference_from_scratch.mean));
}

TEST(CompareNotes, OtherErrorsEndTheComparison) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  const FrozenSource infinite = source(device, 3e38F);  // its weights are finite, its features are not
  EXPECT_THROW(compare({infinite}, target(device), options), ValueError);
}

TEST(CompareNotes, ConstantPredictionsAndForgottenClassesAreCounted) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  data::TrainTest data = target(device);
  // Four of five training labels are class 0, and dead features cannot tell the samples apart.
  std::vector<std::int32_t> labels(60, 0);
  for (std::size_t i = 0; i < labels.size(); i += 5) labels[i] = 1;
  labels[5] = 2;
  data.train.labels = Tensor::from(labels, {60}, device);
  const Comparison comparison = compare({source(device, 0)}, data, options);
  const StrategyResult& probe = comparison.strategies.at(1);
  EXPECT_EQ(probe.constant, 3);
  EXPECT_TRUE(probe.forgotten.empty());
  const StrategyResult& scratch = comparison.strategies.at(0);
  EXPECT_EQ(scratch.constant == 3 ? std::vector<std::int32_t>() : scratch.forgotten,
            scratch.constant == 3 ? std::vector<std::int32_t>() : (std::vector<std::int32_t>{2}));
}

TEST(CompareNotes, AScratchThatDidNotLearnIsSeen) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  const Comparison learned = compare({source(device, 1)}, target(device), options);
  EXPECT_TRUE(learned.scratch.beats_majority);
  EXPECT_TRUE(learned.scratch.loss_fell);
  EXPECT_GT(learned.scratch.majority_share, 0.3);
  options.training.learning_rate = 1e-12;
  const Comparison still = compare({source(device, 1)}, target(device), options);
  EXPECT_FALSE(still.scratch.beats_majority && still.scratch.loss_fell);
}

TEST(CompareNotes, EqualStrategiesHaveNoSpreadAndNoVerdict) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  options.strategies = {"refine"};
  options.training.learning_rate = 1e-12;  // both keep their initial weights; the head's bias decides alike
  options.training.epochs = 1;
  const Comparison comparison = compare({source(device, 0)}, target(device), options);
  const StrategyResult& refine = comparison.strategies.at(1);
  EXPECT_EQ(refine.verdict, Verdict::undecided);
  EXPECT_EQ(refine.verdict_new_samples, Verdict::undecided);
  EXPECT_GT(refine.difference_from_scratch.high - refine.difference_from_scratch.low, 0.01);
}

}  // namespace
}  // namespace rtl::transfer

// Samples that count more than others: a weight of 0 is an absent sample, one of 2 a sample that stands there twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using data::Normalization;
using testing::quick;
using Rows = std::vector<std::int64_t>;

std::vector<float> trained(const data::Dataset& data, std::int64_t outputs, std::int64_t replicas = 1) {
  const Device& device = data.inputs.device();
  TrainingOptions options = quick(4);
  options.batch_size = data.size();  // one step an epoch, so that the order does not matter
  std::vector<std::unique_ptr<layers::Network>> networks;
  for (std::int64_t i = 0; i < replicas; ++i) networks.push_back(testing::make("mlp", "6", {5}, outputs, 1, device));
  train(*networks.front(), data, Normalization::none, options);
  return testing::values_of(networks.front()->state());
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5 * (1 + std::abs(b[i]))) << i;
}

/// Rows 0 .. 29 of 40 count, some of them twice.
struct Weighted {
  data::Dataset all, repeated;
};

Weighted weighted(bool real, const Device& device) {
  data::Dataset data = testing::make_vectors(5, 40, 5, 3, 1.0, device);
  if (real) {
    std::vector<float> targets;
    for (const std::int32_t label : data.labels.to_vector<std::int32_t>()) {
      targets.push_back(static_cast<float>(label) + 0.25F);
      targets.push_back(static_cast<float>(2 - label));
    }
    data.targets = Tensor::from(targets, {40, 2}, device);
    data.labels = Tensor();
    data.classes = 0;
    data.class_names.clear();
  }
  std::vector<float> weights;
  Rows rows;
  for (std::int64_t row = 0; row < 40; ++row) {
    const int times = row >= 30 ? 0 : row % 3 == 0 ? 2 : 1;
    weights.push_back(0.5F * static_cast<float>(times));
    for (int i = 0; i < times; ++i) rows.push_back(row);
  }
  Weighted made{data.clone(), data.subset(rows)};
  made.all.weights = Tensor::from(weights, {40}, device);
  return made;
}

TEST(WeightedRows, TrainAsIfTheyStoodThereSoOften) {
  for (const Device& device : testing::devices()) {
    SCOPED_TRACE(device.name());
    const Weighted data = weighted(false, device);
    expect_near(trained(data.all, 3), trained(data.repeated, 3));
    data::Dataset plain = data.all.clone();
    plain.weights = Tensor();
    EXPECT_NE(trained(plain, 3), trained(data.all, 3));
  }
}

TEST(WeightedRows, EqualWeightsChangeNothing) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_vectors(6, 30, 5, 3, 1.0, device);
  const std::vector<float> before = trained(data, 3);
  data.weights = Tensor::from(std::vector<float>(30, 7.0F), {30}, device);
  expect_near(trained(data, 3), before);
}

TEST(WeightedRows, OfWrongFormAreRefused) {
  const Device device = Device::cpu(1);
  data::Dataset data = testing::make_vectors(6, 30, 5, 3, 1.0, device);
  data.weights = Tensor::from(std::vector<float>(29, 1.0F), {29}, device);
  EXPECT_THROW(data.check(), ValueError);
  for (const float bad : {-1.0F, std::nanf("")}) {
    std::vector<float> weights(30, 1.0F);
    weights[3] = bad;
    data.weights = Tensor::from(weights, {30}, device);
    EXPECT_THROW(data.validate(true), ValueError);
  }
  data.weights = Tensor::from(std::vector<float>(30, 0.0F), {30}, device);
  EXPECT_THROW(data.validate(true), ValueError);
}

TEST(WeightedRows, TheRidgeProbeCountsThemToo) {
  const Device device = Device::cpu(1);
  for (const bool real : {false, true}) {
    const Weighted data = weighted(real, device);
    auto network = testing::make("mlp", "7", {5}, 3, 2, device);
    const FrozenSource source(std::move(network), data::InputNormalization(Normalization::none), "tutor");
    // One penalty, since leave-one-out of a row that stands there twice is another thing.
    StrategyOptions options;
    options.values["ridge-probe"] = {};
    const Fitted one =
        fit("ridge-probe:lowest_penalty=0.1:highest_penalty=0.1:penalties=1", {source}, data.all, quick(1));
    data::Dataset unweighted = data.all.clone();
    unweighted.weights = Tensor();
    const Fitted plain =
        fit("ridge-probe:lowest_penalty=0.1:highest_penalty=0.1:penalties=1", {source}, unweighted, quick(1));
    const std::vector<float> a = one.outputs(data.all).to_vector<float>();
    const std::vector<float> b = plain.outputs(data.all).to_vector<float>();
    double difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      difference = std::max(difference, std::abs(static_cast<double>(a[i]) - b[i]));
    EXPECT_GT(difference, 1e-3) << "weights matter";
  }
}

TEST(WeightedRows, OfTheSourceCountOrAreRefused) {
  const Device device = Device::cpu(1);
  const data::Dataset train = testing::make_vectors(1, 24, 5, 3, 1.0, device);
  const Weighted beside = weighted(false, device);
  data::Dataset plain = beside.all.clone();
  plain.weights = Tensor();
  const FrozenSource source(testing::make("mlp", "7", {5}, 3, 2, device), {}, "tutor");
  StrategyOptions options;
  options.model = "mlp:4";
  int counted = 0, refused = 0;
  for (const Strategy* strategy : testing::library_strategies()) {
    const StrategyInfo& info = strategy->info();
    if (!info.uses_source_data) continue;
    SCOPED_TRACE(info.name);
    const std::string label = info.name == "cat" ? "cat:members=1:pretraining_epochs=2" : info.name;
    const auto outputs = [&](const data::Dataset& data) {
      options.source_data = &data;
      return fit(label, {source}, train, quick(1), options).outputs(train).to_vector<float>();
    };
    const std::vector<float> alike = outputs(plain);
    if (info.source_weights) {
      EXPECT_NE(outputs(beside.all), alike);
      ++counted;
      continue;
    }
    try {
      outputs(beside.all);
      ADD_FAILURE() << "the weights are ignored";
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find(info.name + " counts all of the source's samples alike"),
                std::string::npos)
          << error.what();
      ++refused;
    }
    const std::vector<std::string> all = strategies_for({source}, train, options);
    EXPECT_EQ(std::count(all.begin(), all.end(), info.name), 0);
  }
  EXPECT_EQ(counted, 2);
  EXPECT_EQ(refused, 4);
}

TEST(WeightedRows, OfASourceThatIsNotLookedAtAreNoFault) {
  const Device device = Device::cpu(1);
  const Weighted beside = weighted(false, device);
  const FrozenSource source(testing::make("mlp", "7", {5}, 3, 2, device), {}, "tutor");
  StrategyOptions options;
  options.source_data = &beside.all;
  const data::Dataset train = testing::make_vectors(1, 24, 5, 3, 1.0, device);
  EXPECT_NO_THROW(fit("dann-gate:source_half=target", {source}, train, quick(1), options));
}

}  // namespace
}  // namespace rtl::transfer

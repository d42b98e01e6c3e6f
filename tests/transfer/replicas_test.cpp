// Trainings at once, as replicas of one plan: each ends with the bytes that it has alone.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <tuple>

#include "rtl/transfer/training.hpp"
#include "support/devices.hpp"
#include "transfer/replica_rule.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;

/// Networks to train, and what the trainings give.
struct Case {
  std::string name, variant;
  OptimizerKind optimizer = OptimizerKind::sgd;
};

struct Result {
  std::vector<float> values;
  std::vector<double> losses;
  std::vector<std::string> warnings;
  std::int64_t steps = 0;
  bool complete = false;
  std::string divergence;
};

using Data = std::deque<data::Dataset>;

/// Trains the networks of consecutive seeds, a training for each options, as replicas or one after the other. Replica r
/// trains on data[r], or on the last.
std::vector<Result> trained(const Case& one, const Data& data, const std::vector<TrainingOptions>& options,
                            bool at_once, const Device& device) {
  std::vector<std::unique_ptr<layers::Network>> networks;
  std::deque<WholeNetwork> models;
  std::vector<Replica> replicas;
  for (std::size_t r = 0; r < options.size(); ++r) {
    const data::Dataset& own = data[std::min(r, data.size() - 1)];
    networks.push_back(testing::make(one.name, one.variant, own.sample_shape(), own.classes, 30 + r, device));
    const data::InputNormalization normalization =
        data::fit_normalization(own, own.has_images() ? data::Normalization::half : data::Normalization::standardize);
    replicas.push_back({&models.emplace_back(*networks.back()), {&own, normalization, {}}, options[r]});
  }
  std::vector<ReplicaTraining> outcomes;
  if (at_once) outcomes = train_replicas(replicas);
  for (std::size_t r = 0; r < replicas.size() && !at_once; ++r) {
    outcomes.push_back(train_replicas(std::span(replicas).subspan(r, 1)).front());
  }
  std::vector<Result> results;
  for (std::size_t r = 0; r < replicas.size(); ++r) {
    const TrainingRecord& record = outcomes[r].record;
    results.push_back({testing::values_of(networks[r]->state()), record.losses, record.warnings, record.steps,
                       record.complete, outcomes[r].divergence ? outcomes[r].divergence->what() : ""});
  }
  return results;
}

void expect_equal(const std::vector<Result>& a, const std::vector<Result>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t r = 0; r < a.size(); ++r) {
    SCOPED_TRACE(r);
    EXPECT_EQ(a[r].divergence, b[r].divergence);
    if (a[r].divergence.empty()) {
      EXPECT_TRUE(testing::same_bytes(a[r].values, b[r].values));
    }
    EXPECT_EQ(a[r].losses, b[r].losses);
    EXPECT_EQ(a[r].warnings, b[r].warnings);
    EXPECT_EQ(a[r].steps, b[r].steps);
    EXPECT_EQ(a[r].complete, b[r].complete);
  }
}

/// Three trainings that differ in all that may.
std::vector<TrainingOptions> three(OptimizerKind optimizer) {
  std::vector<TrainingOptions> options(3, testing::quick(3));
  for (std::size_t r = 0; r < 3; ++r) {
    const auto number = static_cast<double>(r);
    options[r].optimizer = optimizer;
    options[r].seed = 5 + r;
    options[r].learning_rate = 0.01 * (1 + number);
    options[r].weight_decay = 0.02 * number;
    options[r].l2sp_strength = 0.3 + number;
    options[r].label_flips = 0.2 * number;
  }
  options[1].epochs = 2;
  options[1].schedule = ScheduleKind::cosine;
  options[2].flip_each_epoch = true;
  return options;
}

TEST(Replicas, GiveTheBytesOfSeparateTrainings) {
  for (const Device& device : test::devices_and_threads()) {
    // On the host the first goes side by side, the second in turn.
    for (const Case& one : {Case{"paper_cnn", "4-4-8-16"}, Case{"resnet_cifar", "8", OptimizerKind::adamw}}) {
      SCOPED_TRACE(test::name_of(device) + ", " + one.name);
      Data data;
      data.push_back(testing::make_images(1, 50, 4, 8, device));  // the last batch has two
      const auto options = three(one.optimizer);
      expect_equal(trained(one, data, options, true, device), trained(one, data, options, false, device));
    }
  }
}

TEST(Replicas, HaveRowsAndNormalisationsOfTheirOwn) {
  for (const Device& device : testing::devices()) {
    const Case one{"mlp", "6", OptimizerKind::adam};
    Data data;
    const Device host = Device::cpu(1);  // from where they are copied
    for (const std::uint64_t seed : {1, 2}) data.push_back(testing::make_vectors(seed, 37, 5, 3, 1.0, host));
    const auto options = three(one.optimizer);
    expect_equal(trained(one, data, options, true, device), trained(one, data, options, false, device));
  }
}

TEST(Replicas, OneThatDivergesOrStopsLeavesTheOthersAlone) {
  for (const Device& device : testing::devices()) {
    const Case one{"mlp", "6"};
    Data data;
    data.push_back(testing::make_vectors(1, 37, 5, 3, 1.0, device));
    std::vector<TrainingOptions> options(3, testing::quick(4));
    options[0].learning_rate = 1e30;
    options[1].stop = [] { return true; };
    const std::vector<Result> at_once = trained(one, data, options, true, device);
    EXPECT_NE(at_once[0].divergence.find("epoch 1, step 2"), std::string::npos) << at_once[0].divergence;
    EXPECT_EQ(at_once[1].losses.size(), 1U);
    EXPECT_TRUE(at_once[2].complete);
    expect_equal(at_once, trained(one, data, options, false, device));
  }
}

TEST(Replicas, CheckpointsAreThoseOfSeparateTrainings) {
  const Device device = Device::cpu(1);
  const Case one{"mlp", "6", OptimizerKind::adam};
  Data data;
  data.push_back(testing::make_vectors(1, 37, 5, 3, 1.0, device));
  const std::vector<TrainingOptions> whole(3, testing::quick(5));
  const std::vector<Result> expected = trained(one, data, whole, false, device);
  for (const bool at_once_first : {true, false}) {
    const Folder folder;
    std::vector<TrainingOptions> options = whole;
    std::vector<int> asked(3);
    for (std::size_t r = 0; r < 3; ++r) {
      options[r].checkpoint = folder / std::to_string(r);
      options[r].checkpoint_interval = 1;
      options[r].resume = true;
      options[r].stop = [&asked, r] { return ++asked[r] > static_cast<int>(r); };  // after 1, 2 and 3 epochs
    }
    trained(one, data, options, at_once_first, device);
    EXPECT_EQ(folder.files(), 3U);
    for (TrainingOptions& replica : options) replica.stop = nullptr;
    const std::vector<Result> resumed = trained(one, data, options, !at_once_first, device);
    EXPECT_EQ(folder.files(), 0U);
    expect_equal(resumed, expected);
  }
}

TEST(Replicas, WhatMustAgreeIsNamed) {
  const Device device = Device::cpu(1);
  Data data;
  data.push_back(testing::make_vectors(1, 37, 5, 3, 1.0, device));
  const auto refusal = [&](const std::function<void(TrainingOptions&)>& change) {
    std::vector<TrainingOptions> options(2, testing::quick(1));
    change(options[1]);
    try {
      trained({"mlp", "6"}, data, options, true, device);
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal([](TrainingOptions& options) { options.seed = 3; }), "");
  EXPECT_NE(refusal([](TrainingOptions& options) { options.batch_size = 8; }).find("batch size"), std::string::npos);
  EXPECT_NE(refusal([](TrainingOptions& options) { options.momentum = 0; }).find("rule"), std::string::npos);
  EXPECT_NE(refusal([](TrainingOptions& options) { options.l2sp_strength = 1; }).find("L2-SP"), std::string::npos);
  data.push_back(testing::make_vectors(1, 36, 5, 3, 1.0, device));
  EXPECT_NE(refusal([](TrainingOptions&) {}).find("number of samples"), std::string::npos);
  data.pop_back();
  data.push_back(testing::make_vectors(1, 37, 6, 3, 1.0, device));
  EXPECT_NE(refusal([](TrainingOptions&) {}).find("tensors"), std::string::npos);
}

TEST(Replicas, PayWhereLaunchesTakeLongerThanTheirWork) {
  graph::PlanFacts step{.launches = 10, .arena_bytes = std::size_t{1} << 30};
  const auto pay = [&step](DeviceKind kind, double bytes, std::int64_t most) {
    return detail::replicas_that_pay(step, kind, bytes, most);
  };
  for (const auto& [kind, bytes, flops] :
       {std::tuple{DeviceKind::cuda, 10e6, 150e6}, std::tuple{DeviceKind::cpu, 100e3, 250e3}}) {
    step.bytes = 9 * bytes;
    step.flops = 9 * flops;
    EXPECT_EQ(pay(kind, 0, 3), 3);
    EXPECT_EQ(pay(kind, 0, 100), 4) << "4 GiB";
    EXPECT_EQ(pay(kind, 8e9, 100), 1);
    step.bytes = 10 * bytes;
    EXPECT_EQ(pay(kind, 0, 3), 1);
    step.bytes = 0;
    step.flops = 10 * flops;
    EXPECT_EQ(pay(kind, 0, 3), 1);
  }
}

}  // namespace
}  // namespace rtl::transfer

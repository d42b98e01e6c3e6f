// Comparisons: pairing, verdicts, workers, interruption.
#include "rtl/transfer/compare.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "support/devices.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;

/// Few noisy target samples in many dimensions; a source that was trained on many of the same kind.
data::TrainTest target(const Device& device) {
  return {testing::make_vectors(1, 24, 40, 3, 2.0, device), testing::make_vectors(2, 300, 40, 3, 2.0, device)};
}

FrozenSource good_source(const Device& device) {
  auto network = testing::make("mlp", "16", {40}, 3, 3, device);
  TrainingOptions options = testing::quick(20);
  train(*network, testing::make_vectors(5, 600, 40, 3, 2.0, device), data::Normalization::half, options);
  return FrozenSource(std::move(network), {}, "good");
}

/// Features that carry nothing of the label and are huge.
FrozenSource useless_source(const Device& device) {
  auto network = testing::make("mlp", "16", {40}, 3, 4, device);
  for (const auto& parameter : network->state().parameters) {
    Tensor& value = parameter.value();
    const bool first = parameter.name == "fc1.weight";
    for (std::int64_t i = 0; i < value.count(); ++i) {
      value.data_as<float>()[i] *= first && i % 40 < 3 ? 0.0F : 40.0F;
    }
  }
  return FrozenSource(std::move(network), {}, "useless");
}

CompareOptions small_options() {
  CompareOptions options;
  options.seeds = 4;
  options.training = testing::quick(12);
  options.strategy.model = "mlp:12";
  return options;
}

const StrategyResult& result_of(const Comparison& comparison, const std::string& name) {
  return *std::find_if(comparison.strategies.begin(), comparison.strategies.end(),
                       [&](const StrategyResult& result) { return result.name == name; });
}

void expect_equal(const Comparison& a, const Comparison& b) {
  ASSERT_EQ(a.strategies.size(), b.strategies.size());
  for (std::size_t i = 0; i < a.strategies.size(); ++i) {
    SCOPED_TRACE(a.strategies[i].name);
    EXPECT_EQ(a.strategies[i].name, b.strategies[i].name);
    EXPECT_EQ(a.strategies[i].accuracy.values, b.strategies[i].accuracy.values);
    EXPECT_EQ(a.strategies[i].auc.values, b.strategies[i].auc.values);
    EXPECT_EQ(a.strategies[i].f1.values, b.strategies[i].f1.values);
    EXPECT_EQ(a.strategies[i].difference_new_samples.low, b.strategies[i].difference_new_samples.low);
    EXPECT_EQ(a.strategies[i].p_value, b.strategies[i].p_value);
    EXPECT_EQ(a.strategies[i].losses, b.strategies[i].losses);
    EXPECT_EQ(a.strategies[i].warnings, b.strategies[i].warnings);
    EXPECT_EQ(a.strategies[i].trainable_parameters, b.strategies[i].trainable_parameters);
    ASSERT_EQ(a.strategies[i].influence.size(), b.strategies[i].influence.size());
    for (std::size_t k = 0; k < a.strategies[i].influence.size(); ++k) {
      EXPECT_EQ(a.strategies[i].influence[k].share, b.strategies[i].influence[k].share);
    }
  }
}

TEST(Compare, SaysThatAGoodSourceHelps) {
  const Device device = Device::cpu(1);
  const FrozenSource source = good_source(device);
  const data::TrainTest data = target(device);
  const Comparison comparison = compare({source}, data, small_options());
  const std::vector<std::string> all = strategies_for({source}, data.train, {});
  ASSERT_EQ(comparison.strategies.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(comparison.strategies[i].name, all[i]);
  EXPECT_EQ(comparison.strategies[0].name, "scratch");
  EXPECT_EQ(comparison.strategies[0].verdict, Verdict::undecided);
  EXPECT_EQ(comparison.seeds, (std::vector<std::uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ(comparison.train_samples, 24);
  const StrategyResult& probe_result = result_of(comparison, "probe");
  EXPECT_EQ(probe_result.verdict, Verdict::helps);
  EXPECT_EQ(probe_result.trainable_parameters, 16 * 3 + 3);
  const Summary summary = summarize(probe_result.accuracy.values);
  EXPECT_EQ(probe_result.accuracy.mean, summary.mean);
  EXPECT_EQ(probe_result.accuracy.std, summary.std);
  EXPECT_NEAR(probe_result.difference_from_scratch.mean,
              probe_result.accuracy.mean - comparison.strategies[0].accuracy.mean, 1e-12);
}

TEST(Compare, SaysThatAUselessSourceHurts) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  options.strategies = {"probe", "refine", "refine:balance"};
  const data::TrainTest easy{testing::make_vectors(1, 150, 40, 3, 4.0, device),
                             testing::make_vectors(2, 300, 40, 3, 4.0, device)};
  const Comparison comparison = compare({useless_source(device)}, easy, options);
  EXPECT_EQ(result_of(comparison, "probe").verdict, Verdict::hurts);
  EXPECT_NE(result_of(comparison, "refine:balance").verdict, Verdict::hurts);
  EXPECT_EQ(result_of(comparison, "refine:balance").dominated_by, "");
  EXPECT_EQ(result_of(comparison, "refine:balance").options.at("feature_scaling"), "balance");
}

TEST(Compare, NamesABlockThatDominates) {
  const Device device = Device::cpu(1);
  const auto network = good_source(device).copy_network(device);
  layers::ModuleState trunk;
  network->visit_trunk("", trunk);
  for (const auto& parameter : trunk.parameters) {
    Tensor& value = parameter.value();
    for (std::int64_t i = 0; i < value.count(); ++i) value.data_as<float>()[i] *= 6;
  }
  const FrozenSource loud(layers::clone(*network, device), {}, "loud");
  CompareOptions options = small_options();
  options.strategies = {"probe", "refine", "refine:balance"};
  const Comparison comparison = compare({loud}, target(device), options);
  EXPECT_EQ(result_of(comparison, "probe").dominated_by, "");  // it has no other block
  EXPECT_EQ(result_of(comparison, "refine").dominated_by, "loud");
  EXPECT_GT(result_of(comparison, "refine").influence.at(1).share, dominance_share);
  EXPECT_LT(result_of(comparison, "refine:balance").influence.at(1).share,
            result_of(comparison, "refine").influence.at(1).share);
}

/// Of five seeds, three replicas and two.
TEST(Compare, ResultsDoNotDependOnWorkersAndReplicas) {
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name());
    auto network = testing::make("mlp", "16", {40}, 3, 3, device);
    const FrozenSource source(std::move(network));
    CompareOptions options = small_options();
    options.strategies = {"probe:standardize", "fine-tune", "refine"};
    options.seeds = 5;
    options.training.epochs = 2;
    options.training.label_flips = 0.2;
    options.training.l2sp_strength = 0.1;
    options.threads_per_run = 1;
    for (const std::int64_t samples : {0, 20}) {
      options.train_samples = samples;
      options.workers = 1;
      options.replicas = 1;
      const data::TrainTest data = target(device);
      const Comparison one = compare({source}, data, options);
      EXPECT_EQ(one.strategies.size(), 4U);
      EXPECT_EQ(one.device, device.name());
      for (const auto& [workers, replicas] : {std::pair{2, 1}, {1, 3}, {2, 3}, {1, 0}}) {
        options.workers = workers;
        options.replicas = replicas;
        expect_equal(one, compare({source}, data, options));
      }
    }
  }
}

/// At least parameters, gradients and two moments; and what a run frees is not counted again by the next.
TEST(Compare, TellsTheMemoryThatRunsTake) {
  CompareOptions options = small_options();
  options.strategies = {"scratch"};
  options.seeds = 3;
  options.training.epochs = 1;
  options.workers = 1;
  options.replicas = 1;
  const data::TrainTest data = target(Device::cpu(1));
  const auto peak_of = [&](const std::string& model) {
    options.strategy.model = model;
    const StrategyResult result = compare({}, data, options).strategies.front();
    EXPECT_GE(result.peak_memory_bytes, 4 * 4 * result.trainable_parameters) << model;
    return result.peak_memory_bytes;
  };
  const std::int64_t small = peak_of("mlp:8"), large = peak_of("mlp:1000");
  EXPECT_LT(small, 1 << 20);
  EXPECT_GT(large, 4 * 4 * 40 * 1000);
  EXPECT_LT(large, 2 * 4 * 4 * 44 * 1000 + (1 << 20));
}

/// Whoever stops or begins the runs: workers or replicas.
TEST(Compare, ReplicasGoOnWithTheStateOfWorkersAndBack) {
  const Device device = Device::cpu(1);
  const FrozenSource source = good_source(device);
  const data::TrainTest data = target(device);
  CompareOptions options = small_options();
  options.seeds = 3;
  options.training.epochs = 4;
  options.threads_per_run = 1;
  options.checkpoint_interval = 1;
  options.resume = true;
  options.strategies = {"distill", "fine-tune", "probe", "refine", "ridge-probe", "safe"};
  const Comparison whole = compare({source}, data, options);
  for (const std::int64_t first : {1, 3}) {
    for (const int stop_after : {2, 10, 20}) {
      const Folder folder;
      options.state_folder = folder / "runs";
      options.replicas = first;
      int epochs = 0;
      options.stop = [&epochs, stop_after] { return ++epochs == stop_after; };
      EXPECT_THROW(compare({source}, data, options), Interrupted);
      options.stop = nullptr;
      options.replicas = 4 - first;
      expect_equal(whole, compare({source}, data, options));
    }
  }
}

TEST(Compare, ReplicasThatDivergeAreTheRunsThatDo) {
  const Device device = Device::cpu(1);
  CompareOptions options = small_options();
  options.strategies = {"fine-tune"};
  options.training.learning_rate = 1e30;
  options.replicas = 1;
  const Comparison one = compare({good_source(device)}, target(device), options);
  options.replicas = 4;
  const Comparison together = compare({good_source(device)}, target(device), options);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(together.strategies[i].diverged, 4);
    EXPECT_EQ(together.strategies[i].divergence, one.strategies[i].divergence);
  }
}

TEST(Compare, StoppedAndResumedEqualsUninterrupted) {
  const Device device = Device::cpu(1);
  const FrozenSource source = good_source(device);
  const data::TrainTest data = target(device);
  CompareOptions options = small_options();
  options.seeds = 2;
  options.strategies = {"fine-tune", "probe", "refine", "safe:fits=two"};
  const Comparison whole = compare({source}, data, options);
  const Folder folder;
  options.state_folder = folder / "runs";
  options.checkpoint_interval = 2;
  options.resume = true;
  int epochs = 0;
  options.stop = [&epochs] { return ++epochs == 30; };
  EXPECT_THROW(compare({source}, data, options), Interrupted);
  options.stop = nullptr;
  int again = 0;
  options.progress = [&again](const CompareProgress& progress) { again += progress.training.epoch > 0; };
  expect_equal(whole, compare({source}, data, options));
  std::size_t all = 0;
  for (const StrategyResult& result : whole.strategies) all += 2 * result.losses.size();
  EXPECT_LT(again, static_cast<int>(all) - 22);
  again = 0;
  expect_equal(whole, compare({source}, data, options));
  EXPECT_EQ(again, 0);  // everything was there
}

TEST(Compare, KilledAndResumedEqualsUninterrupted) {
  const Device device = Device::cpu(1);
  const FrozenSource source = good_source(device);
  const data::TrainTest data = target(device);
  CompareOptions options = small_options();
  options.seeds = 2;
  const Comparison whole = compare({source}, data, options);
  const Folder folder;
  options.state_folder = folder / "runs";
  options.checkpoint_interval = 1;
  options.resume = true;
  for (const int after : {7, 20, 33}) {
    const pid_t child = ::fork();
    if (child == 0) {
      int epochs = 0;
      options.progress = [&](const CompareProgress& progress) {
        epochs += progress.training.epoch > 0;
        if (epochs == after) ::kill(::getpid(), SIGKILL);
      };
      compare({source}, data, options);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  expect_equal(whole, compare({source}, data, options));
}

TEST(Compare, BadArgumentsAreNamed) {
  const Device device = Device::cpu(1);
  const FrozenSource source = good_source(device);
  const data::TrainTest data = target(device);
  const auto attempt = [&](auto change, const std::vector<FrozenSource>& sources) {
    CompareOptions options = small_options();
    change(options);
    compare(sources, data, options);
  };
  EXPECT_THROW(attempt([](auto& options) { options.seeds = 0; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.seeds = 1'000'000'000'000; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.replicas = -1; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.first_seed = UINT64_MAX; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.strategies = {"prob"}; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.strategies = {"probe:half"}; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.strategies = {"scratch:raw"}; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.strategies = {"probe"}; }, {}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.strategies = {"probe"}; }, {source, source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.train_samples = 25; }, {source}), ValueError);
  EXPECT_THROW(attempt([](auto& options) { options.confidence = 1; }, {source}), ValueError);
}

}  // namespace
}  // namespace rtl::transfer

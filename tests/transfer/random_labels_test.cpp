// The whole path on labels that are drawn: no strategy can be better than scratch, so every verdict is a false one.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <string>

#include "rtl/transfer/compare.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

data::Dataset draw_labels(std::uint64_t seed, std::int64_t count, const Device& device) {
  data::Dataset dataset = testing::make_vectors(seed, count, 5, 2, 0, device);
  RandomSequence random(seed, 3);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(random.below(2)));
  dataset.labels = Tensor::from(labels, {count}, device);
  return dataset;
}

int repetitions() {
  const char* asked = std::getenv("RTL_VERDICT_REPETITIONS");
  return asked ? std::atoi(asked) : 60;
}

struct Counts {
  int seeds = 0;
  int new_samples = 0;
  int plain = 0;  ///< of the interval without a floor
};

/// Verdicts of each strategy over many drawn data sets.
std::map<std::string, Counts> count_verdicts(std::int64_t seeds, std::int64_t test_samples) {
  const Device device = Device::cpu(1);
  CompareOptions options;
  options.strategies = {"distill", "fine-tune", "probe", "refine", "ridge-probe", "safe"};
  options.seeds = seeds;
  options.training = testing::quick(2);
  options.training.learning_rate = 0.05;
  options.strategy.model = "mlp:3";
  options.threads_per_run = 1;
  std::map<std::string, Counts> counts;
  for (int repetition = 0; repetition < repetitions(); ++repetition) {
    const auto seed = 1 + 4 * static_cast<std::uint64_t>(repetition);
    options.first_seed = 1 + seed * 10;
    const FrozenSource source(testing::make("mlp", "4", {5}, 2, seed, device));
    const data::TrainTest target{draw_labels(seed + 1, 24, device), draw_labels(seed + 2, test_samples, device)};
    const Comparison comparison = compare({source}, target, options);
    const std::vector<double>& scratch = comparison.strategies.front().accuracy.values;
    for (std::size_t i = 1; i < comparison.strategies.size(); ++i) {
      const StrategyResult& result = comparison.strategies[i];
      std::vector<double> differences = result.accuracy.values;
      for (std::size_t k = 0; k < differences.size(); ++k) differences[k] -= scratch[k];
      counts[result.name].seeds += result.verdict != Verdict::undecided;
      counts[result.name].new_samples += result.verdict_new_samples != Verdict::undecided;
      counts[result.name].plain += judge(t_interval(differences)) != Verdict::undecided;
    }
  }
  return counts;
}

class RandomLabels : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(RandomLabels, AreNoReasonForAVerdict) {
  const double bound = 0.05 + 2 * std::sqrt(0.05 * 0.95 / repetitions());
  for (const std::int64_t test_samples : {10, 100, 1000}) {
    for (const auto& [name, counts] : count_verdicts(GetParam(), test_samples)) {
      const double share = static_cast<double>(counts.seeds) / repetitions();
      const double share_new = static_cast<double>(counts.new_samples) / repetitions();
      EXPECT_LE(share, bound) << name << ", " << test_samples << " samples";
      EXPECT_LE(share_new, bound) << name << ", " << test_samples << " samples";
      fmt::print("{} seeds, {} samples, {}: false verdicts {:.1f} %, on new samples {:.1f} % (plain t: {:.1f} %)\n",
                 GetParam(), test_samples, name, 100 * share, 100 * share_new, 100.0 * counts.plain / repetitions());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomLabels, ::testing::Values(2, 5, 10));

}  // namespace
}  // namespace rtl::transfer

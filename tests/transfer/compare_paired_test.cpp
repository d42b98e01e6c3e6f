// Intervals of paired differences: worked cases, the rate of false verdicts without any difference, and coverage where
// the truth is known. The numbers of docs/verdicts.md are printed here; RTL_VERDICT_REPETITIONS sets how many draws.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/transfer/statistics.hpp"

namespace rtl::transfer {
namespace {

TEST(ComparePaired, EqualDifferencesAreNoVerdict) {
  for (const std::vector<double>& runs : {std::vector<double>{0.5, 0.5}, std::vector<double>(10, -0.5)}) {
    std::vector<double> samples(1000, 0);
    for (std::size_t i = 0; i < 500; ++i) samples[i] = runs.front() > 0 ? 1 : -1;
    const PairedDifference result = compare_paired(runs, samples);
    EXPECT_TRUE(result.no_spread);
    EXPECT_EQ(judge(result.over_seeds), Verdict::undecided);
    EXPECT_EQ(judge(result.new_samples), Verdict::undecided);
    EXPECT_EQ(result.p_value, 1);
    EXPECT_EQ(result.p_value_new_samples, 1);
    EXPECT_GT(result.over_seeds.high - result.over_seeds.low, 0.05);
  }
}

TEST(ComparePaired, NoDifferenceAtAllHasTheWidthOfOneSample) {
  const std::vector<double> runs(5, 0.0);
  double last = 2;
  for (const std::size_t samples : {10, 100, 1000, 10000}) {
    const PairedDifference result = compare_paired(runs, std::vector<double>(samples, 0.0));
    const double width = result.over_seeds.high - result.over_seeds.low;
    EXPECT_GE(width, 2 / static_cast<double>(samples));
    EXPECT_LT(width, samples > 10 ? last / 5 : last);
    last = width;
  }
}

TEST(ComparePaired, WorkedByHand) {
  // Two runs on four samples: 1 0 1 0 and 1 0 0 0. Over the runs: 0.5 and 0.25, mean 0.375, deviation 0.177, which is
  // less than one of four samples. Over the samples: 1, 0, 0.5, 0 and then 1, -1: sum 1.5, sum of squares 3.25.
  const PairedDifference result = compare_paired(std::vector<double>{0.5, 0.25}, std::vector<double>{1, 0, 0.5, 0},
                                                 {.lowest = -100, .highest = 100});
  const double half_runs = 12.7062047 * 0.25 / std::sqrt(2.0);
  const double half_samples = 2.5705818 * 1.5 * std::sqrt((3.25 - 1.5 * 1.5 / 6) / 5 / 6);
  EXPECT_NEAR(result.over_seeds.mean, 0.375, 1e-15);
  EXPECT_NEAR(result.over_seeds.high, 0.375 + std::max(half_runs, half_samples), 1e-6);
  EXPECT_NEAR(result.new_samples.low, 0.375 - std::hypot(half_runs, half_samples), 1e-6);
  const Interval samples = sample_interval(std::vector<double>{1, 0, 0.5, 0});
  EXPECT_NEAR(samples.low, 0.375 - half_samples, 1e-6);
}

TEST(ComparePaired, ValuesWithoutAStepAreOrdinaryTIntervals) {
  const PairedOptions options{.lowest = -INFINITY, .highest = INFINITY, .step = 0};
  const std::vector<double> runs = {3, 5, 4};
  const std::vector<double> samples = {4.1, 3.9, 4.2, 3.8};
  const Interval wanted = t_interval(runs, 0.95, -INFINITY, INFINITY);
  const PairedDifference result = compare_paired(runs, samples, options);
  EXPECT_NEAR(result.over_seeds.low, wanted.low, 1e-12);
  EXPECT_NEAR(sample_interval(samples, options).low, t_interval(samples, 0.95, -INFINITY, INFINITY).low, 1e-12);
  EXPECT_EQ(sample_interval(std::vector<double>{2}, options).high, INFINITY);
  EXPECT_EQ(compare_paired(runs, std::vector<double>{4}, options).p_value_new_samples, 1);
  const PairedDifference fixed = compare_paired(runs, std::vector<double>(4, 4.0), options);
  EXPECT_EQ(fixed.p_value_new_samples, fixed.p_value) << "samples that do not scatter add nothing";
}

TEST(ComparePaired, OneRunDecidesNothing) {
  const PairedDifference result = compare_paired(std::vector<double>{0.4}, std::vector<double>(50, 0.4));
  EXPECT_EQ(result.over_seeds.low, -1);
  EXPECT_EQ(result.new_samples.high, 1);
  EXPECT_EQ(result.p_value, 1);
  EXPECT_EQ(result.p_value_new_samples, 1);
}

TEST(ComparePaired, PValueAndIntervalsAgree) {
  RandomSequence random(5);
  for (int repetition = 0; repetition < 300; ++repetition) {
    std::vector<double> runs(2 + random.below(6)), samples(5 + random.below(40));
    const double shift = random.normal() * 0.3;
    for (double& value : samples) value = shift + 0.3 * random.normal();
    const double mean = summarize(samples).mean;
    for (double& value : runs) value = 0.2 * random.normal();
    const double off = summarize(runs).mean - mean;
    for (double& value : runs) value -= off;
    const PairedDifference result = compare_paired(runs, samples);
    const bool decided = judge(result.over_seeds) != Verdict::undecided;
    EXPECT_EQ(decided, result.p_value < 0.05) << result.p_value;
    EXPECT_LE(result.new_samples.low, result.over_seeds.low);
    EXPECT_GE(result.new_samples.high, result.over_seeds.high);
    EXPECT_EQ(judge(result.new_samples) != Verdict::undecided, result.p_value_new_samples < 0.05);
    EXPECT_GE(result.p_value_new_samples, result.p_value);
    // The interval at that very level ends at zero.
    const PairedOptions free{.confidence = 1 - result.p_value_new_samples, .lowest = -1e9, .highest = 1e9};
    const Interval touching = compare_paired(runs, samples, free).new_samples;
    const double end = touching.mean > 0 ? touching.low : touching.high;
    EXPECT_NEAR(end, 0, 1e-7 * std::abs(touching.mean)) << result.p_value_new_samples;
  }
}

TEST(ComparePaired, BadArgumentsAreNamed) {
  const std::vector<double> some = {0.1, 0.2};
  EXPECT_THROW(compare_paired({}, some), ValueError);
  EXPECT_THROW(compare_paired(some, {}), ValueError);
  EXPECT_THROW(compare_paired(std::vector<double>{0.1, std::nan("")}, some), ValueError);
  EXPECT_THROW(compare_paired(some, some, {.confidence = 1}), ValueError);
  EXPECT_THROW(sample_interval({}), ValueError);
}

TEST(Holm, WorkedByHand) {
  const std::vector<double> corrected = holm(std::vector<double>{0.04, 0.01, 0.03, 0.5});
  const std::vector<double> wanted = {0.09, 0.04, 0.09, 0.5};
  ASSERT_EQ(corrected.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(corrected[i], wanted[i], 1e-15);
  EXPECT_EQ(holm(std::vector<double>{0.7, 0.6}), (std::vector<double>{1, 1}));
  EXPECT_TRUE(holm({}).empty());
}

int repetitions() {
  const char* asked = std::getenv("RTL_VERDICT_REPETITIONS");
  return asked ? std::atoi(asked) : 600;
}

/// Draws the difference of one run on one sample; called for every run of a sample, `first` at its first one.
using Draw = std::function<double(bool first)>;
/// Shares of repetitions that leave `truth` out of the two intervals.
struct Misses {
  double seeds = 0;
  double new_samples = 0;
};

/// run_effect: the standard deviation of what a run adds to all of its samples.
Misses count_misses(const Draw& draw, RandomSequence& random, std::size_t runs, std::size_t samples, double truth,
                    double run_effect, const PairedOptions& options) {
  Misses misses;
  const int count = repetitions();
  for (int repetition = 0; repetition < count; ++repetition) {
    std::vector<double> run_means(runs), sample_means(samples), effects(runs);
    for (double& effect : effects) effect = run_effect * random.normal();
    for (std::size_t s = 0; s < samples; ++s) {
      for (std::size_t r = 0; r < runs; ++r) {
        const double value = draw(r == 0) + effects[r];
        run_means[r] += value / static_cast<double>(samples);
        sample_means[s] += value / static_cast<double>(runs);
      }
    }
    const PairedDifference result = compare_paired(run_means, sample_means, options);
    const auto misses_truth = [&](const Interval& one) { return truth < one.low || truth > one.high ? 1.0 : 0.0; };
    misses.seeds += misses_truth(result.over_seeds) / count;
    misses.new_samples += misses_truth(result.new_samples) / count;
  }
  return misses;
}

/// 5 % and two standard errors of a share counted that often.
double bound() { return 0.05 + 2 * std::sqrt(0.05 * 0.95 / repetitions()); }

/// Rights and wrongs of two strategies that know nothing, each right with probability `chance`: with every new draw, on
/// the same samples in every run, or by a probability of each sample's own.
struct Guessing {
  const char* name;
  double chance;
  bool same_a, same_b;
  bool own_probability;
};

TEST(ComparePaired, FalseVerdictsWithoutADifference) {
  RandomSequence random(11);
  for (const Guessing& kind :
       {Guessing{"independent runs, 2 classes", 0.5, false, false, false},
        Guessing{"independent runs, 10 classes", 0.1, false, false, false},
        Guessing{"fixed against random, 2 classes", 0.5, true, false, false},
        Guessing{"fixed against random, 10 classes", 0.1, true, false, false},
        Guessing{"both fixed", 0.5, true, true, false}, Guessing{"easy and hard samples", 0.5, false, false, true}}) {
    bool right_a = false, right_b = false;
    double chance_a = kind.chance, chance_b = kind.chance;
    const Draw draw = [&](bool first) {
      if (first && kind.own_probability) {
        chance_a = random.uniform();
        chance_b = random.uniform();
      }
      if (first || !kind.same_a) right_a = random.uniform() < chance_a;
      if (first || !kind.same_b) right_b = random.uniform() < chance_b;
      return static_cast<double>(right_a) - static_cast<double>(right_b);
    };
    for (const std::size_t runs : {2, 5, 10}) {
      for (const std::size_t samples : {10, 100, 1000}) {
        const Misses misses = count_misses(draw, random, runs, samples, 0, 0, {});
        EXPECT_LE(misses.seeds, bound()) << kind.name << ", " << runs << " runs, " << samples << " samples";
        EXPECT_LE(misses.new_samples, bound()) << kind.name << ", " << runs << " runs, " << samples << " samples";
        fmt::print("{}: {} runs, {} samples: false verdicts {:.1f} %, on new samples {:.1f} %\n", kind.name, runs,
                   samples, 100 * misses.seeds, 100 * misses.new_samples);
      }
    }
  }
}

TEST(ComparePaired, NewSamplesIntervalCoversTheTruth) {
  RandomSequence random(12);
  struct Case {
    const char* name;
    bool rights;  ///< right or wrong, else normal
    double run_effect, sample_effect;
  };
  for (const Case& kind : {Case{"normal, runs scatter", false, 0.5, 0.3},
                           Case{"normal, samples scatter", false, 0.02, 2}, Case{"normal, both alike", false, 0.2, 1},
                           Case{"right or wrong", true, 0, 0}, Case{"right or wrong, runs scatter", true, 0.08, 0}}) {
    for (const std::size_t runs : {2, 5, 10}) {
      for (const std::size_t samples : {10, 100, 1000}) {
        // Alike: what runs add to the mean's error equals what samples add.
        const bool alike = kind.run_effect == 0.2;
        const double sample_effect =
            alike ? kind.run_effect * std::sqrt(static_cast<double>(samples) / static_cast<double>(runs))
                  : kind.sample_effect;
        double of_sample = 0;
        const Draw draw = [&](bool first) {
          if (kind.rights) {
            if (first) of_sample = random.uniform() < 0.5 ? 0.9 : 0.3;  // the truth: 0.6 minus 0.45
            return static_cast<double>(random.uniform() < of_sample) - static_cast<double>(random.uniform() < 0.45);
          }
          if (first) of_sample = sample_effect * random.normal();
          return 0.15 + of_sample + random.normal();
        };
        const PairedOptions options{.lowest = -INFINITY, .highest = INFINITY, .step = kind.rights ? 1.0 : 0.0};
        const Misses misses = count_misses(draw, random, runs, samples, 0.15, kind.run_effect, options);
        EXPECT_LE(misses.new_samples, bound()) << kind.name << ", " << runs << " runs, " << samples << " samples";
        fmt::print("{}: {} runs, {} samples: covered {:.1f} %, by the interval over seeds {:.1f} %\n", kind.name, runs,
                   samples, 100 - 100 * misses.new_samples, 100 - 100 * misses.seeds);
      }
    }
  }
}

}  // namespace
}  // namespace rtl::transfer

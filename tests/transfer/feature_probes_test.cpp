// Probes that leave parts of the rows out: from sums of products as from the rows themselves.
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/random.hpp"
#include "transfer/feature_probes.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer::detail {
namespace {

using Rows = std::vector<std::int64_t>;

/// Columns of very different sizes, skewed so that some entries are clipped, and one that is constant.
Tensor skewed(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  RandomSequence random(seed, 1);
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const double value = std::exp(1.5 * random.normal()) * std::pow(10.0, static_cast<double>(j % 5) - 2) + 3;
      values.push_back(static_cast<float>(j == 2 ? 7 : value));
    }
  }
  return Tensor::from(values, {rows, columns}, Device::cpu(1));
}

FrozenSource source_of(const char* name, std::int64_t columns) {
  return FrozenSource::of_features(name, columns, [](const data::Dataset&) -> Tensor { throw Error("not asked for"); });
}

/// Two sources, classes of which one is rare, or two real targets; with weights or without.
struct Setting {
  Setting(std::uint64_t seed, bool regression, bool weighted) {
    constexpr std::int64_t rows = 150;
    raw.push_back(skewed(rows, 12, seed));
    raw.push_back(skewed(rows, 9, seed + 1));
    sources = {source_of("first", 12), source_of("second", 9)};
    RandomSequence random(seed, 2);
    targets.task = {.regression = regression, .outputs = regression ? 2 : 3};
    if (regression) targets.task.mean = targets.task.deviation = {1, 1};
    const std::vector<float> x = raw.front().to_vector<float>();
    for (std::int64_t i = 0; i < rows; ++i) {
      const double signal = std::log(x[static_cast<std::size_t>(12 * i)]) + random.normal();
      if (regression) {
        targets.targets.insert(targets.targets.end(),
                               {static_cast<float>(signal), static_cast<float>(random.normal())});
      } else {
        targets.labels.push_back(i == 5 ? 2 : signal > 1.1 ? 1 : 0);
      }
      if (weighted) targets.weights.push_back(i % 7 == 0 ? 0.0F : static_cast<float>(0.2 + random.uniform()));
    }
    for (std::int64_t part = 0; part < 4; ++part) {
      folds.emplace_back();
      for (std::int64_t i = part; i < rows; i += 4) folds.back().push_back(i);
    }
  }
  std::vector<FrozenSource> sources;
  std::vector<Tensor> raw;
  RowTargets targets;
  std::vector<Rows> folds;
};

void expect_near(const Tensor& found, const Tensor& expected) {
  const std::vector<float> a = found.to_vector<float>(), b = expected.to_vector<float>();
  ASSERT_EQ(a.size(), b.size());
  double largest = 0;
  for (const float value : b) largest = std::max(largest, std::fabs(double{value}));
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5 * largest) << i;
}

TEST(FeatureProbes, FoldsFromSharedSumsAreThoseOfTheirRows) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const bool regression : {false, true}) {
      for (const bool weighted : {false, true}) {
        SCOPED_TRACE(::testing::Message() << seed << regression << weighted);
        const Setting s(seed, regression, weighted);
        const FeatureProbes probes(s.sources, s.raw, s.targets, 3);
        std::vector<FeatureProbe> all = probes.of_all_rows(true);
        ASSERT_EQ(all.size(), 3U);
        for (const bool standardized : {true, false}) {
          for (FeatureProbe& probe : all) probe.standardized = standardized;
          const auto shared = probes.without(s.folds, all);
          for (std::size_t part = 0; part < s.folds.size(); ++part) {
            const auto one = probes.without({s.folds[part]}, all);  // no folds: from the rows themselves
            const auto& alone = one.front();
            for (std::size_t k = 0; k < alone.size(); ++k) {
              SCOPED_TRACE(::testing::Message() << standardized << part << k);
              expect_near(shared[part][k]->weight(), alone[k]->weight());
              expect_near(shared[part][k]->bias(), alone[k]->bias());
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace rtl::transfer::detail

// Sources of no use: what their features are.
#include "rtl/transfer/useless_source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/core/error.hpp"
#include "rtl/transfer/compare.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using namespace testing;

/// Features of row i are the row's first three inputs.
FrozenSource first_inputs() {
  return FrozenSource::of_features(
      "first inputs", 3,
      [](const data::Dataset& dataset) {
        const std::vector<float> x = dataset.inputs.to_vector<float>();
        std::vector<float> values;
        for (std::size_t i = 0; i < x.size(); i += 5) values.insert(values.end(), x.data() + i, x.data() + i + 3);
        return Tensor::from(values, {dataset.size(), 3}, Device::cpu(1));
      },
      1);
}

std::vector<std::vector<float>> rows_of(const FrozenSource& source, const data::Dataset& dataset) {
  const std::vector<float> values = source.features(dataset).to_vector<float>();
  const auto width = static_cast<std::size_t>(source.feature_count());
  std::vector<std::vector<float>> rows;
  for (std::size_t i = 0; i < values.size(); i += width)
    rows.emplace_back(values.data() + i, values.data() + i + width);
  return rows;
}

TEST(UselessSource, PermutedHasTheSameRowsElsewhere) {
  const data::Dataset dataset = make_vectors(1, 40, 5, 2, 1, Device::cpu(1));
  const FrozenSource source = first_inputs(), permuted = permuted_source(source, 3);
  auto before = rows_of(source, dataset), after = rows_of(permuted, dataset);
  EXPECT_EQ(after, rows_of(permuted_source(source, 3), dataset));
  EXPECT_NE(after, rows_of(permuted_source(source, 4), dataset));
  std::size_t moved = 0;
  for (std::size_t i = 0; i < before.size(); ++i) moved += before[i] != after[i];
  EXPECT_GE(moved, 30U) << "of a random permutation one row stays, on average";
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  EXPECT_EQ(before, after);
  EXPECT_FALSE(permuted.has_network());
  EXPECT_NE(permuted.fingerprint(), source.fingerprint());
  EXPECT_NE(permuted.fingerprint(), permuted_source(source, 4).fingerprint());
  EXPECT_EQ(permuted.fingerprint(), permuted_source(source, 3).fingerprint());
}

TEST(UselessSource, NoiseIsThePositivePartOfANormal) {
  const data::Dataset a = make_vectors(1, 100, 5, 2, 1, Device::cpu(1)),
                      b = make_vectors(2, 100, 5, 2, 1, Device::cpu(1));
  const FrozenSource noise = noise_source(64, 5);
  const std::vector<float> values = noise.features(a).to_vector<float>();
  ASSERT_EQ(values.size(), 6400U);
  double sum = 0, zeros = 0;
  for (const float value : values) {
    ASSERT_GE(value, 0);
    sum += value;
    zeros += value == 0;
  }
  // Mean 1 / sqrt(2 pi) = 0.3989 with deviation 0.584, half are zero; five standard errors.
  EXPECT_NEAR(sum / 6400, 0.39894, 5 * 0.584 / 80);
  EXPECT_NEAR(zeros / 6400, 0.5, 5 * 0.5 / 80);
  EXPECT_EQ(values, noise_source(64, 5).features(a).to_vector<float>());
  EXPECT_NE(values, noise.features(b).to_vector<float>()) << "training and test rows have the same noise";
  EXPECT_NE(values, noise_source(64, 6).features(a).to_vector<float>());
  EXPECT_NE(noise.fingerprint(), noise_source(64, 6).fingerprint());
  EXPECT_THROW(noise_source(0, 1), ValueError);
}

TEST(UselessSource, ScaledIsTheSameTimesAFactor) {
  const data::Dataset dataset = make_vectors(1, 10, 5, 2, 1, Device::cpu(1));
  const FrozenSource source = first_inputs();
  const std::vector<float> before = source.features(dataset).to_vector<float>();
  const std::vector<float> after = scaled_source(source, 100).features(dataset).to_vector<float>();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_FLOAT_EQ(after[i], 100 * before[i]);
  EXPECT_NE(scaled_source(source, 100).fingerprint(), scaled_source(source, 10).fingerprint());
  for (const double factor : {0.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    EXPECT_THROW(scaled_source(source, factor), ValueError) << factor;
  }
}

TEST(UselessSource, IsMadeByName) {
  const FrozenSource source = first_inputs();
  EXPECT_EQ(useless_source(source, "permuted", 3).fingerprint(), permuted_source(source, 3).fingerprint());
  EXPECT_EQ(useless_source(source, "noise:12", 3).fingerprint(), noise_source(12, 3).fingerprint());
  EXPECT_EQ(useless_source(source, "scaled:-0.5", 3).fingerprint(), scaled_source(source, -0.5).fingerprint());
  for (const char* kind : {"", "noise", "noise:", "noise:1.5", "noise:1e30", "noise:-1", "permuted:1", "scaled:0",
                           "scaled:1x", "scaled", "worse"}) {
    EXPECT_THROW(useless_source(source, kind, 1), ValueError) << kind;
  }
}

TEST(UselessSource, IsWhatStrategiesTake) {
  const data::TrainTest target{make_vectors(1, 60, 5, 2, 4, Device::cpu(1)),
                               make_vectors(2, 200, 5, 2, 4, Device::cpu(1))};
  CompareOptions options;
  options.strategies = {"ridge-probe"};
  options.seeds = 1;
  options.training.epochs = 1;
  const auto accuracy = [&](const FrozenSource& source) {
    return compare({source}, target, options).strategies.at(1).accuracy.mean;
  };
  // Classes that lie 4 deviations apart on two axes; of features without a bearing nothing but chance is left.
  EXPECT_GT(accuracy(first_inputs()), 0.95);
  EXPECT_LT(accuracy(permuted_source(first_inputs(), 1)), 0.7);
  EXPECT_LT(accuracy(noise_source(16, 1)), 0.7);
}

}  // namespace
}  // namespace rtl::transfer

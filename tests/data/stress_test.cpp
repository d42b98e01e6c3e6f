// Training sets under stress: exact numbers, the same draws again, and what is refused.
#include "rtl/data/stress.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::data {
namespace {

using Labels = std::vector<std::int32_t>;
using Counts = std::vector<std::int64_t>;

/// `count` labels of each class, the classes in turn.
Labels in_turn(std::int64_t count, std::int32_t classes) {
  Labels labels;
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int32_t c = 0; c < classes; ++c) labels.push_back(c);
  }
  return labels;
}

Counts counts_of(const Labels& labels, const Counts& rows, std::int64_t classes) {
  Counts counts(static_cast<std::size_t>(classes), 0);
  for (const std::int64_t row : rows) ++counts[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])];
  return counts;
}

Dataset vectors(std::int64_t rows, std::int64_t classes) {
  RandomSequence random(1);
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows; ++i) {
    values.push_back(static_cast<float>(random.normal()));
    values.push_back(static_cast<float>(100 * random.normal()));
    values.push_back(7);
  }
  Dataset dataset;
  dataset.inputs = Tensor::from(values, {rows, 3}, Device::cpu(1));
  dataset.labels = Tensor::from(in_turn(rows / classes, static_cast<std::int32_t>(classes)), {rows}, Device::cpu(1));
  dataset.classes = classes;
  dataset.name = "vectors";
  return dataset;
}

TEST(Stress, ConfusesThePublishedPairs) {
  const ClassPairs ten = confusion_pairs(10), hundred = confusion_pairs(100), five = confusion_pairs(5);
  EXPECT_EQ(ten, (ClassPairs{{3, 5}, {4, 7}, {1, 9}, {0, 8}}));
  EXPECT_EQ(five, (ClassPairs{{0, 1}, {2, 3}}));
  EXPECT_EQ(hundred.size(), 47U);
  std::set<std::int32_t> paired;
  for (const auto& [a, b] : hundred) {
    EXPECT_TRUE(paired.insert(a).second) << a;
    EXPECT_TRUE(paired.insert(b).second) << b;
  }
  for (const std::int32_t alone : {21, 22, 50, 85, 86, 92}) EXPECT_EQ(paired.count(alone), 0U);
  EXPECT_EQ(paired.size(), 94U);
  EXPECT_EQ(*paired.rbegin(), 99);
  EXPECT_THROW(confusion_pairs(1), ValueError);

  const Labels labels = in_turn(4000, 10);
  const Labels confused = confused_labels(labels, ten, 0.5, 3);
  EXPECT_EQ(confused, confused_labels(labels, ten, 0.5, 3));
  EXPECT_NE(confused, confused_labels(labels, ten, 0.5, 4));
  std::int64_t changed = 0;
  const std::int32_t partner[] = {8, 9, 2, 5, 7, 3, 6, 4, 0, 1};
  for (std::size_t i = 0; i < labels.size(); ++i) {
    ASSERT_TRUE(confused[i] == labels[i] || confused[i] == partner[labels[i]]) << i;
    changed += confused[i] != labels[i];
  }
  // 32,000 labels are of paired classes: 16,000 with a deviation of sqrt(32,000) / 2 = 89; five of them.
  EXPECT_NEAR(static_cast<double>(changed), 16000, 5 * 89.5);
  EXPECT_EQ(confused_labels(labels, ten, 0, 3), labels);
  const Labels all = confused_labels(labels, ten, 1, 3);
  for (std::size_t i = 0; i < labels.size(); ++i) ASSERT_EQ(all[i], partner[labels[i]]);
  EXPECT_EQ(confused_labels(all, ten, 1, 5), labels);
}

TEST(Stress, RefusesPairsAndProbabilitiesThatCannotBe) {
  const Labels labels{0, 1, 2};
  for (const double probability : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THROW(confused_labels(labels, {{0, 1}}, probability, 1), ValueError) << probability;
  }
  for (const ClassPairs& pairs : {ClassPairs{{0, 1}, {1, 2}}, ClassPairs{{1, 1}}, ClassPairs{{-1, 0}}}) {
    EXPECT_THROW(confused_labels(labels, pairs, 0.5, 1), ValueError);
  }
}

TEST(Stress, HasThePublishedNumbersOfSamples) {
  const Counts published{3500, 3000, 1000, 700, 600, 450, 300, 200, 150, 100};
  EXPECT_EQ(published_imbalance(in_turn(1000, 10), 10), published);
  // 40 samples: 14, 12, 4, 2.8, 2.4, 1.8, 1.2, 0.8, 0.6, 0.4.
  EXPECT_EQ(published_imbalance(in_turn(4, 10), 10), (Counts{14, 12, 4, 3, 2, 2, 1, 1, 1, 1}));
  const Counts hundred = published_imbalance(in_turn(500, 100), 100);
  for (std::size_t c = 0; c < 100; ++c) EXPECT_EQ(hundred[c], c < 10 ? 400 : c < 70 ? 100 : 0) << c;
  EXPECT_EQ(std::accumulate(hundred.begin(), hundred.end(), std::int64_t{0}), 10000);
  EXPECT_THROW(published_imbalance(in_turn(4, 3), 3), ValueError);
}

TEST(Stress, DrawsExactNumbersOfEachClass) {
  const Labels labels = in_turn(100, 3);
  const Counts counts{100, 7, 250}, rows = imbalanced_rows(labels, 3, counts, 5);
  EXPECT_EQ(counts_of(labels, rows, 3), counts);
  EXPECT_EQ(rows, imbalanced_rows(labels, 3, counts, 5));
  EXPECT_NE(rows, imbalanced_rows(labels, 3, counts, 6));
  std::set<std::int64_t> once;
  std::int64_t again = 0;
  for (const std::int64_t row : rows) {
    if (once.insert(row).second) continue;
    ++again;
    EXPECT_EQ(labels[static_cast<std::size_t>(row)], 2) << "drawn twice although there are enough";
  }
  EXPECT_GE(again, 150);
  EXPECT_FALSE(std::is_sorted(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) {
    return labels[static_cast<std::size_t>(a)] < labels[static_cast<std::size_t>(b)];
  })) << "not mixed";
  for (const Counts& wrong : {Counts{1, 1}, Counts{1, -1, 1}, Counts{0, 0, 0}}) {
    EXPECT_THROW(imbalanced_rows(labels, 3, wrong, 1), ValueError);
  }
  EXPECT_THROW(imbalanced_rows(labels, 4, Counts{1, 1, 1, 1}, 1), ValueError) << "of a class without samples";
  EXPECT_THROW(imbalanced_rows(labels, 3, Counts{INT64_MAX, 1, 1}, 1), OutOfMemory);
  EXPECT_EQ(imbalanced_rows(labels, 4, Counts{1, 1, 1, 0}, 1).size(), 3U);
  EXPECT_THROW(imbalanced_rows(labels, 2, Counts{1, 1}, 1), ValueError) << "a label out of range";
}

TEST(Stress, KeepsFewRowsByTheirShares) {
  Labels labels(70, 0);
  labels.insert(labels.end(), 25, 1);
  labels.insert(labels.end(), 5, 2);
  const auto few = [&](std::int64_t count, std::uint64_t seed) { return stratified_subset(labels, 3, count, seed); };
  const auto counts = [&](std::int64_t count) { return counts_of(labels, few(count, 1), 3); };
  EXPECT_EQ(counts(20), (Counts{14, 5, 1}));
  EXPECT_EQ(counts(10), (Counts{7, 2, 1})) << "7, 2.5 and 0.5: the last has one at least";
  EXPECT_EQ(counts(3), (Counts{1, 1, 1}));
  EXPECT_EQ(counts(2), (Counts{1, 1, 0})) << "1.4, 0.5 and 0.1";
  EXPECT_EQ(counts(1), (Counts{1, 0, 0}));
  EXPECT_EQ(counts(100), (Counts{70, 25, 5}));
  for (std::int64_t count = 1; count <= 100; ++count) {
    const Counts rows = few(count, 2);
    ASSERT_EQ(static_cast<std::int64_t>(rows.size()), count);
    EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), rows.size()) << count;
  }
  EXPECT_EQ(few(20, 1), few(20, 1));
  EXPECT_NE(few(20, 1), few(20, 2));
  EXPECT_THROW(few(0, 1), ValueError);
  EXPECT_THROW(few(101, 1), ValueError);
  EXPECT_THROW(stratified_subset(labels, 2, 10, 1), ValueError);
}

TEST(Stress, AddsNoiseOfTheColumnsDeviation) {
  const Dataset dataset = vectors(4000, 2), noisy = with_input_noise(dataset, 0.5, 7);
  const std::vector<float> before = dataset.inputs.to_vector<float>(), after = noisy.inputs.to_vector<float>();
  double squares[3] = {}, spread[3] = {}, mean[3] = {};
  for (std::size_t i = 0; i < before.size(); ++i) mean[i % 3] += before[i] / 4000.0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    squares[i % 3] += std::pow(after[i] - before[i], 2) / 4000;
    spread[i % 3] += std::pow(before[i] - mean[i % 3], 2) / 4000;
  }
  // A mean of 4000 squares of normal numbers has a relative deviation of sqrt(2 / 4000) = 2.2 %.
  for (const int column : {0, 1}) EXPECT_NEAR(squares[column] / spread[column], 0.25, 0.25 * 5 * 0.0224) << column;
  EXPECT_EQ(squares[2], 0) << "a constant column";
  EXPECT_EQ(noisy.labels.to_vector<std::int32_t>(), dataset.labels.to_vector<std::int32_t>());
  EXPECT_EQ(after, with_input_noise(dataset, 0.5, 7).inputs.to_vector<float>());
  EXPECT_NE(after, with_input_noise(dataset, 0.5, 8).inputs.to_vector<float>());
  EXPECT_EQ(with_input_noise(dataset, 0, 7).inputs.to_vector<float>(), before);
  for (const double deviation : {-1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    EXPECT_THROW(with_input_noise(dataset, deviation, 1), ValueError) << deviation;
  }
}

TEST(Stress, AddsNoiseToGreyLevels) {
  Dataset images;
  images.inputs = Tensor::from(std::vector<std::uint8_t>(20 * 16 * 16, 128), {20, 16, 16, 1}, Device::cpu(1));
  const auto noise = [&](double deviation) {
    return with_input_noise(images, deviation, 1).inputs.to_vector<std::uint8_t>();
  };
  double squares = 0;
  for (const std::uint8_t pixel : noise(0.2)) squares += std::pow(pixel - 128.0, 2) / 5120;
  // (0.2 * 127.5)^2 and 1/12 of the rounding; five relative deviations of sqrt(2 / 5120), 5 sigma lie within 0 to 255.
  EXPECT_NEAR(squares, 650.25 + 1.0 / 12, 650 * 5 * 0.0198);
  const std::vector<std::uint8_t> wide = noise(50);
  EXPECT_EQ(*std::min_element(wide.begin(), wide.end()), 0);
  EXPECT_EQ(*std::max_element(wide.begin(), wide.end()), 255);
}

TEST(Stress, DoesSeveralAtOnce) {
  const Dataset dataset = vectors(200, 10);
  EXPECT_FALSE(Stress().any());
  EXPECT_EQ(stressed(dataset, {}).inputs.to_vector<float>(), dataset.inputs.to_vector<float>());
  const Stress stress{.imbalance = true, .few = 50, .confusion = 1, .input_noise = 0.1, .seed = 3};
  EXPECT_TRUE(stress.changes_inputs());
  const Dataset worse = stressed(dataset, stress);
  EXPECT_EQ(worse.size(), 50);
  EXPECT_EQ(worse.inputs.to_vector<float>(), stressed(dataset, stress).inputs.to_vector<float>());
  // 200 rows by the published numbers are 70, 60, 20, 14, 12, 9, 6, 4, 3, 2; a quarter of them, then all confused.
  Counts counts(10, 0);
  for (const std::int32_t label : worse.labels.to_vector<std::int32_t>()) ++counts[static_cast<std::size_t>(label)];
  EXPECT_NEAR(static_cast<double>(counts[8]), 17.5, 1) << "class 0 became 8";
  EXPECT_NEAR(static_cast<double>(counts[9]), 15, 1) << "class 1 became 9";
  EXPECT_NEAR(static_cast<double>(counts[2]), 5, 1) << "class 2 has no partner";

  Stress counted{.imbalance = true, .class_counts = {3, 2}};
  EXPECT_EQ(stressed(vectors(40, 2), counted).size(), 5);
  Dataset real = vectors(40, 2);
  real.labels = {};
  real.classes = 0;
  real.targets = Tensor::from(std::vector<float>(40, 1), {40, 1}, Device::cpu(1));
  EXPECT_EQ(stressed(real, {.few = 7}).size(), 7);
  EXPECT_THROW(stressed(real, counted), ValueError);
  EXPECT_THROW(stressed(real, {.confusion = 0.5}), ValueError);
  EXPECT_THROW(stressed(real, {.few = 41}), ValueError);
}

}  // namespace
}  // namespace rtl::data

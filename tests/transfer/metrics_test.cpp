// Metrics against plain references written here.
#include "rtl/transfer/metrics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"

namespace rtl::transfer {
namespace {

struct Sample {
  std::vector<double> logits;
  std::vector<std::int32_t> labels;
  std::int64_t classes;
};

/// Coarse logits, so that ties are many.
Sample draw(std::uint64_t seed, std::int64_t samples, std::int64_t classes, bool ties) {
  RandomSequence random(seed, 77);
  Sample sample{{}, {}, classes};
  for (std::int64_t i = 0; i < samples; ++i) {
    sample.labels.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(classes))));
    for (std::int64_t c = 0; c < classes; ++c) {
      const double value = random.normal() + (c == sample.labels.back() ? 0.7 : 0.0);
      sample.logits.push_back(ties ? std::round(value) : value);
    }
  }
  return sample;
}

double softmax_score(const Sample& sample, std::size_t i, std::size_t c) {
  const auto width = static_cast<std::size_t>(sample.classes);
  double sum = 0;
  for (std::size_t k = 0; k < width; ++k) sum += std::exp(sample.logits[i * width + k]);
  return std::exp(sample.logits[i * width + c]) / sum;
}

/// Counts pairs.
double auc_by_pairs(const Sample& sample, std::int32_t c) {
  double right = 0, pairs = 0;
  for (std::size_t i = 0; i < sample.labels.size(); ++i) {
    for (std::size_t j = 0; j < sample.labels.size(); ++j) {
      if (sample.labels[i] != c || sample.labels[j] == c) continue;
      const double a = softmax_score(sample, i, static_cast<std::size_t>(c));
      const double b = softmax_score(sample, j, static_cast<std::size_t>(c));
      // Equal logits differ by rounding of the softmax in either implementation.
      right += std::abs(a - b) < 1e-13 ? 0.5 : (a > b ? 1.0 : 0.0);
      ++pairs;
    }
  }
  return right / pairs;
}

std::int32_t predicted(const Sample& sample, std::size_t i) {
  std::size_t best = 0;
  const auto width = static_cast<std::size_t>(sample.classes);
  for (std::size_t c = 1; c < width; ++c) {
    if (sample.logits[i * width + c] > sample.logits[i * width + best]) best = c;
  }
  return static_cast<std::int32_t>(best);
}

void compare_with_reference(const Sample& sample) {
  const Scores scores = score(sample.logits, sample.labels, sample.classes);
  const auto samples = static_cast<double>(sample.labels.size());
  double hits = 0, f1 = 0, f1_sum = 0, area = 0, weighted = 0, lowest = 1;
  for (std::int32_t c = 0; c < sample.classes; ++c) {
    double true_positive = 0, label = 0, prediction = 0;
    for (std::size_t i = 0; i < sample.labels.size(); ++i) {
      label += sample.labels[i] == c;
      prediction += predicted(sample, i) == c;
      true_positive += sample.labels[i] == c && predicted(sample, i) == c;
    }
    ASSERT_GT(label, 0);
    hits += true_positive;
    const double precision = prediction > 0 ? true_positive / prediction : 0;
    const double recall = true_positive / label;
    const double value = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
    f1 += value * label / samples;
    f1_sum += value;
    lowest = std::min(lowest, recall);
    const double pair_area = auc_by_pairs(sample, c);
    area += pair_area / static_cast<double>(sample.classes);
    weighted += pair_area * label / samples;
    EXPECT_DOUBLE_EQ(scores.class_accuracy.at(static_cast<std::size_t>(c)), recall);
  }
  EXPECT_DOUBLE_EQ(scores.accuracy, hits / samples);
  EXPECT_NEAR(scores.f1, f1, 1e-12);
  EXPECT_NEAR(scores.f1_macro, f1_sum / static_cast<double>(sample.classes), 1e-12);
  EXPECT_DOUBLE_EQ(scores.min_class_accuracy, lowest);
  EXPECT_NEAR(scores.auc, area, 1e-12);
  EXPECT_NEAR(scores.auc_weighted, weighted, 1e-12);
}

TEST(Metrics, AgreeWithPlainReferences) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    compare_with_reference(draw(seed, 180, 2, false));
    compare_with_reference(draw(seed, 181, 7, false));
  }
}

TEST(Metrics, AucCountsTiesByHalf) {
  const std::vector<double> scores{1, 1, 1, 2, 2, 0};
  const bool positive[] = {true, false, true, true, false, false};
  // Pairs (positive over negative): 1 vs {1, 2, 0}: 0.5 + 0 + 1, twice; 2 vs {1, 2, 0}: 1 + 0.5 + 1.
  EXPECT_DOUBLE_EQ(auc(scores, positive), (1.5 + 1.5 + 2.5) / 9);
  const std::vector<double> equal(6, 3.0);
  EXPECT_DOUBLE_EQ(auc(equal, positive), 0.5);
}

TEST(Metrics, AucOfManyTiesCountsPairs) {
  RandomSequence random(5);
  std::vector<double> scores;
  const auto positive = std::make_unique<bool[]>(300);
  for (std::size_t i = 0; i < 300; ++i) {
    scores.push_back(static_cast<double>(random.below(6)));
    positive[i] = random.uniform() < 0.3;
  }
  double right = 0, pairs = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    for (std::size_t j = 0; j < 300; ++j) {
      if (!positive[i] || positive[j]) continue;
      right += scores[i] == scores[j] ? 0.5 : (scores[i] > scores[j] ? 1.0 : 0.0);
      ++pairs;
    }
  }
  EXPECT_NEAR(auc(scores, {positive.get(), 300}), right / pairs, 1e-13);
}

TEST(Metrics, PerfectAndUselessPredictions) {
  const std::vector<std::int32_t> labels{0, 1, 2, 0};
  std::vector<double> perfect(12, 0.0);
  for (std::size_t i = 0; i < 4; ++i) perfect[i * 3 + static_cast<std::size_t>(labels[i])] = 50;
  const Scores best = score(perfect, labels, 3);
  EXPECT_EQ(best.accuracy, 1);
  EXPECT_EQ(best.auc, 1);
  EXPECT_EQ(best.f1, 1);
  EXPECT_EQ(best.min_class_accuracy, 1);
  const Scores flat = score(std::vector<double>(12, 0.0), labels, 3);
  EXPECT_EQ(flat.accuracy, 0.5);  // the first of equals
  EXPECT_EQ(flat.auc, 0.5);
  EXPECT_EQ(flat.min_class_accuracy, 0);
}

TEST(Metrics, ClassesWithoutSamplesAreLeftOut) {
  const std::vector<std::int32_t> labels{0, 2, 0, 2};
  const std::vector<double> logits{3, 1, 0, 0, 1, 3, 2, 1, 0, 0, 9, 1};
  const Scores scores = score(logits, labels, 3);
  EXPECT_EQ(scores.accuracy, 0.75);
  EXPECT_TRUE(std::isnan(scores.class_accuracy[1]));
  EXPECT_EQ(scores.min_class_accuracy, 0.5);
  EXPECT_EQ(scores.auc, 0.75);  // class 0 perfect; class 2: its second sample ranks below both others
  // Per class: 2 * 2 / 4, 0 (predicted once, never right), 2 * 1 / 3.
  EXPECT_NEAR(scores.f1_macro, (1.0 + 0 + 2.0 / 3) / 3, 1e-15);
  EXPECT_EQ(score(std::vector<double>{1, 0, 2, 0}, std::vector<std::int32_t>{0, 0}, 2).auc, 0.5);
}

TEST(Metrics, LargeLogitsDoNotOverflow) {
  const std::vector<double> logits{1e4, 0, 0, 1e4};
  EXPECT_EQ(score(logits, std::vector<std::int32_t>{0, 1}, 2).auc, 1.0);
}

TEST(Metrics, AucOfIndependentClassesRanksByEachOnesOwnLogit) {
  // Sample 0 has the larger logit of its class, 0, but a small share of a softmax: its other logit is larger still.
  const std::vector<double> logits{1, 5, 0.5, -5};
  const std::vector<std::int32_t> labels{0, 1};
  EXPECT_EQ(score(logits, labels, 2).auc, 0);
  const Scores scores = score(logits, labels, 2, true);
  EXPECT_EQ(scores.auc, 0.5);  // class 0: 1 above 0.5; class 1: -5 below 5
  EXPECT_EQ(scores.accuracy, score(logits, labels, 2).accuracy);
  EXPECT_EQ(score(std::vector<double>{50, 0, 49, 60}, labels, 2, true).auc, 1) << "sigmoids that round to one";
}

TEST(Metrics, BadArgumentsAreNamed) {
  const std::vector<std::int32_t> labels{0, 1};
  EXPECT_THROW(score(std::vector<double>(3), labels, 2), ShapeError);
  EXPECT_THROW(score(std::vector<double>{}, std::vector<std::int32_t>{}, 2), ValueError);
  for (const double wild : {static_cast<double>(NAN), HUGE_VAL, -HUGE_VAL}) {
    try {
      score(std::vector<double>{0, wild, 0, 0}, labels, 2);
      ADD_FAILURE() << wild << " is accepted";
    } catch (const ValueError& error) {
      EXPECT_NE(std::string(error.what()).find("--learning-rate"), std::string::npos) << error.what();
    }
    const bool positive[] = {true, false, true};
    EXPECT_THROW(auc(std::vector<double>{0, wild, wild}, positive), ValueError);
  }
  EXPECT_THROW(score(std::vector<double>(4), std::vector<std::int32_t>{0, 2}, 2), ValueError);
  const bool positive[] = {true, true};
  EXPECT_THROW(auc(std::vector<double>{1, 2}, positive), ValueError);
}

TEST(Metrics, TensorsOfEitherPrecision) {
  data::Dataset dataset;
  const Device device = Device::cpu(1);
  dataset.labels = Tensor::from(std::vector<std::int32_t>{0, 1, 1}, {3}, device);
  dataset.classes = 2;
  const Tensor narrow = Tensor::from(std::vector<float>{1, 0, 0, 1, 1, 0}, {3, 2}, device);
  const Tensor wide = Tensor::from(std::vector<double>{1, 0, 0, 1, 1, 0}, {3, 2}, device);
  EXPECT_DOUBLE_EQ(score(narrow, dataset).accuracy, 2.0 / 3);
  EXPECT_DOUBLE_EQ(score(wide, dataset).accuracy, 2.0 / 3);
  EXPECT_THROW(score(Tensor::zeros({3, 3}, DType::f32, device), dataset), ShapeError);
}

}  // namespace
}  // namespace rtl::transfer

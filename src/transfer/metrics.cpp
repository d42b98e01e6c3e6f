#include "rtl/transfer/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "rtl/core/error.hpp"
#include "transfer/varying_targets.hpp"

namespace rtl::transfer {
namespace {

/// Softmax and ranking are not defined for what is not finite.
void check_finite(const char* call, const char* what, std::span<const double> values) {
  const auto wild = std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
  if (wild == values.end()) return;
  throw ValueError(fmt::format(
      "{}: the {} hold {}; if they are of a network in training, it diverged: lower TrainingOptions::learning_rate "
      "(--learning-rate)",
      call, what, *wild));
}

void check(std::span<const double> logits, std::span<const std::int32_t> labels, std::int64_t classes) {
  if (labels.empty()) throw ValueError("score: there are no samples");
  if (classes < 1 || logits.size() != labels.size() * static_cast<std::size_t>(classes)) {
    throw ShapeError(fmt::format("score: {} logits for {} samples of {} classes; give one for each sample and class",
                                 logits.size(), labels.size(), classes));
  }
  for (const std::int32_t label : labels) {
    if (label < 0 || label >= classes) throw ValueError(fmt::format("score: label {} of {} classes", label, classes));
  }
  check_finite("score", "logits", logits);
}

/// What ranks the samples, class by class: [classes, samples]. Logits rank as their sigmoids do, without the ties of
/// those that round to one.
std::vector<double> class_scores(std::span<const double> logits, std::size_t samples, std::size_t classes,
                                 bool independent) {
  std::vector<double> scores(logits.size());
  std::vector<double> row(classes);
  for (std::size_t i = 0; i < samples; ++i) {
    const auto values = logits.subspan(i * classes, classes);
    if (independent) {
      for (std::size_t c = 0; c < classes; ++c) scores[c * samples + i] = values[c];
      continue;
    }
    const double largest = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) sum += row[c] = std::exp(values[c] - largest);
    for (std::size_t c = 0; c < classes; ++c) scores[c * samples + i] = row[c] / sum;
  }
  return scores;
}

struct Counts {
  std::vector<double> label;       ///< samples of each class
  std::vector<double> prediction;  ///< predictions of each class
  std::vector<double> hit;
};

Counts count(const Scores& scores, std::size_t classes) {
  Counts counts{std::vector<double>(classes), std::vector<double>(classes), std::vector<double>(classes)};
  for (std::size_t i = 0; i < classes; ++i) {
    for (std::size_t j = 0; j < classes; ++j) {
      const auto number = static_cast<double>(scores.confusion[i * classes + j]);
      counts.label[i] += number;
      counts.prediction[j] += number;
      if (i == j) counts.hit[i] = number;
    }
  }
  return counts;
}

void add_class_metrics(Scores& scores, const Counts& counts) {
  const std::size_t classes = counts.label.size();
  const auto samples = static_cast<double>(scores.samples);
  double seen = 0, hits = 0;
  scores.min_class_accuracy = 1;
  for (std::size_t c = 0; c < classes; ++c) {
    const double both = counts.label[c] + counts.prediction[c];
    const double f1 = both > 0 ? 2 * counts.hit[c] / both : 0;
    scores.f1 += f1 * counts.label[c] / samples;
    scores.f1_macro += f1;
    if (both > 0) ++seen;
    hits += counts.hit[c];
    const bool occurs = counts.label[c] > 0;
    const double recall = occurs ? counts.hit[c] / counts.label[c] : std::numeric_limits<double>::quiet_NaN();
    scores.class_accuracy.push_back(recall);
    if (occurs) scores.min_class_accuracy = std::min(scores.min_class_accuracy, recall);
  }
  scores.accuracy = hits / samples;
  scores.f1_macro /= seen;
}

void add_auc(Scores& scores, std::span<const double> by_class, std::span<const std::int32_t> labels,
             const Counts& counts) {
  const std::size_t samples = labels.size();
  const auto positive = std::make_unique<bool[]>(samples);
  double defined = 0, sum = 0, weight = 0, weighted = 0;
  for (std::size_t c = 0; c < counts.label.size(); ++c) {
    if (counts.label[c] == 0 || counts.label[c] == static_cast<double>(samples)) continue;
    for (std::size_t i = 0; i < samples; ++i) positive[i] = labels[i] == static_cast<std::int32_t>(c);
    const double area = auc(by_class.subspan(c * samples, samples), {positive.get(), samples});
    defined += 1;
    sum += area;
    weight += counts.label[c];
    weighted += counts.label[c] * area;
  }
  scores.auc = defined > 0 ? sum / defined : 0.5;
  scores.auc_weighted = defined > 0 ? weighted / weight : 0.5;
}

std::vector<double> to_doubles(const Tensor& tensor) {
  if (tensor.dtype() == DType::f64) return tensor.to_vector<double>();
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

}  // namespace

double auc(std::span<const double> scores, std::span<const bool> positive) {
  if (scores.size() != positive.size()) {
    throw ShapeError(fmt::format("auc: {} scores, {} marks", scores.size(), positive.size()));
  }
  check_finite("auc", "scores", scores);
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  double positives = 0, rank_sum = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    double tied = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end) tied += positive[order[end]];
    rank_sum += tied * (static_cast<double>(begin + 1) + static_cast<double>(end)) / 2;
    positives += tied;
    begin = end;
  }
  const double negatives = static_cast<double>(scores.size()) - positives;
  if (positives == 0 || negatives == 0) throw ValueError("auc: positive and negative samples must both occur");
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

Scores score(std::span<const double> logits, std::span<const std::int32_t> labels, std::int64_t classes,
             bool independent) {
  check(logits, labels, classes);
  const auto width = static_cast<std::size_t>(classes);
  Scores scores;
  scores.samples = static_cast<std::int64_t>(labels.size());
  scores.confusion.assign(width * width, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * width, width);
    const auto prediction = static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    ++scores.confusion[static_cast<std::size_t>(labels[i]) * width + prediction];
    scores.correct.push_back(static_cast<std::size_t>(labels[i]) == prediction);
  }
  const Counts counts = count(scores, width);
  add_class_metrics(scores, counts);
  add_auc(scores, class_scores(logits, labels.size(), width, independent), labels, counts);
  return scores;
}

std::vector<double> Scores::sample_values() const {
  if (regression) return sample_r2;
  return {correct.begin(), correct.end()};
}

Scores score_regression(std::span<const double> predictions, std::span<const double> targets, std::int64_t outputs) {
  if (targets.empty()) throw ValueError("score: there are no samples");
  if (outputs < 1 || predictions.size() != targets.size() || targets.size() % static_cast<std::size_t>(outputs) != 0) {
    throw ShapeError(
        fmt::format("score: {} predictions for {} targets of {} outputs", predictions.size(), targets.size(), outputs));
  }
  check_finite("score", "predictions", predictions);
  const auto width = static_cast<std::size_t>(outputs);
  const std::size_t samples = targets.size() / width;
  if (!detail::all_vary(targets, width)) {
    throw ValueError("score: a target has one value alone, so that R^2 is not defined");
  }
  Scores scores;
  scores.regression = true;
  scores.samples = static_cast<std::int64_t>(samples);
  scores.sample_r2.assign(samples, 0);
  double squares = 0;
  for (std::size_t output = 0; output < width; ++output) {
    double mean = 0, total = 0;
    for (std::size_t i = 0; i < samples; ++i) mean += targets[i * width + output] / static_cast<double>(samples);
    for (std::size_t i = 0; i < samples; ++i) total += std::pow(targets[i * width + output] - mean, 2);
    if (!(total > 0 && std::isfinite(total))) {
      throw ValueError(fmt::format("score: the squares of a target's deviations sum to {}; scale it", total));
    }
    for (std::size_t i = 0; i < samples; ++i) {
      const double square = std::pow(targets[i * width + output] - predictions[i * width + output], 2);
      squares += square;
      scores.sample_r2[i] += (1 - static_cast<double>(samples) * square / total) / static_cast<double>(width);
    }
  }
  scores.rmse = std::sqrt(squares / static_cast<double>(targets.size()));
  for (const double part : scores.sample_r2) scores.r2 += part / static_cast<double>(samples);
  return scores;
}

Scores score(const Tensor& logits, const data::Dataset& dataset, bool independent) {
  if (dataset.is_regression()) {
    if (logits.shape() != dataset.targets.shape()) {
      throw ShapeError(fmt::format("score: predictions {} of targets {}", logits.shape().to_string(),
                                   dataset.targets.shape().to_string()));
    }
    return score_regression(to_doubles(logits), to_doubles(dataset.targets), dataset.outputs());
  }
  if (!dataset.has_labels()) throw ValueError(fmt::format("score: {} has no labels", dataset.name));
  if (logits.rank() != 2 || dataset.labels.shape() != Shape{logits.extent(0)} || logits.extent(1) != dataset.classes) {
    throw ShapeError(fmt::format("score: logits {} for {} labels of {} classes", logits.shape().to_string(),
                                 dataset.labels.count(), dataset.classes));
  }
  return score(to_doubles(logits), dataset.labels.to_vector<std::int32_t>(), dataset.classes, independent);
}

}  // namespace rtl::transfer

#include "studies/transfer_table/transferability.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/data/split.hpp"
#include "rtl/transfer/scores.hpp"

namespace rtl::studies::transfer_table {
namespace {

constexpr std::uint64_t first_seed = 1;
constexpr std::size_t least_sources = 3;

/// From 0, equal numbers at the mean of their places.
std::vector<double> ranks_of(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
  }
  return ranks;
}

/// What is correlated, a row each setting.
struct Columns {
  std::vector<double> score, gain, accuracy;

  void add(const Outcome& outcome, double value) {
    const double best = std::max(outcome.mean("probe"), outcome.mean("ridge-probe"));
    score.push_back(value);
    gain.push_back(best - outcome.mean("scratch"));
    accuracy.push_back(best);
  }
};

std::optional<double> mean_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<std::int32_t> named_classes(const Tensor& logits) {
  const std::vector<float> values = logits.to_vector<float>();
  const std::int64_t classes = logits.extent(1);
  std::vector<std::int32_t> named;
  for (auto row = values.begin(); row != values.end(); row += classes) {
    named.push_back(static_cast<std::int32_t>(std::max_element(row, row + classes) - row));
  }
  return named;
}

}  // namespace

const std::vector<std::pair<std::string, std::string>>& score_names() {
  static const std::vector<std::pair<std::string, std::string>> names{
      {"log_me", "LogME"},        {"h_score", "H-score"}, {"h_score_shrunk", "H-score, shrunk"},
      {"transrate", "TransRate"}, {"leep", "LEEP"},       {"nce", "NCE"}};
  return names;
}

std::map<std::string, double> transferability_of(const Prepared& prepared, const Setting& setting) {
  const data::Dataset& pool = prepared.target.train;
  const Device host = Device::cpu(1);
  const std::vector<std::int64_t> rows = data::random_subset(pool.size(), setting.rows, first_seed);
  const Tensor features = prepared.features->get(prepared.source, pool)->gather(&rows, host);
  const data::Dataset train = pool.subset(rows);
  if (setting.regression) return {{"log_me", transfer::log_me_regression(features, train.targets)}};
  std::map<std::string, double> scores{
      {"log_me", transfer::log_me(features, train.labels, train.classes)},
      {"h_score", transfer::h_score(features, train.labels, train.classes)},
      {"h_score_shrunk", transfer::h_score(features, train.labels, train.classes, transfer::HScoreForm::shrunk)},
      {"transrate", transfer::transrate(features, train.labels, train.classes)}};
  if (!prepared.head) return scores;
  const data::Dataset& seen = prepared.head_inputs ? *prepared.head_inputs : pool;
  const Tensor logits = prepared.head->logits(seen.subset(rows));
  const Tensor named = Tensor::from(named_classes(logits), {setting.rows}, host);
  scores["leep"] = transfer::leep(logits, train.labels, train.classes);
  scores["nce"] = transfer::nce(named, logits.extent(1), train.labels, train.classes);
  return scores;
}

std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) throw ShapeError(fmt::format("rank_correlation: {} and {} numbers", a.size(), b.size()));
  const std::vector<double> x = ranks_of(a), y = ranks_of(b);
  // Ranks are multiples of 1/2 with this mean, and the sums exact.
  const double mean = (static_cast<double>(a.size()) - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean), xx += (x[i] - mean) * (x[i] - mean), yy += (y[i] - mean) * (y[i] - mean);
  }
  if (xx == 0 || yy == 0) return {};
  return xy / std::sqrt(xx * yy);
}

Agreement Agreement::of(const std::vector<const Outcome*>& outcomes, const std::string& score) {
  Agreement agreement;
  Columns all;
  std::map<std::string, Columns> by_target;
  for (const Outcome* outcome : outcomes) {
    const auto found = outcome->transferability.find(score);
    if (found == outcome->transferability.end()) continue;
    const Setting& setting = outcome->setting;
    all.add(*outcome, found->second);
    by_target[fmt::format("{}, {}, {}", setting.family, setting.target, setting.rows)].add(*outcome, found->second);
  }
  agreement.settings = all.score.size();
  agreement.gain_over_all = rank_correlation(all.score, all.gain);
  agreement.accuracy_over_all = rank_correlation(all.score, all.accuracy);
  std::vector<double> gains, accuracies;
  for (const auto& [target, own] : by_target) {
    if (own.score.size() < least_sources) continue;
    const auto gain = rank_correlation(own.score, own.gain), accuracy = rank_correlation(own.score, own.accuracy);
    if (!gain || !accuracy) continue;
    gains.push_back(*gain);
    accuracies.push_back(*accuracy);
  }
  agreement.targets = gains.size();
  agreement.gain_within = mean_of(gains);
  agreement.accuracy_within = mean_of(accuracies);
  return agreement;
}

}  // namespace rtl::studies::transfer_table

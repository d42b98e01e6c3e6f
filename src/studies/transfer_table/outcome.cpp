#include "studies/transfer_table/outcome.hpp"

#include <algorithm>
#include <limits>

namespace rtl::studies::transfer_table {

const std::vector<std::string>& rival_labels() {
  static const std::vector<std::string> labels{"scratch", "probe", "ridge-probe", "refine"};
  return labels;
}

StrategyScores StrategyScores::first(int seeds) const {
  StrategyScores part = *this;
  part.scores.resize(static_cast<std::size_t>(seeds));
  std::erase_if(part.diverged, [&](std::int64_t seed) { return seed > seeds; });
  return part;
}

std::vector<double> Outcome::scores(const std::string& label) const {
  std::vector<double> all = strategies.at(label).scores;
  for (double& score : all) score = std::max(score, lowest_r2);
  return all;
}

double Outcome::mean(const std::string& label) const { return transfer::summarize(scores(label)).mean; }

transfer::Interval Outcome::difference(const std::string& label, const std::string& other) const {
  const std::vector<double> a = scores(label), b = scores(other);
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return transfer::t_interval(differences, 0.95, -infinity, infinity);
}

std::string Outcome::best_of(const std::vector<std::string>& labels) const {
  return *std::max_element(labels.begin(), labels.end(),
                           [&](const std::string& a, const std::string& b) { return mean(a) < mean(b); });
}

Tally Tally::of(const std::vector<const Outcome*>& outcomes, const std::string& label) {
  Tally tally;
  tally.worst = std::numeric_limits<double>::infinity();
  for (const Outcome* outcome : outcomes) {
    if (!outcome->has(label)) continue;
    ++tally.settings;
    const transfer::Interval from_scratch = outcome->difference(label, "scratch");
    tally.gain += from_scratch.mean;
    if (from_scratch.mean < tally.worst) tally.worst = from_scratch.mean, tally.worst_setting = outcome->setting.name();
    tally.worse += from_scratch.high < 0;
    tally.better += from_scratch.low > 0;
    const transfer::Interval from_best = outcome->difference(label, outcome->best_rival());
    tally.regret -= from_best.mean;
    tally.worse_than_best += from_best.high < 0;
    tally.better_than_best += from_best.low > 0;
    tally.processor_seconds += outcome->strategies.at(label).processor_seconds;
    tally.scratch_seconds += outcome->strategies.at("scratch").processor_seconds;
    tally.diverged += static_cast<std::int64_t>(outcome->strategies.at(label).diverged.size());
  }
  if (tally.settings == 0) return {};
  const auto count = static_cast<double>(tally.settings);
  tally.gain /= count, tally.regret /= count, tally.processor_seconds /= count, tally.scratch_seconds /= count;
  return tally;
}

}  // namespace rtl::studies::transfer_table

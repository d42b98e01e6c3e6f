#include "transfer/comparison_summary.hpp"

#include <algorithm>
#include <limits>

namespace rtl::transfer::detail {
namespace {

bool finished(const RunResult& run) { return run.divergence.empty(); }

std::vector<const RunResult*> finished_runs(const StrategyRuns& own) {
  std::vector<const RunResult*> runs;
  std::copy_if(own.runs.begin(), own.runs.end(), std::back_inserter(runs),
               [](const RunResult* run) { return finished(*run); });
  return runs;
}

Statistic gather(const StrategyRuns& own, double Scores::*member) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  Statistic statistic{none, none, {}};
  std::vector<double> known;
  for (const RunResult* run : own.runs) {
    if (finished(*run)) known.push_back(run->scores.*member);
    statistic.values.push_back(finished(*run) ? run->scores.*member : none);
  }
  if (known.empty()) return statistic;
  const Summary summary = summarize(known);
  statistic.mean = summary.mean;
  statistic.std = summary.std;
  return statistic;
}

/// Of the runs that have as many as the first.
std::vector<BlockInfluence> mean_influence(const std::vector<const RunResult*>& runs) {
  std::vector<BlockInfluence> mean = runs.front()->influence;
  std::vector<const RunResult*> alike;
  std::copy_if(runs.begin(), runs.end(), std::back_inserter(alike),
               [&](const RunResult* run) { return run->influence.size() == mean.size(); });
  const auto count = static_cast<double>(alike.size());
  for (std::size_t k = 0; k < mean.size(); ++k) {
    mean[k].feature_norm = mean[k].logit_deviation = mean[k].share = 0;
    for (const RunResult* run : alike) {
      const BlockInfluence& entry = run->influence[k];
      mean[k].feature_norm += entry.feature_norm / count;
      mean[k].logit_deviation += entry.logit_deviation / count;
      mean[k].share += entry.share / count;
    }
  }
  return mean;
}

/// Of the runs that have as many as the first.
std::vector<ReadOut> mean_read_outs(const std::vector<const RunResult*>& runs) {
  std::vector<ReadOut> mean = runs.front()->read_outs;
  std::vector<const RunResult*> alike;
  std::copy_if(runs.begin(), runs.end(), std::back_inserter(alike),
               [&](const RunResult* run) { return run->read_outs.size() == mean.size(); });
  for (std::size_t k = 0; k < mean.size(); ++k) {
    for (double ReadOut::*member :
         {&ReadOut::weight, &ReadOut::temperature, &ReadOut::loss, &ReadOut::difference, &ReadOut::standard_error}) {
      double sum = 0;
      for (const RunResult* run : alike) sum += run->read_outs[k].*member;
      mean[k].*member = sum / static_cast<double>(alike.size());
    }
  }
  return mean;
}

/// Of each epoch over the runs that had it.
std::vector<double> mean_losses(const std::vector<const RunResult*>& runs) {
  std::vector<double> mean, counts;
  for (const RunResult* run : runs) {
    mean.resize(std::max(mean.size(), run->losses.size()));
    counts.resize(mean.size());
    for (std::size_t epoch = 0; epoch < run->losses.size(); ++epoch) {
      mean[epoch] += run->losses[epoch];
      counts[epoch] += 1;
    }
  }
  for (std::size_t epoch = 0; epoch < mean.size(); ++epoch) mean[epoch] /= counts[epoch];
  return mean;
}

/// How many samples of the test part have each class, and are predicted to have it.
struct ClassCounts {
  std::vector<std::int64_t> label;
  std::vector<std::int64_t> prediction;
};

ClassCounts count_classes(const Scores& scores) {
  const std::size_t classes = scores.class_accuracy.size();
  ClassCounts counts{std::vector<std::int64_t>(classes), std::vector<std::int64_t>(classes)};
  for (std::size_t i = 0; i < classes; ++i) {
    for (std::size_t j = 0; j < classes; ++j) {
      counts.label[i] += scores.confusion[i * classes + j];
      counts.prediction[j] += scores.confusion[i * classes + j];
    }
  }
  return counts;
}

/// Constant predictions and classes that are never predicted, where more than one class is there to be predicted.
void look_at_predictions(StrategyResult& result, const std::vector<const RunResult*>& runs) {
  const auto used = [](const std::vector<std::int64_t>& counts) {
    return std::count_if(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; });
  };
  const ClassCounts first = count_classes(runs.front()->scores);
  if (used(first.label) < 2) return;
  std::vector<std::int64_t> predicted(first.prediction.size());
  for (const RunResult* run : runs) {
    const ClassCounts counts = count_classes(run->scores);
    result.constant += used(counts.prediction) == 1;
    for (std::size_t c = 0; c < predicted.size(); ++c) predicted[c] += counts.prediction[c];
  }
  if (result.constant == static_cast<std::int64_t>(runs.size())) return;
  for (std::size_t c = 0; c < predicted.size(); ++c) {
    if (predicted[c] == 0 && first.label[c] > 0) result.forgotten.push_back(static_cast<std::int32_t>(c));
  }
}

void compare_with_scratch(StrategyResult& result, const StrategyRuns& own, const StrategyRuns& scratch,
                          double confidence) {
  std::vector<double> run_means;
  std::vector<double> sample_means;
  bool scratch_diverged = false;
  for (std::size_t seed = 0; seed < own.runs.size(); ++seed) {
    const RunResult& a = *own.runs[seed];
    const RunResult& b = *scratch.runs[seed];
    scratch_diverged = scratch_diverged || !finished(b);
    if (!finished(a) || !finished(b)) continue;
    run_means.push_back(a.scores.value() - b.scores.value());
    const std::vector<double> ours = a.scores.sample_values(), theirs = b.scores.sample_values();
    sample_means.resize(ours.size());
    for (std::size_t i = 0; i < sample_means.size(); ++i) sample_means[i] += ours[i] - theirs[i];
  }
  result.pairs = static_cast<std::int64_t>(run_means.size());
  if (run_means.empty()) {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    result.difference_from_scratch = result.difference_new_samples = {none, -1, 1};
    return;
  }
  for (double& mean : sample_means) mean /= static_cast<double>(run_means.size());
  const PairedDifference difference = compare_paired(run_means, sample_means, {.confidence = confidence});
  const auto fair = [&](Verdict verdict) {
    const bool flattered =
        (verdict == Verdict::helps && result.diverged > 0) || (verdict == Verdict::hurts && scratch_diverged);
    return flattered ? Verdict::undecided : verdict;
  };
  result.difference_from_scratch = difference.over_seeds;
  result.difference_new_samples = difference.new_samples;
  result.verdict = fair(judge(difference.over_seeds));
  result.verdict_new_samples = fair(judge(difference.new_samples));
  result.p_value = difference.p_value;
  result.p_value_new_samples = difference.p_value_new_samples;
  result.no_spread = difference.no_spread;
}

StrategyResult summarize_strategy(const StrategyRuns& own, const StrategyRuns& scratch, double confidence) {
  StrategyResult result;
  result.name = own.label;
  result.options = own.options;
  result.accuracy = gather(own, &Scores::accuracy);
  result.auc = gather(own, &Scores::auc);
  result.auc_weighted = gather(own, &Scores::auc_weighted);
  result.f1 = gather(own, &Scores::f1);
  result.f1_macro = gather(own, &Scores::f1_macro);
  result.min_class_accuracy = gather(own, &Scores::min_class_accuracy);
  result.r2 = gather(own, &Scores::r2);
  result.rmse = gather(own, &Scores::rmse);
  const std::vector<const RunResult*> runs = finished_runs(own);
  result.diverged = static_cast<std::int64_t>(own.runs.size() - runs.size());
  for (const RunResult* run : own.runs) {
    if (result.divergence.empty()) result.divergence = run->divergence;
  }
  if (!runs.empty()) {
    result.trainable_parameters = runs.front()->trainable_parameters;
    for (const RunResult* run : runs) {
      result.seconds += run->seconds / static_cast<double>(runs.size());
      result.peak_memory_bytes = std::max(result.peak_memory_bytes, run->peak_memory_bytes);
    }
    result.influence = mean_influence(runs);
    result.read_outs = mean_read_outs(runs);
    result.losses = mean_losses(runs);
    look_at_predictions(result, runs);
    for (const RunResult* run : runs) {
      if (result.warned == 0) result.warnings = run->warnings;
      result.warned += run->warnings.empty() ? 0 : 1;
    }
  }
  if (&own == &scratch) {
    result.pairs = static_cast<std::int64_t>(runs.size());
    return result;
  }
  compare_with_scratch(result, own, scratch, confidence);
  if (own.strategy != "refine") return result;
  for (const BlockInfluence& block : result.influence) {
    if (block.name != "h" && block.share > dominance_share) result.dominated_by = block.name;
  }
  return result;
}

ScratchCheck check_scratch(const StrategyRuns& scratch, const StrategyResult& result,
                           std::span<const std::int32_t> labels, double confidence) {
  ScratchCheck check;
  const std::vector<const RunResult*> runs = finished_runs(scratch);
  if (runs.empty()) return check;
  check.loss_fell = result.losses.size() < 2 || result.losses.back() < result.losses.front();
  if (runs.front()->scores.regression) {
    std::vector<double> gains(runs.front()->scores.sample_r2.size());
    for (std::size_t i = 0; i < gains.size(); ++i) {
      for (const RunResult* run : runs) gains[i] += run->scores.sample_r2[i] / static_cast<double>(runs.size());
    }
    check.above_majority = sample_interval(gains, {.confidence = confidence});
    check.beats_majority = check.above_majority.low > 0;
    return check;
  }
  const ClassCounts counts = count_classes(runs.front()->scores);
  const auto largest = std::max_element(counts.label.begin(), counts.label.end());
  check.majority_class = static_cast<std::int32_t>(largest - counts.label.begin());
  check.majority_share = static_cast<double>(*largest) / static_cast<double>(labels.size());
  std::vector<double> gains(labels.size());
  for (std::size_t i = 0; i < gains.size(); ++i) {
    for (const RunResult* run : runs) gains[i] += run->scores.correct[i] ? 1 : 0;
    gains[i] = gains[i] / static_cast<double>(runs.size()) - (labels[i] == check.majority_class ? 1 : 0);
  }
  check.above_majority = sample_interval(gains, {.confidence = confidence});
  check.beats_majority = check.above_majority.low > 0 || check.majority_share == 1;
  return check;
}

}  // namespace

void summarize_runs(Comparison& comparison, const std::vector<StrategyRuns>& all,
                    std::span<const std::int32_t> labels) {
  std::vector<double> p_values;
  for (const StrategyRuns& own : all) {
    comparison.strategies.push_back(summarize_strategy(own, all.front(), comparison.confidence));
    if (comparison.strategies.size() > 1) p_values.push_back(comparison.strategies.back().p_value);
  }
  const std::vector<double> corrected = holm(p_values);
  for (std::size_t i = 0; i < corrected.size(); ++i) comparison.strategies[i + 1].p_value_holm = corrected[i];
  comparison.scratch = check_scratch(all.front(), comparison.strategies.front(), labels, comparison.confidence);
}

}  // namespace rtl::transfer::detail

// What strategies score in a setting, and what that says of them over many settings.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rtl/transfer/statistics.hpp"
#include "studies/transfer_table/settings.hpp"

namespace rtl::studies::transfer_table {

/// What hindsight chooses the best of: scratch, probes and REFINE as published.
const std::vector<std::string>& rival_labels();

/// An R^2 below counts as this one, so that single runs do not decide means.
inline constexpr double lowest_r2 = -1;

/// One strategy in one setting.
struct StrategyScores {
  std::vector<double> scores;  ///< accuracy or R^2 of each seed, fractions of one
  /// Of runs that diverged; they count as always predicting the most frequent class, or as lowest_r2.
  std::vector<std::int64_t> diverged = {};
  double processor_seconds = 0;  ///< a fit and its evaluation, mean over the seeds

  /// Of seeds 1 to `seeds`.
  StrategyScores first(int seeds) const;
};

struct Outcome {
  Setting setting;
  std::map<std::string, StrategyScores> strategies;
  std::map<std::string, double> transferability = {};  ///< score_names() that the source and the task allow
  std::map<std::string, std::string> left_out = {};    ///< strategies that the setting does not allow, and why

  bool has(const std::string& label) const { return strategies.count(label) != 0; }
  /// Whether nothing is left to find out of it.
  bool settles(const std::string& label) const { return has(label) || left_out.count(label) != 0; }
  /// Of each seed, not below lowest_r2.
  std::vector<double> scores(const std::string& label) const;
  double mean(const std::string& label) const;
  /// Of a strategy's scores minus another's, paired by seed: a 95 % t-interval.
  transfer::Interval difference(const std::string& label, const std::string& other) const;
  /// Of these strategies the one with the highest mean, the first of equals.
  std::string best_of(const std::vector<std::string>& labels) const;
  std::string best_rival() const { return best_of(rival_labels()); }
};

/// A strategy over settings; scores are fractions of one.
struct Tally {
  std::size_t settings = 0;  ///< that have it
  double gain = 0;           ///< mean difference from scratch
  double worst = 0;          ///< the lowest mean difference from scratch ..
  std::string worst_setting = {};
  std::size_t worse = 0, better = 0;  ///< settings significantly below scratch, and above
  double regret = 0;                  ///< mean of what the best rival, chosen with hindsight, has more
  std::size_t worse_than_best = 0, better_than_best = 0;  ///< significantly
  double processor_seconds = 0, scratch_seconds = 0;      ///< of a fit, and of one of scratch in the same settings
  std::int64_t diverged = 0;                              ///< runs

  static Tally of(const std::vector<const Outcome*>& outcomes, const std::string& label);
};

}  // namespace rtl::studies::transfer_table

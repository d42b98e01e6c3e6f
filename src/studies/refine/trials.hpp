// Paired runs: what strategies score with one seed after another, kept as they are finished, and what that says.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rtl/transfer/statistics.hpp"
#include "rtl/transfer/strategies.hpp"
#include "studies/store.hpp"

namespace rtl::studies::refine {

/// What all parts have.
struct Runs {
  std::string data = {};   ///< folder of the data sets
  std::string state = {};  ///< folder of finished runs; empty: none is kept
  int seeds = 0;           ///< 0: 5, with --quick 3
  int source_epochs = 60;  ///< of the paper's own source

  int seeds_for(const RunOptions& options) const { return seeds > 0 ? seeds : options.full() ? 5 : 3; }
  Store store(const RunOptions& options) const;
};

/// Fractions of one, by name: "flips 0.8: refine".
using Scores = std::map<std::string, double>;

/// A share of a part's work for each seed: the scores that it adds.
struct Piece {
  std::string name;
  std::function<Scores(std::uint64_t seed)> run;  ///< may be called by several threads at a time
};

/// The scores of seeds 1, 2, ..
class Trials {
 public:
  explicit Trials(std::vector<Scores> seeds) : seeds_(std::move(seeds)) {}

  std::size_t count() const noexcept { return seeds_.size(); }
  bool has(const std::string& name) const { return seeds_.front().count(name) != 0; }
  /// In points (hundredths), one a seed.
  std::vector<double> points(const std::string& name) const;
  transfer::Summary summary(const std::string& name) const { return transfer::summarize(points(name)); }
  /// Of one score minus another, paired by seed: points with a 95 % t-interval.
  transfer::Interval difference(const std::string& name, const std::string& other) const;
  const std::vector<Scores>& seeds() const noexcept { return seeds_; }

 private:
  std::vector<Scores> seeds_;
};

/// All pieces for all seeds, on all cores, one thread each. `facts` are what decides the scores beside part, piece and
/// seed.
Trials run_trials(const std::string& part, const std::vector<Piece>& pieces, const Store::Facts& facts,
                  const Runs& runs, const RunOptions& options);

/// A target as strategies are given it.
struct Target {
  data::Dataset train, test;
  transfer::TrainingOptions training;
  transfer::StrategyOptions strategy = {};
};

/// Adds the accuracy of each strategy as "PREFIXlabel", and its mean F1 over classes as "PREFIXlabel, F1" where asked
/// for. A run that diverged counts as chance.
void add_scores(Scores& scores, const std::string& prefix, const std::vector<std::string>& labels,
                const std::vector<transfer::FrozenSource>& sources, const Target& target, bool with_f1 = false);

/// A strategy as tables name it, with what the paper has for it.
struct Published {
  double mean = 0, deviation = 0;  ///< accuracy in percent; deviation over the seeds
};
struct Row {
  std::string setting;
  std::string strategy;
  std::string score;  ///< its name in the trials
  std::string scratch = "scratch";
  std::optional<Published> published = {};
  std::optional<Published> published_scratch = {};
};
/// A row each, beside scratch and the published numbers.
TextTable table_of(const std::string& title, const Trials& trials, const std::vector<Row>& rows,
                   const std::string& quantity = "accuracy %");

/// "+1.20 (+0.30 to +2.10)".
std::string text(const transfer::Interval& interval);

/// That a difference is above zero: the lower limit of its interval is.
void claim_above(Reproduction& result, const std::string& name, const transfer::Interval& difference);
/// That a difference is not below zero by more than the worst of the paper's 31 settings, 2.18 points.
void claim_no_worse(Reproduction& result, const std::string& name, const transfer::Interval& difference);

/// {"seeds": [{NAME: SCORE}]} of a part.
Json to_json(const Trials& trials);

}  // namespace rtl::studies::refine

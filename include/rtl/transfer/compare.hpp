// Did transfer help? Every strategy against training from scratch, paired seed by seed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/statistics.hpp"
#include "rtl/transfer/strategies.hpp"

namespace rtl::transfer {

/// What a comparison is doing, told after every epoch and at the start and end of every run.
struct CompareProgress {
  std::string strategy;
  std::uint64_t seed = 0;
  std::int64_t run = 0;   ///< runs finished so far
  std::int64_t runs = 0;  ///< of how many
  Progress training;
};

struct CompareOptions {
  /// Names, each optionally with a feature scaling of its own: "refine", "refine:standardize". Empty: all. scratch is
  /// always run, and first.
  std::vector<std::string> strategies = {};
  std::int64_t seeds = 5;
  std::uint64_t first_seed = 1;  ///< run i uses seed first_seed + i for everything
  /// Training samples a run uses, a subset drawn by its seed (the same for all strategies); 0: all.
  std::int64_t train_samples = 0;
  TrainingOptions training = {};  ///< its seed, checkpoint, resume, progress and stop are set by the comparison
  StrategyOptions strategy = {};  ///< its device is set by the comparison
  double confidence = 0.95;
  /// Runs at a time, each on a device of its own (Device::separate). Results depend on the threads of a run's device,
  /// not on how many run beside it.
  int workers = 1;
  int threads_per_run = 0;  ///< of host devices; 0: the data's device's threads divided by `workers`
  /// Folder for a file a run (and the checkpoint of unfinished ones), with a description of their protocol; empty keeps
  /// none. It is for the runs of one protocol, any strategies and seeds: if it holds those of another one (other data,
  /// sources, options, kind of device, threads a run, version), compare throws ValueError before anything is computed,
  /// saying what differs, and leaves them as they are.
  std::string state_folder = {};
  /// Take over finished runs and go on with unfinished ones. Damaged files are not used (`notice` is told).
  bool resume = false;
  std::int64_t checkpoint_interval = 5;  ///< epochs
  /// Called by one thread at a time.
  std::function<void(const CompareProgress&)> progress = {};
  /// Told in words, by one thread at a time, what goes another way than asked without changing the result: damaged
  /// state files, a feature cache that cannot be written.
  std::function<void(const std::string&)> notice = {};
  std::function<bool()> stop = {};  ///< as in TrainingOptions; compare then throws Interrupted
};

/// compare() was ended by its `stop`; finished runs are in the state folder.
class Interrupted : public Error {
  using Error::Error;
};

struct Statistic {
  double mean = 0;
  double std = 0;              ///< population
  std::vector<double> values;  ///< one a seed
};

struct StrategyResult {
  std::string name;  ///< as asked for: "refine", "refine:balance"
  FeatureScaling feature_scaling = FeatureScaling::raw;
  std::int64_t trainable_parameters = 0;
  double seconds = 0;  ///< mean of the runs: training and feature lookup, without evaluation
  Statistic accuracy, auc, auc_weighted, f1, f1_macro, min_class_accuracy;
  Interval difference_from_scratch;  ///< of accuracy, paired by seed
  Verdict verdict = Verdict::undecided;
  std::vector<BlockInfluence> influence;  ///< mean over the seeds, on the test part; empty without blocks
  std::vector<double> losses;             ///< mean training loss of each epoch, mean over the seeds
  /// A frozen block has more than `dominance_share` of the logits' variance: the protection that refine owes to h is
  /// weak there. Name of the block, or empty.
  std::string dominated_by;
};
/// Beyond this share of the logits' variance a frozen block counts as dominating.
inline constexpr double dominance_share = 0.5;

struct Comparison {
  std::string target;
  std::string device;
  std::vector<std::string> sources;
  std::vector<std::uint64_t> seeds;
  std::int64_t train_samples = 0;
  std::int64_t test_samples = 0;
  double confidence = 0.95;
  double feature_seconds = 0;              ///< to compute or read the frozen features of both parts
  std::vector<StrategyResult> strategies;  ///< scratch first, its difference zero and undecided
};

/// Trains every strategy with every seed and compares. Runs of one seed are paired: the same training subset, the same
/// initial weights where tensors have the same name and shape, the same shuffles and label flips. Frozen features are
/// computed once. Results do not depend on `workers` at a fixed number of threads a run. Throws ValueError for unknown
/// strategies, no seeds, too few samples, strategies that need a source without one.
Comparison compare(const std::vector<FrozenSource>& sources, const data::TrainTest& target,
                   const CompareOptions& options);

}  // namespace rtl::transfer

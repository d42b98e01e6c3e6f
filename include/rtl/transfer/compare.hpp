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
  /// Names, each optionally with options of its own: "refine", "refine:standardize" (parse_strategy). Empty: those of
  /// strategies_for. scratch is always run, and first.
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
  /// Seeds of a strategy that a worker trains at once, as replicas of one plan (train_replicas). 0: a worker's share of
  /// the seeds, as far as they fit 4 GiB, where the launches of the training step cost more than what they do, which is
  /// on average less than 10 MB and 150 MFLOP on CUDA, 100 kB and 250 kFLOP on a host; else one. Results do not depend
  /// on it.
  std::int64_t replicas = 0;
  int threads_per_run = 0;  ///< of host devices; 0: the data's device's threads divided by `workers`
  /// Folder for a file a run (and the checkpoint of unfinished ones), with a description of their protocol; empty keeps
  /// none. It is for the runs of one protocol, any strategies and seeds: if it holds those of another one (other data,
  /// sources, options, kind of device, threads a run, version), compare throws ValueError before anything is computed,
  /// saying what differs, and leaves them as they are.
  std::string state_folder = {};
  /// Take over finished runs and go on with unfinished ones. Damaged files are not used (`notice` is told).
  bool resume = false;
  /// Folder, made if need be, for what every run fitted: fitted_file(label, seed), by Fitted::save. A run that diverged
  /// has none. With `resume`, a finished run whose file is missing, damaged or another run's is done again (`notice` is
  /// told). Empty keeps none.
  std::string fitted_folder = {};
  std::int64_t checkpoint_interval = 5;  ///< epochs
  /// Called by one thread at a time.
  std::function<void(const CompareProgress&)> progress = {};
  /// Told in words, by one thread at a time, what goes another way than asked without changing the result: damaged
  /// state files, a feature cache that cannot be written.
  std::function<void(const std::string&)> notice = {};
  std::function<bool()> stop = {};  ///< as in TrainingOptions; compare then throws Interrupted
};

/// "refine_balance_seed1.safetensors" of "refine:balance" and 1.
std::string fitted_file(const std::string& label, std::uint64_t seed);

/// compare() was ended by its `stop`; finished runs are in the state folder.
class Interrupted : public Error {
  using Error::Error;
};

/// Of the runs that finished; NaN where none did.
struct Statistic {
  double mean = 0;
  double std = 0;              ///< population
  std::vector<double> values;  ///< one a seed; NaN for a run that diverged
};

struct StrategyResult {
  std::string name;      ///< as asked for: "refine", "refine:balance"
  OptionValues options;  ///< all that the strategy has, defaults included
  std::int64_t trainable_parameters = 0;
  double seconds = 0;  ///< mean of the runs: training and feature lookup, without evaluation; replicas share theirs
  /// The most that a run took of its device's memory (MemoryStatistics) while it trained, beside the data; replicas
  /// share theirs.
  std::int64_t peak_memory_bytes = 0;
  Statistic accuracy, auc, auc_weighted, f1, f1_macro, min_class_accuracy;
  Statistic r2, rmse;                    ///< of real targets, where those of classes have no meaning
  Interval difference_from_scratch;      ///< of accuracy or r2, paired by seed: PairedDifference::over_seeds
  Verdict verdict = Verdict::undecided;  ///< judge(difference_from_scratch)
  double p_value = 1;                    ///< of the same difference
  double p_value_holm = 1;               ///< corrected over the strategies of the comparison
  Interval difference_new_samples;       ///< PairedDifference::new_samples
  Verdict verdict_new_samples = Verdict::undecided;
  double p_value_new_samples = 1;  ///< of that difference
  /// Seeds with which this strategy and scratch both finished. Who lost runs is flattered by the others: a strategy
  /// with diverged runs is never said to help, and none to hurt where scratch has diverged runs.
  std::int64_t pairs = 0;
  bool no_spread = false;                 ///< all of two or more differences are equal
  std::int64_t diverged = 0;              ///< runs that diverged; they are left out of every mean
  std::string divergence;                 ///< how the first of them did
  std::int64_t constant = 0;              ///< finished runs that predict one class for every test sample
  std::vector<std::int32_t> forgotten;    ///< classes of the test part that no run predicts, unless all are constant
  std::vector<BlockInfluence> influence;  ///< mean over the finished runs, on the test part; empty without blocks
  std::vector<ReadOut> read_outs;         ///< TrainingRecord::read_outs, mean over the finished runs
  std::vector<double> losses;             ///< mean training loss of each epoch, mean over the finished runs
  std::int64_t warned = 0;                ///< finished runs whose training had warnings
  std::vector<std::string> warnings;      ///< TrainingRecord::warnings of the first of them
  /// A frozen block has more than `dominance_share` of the logits' variance: the protection that refine owes to h is
  /// weak there. Name of the block, or empty.
  std::string dominated_by;
  /// Comparison::l2sp_strength acts on it: it starts at weights of the source.
  bool l2sp = false;
};
/// Did scratch learn anything that transfer can be compared with?
struct ScratchCheck {
  /// The most frequent class of the test part; of real targets their mean is what is to be beaten.
  std::int32_t majority_class = 0;
  double majority_share = 0;   ///< and the accuracy of always predicting it
  Interval above_majority;     ///< scratch's accuracy (r2) minus that, by its scatter over the test samples
  bool beats_majority = true;  ///< above_majority lies above zero; true where no run finished
  bool loss_fell = true;       ///< from the first epoch to the last; true for fewer than two epochs
};
/// Beyond this share of the logits' variance a frozen block counts as dominating.
inline constexpr double dominance_share = 0.5;

/// More paired runs than this are refused.
inline constexpr std::int64_t max_seeds = 10'000;

struct Comparison {
  std::string target;
  bool regression = false;               ///< the target is real
  std::vector<std::string> class_names;  ///< of the target; empty if it has none
  std::string device;
  std::vector<std::string> sources;
  std::vector<std::uint64_t> seeds;
  std::int64_t train_samples = 0;
  std::int64_t test_samples = 0;
  double confidence = 0.95;
  double l2sp_strength = 0;                 ///< as asked for; see StrategyResult::l2sp
  kernels::ImageAugmentation augment = {};  ///< TrainingOptions::augment
  double feature_seconds = 0;               ///< to compute or read the frozen features of both parts
  ScratchCheck scratch;
  std::vector<StrategyResult> strategies;  ///< scratch first, its difference zero and undecided

  /// What strategies are compared by: accuracy, or r2 where the target is real.
  const Statistic& score_of(const StrategyResult& result) const { return regression ? result.r2 : result.accuracy; }
};

/// Trains every strategy with every seed and compares. Runs of one seed are paired: the same training subset, the same
/// initial weights where tensors have the same name and shape, the same shuffles and label flips. Frozen features are
/// computed once. Results do not depend on `workers` and `replicas` at a fixed number of threads a run. A run that
/// diverges costs only its own row: it is counted there. Throws ValueError for unknown strategies, no seeds or more
/// than `max_seeds`, too few samples, strategies that need a source without one, frozen features that are not finite.
Comparison compare(const std::vector<FrozenSource>& sources, const data::TrainTest& target,
                   const CompareOptions& options);

}  // namespace rtl::transfer

#include "rtl/transfer/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "rtl/core/random.hpp"
#include "rtl/data/split.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/safetensors.hpp"
#include "rtl/kernels/reduce.hpp"
#include "transfer/compare_protocol.hpp"
#include "transfer/comparison_summary.hpp"
#include "transfer/fit_group.hpp"
#include "transfer/place.hpp"
#include "transfer/replica_rule.hpp"
#include "transfer/run_store.hpp"
#include "transfer/varying_targets.hpp"

namespace rtl::transfer {
namespace {

using Clock = std::chrono::steady_clock;
using detail::RunResult;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<StrategyChoice> parse_choices(const CompareOptions& options, const std::vector<FrozenSource>& sources,
                                          const data::Dataset& train) {
  std::vector<std::string> labels{"scratch"};
  if (options.strategies.empty()) labels = strategies_for(sources, train, options.strategy);
  labels.insert(labels.end(), options.strategies.begin(), options.strategies.end());
  std::vector<StrategyChoice> choices;
  std::set<std::string> seen;
  for (const std::string& label : labels) {
    if (!seen.insert(label).second) continue;
    choices.push_back(parse_strategy(label, options.strategy.values));
    const StrategyInfo& info = choices.back().strategy->info();
    if (info.most_sources > 0 && sources.empty()) {
      throw ValueError(fmt::format("compare: {} needs a source, and none is given", label));
    }
    StrategyOptions asked = options.strategy;
    asked.values = choices.back().values;
    check_fits(*choices.back().strategy, info.most_sources == 0 ? std::vector<FrozenSource>() : sources, train, asked);
  }
  return choices;
}

struct Job {
  std::size_t strategy = 0;  ///< index of the choice
  std::size_t seed = 0;
};

/// All runs of a comparison, as replicas or one by one, spread over worker threads.
class Runs {
 public:
  Runs(const std::vector<FrozenSource>& sources, const data::TrainTest& target, const CompareOptions& options)
      : sources_(sources),
        target_(target),
        options_(options),
        choices_(parse_choices(options, sources, target.train)),
        base_(options.strategy.device.value_or(target.train.device())) {
    for (std::int64_t i = 0; i < options.seeds; ++i)
      seeds_.push_back(options.first_seed + static_cast<std::uint64_t>(i));
    for (std::size_t seed = 0; seed < seeds_.size(); ++seed) {
      for (std::size_t choice = 0; choice < choices_.size(); ++choice) jobs_.push_back({choice, seed});
    }
    results_.resize(jobs_.size());
    workers_ = std::clamp<int>(options.workers, 1, static_cast<int>(jobs_.size()));
    threads_ = options.threads_per_run > 0 ? options.threads_per_run : std::max(1, base_.threads() / workers_);
    open_fitted_folder();
    open_store();
  }

  const std::vector<StrategyChoice>& choices() const { return choices_; }
  const std::vector<std::uint64_t>& seeds() const { return seeds_; }
  std::vector<detail::StrategyRuns> by_strategy() const {
    std::vector<detail::StrategyRuns> all;
    for (std::size_t choice = 0; choice < choices_.size(); ++choice) {
      const StrategyChoice& asked = choices_[choice];
      all.push_back({asked.label, asked.strategy->info().name, asked.strategy->resolved(asked.values), {}});
      for (std::size_t seed = 0; seed < seeds_.size(); ++seed) {
        all.back().runs.push_back(&*results_[seed * choices_.size() + choice]);
      }
    }
    return all;
  }

  /// Computes or reads the frozen features; returns the seconds.
  double find_features() {
    const auto start = Clock::now();
    const bool needed = std::any_of(choices_.begin(), choices_.end(),
                                    [](const StrategyChoice& c) { return c.strategy->info().uses_features; });
    if (needed) {
      FeatureCache own;
      FeatureCache* cache = options_.strategy.cache ? options_.strategy.cache : &own;
      const FeatureCache::Statistics before = cache->statistics();
      train_tables_ = detail::find_tables(sources_, target_.train, cache);
      test_tables_ = detail::find_tables(sources_, target_.test, cache);
      tell_of_cache(before, cache->statistics());
      check_test_features();
    }
    return seconds_since(start);
  }

  void run_all() {
    make_groups();
    std::vector<Device> devices;
    devices.reserve(static_cast<std::size_t>(workers_));
    for (int i = 0; i < workers_; ++i) {
      devices.push_back(base_.is_cuda() ? base_.separate() : Device::cpu(threads_).separate());
    }
    std::vector<std::thread> pool;
    pool.reserve(devices.size());
    for (const Device& device : devices) {
      try {
        pool.emplace_back([this, device] { work(device); });
      } catch (const std::system_error&) {
        break;  // the system grants no more threads: those that there are do all runs
      }
    }
    if (pool.empty()) work(devices.front());
    for (std::thread& thread : pool) thread.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void tell_of_cache(const FeatureCache::Statistics& before, const FeatureCache::Statistics& after) const {
    if (!options_.notice) return;
    if (after.rejected > before.rejected) {
      options_.notice(
          fmt::format("{} damaged or foreign entries of the feature cache are not used; the features were "
                      "computed again",
                      after.rejected - before.rejected));
    }
    if (after.write_failures > before.write_failures) {
      options_.notice(
          fmt::format("the feature cache could not be written, so the features will be computed again next "
                      "time; the results are not affected: {}",
                      after.first_write_failure));
    }
  }

  std::string fitted_path(const Job& job) const {
    return options_.fitted_folder + "/" + fitted_file(choices_[job.strategy].label, seeds_[job.seed]);
  }

  void open_fitted_folder() const {
    if (options_.fitted_folder.empty()) return;
    std::error_code error;
    std::filesystem::create_directories(options_.fitted_folder, error);
    if (error) throw IoError(options_.fitted_folder, "cannot make the folder for what is fitted: " + error.message());
    io::remove_abandoned(options_.fitted_folder);
    const io::AtomicFile probe(fitted_path(jobs_.front()));
  }

  /// Whether what a stored run has fitted is where it has to be.
  bool has_fitted(const Job& job, const RunResult& stored) const {
    if (options_.fitted_folder.empty() || !stored.divergence.empty()) return true;
    const std::string path = fitted_path(job);
    std::string fault = "is missing";
    try {
      if (io::file_exists(path)) {
        if (!stored.fitted.empty() && io::SafetensorsFile(path).content_hash() == stored.fitted) return true;
        fault = "is not what the run has fitted";
      }
    } catch (const FormatError& error) {
      fault = error.what();
    }
    if (options_.notice) {
      options_.notice(fmt::format("{}{}; the run is done again", fault.starts_with(path) ? "" : path + ": ", fault));
    }
    return false;
  }

  /// Looks at every file that the runs would read or write before anything is computed.
  void open_store() {
    if (options_.state_folder.empty()) return;
    const int threads = base_.is_cuda() ? 1 : threads_;
    store_ = detail::RunStore(options_.state_folder,
                              detail::comparison_protocol(sources_, target_, options_, base_.kind(), threads),
                              options_.notice);
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      auto stored = store_.find(choices_[jobs_[i].strategy].label, seeds_[jobs_[i].seed]);
      if (options_.resume && stored && has_fitted(jobs_[i], *stored)) results_[i] = std::move(stored);
    }
  }

  /// Logits that are not finite can then only come of training.
  void check_test_features() const {
    for (std::size_t i = 0; i < test_tables_.size(); ++i) {
      if (test_tables_[i]->is_finite()) continue;
      throw ValueError(
          fmt::format("compare: the frozen features of {} on the test samples hold NaN or infinity; check the source "
                      "and its input normalisation",
                      sources_[i].name()));
    }
  }

  /// Each worker has data of its own, since a device serves one thread at a time.
  data::TrainTest copy_target(const Device& device) {
    const std::lock_guard lock(mutex_);
    return {target_.train.to(device), target_.test.to(device)};
  }

  /// What runs of a choice share, one worker's.
  using Values = std::vector<std::shared_ptr<SharedValues>>;

  void work(const Device& device) {
    try {
      const data::TrainTest target = copy_target(device);
      Values values(choices_.size());
      std::generate(values.begin(), values.end(), [] { return std::make_shared<SharedValues>(); });
      while (!failed_) {
        const std::size_t next = next_group_++;
        if (next >= groups_.size()) return;
        run(groups_[next], target, device, values);
        const std::lock_guard lock(mutex_);
        for (const std::size_t job : groups_[next]) {
          ++finished_;
          report(jobs_[job], {});
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_ = true;
    }
  }

  /// To be called with the lock held.
  void report(const Job& job, const Progress& training) {
    if (!options_.progress) return;
    options_.progress(
        {choices_[job.strategy].label, seeds_[job.seed], finished_, static_cast<std::int64_t>(jobs_.size()), training});
  }

  TrainingOptions training_options(const Job& job) {
    TrainingOptions training = options_.training;
    training.seed = seeds_[job.seed];
    training.checkpoint = store_.checkpoint(choices_[job.strategy].label, training.seed);
    training.checkpoint_interval = options_.checkpoint_interval;
    training.resume = options_.resume;
    training.progress = [this, job](const Progress& progress) {
      const std::lock_guard lock(mutex_);
      report(job, progress);
    };
    training.notice = [this](const std::string& text) {
      const std::lock_guard lock(mutex_);
      if (options_.notice) options_.notice(text);
    };
    training.stop = [this] {
      if (!failed_ && options_.stop && options_.stop()) failed_ = true;  // for all replicas and workers
      return failed_.load();
    };
    return training;
  }

  /// What a run trains on.
  struct RunData {
    TrainingOptions training;
    std::optional<Rows> rows;
    std::optional<data::Dataset> subset;
  };

  RunData data_of(const Job& job, const data::TrainTest& target) {
    RunData found{training_options(job), {}, {}};
    if (options_.train_samples > 0) {
      found.rows = data::random_subset(target.train.size(), options_.train_samples, found.training.seed);
      found.subset = target.train.subset(*found.rows);
    }
    return found;
  }

  std::unique_ptr<FitGroup> make_group(const StrategyChoice& choice, const std::vector<RunData>& runs,
                                       const data::TrainTest& target, const Device& device,
                                       std::shared_ptr<SharedValues> values) const {
    StrategyOptions options = options_.strategy;
    options.device = device;
    std::vector<FitContext::Inputs> inputs;
    inputs.reserve(runs.size());
    for (const RunData& run : runs) {
      inputs.push_back({run.subset ? *run.subset : target.train, run.rows ? &*run.rows : nullptr, run.training});
    }
    const StrategyInfo& info = choice.strategy->info();
    return std::make_unique<FitGroup>(choice, info.most_sources == 0 ? std::vector<FrozenSource>() : sources_,
                                      info.uses_features ? train_tables_ : Tables(), inputs, options,
                                      std::move(values));
  }

  /// Consecutive seeds of a strategy, in the order in which they begin.
  void make_groups() {
    for (std::size_t choice = 0; choice < choices_.size(); ++choice) {
      const auto size = static_cast<std::size_t>(replicas_of(choice));
      for (std::size_t seed = 0; seed < seeds_.size(); ++seed) {
        if (seed % size == 0) groups_.emplace_back();
        groups_.back().push_back(seed * choices_.size() + choice);
      }
    }
    std::stable_sort(groups_.begin(), groups_.end(),
                     [this](const auto& a, const auto& b) { return jobs_[a.front()].seed < jobs_[b.front()].seed; });
  }

  std::int64_t replicas_of(std::size_t choice) {
    if (options_.replicas > 0) return options_.replicas;
    const std::int64_t share = (options_.seeds + workers_ - 1) / workers_;
    bool pending = false;
    for (std::size_t seed = 0; seed < seeds_.size(); ++seed) {
      pending = pending || !results_[seed * choices_.size() + choice];
    }
    if (share == 1 || !pending) return 1;
    std::vector<RunData> first;
    first.push_back(data_of({choice, 0}, target_));
    const std::unique_ptr<FitGroup> group =
        make_group(choices_[choice], first, target_, base_, std::make_shared<SharedValues>());
    group->start();
    const Replica* training = group->first_training();
    return training == nullptr ? 1 : detail::replicas_that_pay(*training, share);
  }

  /// Those of the group's runs that have no result yet, as replicas where there are several.
  void run(const std::vector<std::size_t>& group, const data::TrainTest& target, const Device& device,
           const Values& values) {
    const auto start = Clock::now();
    std::vector<std::size_t> pending;
    std::vector<RunData> runs;
    for (const std::size_t job : group) {
      if (results_[job]) continue;
      pending.push_back(job);
      runs.push_back(data_of(jobs_[job], target));
    }
    if (pending.empty()) return;
    const std::size_t strategy = jobs_[group.front()].strategy;
    const StrategyChoice& choice = choices_[strategy];
    device.restart_high_water();
    const std::size_t before = device.memory().in_use;
    const std::vector<FitOutcome> outcomes = make_group(choice, runs, target, device, values[strategy])->run();
    const double seconds = seconds_since(start) / static_cast<double>(pending.size());
    const std::size_t taken = (device.memory().high_water - before) / pending.size();
    bool complete = true;
    for (std::size_t i = 0; i < pending.size(); ++i) {
      const FitOutcome& outcome = outcomes[i];
      const bool ended = outcome.divergence || outcome.fitted->training().complete;
      complete = complete && ended;
      if (!ended) continue;
      RunResult result = result_of(outcome, target, runs[i].training, seconds);
      result.peak_memory_bytes = static_cast<std::int64_t>(taken);
      save_fitted(jobs_[pending[i]], outcome, result);
      store_result(pending[i], std::move(result), runs[i].training);
    }
    if (!complete) throw Interrupted("compare: stopped before all runs were finished");
  }

  /// Before the result, which tells the file's content.
  void save_fitted(const Job& job, const FitOutcome& outcome, RunResult& result) {
    if (options_.fitted_folder.empty()) return;
    const std::lock_guard lock(mutex_);  // the sources, whose weights are written, share a device
    const std::string path = fitted_path(job);
    if (result.divergence.empty()) {
      outcome.fitted->save(path);
      result.fitted = io::SafetensorsFile(path).content_hash();
      return;
    }
    std::error_code ignored;  // an earlier run's, which would be taken for this one's
    std::filesystem::remove(path, ignored);
  }

  void store_result(std::size_t job, RunResult result, const TrainingOptions& training) {
    std::error_code ignored;
    if (!result.divergence.empty()) std::filesystem::remove(training.checkpoint, ignored);
    store_.store(choices_[jobs_[job].strategy].label, training.seed, result);
    results_[job] = std::move(result);
  }

  RunResult result_of(const FitOutcome& outcome, const data::TrainTest& target, const TrainingOptions& training,
                      double seconds) const {
    RunResult result;
    if (outcome.divergence) {
      result.divergence = outcome.divergence->what();
      return result;
    }
    const Fitted& fitted = *outcome.fitted;
    const FeatureLookup features = detail::features_of(target.test, sources_, test_tables_);
    const Tensor logits = fitted.outputs(target.test, features);
    if (!kernels::all_finite(logits.device(), logits)) {
      result.divergence = fmt::format(
          "train: the logits of the test samples are no finite numbers after the last epoch, at a learning rate of {}; "
          "lower the learning rate, or standardise the inputs",
          training.learning_rate);
      return result;
    }
    result.seconds = seconds;
    result.trainable_parameters = fitted.trainable_parameters();
    result.scores = score(logits, target.test, fitted.task().independent);
    result.influence = fitted.predictor().influence(fitted.task(), target.test, features);
    result.losses = fitted.training().losses;
    result.warnings = fitted.training().warnings;
    result.read_outs = fitted.training().read_outs;
    return result;
  }

  const std::vector<FrozenSource>& sources_;
  const data::TrainTest& target_;
  const CompareOptions& options_;
  std::vector<StrategyChoice> choices_;
  Device base_;
  detail::RunStore store_;
  std::vector<std::uint64_t> seeds_;
  std::vector<Job> jobs_;
  std::vector<std::optional<RunResult>> results_;
  int workers_ = 1;
  int threads_ = 1;
  Tables train_tables_;
  Tables test_tables_;
  std::vector<std::vector<std::size_t>> groups_;  ///< of jobs that are trained together
  std::atomic<std::size_t> next_group_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::int64_t finished_ = 0;
  std::exception_ptr failure_;
};

void validate(const data::TrainTest& target, const CompareOptions& options) {
  options.training.validate();
  if (options.seeds < 1 || options.seeds > max_seeds) {
    throw ValueError(fmt::format("compare: {} seeds; from 1 to {} are possible", options.seeds, max_seeds));
  }
  if (options.first_seed > std::numeric_limits<std::uint64_t>::max() - max_seeds) {
    throw ValueError(
        fmt::format("compare: a first seed of {}; the seeds after it do not fit into 64 bits", options.first_seed));
  }
  if (options.replicas < 0) {
    throw ValueError(fmt::format("compare: {} replicas; name a positive number, or 0 to choose", options.replicas));
  }
  if (options.train_samples < 0 || options.train_samples > target.train.size()) {
    throw ValueError(
        fmt::format("compare: {} training samples of {}; ask for fewer", options.train_samples, target.train.size()));
  }
  if (!(options.confidence > 0 && options.confidence < 1)) {
    throw ValueError(fmt::format("compare: a confidence of {}; must be inside (0, 1)", options.confidence));
  }
  target.train.validate(true);
  detail::check_scorable(target.test);
  if (target.train.is_regression() != target.test.is_regression() || target.train.outputs() != target.test.outputs()) {
    throw ValueError(fmt::format("compare: {} {} to train on, {} {} to test on", target.train.outputs(),
                                 target.train.is_regression() ? "targets" : "classes", target.test.outputs(),
                                 target.test.is_regression() ? "targets" : "classes"));
  }
}

}  // namespace

std::string fitted_file(const std::string& label, std::uint64_t seed) {
  return detail::run_file_name(label, seed, "safetensors");
}

Comparison compare(const std::vector<FrozenSource>& sources, const data::TrainTest& target,
                   const CompareOptions& options) {
  validate(target, options);
  Runs runs(sources, target, options);
  Comparison comparison;
  comparison.feature_seconds = runs.find_features();
  runs.run_all();
  comparison.target = target.train.name;
  comparison.device = options.strategy.device.value_or(target.train.device()).name();
  for (const FrozenSource& source : sources) comparison.sources.push_back(source.name());
  comparison.seeds = runs.seeds();
  comparison.train_samples = options.train_samples > 0 ? options.train_samples : target.train.size();
  comparison.test_samples = target.test.size();
  comparison.confidence = options.confidence;
  comparison.class_names = target.test.class_names;
  comparison.regression = target.train.is_regression();
  const auto labels =
      comparison.regression ? std::vector<std::int32_t>() : target.test.labels.to_vector<std::int32_t>();
  detail::summarize_runs(comparison, runs.by_strategy(), labels);
  comparison.l2sp_strength = options.training.l2sp_strength;
  comparison.augment = options.training.augment;
  for (std::size_t i = 0; i < comparison.strategies.size(); ++i) {
    const StrategyChoice& choice = runs.choices()[i];
    comparison.strategies[i].l2sp =
        comparison.l2sp_strength > 0 && choice.strategy->starts_at_source(sources, target.train, choice.values);
  }
  return comparison;
}

}  // namespace rtl::transfer

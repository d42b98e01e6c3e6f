#include "studies/transfer_table/runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "rtl/transfer/compare.hpp"
#include "studies/transfer_table/transferability.hpp"

namespace rtl::studies::transfer_table {
namespace {

/// Of the calling thread.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string file_name(const Setting& setting) {
  std::string name = setting.name() + ".json";
  for (char& c : name) {
    if (c == ' ' || c == ',' || c == '/' || c == ':' || c == '<') c = '_';
  }
  return name;
}

bool is_setting(const std::string& name) { return name.ends_with("_rows.json"); }

/// What every strategy of a setting is given.
transfer::StrategyOptions strategy_options(const Prepared& prepared) {
  transfer::StrategyOptions options;
  options.model = std::string("mlp:") + model_variant;
  options.normalization = prepared.normalization;
  options.source_data = prepared.source_data.get();
  options.cache = prepared.features.get();
  options.device = Device::cpu(1);
  return options;
}

/// Why the setting does not allow a strategy, by the rule by which `all` leaves it out; empty if it does.
std::string misfit(const std::string& label, const Prepared& prepared) {
  const transfer::StrategyChoice choice = transfer::parse_strategy(label);
  transfer::StrategyOptions options = strategy_options(prepared);
  options.values = choice.values;
  const bool sourceless = choice.strategy->info().most_sources == 0;
  const std::vector<transfer::FrozenSource> sources(sourceless ? 0 : 1, prepared.source);
  try {
    transfer::check_fits(*choice.strategy, sources, prepared.target.train, options);
  } catch (const ValueError& error) {
    return error.what();
  }
  return {};
}

/// Those of the labels that the outcome lacks and the setting allows; the others are noted as left out.
std::vector<std::string> missing_labels(const std::vector<std::string>& labels, const Prepared& prepared,
                                        Outcome& outcome) {
  std::vector<std::string> missing;
  for (const std::string& label : labels) {
    if (outcome.settles(label)) continue;
    std::string reason = misfit(label, prepared);
    if (reason.empty()) {
      missing.push_back(label);
    } else {
      outcome.left_out[label] = std::move(reason);
    }
  }
  return missing;
}

StrategyScores scores_of(const transfer::Comparison& comparison, const transfer::StrategyResult& result) {
  StrategyScores own;
  own.scores = comparison.score_of(result).values;
  for (std::size_t i = 0; i < own.scores.size(); ++i) {
    if (!std::isnan(own.scores[i])) continue;
    own.scores[i] = comparison.regression ? lowest_r2 : comparison.scratch.majority_share;
    own.diverged.push_back(static_cast<std::int64_t>(comparison.seeds[i]));
  }
  return own;
}

/// Steps of a training, which the time is about proportional to.
double work_of(const Setting& setting) {
  const transfer::TrainingOptions training = training_for(setting.rows);
  return static_cast<double>(training.epochs * ((setting.rows + training.batch_size - 1) / training.batch_size));
}

/// The work of all threads.
class Runs {
 public:
  Runs(const std::vector<Setting>& settings, const std::vector<std::string>& labels, const Folders& folders,
       const OutcomeStore& store, int seeds, const RunOptions& options)
      : material_(folders), labels_(labels), store_(store), seeds_(seeds), options_(options) {
    for (const Setting& setting : settings) {
      outcomes_.push_back({setting, {}});
      all_work_ += work_of(setting);
    }
  }

  std::vector<Outcome> run() {
    std::vector<std::thread> pool;
    for (int i = 0; i < Device::cpu().threads(); ++i) pool.emplace_back([this] { work(); });
    for (std::thread& thread : pool) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    options_.check_stop();
    return std::move(outcomes_);
  }

 private:
  bool stopped() const { return failed_ || options_.stop(); }

  void work() {
    try {
      while (!stopped()) {
        const std::size_t next = next_++;
        if (next >= outcomes_.size()) return;
        run(outcomes_[next]);
        const std::lock_guard lock(mutex_);
        ++done_;
        work_done_ += work_of(outcomes_[next].setting);
        options_.progress(work_done_ / all_work_, fmt::format("{} of {} settings", done_, outcomes_.size()));
      }
    } catch (const transfer::Interrupted&) {
      failed_ = true;
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_ = true;
    }
  }

  void run(Outcome& outcome) {
    const Store::Facts facts = store_.keeps() ? material_.facts(outcome.setting) : Store::Facts();
    Outcome kept = store_.load(outcome.setting, facts);
    take_over(kept, outcome);
    const bool scored = !outcome.transferability.empty();
    const auto settled = [&](const std::string& label) { return outcome.settles(label); };
    if (scored && std::all_of(labels_.begin(), labels_.end(), settled)) return;
    const Prepared prepared = material_.prepare(outcome.setting);
    const std::vector<std::string> missing = missing_labels(labels_, prepared, outcome);
    if (!missing.empty()) {
      run_setting(
          prepared, missing, seeds_, [this] { return stopped(); }, outcome);
    }
    if (!scored) kept.transferability = outcome.transferability = transferability_of(prepared, outcome.setting);
    for (const std::string& label : missing) kept.strategies[label] = outcome.strategies.at(label);
    kept.left_out.insert(outcome.left_out.begin(), outcome.left_out.end());
    store_.save(kept, facts);
  }

  /// What is asked for of what was kept.
  void take_over(const Outcome& kept, Outcome& outcome) const {
    for (const std::string& label : labels_) {
      const auto found = kept.strategies.find(label);
      if (found != kept.strategies.end() && found->second.scores.size() >= static_cast<std::size_t>(seeds_)) {
        outcome.strategies[label] = found->second.first(seeds_);
      }
      const auto reason = kept.left_out.find(label);
      if (reason != kept.left_out.end()) outcome.left_out.insert(*reason);
    }
    outcome.transferability = kept.transferability;
  }

  Material material_;
  const std::vector<std::string>& labels_;
  const OutcomeStore& store_;
  int seeds_;
  const RunOptions& options_;
  std::vector<Outcome> outcomes_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::size_t done_ = 0;
  double work_done_ = 0, all_work_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

Json to_json(const Outcome& outcome) {
  const Setting& setting = outcome.setting;
  Json strategies = Json::object();
  for (const auto& [label, own] : outcome.strategies) {
    strategies[label] = {
        {"scores", own.scores}, {"diverged_seeds", own.diverged}, {"processor_seconds", own.processor_seconds}};
  }
  return {{"family", setting.family},
          {"source", setting.source},
          {"target", setting.target},
          {"rows", setting.rows},
          {"stress", to_string(setting.stress)},
          {"part", setting.kept ? "kept" : "visible"},
          {"regression", setting.regression},
          {"strategies", strategies},
          {"left_out", outcome.left_out},
          {"transferability", outcome.transferability}};
}

OutcomeStore::OutcomeStore(const std::string& folder, const RunOptions& options)
    : store_(folder, DeviceKind::cpu, 1, is_setting, "settings", options) {}

Outcome OutcomeStore::load(const Setting& setting, const Store::Facts& facts) const {
  const auto decode = [&](const Json& found) {
    Outcome read{setting, {}};
    for (const auto& [label, own] : found.at("strategies").items()) {
      read.strategies[label] = {own.at("scores").get<std::vector<double>>(),
                                own.at("diverged_seeds").get<std::vector<std::int64_t>>(),
                                own.at("processor_seconds").get<double>()};
    }
    // Settings that were kept without them.
    const Json scores = found.value("transferability", Json::object()),
               reasons = found.value("left_out", Json::object());
    read.transferability = scores.get<std::map<std::string, double>>();
    read.left_out = reasons.get<std::map<std::string, std::string>>();
    return read;
  };
  return store_.find(file_name(setting), facts, decode).value_or(Outcome{setting, {}});
}

void OutcomeStore::save(const Outcome& outcome, const Store::Facts& facts) const {
  if (store_.keeps()) store_.put(file_name(outcome.setting), facts, to_json(outcome));
}

void run_setting(const Prepared& prepared, const std::vector<std::string>& labels, int seeds,
                 const std::function<bool()>& stop, Outcome& outcome) {
  std::map<std::string, double> processor;
  double last = 0;
  transfer::CompareOptions options;
  options.strategies = labels;
  options.seeds = seeds;
  options.train_samples = outcome.setting.rows;
  options.training = training_for(outcome.setting.rows);
  options.strategy = strategy_options(prepared);
  options.threads_per_run = 1;
  options.stop = stop;
  // One worker, which is a new thread and tells after every epoch and run what it has worked on.
  options.progress = [&](const transfer::CompareProgress& progress) {
    const double now = processor_seconds();
    processor[progress.strategy] += now - last;
    last = now;
  };
  const transfer::Comparison comparison = transfer::compare({prepared.source}, prepared.target, options);
  for (const transfer::StrategyResult& result : comparison.strategies) {
    if (std::find(labels.begin(), labels.end(), result.name) == labels.end()) continue;
    StrategyScores& own = outcome.strategies[result.name] = scores_of(comparison, result);
    own.processor_seconds = processor[result.name] / seeds;
  }
}

std::vector<Outcome> run_settings(const std::vector<Setting>& settings, const std::vector<std::string>& labels,
                                  const Folders& folders, const OutcomeStore& store, int seeds,
                                  const RunOptions& options) {
  return Runs(settings, labels, folders, store, seeds, options).run();
}

}  // namespace rtl::studies::transfer_table

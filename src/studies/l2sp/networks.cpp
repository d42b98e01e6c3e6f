// The neural experiment: accuracies by source weight decay, and whether the source's own best decay is the target's.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "rtl/core/error.hpp"
#include "rtl/theory/simulation.hpp"
#include "rtl/transfer/statistics.hpp"
#include "studies/draws.hpp"
#include "studies/l2sp/network_runs.hpp"
#include "studies/l2sp/parts.hpp"
#include "studies/store.hpp"

namespace rtl::studies::l2sp {

namespace {

/// Runs of one problem: [seed][decay].
struct Results {
  std::vector<double> decays;
  std::vector<std::vector<NetworkRun>> runs;
  std::vector<double> scratch;

  /// One value a seed, at a decay.
  template <typename Value>
  std::vector<double> column(std::size_t decay, const Value& value) const {
    std::vector<double> values;
    values.reserve(runs.size());
    for (const auto& seed : runs) values.push_back(value(seed[decay]));
    return values;
  }
};

double source_accuracy(const NetworkRun& run) { return run.source_accuracy; }
double standard_accuracy(const NetworkRun& run) { return run.standard.accuracy; }
double l2sp_accuracy(const NetworkRun& run) { return run.l2sp.accuracy; }

Json to_json(const FineTuning& one) { return {{"accuracy", one.accuracy}, {"distances", one.distances}}; }
FineTuning fine_tuning_from(const Json& json) { return {json.at("accuracy"), json.at("distances")}; }
NetworkRun network_run_from(const Json& json) {
  return {json.at("source_accuracy"), fine_tuning_from(json.at("standard")), fine_tuning_from(json.at("l2sp")),
          json.value("by_fraction", std::vector<double>())};
}

const char* const scratch_name = "scratch.json";

/// A result as it is kept: the accuracy from scratch, or a run of networks.
Json checked(const std::string& name, const Json& found) {
  if (name.ends_with(scratch_name)) {
    (void)found.get<double>();
  } else {
    network_run_from(found);
  }
  return found;
}

/// Finished trainings of one problem.
class State {
 public:
  /// Takes the results that are there and wanted. Throws ValueError if one of the names is another setting's.
  State(const Store& store, const RunOptions& options, const NetworkProblem& problem,
        const std::vector<std::string>& names, bool resume)
      : store_(store), options_(options), facts_({{"problem", problem.fingerprint()}}) {
    for (const std::string& name : names) {
      auto found = store_.find(name, facts_, [&](const Json& kept) { return checked(name, kept); });
      if (found && resume) found_.emplace(name, *std::move(found));
    }
  }

  /// What `compute` gave for this setting, now or earlier. May be called by several threads.
  template <typename Compute>
  Json get(const std::string& name, const Compute& compute) const {
    const auto found = found_.find(name);
    if (found != found_.end()) return found->second;
    options_.check_stop();
    Json result = compute();
    store_.put(name, facts_, result);
    return result;
  }

 private:
  const Store& store_;
  const RunOptions& options_;
  Store::Facts facts_;
  std::map<std::string, Json> found_;
};

Results run_all(const NetworkProblem& problem, const std::vector<double>& decays, int seeds, bool resume,
                const Store& store, const RunOptions& options) {
  const auto per_seed = static_cast<std::int64_t>(decays.size()) + 1;
  const auto name_of = [&](std::int64_t i) {
    const auto decay = static_cast<std::size_t>(i % per_seed);
    return fmt::format("{}-seed{}-{}", problem.name, i / per_seed,
                       decay == decays.size() ? scratch_name : fmt::format("decay{:.3g}.json", decays[decay]));
  };
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < seeds * per_seed; ++i) names.push_back(name_of(i));
  const State state(store, options, problem, names, resume);
  const auto run = [&](std::int64_t i) -> Json {
    const auto seed = static_cast<std::uint64_t>(i / per_seed);
    const auto decay = static_cast<std::size_t>(i % per_seed);
    if (decay == decays.size()) {
      return state.get(name_of(i), [&]() -> Json { return run_scratch(problem, seed); });
    }
    return state.get(name_of(i), [&]() -> Json {
      const NetworkRun one = run_networks(problem, decays[decay], seed);
      return {{"source_accuracy", one.source_accuracy},
              {"standard", to_json(one.standard)},
              {"l2sp", to_json(one.l2sp)},
              {"by_fraction", one.by_fraction}};
    });
  };
  const std::vector<Json> all = simulate_draws(
      seeds * per_seed, run, [&](double fraction) { options.progress(fraction, problem.name); }, 2);
  Results results{decays, {}, {}};
  for (int seed = 0; seed < seeds; ++seed) {
    std::vector<NetworkRun> row;
    for (std::size_t decay = 0; decay < decays.size(); ++decay) {
      row.push_back(network_run_from(all[static_cast<std::size_t>(seed * per_seed) + decay]));
    }
    results.runs.push_back(std::move(row));
    results.scratch.push_back(all[static_cast<std::size_t>((seed + 1) * per_seed) - 1]);
  }
  return results;
}

/// The decay with the greatest mean over all seeds but one (`left_out`; -1: over all).
template <typename Value>
std::size_t best_decay(const Results& results, int left_out, const Value& value) {
  std::size_t best = 0;
  double greatest = -1;
  for (std::size_t decay = 0; decay < results.decays.size(); ++decay) {
    double sum = 0;
    for (std::size_t seed = 0; seed < results.runs.size(); ++seed) {
      if (static_cast<int>(seed) != left_out) sum += value(results.runs[seed][decay]);
    }
    if (sum > greatest) {
      greatest = sum;
      best = decay;
    }
  }
  return best;
}

/// A paired difference that should not be below 0, but for its 95 % t-interval.
transfer::Interval claim_not_below(Reproduction& result, const std::string& name, const std::vector<double>& values) {
  const auto interval = transfer::t_interval(values);
  result.claims.push_back({name, 0, interval.mean, interval.mean - interval.low, Relation::at_least});
  return interval;
}

void claim(Reproduction& result, const NetworkProblem& problem, const Results& results) {
  std::vector<double> apart;  // of the two fine-tunings, one mean over source decays a seed
  for (const auto& runs : results.runs) {
    double sum = 0;
    for (const NetworkRun& run : runs) sum += run.standard.accuracy - run.l2sp.accuracy;
    apart.push_back(sum / static_cast<double>(runs.size()));
  }
  const auto tracked = transfer::t_interval(apart);
  result.claims.push_back({problem.name +
                               ": accuracy of plain fine-tuning minus L2-SP, mean over source decays: within "
                               "one point and the 95 % interval",
                           0, tracked.mean, .01 + tracked.mean - tracked.low});
  std::vector<double> mismatch, gain, own_gain;
  for (std::size_t seed = 0; seed < results.runs.size(); ++seed) {
    const auto& runs = results.runs[seed];
    const double chosen = runs[best_decay(results, static_cast<int>(seed), standard_accuracy)].standard.accuracy,
                 own = runs[best_decay(results, static_cast<int>(seed), source_accuracy)].standard.accuracy;
    mismatch.push_back(chosen - own);
    gain.push_back(chosen - results.scratch[seed]);
    own_gain.push_back(own - results.scratch[seed]);
  }
  const auto better =
      claim_not_below(result,
                      problem.name +
                          ": accuracy with the decay that is best for transfer, minus that with the source's best "
                          "(chosen by the other seeds): not below 0, 95 % interval",
                      mismatch);
  const auto helps =
      claim_not_below(result,
                      problem.name +
                          ": accuracy with the decay that is best for transfer, minus scratch: not below 0, 95 % "
                          "interval",
                      gain);
  const auto own = transfer::t_interval(own_gain);
  const auto decay_of = [&](const auto& value) { return results.decays[best_decay(results, -1, value)]; };
  result.protocol.push_back(
      {problem.name,
       fmt::format(
           "{} source images, {} target images, {} and {} for the test; {} seeds, {} source decays; best decay for "
           "the source {:.3g}, for plain fine-tuning {:.3g}, for L2-SP {:.3g} (over all seeds); best for "
           "transfer minus best for the source {:+.2f} points ({:+.2f} to {:+.2f}); against scratch: {} with the "
           "decay best for transfer, {} with the source's",
           problem.source.train.size(), problem.target_samples, problem.source.test.size(), problem.target.test.size(),
           results.runs.size(), results.decays.size(), decay_of(source_accuracy), decay_of(standard_accuracy),
           decay_of(l2sp_accuracy), 100 * better.mean, 100 * better.low, 100 * better.high,
           to_string(transfer::judge(helps)), to_string(transfer::judge(own)))});
}

auto accuracy_on(std::size_t fraction) {
  return [fraction](const NetworkRun& run) { return run.by_fraction[fraction]; };
}

/// The decay for transfer hardly depends on how much of the target there is: the one chosen on the main share of the
/// target is no worse on other shares than the one that is best for the source.
void claim_target_independence(Reproduction& result, const NetworkProblem& problem, const Results& results) {
  std::string best;
  for (std::size_t f = 0; f < problem.target_fractions.size(); ++f) {
    const auto value = accuracy_on(f);
    std::vector<double> mismatch;
    for (std::size_t seed = 0; seed < results.runs.size(); ++seed) {
      const int left_out = static_cast<int>(seed);
      const auto& runs = results.runs[seed];
      mismatch.push_back(value(runs[best_decay(results, left_out, standard_accuracy)]) -
                         value(runs[best_decay(results, left_out, source_accuracy)]));
    }
    claim_not_below(result,
                    fmt::format("{}: on {:g} % of the target, accuracy with the decay that is best for transfer at "
                                "{} images, minus that with the source's best: not below 0, 95 % interval",
                                problem.name, 100 * problem.target_fractions[f], problem.target_samples),
                    mismatch);
    best += fmt::format("{}{:g} %: {:.3g}", f == 0 ? "" : ", ", 100 * problem.target_fractions[f],
                        results.decays[best_decay(results, -1, value)]);
  }
  result.protocol.push_back({problem.name + ", best decay by target fraction", best});
}

/// A decay's place on a logarithmic axis; 0 has none, and is put before the others.
double position(double decay) { return decay > 0 ? decay : 3e-7; }

template <typename Value>
Series accuracy_series(const Results& results, const std::string& name, const Value& value) {
  Series series = Series::points(name);
  for (std::size_t decay = 0; decay < results.decays.size(); ++decay) {
    const auto mean = theory::average(results.column(decay, value));
    series.add(position(results.decays[decay]), mean);
  }
  return series;
}

Figure accuracy_figure(const NetworkProblem& problem, const Results& results) {
  Figure figure{
      .name = "networks_" + problem.name,
      .title = "Accuracy by the source's weight decay: " + problem.name,
      .caption =
          "Means over seeds with two standard errors. The leftmost points are a decay of 0; the horizontal line is "
          "scratch.",
      .x_label = "weight decay of the source",
      .y_label = "test accuracy",
      .logarithmic_x = true};
  figure.series.push_back(accuracy_series(results, "source, its own task", source_accuracy));
  figure.series.push_back(accuracy_series(results, "target, plain", standard_accuracy));
  figure.series.push_back(accuracy_series(results, "target, L2-SP", l2sp_accuracy));
  const double scratch = theory::average(results.scratch).mean;
  figure.series.push_back({.name = "scratch",
                           .x = {position(results.decays.front()), position(results.decays.back())},
                           .y = {scratch, scratch}});
  return figure;
}

Figure fraction_figure(const NetworkProblem& problem, const Results& results) {
  Figure figure{
      .name = "fractions_" + problem.name,
      .title = "Accuracy by the source's weight decay and the share of the target: " + problem.name,
      .caption =
          "Means over seeds of plain fine-tuning with two standard errors. The leftmost points are a decay of 0.",
      .x_label = "weight decay of the source",
      .y_label = "test accuracy",
      .logarithmic_x = true};
  for (std::size_t f = 0; f < problem.target_fractions.size(); ++f) {
    figure.series.push_back(
        accuracy_series(results, fmt::format("{:g} %", 100 * problem.target_fractions[f]), accuracy_on(f)));
  }
  return figure;
}

Figure distance_figure(const NetworkProblem& problem, const Results& results) {
  Figure figure{.name = "distances_" + problem.name,
                .title = "Distance of the parameters from the source's: " + problem.name,
                .caption = "Means over seeds. Lines: plain fine-tuning. Points: L2-SP.",
                .x_label = "epoch",
                .y_label = "distance"};
  for (const std::size_t decay : {std::size_t{0}, results.decays.size() / 2, results.decays.size() - 1}) {
    const std::string name = fmt::format("decay {:.2g}", results.decays[decay]);
    Series plain = Series::line(name), l2sp = Series::points(name + ": L2-SP");
    for (std::size_t epoch = 0; epoch < results.runs[0][decay].standard.distances.size(); ++epoch) {
      const auto mean = [&](const auto& distances) { return theory::average(results.column(decay, distances)).mean; };
      const double at = static_cast<double>(epoch) + 1;
      plain.add(at, mean([&](const NetworkRun& run) { return run.standard.distances[epoch]; }));
      l2sp.add(at, mean([&](const NetworkRun& run) { return run.l2sp.distances[epoch]; }));
    }
    figure.series.push_back(plain);
    figure.series.push_back(l2sp);
  }
  return figure;
}

}  // namespace

void networks(Reproduction& result, const RunOptions& options, const NetworkOptions& settings) {
  const bool full = options.full();
  const std::vector<double> all = source_decays();
  const std::vector<double> few = {all[0], all[11], all[16]};
  const int seeds = settings.seeds > 0 ? settings.seeds : full ? 10 : 3;
  const auto is_training = [](const std::string& name) { return name.find("-seed") != std::string::npos; };
  const Store store(settings.state, DeviceKind::cpu, 1, is_training, "trainings", options);
  result.protocol.push_back(
      {"networks",
       "Adam, rate 0.001; source epochs 10 (MNIST) and 15 (CIFAR-10), target 5 and 8; fine-tuning "
       "with weight decay 1e-4, or with (1e-4 / 2) ||w - source||^2; seeds from 0"});
  std::vector<NetworkProblem> problems;
  for (const std::string& name : settings.datasets) {
    // 1,250 target images are the published 5 % of 25,000; the source has as many as there are.
    problems.push_back(name == "mnist" ? mnist_problem(settings.data)
                                       : cifar_problem(settings.data, full ? 0 : 500, full ? 1250 : 300));
    problems.back().target_fractions = settings.target_fractions;
  }
  double done = 0;
  for (const NetworkProblem& problem : problems) {
    // The convolutional network costs about ten times as much.
    const double share = problems.size() == 1 ? 1 : problem.kind == NetworkKind::mlp ? .1 : .9;
    RunOptions inner = options;
    inner.progress = [&](double fraction, const std::string& text) { options.progress(done + share * fraction, text); };
    const Results results = run_all(problem, full ? all : few, seeds, settings.resume, store, inner);
    done += share;
    claim(result, problem, results);
    result.figures.push_back(accuracy_figure(problem, results));
    result.figures.push_back(distance_figure(problem, results));
    if (problem.target_fractions.empty()) continue;
    claim_target_independence(result, problem, results);
    result.figures.push_back(fraction_figure(problem, results));
  }
}

}  // namespace rtl::studies::l2sp

// The multi-view problem: what a linear probe finds in one long run, in several short ones and in the controls.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "rtl/theory/simulation.hpp"
#include "rtl/transfer/statistics.hpp"
#include "studies/draws.hpp"
#include "studies/ensemble/budget.hpp"
#include "studies/ensemble/parts.hpp"
#include "studies/ensemble/views.hpp"

namespace rtl::studies::ensemble {
namespace {

constexpr int per_class = 6, members = 5, wide = 5;
constexpr std::int64_t training_samples = 2000, probe_samples = 20 * class_count, test_samples = 800;

/// What is probed; the order of the results.
enum Kind : std::uint8_t {
  one,         ///< one network, all steps
  one_longer,  ///< an eighth more
  two,
  four,
  five,       ///< n networks, their share of the steps each
  five_full,  ///< all steps each
  wide_one,   ///< one network five times as wide
  untrained,  ///< five networks without a step
  one_short,  ///< a fifth of the steps, alone ..
  same_seed,  ///< .. and five times beside itself
  direct,     ///< the target's own network
  kind_count
};
constexpr std::array<const char*, kind_count> kind_names = {
    "CAT1, T",        "CAT1, 1.125 T",         "CAT2, T/2 each", "CAT4, T/4 each", "CAT5, T/5 each",
    "CAT5, T each",   "one, 5 times wider, T", "5 untrained",    "CAT1, T/5",      "5 of one seed, T/5 each",
    "direct training"};

struct Problem {
  std::string name;
  double scale = .05;
  int steps = 3000;
  double single_share = 0;  ///< of the pretraining samples: one view alone
  std::vector<Kind> kinds;
};

/// Accuracies of one seed: [kind] on the source, and [kind][view] on the targets.
struct SeedResult {
  std::array<double, kind_count> source{};
  std::array<std::array<double, view_count>, kind_count> target{};
};

Json to_json(const SeedResult& result) { return {{"source", result.source}, {"target", result.target}}; }
SeedResult result_from(const Json& json) { return {json.at("source"), json.at("target")}; }

/// The data of a seed: the source's, and each target's.
struct SeedData {
  ViewSamples training, test;
  std::vector<ViewSamples> probe, probe_test;
};

SeedData draw_data(const Problem& problem, std::uint64_t seed, const Device& device) {
  SeedData data{draw_views({.single_share = problem.single_share}, training_samples, seed, 1, device),
                draw_views({}, test_samples, seed, 2, device),
                {},
                {}};
  for (int view = 0; view < view_count; ++view) {
    const auto stream = static_cast<std::uint64_t>(10 + 2 * view);
    data.probe.push_back(draw_views({.only = view}, probe_samples, seed, stream, device));
    data.probe_test.push_back(draw_views({.only = view}, test_samples, seed, stream + 1, device));
  }
  return data;
}

std::uint64_t network_seed(std::uint64_t seed, int member) { return mix(seed, static_cast<std::uint64_t>(member)); }

/// Source accuracy, a mean, and probes of some networks side by side.
void judge(const SeedData& data, const std::vector<const ViewNetwork*>& networks, std::uint64_t seed, Kind kind,
           SeedResult& result) {
  for (const ViewNetwork* network : networks) {
    result.source[kind] += network->accuracy(data.test) / static_cast<double>(networks.size());
  }
  for (std::size_t view = 0; view < view_count; ++view) {
    std::vector<Tensor> training, test;
    for (const ViewNetwork* network : networks) {
      training.push_back(network->features(data.probe[view]));
      test.push_back(network->features(data.probe_test[view]));
    }
    result.target[kind][view] = probe(training, data.probe[view].labels, test, data.probe_test[view].labels, seed);
  }
}

/// Networks of five seeds, trained step by step as far as the kinds ask.
class Members {
 public:
  Members(const Problem& problem, const SeedData& data, std::uint64_t seed, const Device& device) : data_(data) {
    for (int k = 0; k < members; ++k) networks_.emplace_back(per_class, problem.scale, network_seed(seed, k), device);
  }
  /// The first `count`, so many steps from the beginning.
  std::vector<const ViewNetwork*> at(int count, int steps) {
    std::vector<const ViewNetwork*> result;
    for (int k = 0; k < count; ++k) {
      auto& network = networks_[static_cast<std::size_t>(k)];
      int& done = done_[static_cast<std::size_t>(k)];
      network.train(data_.training, steps - done);
      done = steps;
      result.push_back(&network);
    }
    return result;
  }

 private:
  const SeedData& data_;
  std::vector<ViewNetwork> networks_;
  std::array<int, members> done_{};
};

SeedResult run_seed(const Problem& problem, std::uint64_t seed, const RunOptions& options) {
  const Device device = Device::cpu(1).separate();
  const SeedData data = draw_data(problem, seed, device);
  SeedResult result;
  const auto wanted = [&](Kind kind) {
    return std::find(problem.kinds.begin(), problem.kinds.end(), kind) != problem.kinds.end();
  };
  Members all(problem, data, seed, device);
  const int steps = problem.steps;
  struct Stage {
    Kind kind;
    int members, steps;
  };
  // Ascending in the steps of each member.
  for (const Stage& stage :
       {Stage{untrained, 5, 0}, Stage{one_short, 1, member_steps(steps, 5)}, Stage{five, 5, member_steps(steps, 5)},
        Stage{four, 4, member_steps(steps, 4)}, Stage{two, 2, member_steps(steps, 2)}, Stage{one, 1, steps},
        Stage{five_full, 5, steps}, Stage{one_longer, 1, steps + steps / 8}}) {
    if (!wanted(stage.kind)) continue;
    options.check_stop();
    const auto networks = all.at(stage.members, stage.steps);
    judge(data, networks, seed, stage.kind, result);
    if (stage.kind != one_short || !wanted(same_seed)) continue;
    judge(data, std::vector<const ViewNetwork*>(members, networks[0]), seed, same_seed, result);
  }
  options.check_stop();
  if (wanted(wide_one)) {
    ViewNetwork network(wide * per_class, problem.scale, network_seed(seed, members), device);
    network.train(data.training, steps);
    judge(data, {&network}, seed, wide_one, result);
  }
  for (int view = 0; wanted(direct) && view < view_count; ++view) {
    ViewNetwork network(per_class, problem.scale, network_seed(seed, members + 1 + view), device);
    const auto stream = static_cast<std::uint64_t>(30 + view);
    network.train(draw_views({.only = view}, training_samples, seed, stream, device), steps);
    const auto at = static_cast<std::size_t>(view);
    result.target[direct][at] = network.accuracy(data.probe_test[at]);
  }
  return result;
}

/// All seeds of a problem.
class Outcome {
 public:
  explicit Outcome(std::vector<SeedResult> seeds) : seeds_(std::move(seeds)) {}

  std::vector<double> source(Kind kind) const {
    return collect([&](const SeedResult& seed) { return seed.source[kind]; });
  }
  /// The mean over the views.
  std::vector<double> target(Kind kind) const {
    return collect([&](const SeedResult& seed) {
      double sum = 0;
      for (const double value : seed.target[kind]) sum += value;
      return sum / view_count;
    });
  }
  std::vector<double> worst_view(Kind kind) const {
    return collect(
        [&](const SeedResult& seed) { return *std::min_element(seed.target[kind].begin(), seed.target[kind].end()); });
  }
  /// In points.
  transfer::Interval difference(Kind better, Kind worse) const {
    std::vector<double> differences = target(better);
    const std::vector<double> others = target(worse);
    for (std::size_t i = 0; i < differences.size(); ++i) differences[i] = 100 * (differences[i] - others[i]);
    return transfer::t_interval(differences, .95, -100, 100);
  }

 private:
  template <typename Value>
  std::vector<double> collect(const Value& value) const {
    std::vector<double> values;
    for (const SeedResult& seed : seeds_) values.push_back(value(seed));
    return values;
  }
  std::vector<SeedResult> seeds_;
};

Outcome run_problem(const Problem& problem, int seeds, const Store& store, const RunOptions& options) {
  const Store::Facts facts = {{"seed", std::to_string(options.seed)}};
  return Outcome(simulate_draws(
      seeds,
      [&](std::int64_t i) {
        options.check_stop();
        std::string name = fmt::format("views_{}_{}.json", problem.name, i);
        std::erase(name, ',');
        std::replace(name.begin(), name.end(), ' ', '_');
        return store.find_or_run(name, facts, result_from, to_json, [&] {
          return run_seed(problem, options.seed * 1'000'000 + static_cast<std::uint64_t>(i), options);
        });
      },
      [&](double fraction) { options.progress(fraction, problem.name); }, 4));
}

/// What the reference has, in points; negative: not known.
struct Reference {
  Kind kind;
  double source, target, worst_view;
};

double points(const std::vector<double>& values) { return 100 * transfer::summarize(values).mean; }

void judge_problem(Reproduction& result, const Problem& problem, const Outcome& outcome,
                   const std::vector<Reference>& references) {
  TextTable table{
      .title = problem.name,
      .header = {problem.name, "source", "reference", "target", "sd", "reference", "worst view", "reference"}};
  const auto text = [](double value) { return value < 0 ? std::string() : fmt::format("{:.1f}", value); };
  Json list = Json::array();
  for (const Kind kind : problem.kinds) {
    const auto found = std::find_if(references.begin(), references.end(),
                                    [&](const Reference& reference) { return reference.kind == kind; });
    const Reference reference = found == references.end() ? Reference{kind, -1, -1, -1} : *found;
    const std::vector<double> target = outcome.target(kind);
    const double worst = points(outcome.worst_view(kind)), source = points(outcome.source(kind));
    table.rows.push_back({kind_names[kind], kind == direct ? "" : text(source), text(reference.source),
                          text(points(target)), fmt::format("{:.1f}", 100 * transfer::summarize(target).std),
                          text(reference.target), text(worst), text(reference.worst_view)});
    list.push_back({{"kind", kind_names[kind]},
                    {"source", outcome.source(kind)},
                    {"target", target},
                    {"worst_view", outcome.worst_view(kind)}});
    if (reference.target >= 0) {
      result.claims.push_back({fmt::format("{}, {}: accuracy on the targets", problem.name, kind_names[kind]),
                               reference.target, points(target), 3});
    }
  }
  result.tables.push_back(table);
  result.facts["multi_view"][problem.name] = list;
}

/// What must come out whatever the numbers.
void claim_mechanism(Reproduction& result, const std::string& name, const Outcome& outcome) {
  for (const Kind kind : {one, one_longer, two, four, five, five_full}) {
    result.claims.push_back(
        {fmt::format("{}, {}: accuracy on the source, within 2 points of 100", name, kind_names[kind]), 100,
         points(outcome.source(kind)), 2});
  }
  const auto claim = [&](Kind better, Kind worse, double expected, Relation relation, double tolerance) {
    result.claims.push_back({fmt::format("{}: {} minus {}, points", name, kind_names[better], kind_names[worse]),
                             expected, outcome.difference(better, worse).mean, tolerance, relation});
  };
  claim(two, one, 8, Relation::at_least, 0);
  claim(five, one, 12, Relation::at_least, 0);
  claim(one_longer, one, 0, Relation::within, 1);
  result.claims.push_back(
      {name + ", CAT5, T/5 each: accuracy on the targets", 95, points(outcome.target(five)), 0, Relation::at_least});
  // Copies of one member add nothing but other steps of the probe.
  claim(same_seed, one_short, 0, Relation::at_most, 1);
  result.claims.push_back({name + ": CAT5 minus one network five times wider, lower limit of its 95 % interval, points",
                           0, outcome.difference(five, wide_one).low, 0, Relation::at_least});
}

std::vector<Problem> problems_of(const RunOptions& options) {
  std::vector<Kind> all;
  for (int kind = 0; kind < kind_count; ++kind) all.push_back(static_cast<Kind>(kind));
  std::vector<Problem> problems = {{.name = "multi-view", .kinds = all}};
  if (!options.full()) return problems;
  problems.push_back({.name = "multi-view, scale 0.03", .scale = .03, .steps = 6000, .kinds = {one, five, wide_one}});
  for (const double share : {.02, .1, .3}) {
    problems.push_back(
        {.name = fmt::format("multi-view, {} single", share), .single_share = share, .kinds = {one, five, wide_one}});
  }
  return problems;
}

const std::vector<std::vector<Reference>>& references() {
  static const std::vector<std::vector<Reference>> all = {
      {{one, 100, 78.8, 54.3},
       {one_longer, 100, 79.0, 54.5},
       {two, 100, 93.9, 80.6},
       {four, 99.4, 99.0, 97.7},
       {five, 99.1, 99.1, 97.4},
       {five_full, 100, 99.5, 98.6},
       {wide_one, 100, 98.1, 95.1},
       {untrained, 24.4, 49.9, 42.4},
       {direct, -1, 97.6, -1}},
      {{one, -1, 72.7, 41.3}, {five, -1, 98.8, 96.2}, {wide_one, -1, 94.0, 81.4}},
      {{one, -1, 80.0, -1}, {five, -1, 99.0, -1}, {wide_one, -1, 98.0, -1}},
      {{one, -1, 81.6, -1}, {five, -1, 99.3, -1}, {wide_one, -1, 99.2, -1}},
      {{one, -1, 87.1, -1}, {five, -1, 98.9, -1}, {wide_one, -1, 99.5, -1}}};
  return all;
}

}  // namespace

void multi_view(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const Store store = runs.store(options);
  const std::vector<Problem> problems = problems_of(options);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    RunOptions inner = options;
    inner.progress = [&](double fraction, const std::string& text) {
      options.progress((static_cast<double>(i) + fraction) / static_cast<double>(problems.size()), text);
    };
    const Outcome outcome = run_problem(problems[i], runs.seeds, store, inner);
    judge_problem(result, problems[i], outcome, references()[i]);
    if (i == 0) claim_mechanism(result, problems[i].name, outcome);
  }
}

}  // namespace rtl::studies::ensemble

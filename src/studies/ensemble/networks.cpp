// Time-Cat on real images: thin residual networks pretrained on CIFAR-10 or CIFAR-100, frozen, and probed on the other.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "rtl/data/stress.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/statistics.hpp"
#include "studies/cifar.hpp"
#include "studies/draws.hpp"
#include "studies/ensemble/budget.hpp"
#include "studies/ensemble/feature_probe.hpp"
#include "studies/ensemble/parts.hpp"
#include "studies/ensemble/pretraining.hpp"

namespace rtl::studies::ensemble {
namespace {

using transfer::FrozenSource;

constexpr int members = 5, towers_count = 4;

/// What is probed; the order of the results.
enum Kind : std::uint8_t {
  one,
  two,
  four,
  five,
  snapshots,
  distilled,
  wide_one,
  towers,
  untrained,
  one_short,
  same_seed,
  kind_count
};
constexpr std::array<const char*, kind_count> kind_names = {"CAT1, T",
                                                            "CAT2, T/2 each",
                                                            "CAT4, T/4 each",
                                                            "CAT5, T/5 each",
                                                            "5 snapshots of one run, T",
                                                            "CAT5 distilled into one, T more",
                                                            "one, twice as wide, T",
                                                            "4 towers with one head, T",
                                                            "5 untrained",
                                                            "CAT1, T/5",
                                                            "5 of one seed, T/5 each"};
enum Probe : std::uint8_t { plain, batch_norm, probe_count };
constexpr std::array<const char*, probe_count> probe_names = {"plain", "batch norm"};

/// Accuracies of one seed.
struct SeedResult {
  std::array<double, kind_count> heads{};  ///< of the networks' own heads on the source, mean over the networks
  std::array<std::array<double, kind_count>, probe_count> source{}, target{};
};

Json to_json(const SeedResult& result) {
  return {{"heads", result.heads}, {"source", result.source}, {"target", result.target}};
}
SeedResult result_from(const Json& json) { return {json.at("heads"), json.at("source"), json.at("target")}; }

/// Gain over CAT1 in points where ImageNet is the source: CAT-n of Yang, Zhang and Bottou 2025, what is distilled or
/// wide of Zhang and Bottou 2023 (there without a common budget).
using Published = std::array<std::optional<double>, kind_count>;

struct Transfer {
  std::string name;    ///< "CIFAR-10 to CIFAR-100"
  std::string choice;  ///< of --sources
  std::string file;
  const data::TrainTest *source, *target;
  Published published;
};

struct Outcome {
  Transfer transfer;
  std::vector<SeedResult> seeds;

  std::vector<double> points(const std::array<double, kind_count> SeedResult::*values, Kind kind) const {
    std::vector<double> all;
    for (const SeedResult& seed : seeds) all.push_back(100 * (seed.*values)[kind]);
    return all;
  }
  std::vector<double> points(const std::array<std::array<double, kind_count>, probe_count> SeedResult::*values,
                             Probe by, Kind kind) const {
    std::vector<double> all;
    for (const SeedResult& seed : seeds) all.push_back(100 * (seed.*values)[by][kind]);
    return all;
  }
  transfer::Interval difference(const std::array<std::array<double, kind_count>, probe_count> SeedResult::*values,
                                Probe by, Kind better, Kind worse) const {
    std::vector<double> all = points(values, by, better);
    const std::vector<double> others = points(values, by, worse);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] -= others[i];
    return transfer::t_interval(all, .95, -100, 100);
  }
};

data::TrainTest drawn(const data::TrainTest& task, std::int64_t images, std::uint64_t seed) {
  data::TrainTest result{.train = task.train.clone(), .test = task.test.clone()};
  if (images > 0 && images < task.train.size()) {
    const std::vector<std::int32_t> labels = task.train.labels.to_vector<std::int32_t>();
    result.train = task.train.subset(data::stratified_subset(labels, task.train.classes, images, seed));
  }
  return result;
}

/// One seed of a transfer.
class Replicate {
 public:
  Replicate(const Transfer& transfer, const Recipe& recipe, std::uint64_t seed, const RunOptions& options)
      : source_(drawn(*transfer.source, recipe.source_images, seed)),
        target_(drawn(*transfer.target, recipe.target_images, seed)),
        options_(options),
        device_(Device::cpu(1).separate()),
        epochs_(recipe.epochs),
        pretraining_(source_.train, recipe, seed, device_, options.stop) {}

  SeedResult run() {
    judge(one, several(1));
    judge(two, several(2));
    judge(four, several(4));
    const std::vector<FrozenSource> fifths = several(members);
    judge(five, fifths);
    judge(one_short, {fifths[0]});
    judge(same_seed, std::vector<FrozenSource>(members, fifths[0]));
    judge(distilled, {pretraining_.distilled(fifths)});
    judge(snapshots, pretraining_.snapshots(members));
    judge(wide_one, {pretraining_.wide()});
    judge(towers, {pretraining_.towers(towers_count)});
    std::vector<FrozenSource> fresh;
    for (int k = 0; k < members; ++k) fresh.push_back(pretraining_.untrained(k));
    judge(untrained, fresh);
    return result_;
  }

 private:
  /// n members, each with its share of T.
  std::vector<FrozenSource> several(int count) const {
    std::vector<FrozenSource> all;
    for (int k = 0; k < count; ++k) all.push_back(pretraining_.member(k, member_steps(epochs_, count)));
    return all;
  }

  void judge(Kind kind, const std::vector<FrozenSource>& sources) {
    options_.check_stop();
    for (const FrozenSource& each : sources) {
      result_.heads[kind] +=
          transfer::score(each.logits(source_.test), source_.test).accuracy / static_cast<double>(sources.size());
    }
    const ProbeScores at_source = probe_features(sources, source_, device_);
    const ProbeScores at_target = probe_features(sources, target_, device_);
    result_.source[plain][kind] = at_source.plain;
    result_.source[batch_norm][kind] = at_source.batch_norm;
    result_.target[plain][kind] = at_target.plain;
    result_.target[batch_norm][kind] = at_target.batch_norm;
  }

  data::TrainTest source_, target_;
  const RunOptions& options_;
  Device device_;
  int epochs_;
  Pretraining pretraining_;
  SeedResult result_;
};

std::vector<SeedResult> run_seeds(const Transfer& transfer, const Recipe& recipe, int seeds, const Store& store,
                                  const RunOptions& options) {
  io::Hash64 content;
  for (const data::TrainTest* task : {transfer.source, transfer.target}) {
    content.add(task->train.input_hash()).add(task->test.input_hash());
  }
  const Store::Facts facts = {{"seed", std::to_string(options.seed)},
                              {"recipe", recipe.text()},
                              transfer::detail::content_fact("images", content.value(), transfer.name)};
  return simulate_draws(
      seeds,
      [&](std::int64_t i) {
        options.check_stop();
        const auto run = [&] {
          const std::uint64_t seed = options.seed * 1'000'000 + static_cast<std::uint64_t>(i);
          return Replicate(transfer, recipe, seed, options).run();
        };
        return store.find_or_run(fmt::format("networks_{}_{}.json", transfer.file, i), facts, result_from, to_json,
                                 run);
      },
      [&](double fraction) { options.progress(fraction, transfer.name); }, 2);
}

std::string text(const transfer::Interval& interval) {
  return fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", interval.mean, interval.low, interval.high);
}

TextTable table_of(const Outcome& outcome) {
  TextTable table{.title = outcome.transfer.name,
                  .header = {"networks", "own heads", "probe of the source", "minus CAT1", "probe of the target",
                             "minus CAT1", "plain probe of the target", "minus CAT1", "published: minus CAT1"}};
  const auto mean = [](const std::vector<double>& points) {
    return fmt::format("{:.1f}", transfer::summarize(points).mean);
  };
  for (std::size_t k = 0; k < kind_count; ++k) {
    const auto kind = static_cast<Kind>(k);
    std::vector<std::string> row = {kind_names[k], mean(outcome.points(&SeedResult::heads, kind))};
    for (const auto& [values, by] :
         {std::pair{&SeedResult::source, batch_norm}, std::pair{&SeedResult::target, batch_norm},
          std::pair{&SeedResult::target, plain}}) {
      row.push_back(mean(outcome.points(values, by, kind)));
      row.push_back(kind == one ? "" : text(outcome.difference(values, by, kind, one)));
    }
    const std::optional<double>& published = outcome.transfer.published[kind];
    row.push_back(published ? fmt::format("{:+.1f}", *published) : "");
    table.rows.push_back(row);
  }
  return table;
}

void claim(Reproduction& result, const Outcome& outcome, const RunOptions& options) {
  for (const Probe by : {plain, batch_norm}) {
    const std::string name = fmt::format("{}, {}", outcome.transfer.name, probe_names[by]);
    const auto claim_low = [&](Kind better, Kind worse) {
      result.claims.push_back({fmt::format("{}: {} minus {}, lower limit of its 95 % interval, points", name,
                                           kind_names[better], kind_names[worse]),
                               0, outcome.difference(&SeedResult::target, by, better, worse).low, 0,
                               Relation::at_least});
    };
    // Copies of one member add nothing but a penalty between those that are tried.
    result.claims.push_back({fmt::format("{}: {} minus {}, points", name, kind_names[same_seed], kind_names[one_short]),
                             0, outcome.difference(&SeedResult::target, by, same_seed, one_short).mean, 1,
                             Relation::at_most});
    if (!options.full()) continue;  // a few hundred images and two seeds say no more
    for (const Kind ensemble : {four, five}) {
      claim_low(ensemble, one);
      result.claims.push_back(
          {fmt::format("{}: probe of the source, {} minus {}, points", name, kind_names[ensemble], kind_names[one]), 0,
           outcome.difference(&SeedResult::source, by, ensemble, one).mean, 1});
    }
    for (const Kind other : {snapshots, distilled}) claim_low(other, one);
    for (const Kind other : {snapshots, distilled, untrained}) claim_low(five, other);
    for (const Kind other : {wide_one, towers}) claim_low(four, other);
  }
}

Recipe recipe_for(const RunOptions& options) {
  return options.full() ? Recipe{.source_images = 4000, .target_images = 4000, .epochs = 12}
                        : Recipe{.source_images = 600, .target_images = 1000, .epochs = 10};
}

}  // namespace

void networks(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const data::TrainTest ten = load_cifar(runs.data, 10, ImageSize::half),
                        hundred = load_cifar(runs.data, 100, ImageSize::half);
  const std::array<Transfer, 2> transfers = {Transfer{"CIFAR-10 to CIFAR-100", "cifar10", "10_to_100", &ten, &hundred,
                                                      Published{std::nullopt, 3.2, 5.8, 6.1, std::nullopt, 3.3, -.55}},
                                             Transfer{"CIFAR-100 to CIFAR-10", "cifar100", "100_to_10", &hundred, &ten,
                                                      Published{std::nullopt, .8, 2.3, 2.4, std::nullopt, 1.97, .29}}};
  const Recipe recipe = recipe_for(options);
  const int seeds = options.full() ? 4 : 2;
  result.protocol.emplace_back(
      "networks", fmt::format("{}; ridge probes, penalty by leave-one-out; {} seeds", recipe.text(), seeds));
  result.protocol.emplace_back("networks, published",
                               "gains over CAT1 with ImageNet as the source: Yang et al. 2025, table of Time-Cat; "
                               "distilled and wide networks from Zhang and Bottou 2023, supervised ResNet-50");
  const Store store = runs.store(options);
  Json facts = {{"kinds", kind_names}, {"probes", probe_names}};
  for (const Transfer& transfer : transfers) {
    if (std::find(runs.sources.begin(), runs.sources.end(), transfer.choice) == runs.sources.end()) continue;
    const Outcome outcome{transfer, run_seeds(transfer, recipe, seeds, store, options)};
    claim(result, outcome, options);
    result.tables.push_back(table_of(outcome));
    for (const SeedResult& seed : outcome.seeds) facts[transfer.name].push_back(to_json(seed));
  }
  result.facts["networks"] = facts;
}

}  // namespace rtl::studies::ensemble

// Channels inherited by real networks: trained on one half of the classes of CIFAR-100, then on the other.
#include <fmt/format.h>

#include <algorithm>

#include "rtl/io/hash.hpp"
#include "rtl/transfer/statistics.hpp"
#include "studies/cifar.hpp"
#include "studies/draws.hpp"
#include "studies/partial/network_runs.hpp"
#include "studies/partial/parts.hpp"

namespace rtl::studies::partial {
namespace {

struct Architecture {
  std::string choice;  ///< of --architectures
  std::string name, model;
};

struct NetworkOutcome {
  Architecture network;
  std::vector<NetworkRun> runs;

  std::vector<double> scratch() const {
    std::vector<double> points;
    for (const NetworkRun& run : runs) points.push_back(100 * run.scratch);
    return points;
  }
  std::vector<double> points(const Start& start) const {
    std::vector<double> points;
    for (const NetworkRun& run : runs) points.push_back(100 * run.accuracies.at(start.name()));
    return points;
  }
  std::vector<double> gains(const Start& start) const { return minus(points(start), scratch()); }
  std::vector<double> difference(const Start& better, const Start& worse) const {
    return minus(points(better), points(worse));
  }
  /// Of a line through the accuracies over alpha by least squares, scratch being alpha = 0, points for alpha from 0
  /// to 1.
  std::vector<double> slopes() const {
    const std::vector<double> alphas = {0, .2, .5, .8, 1};
    std::vector<double> slopes;
    for (const NetworkRun& run : runs) {
      double above = 0, below = 0;
      for (const double alpha : alphas) {
        const double y = alpha > 0 ? run.accuracies.at(Start{.alpha = alpha}.name()) : run.scratch;
        above += (alpha - .5) * y;  // their mean is .5
        below += (alpha - .5) * (alpha - .5);
      }
      slopes.push_back(100 * above / below);
    }
    return slopes;
  }

  static std::vector<double> minus(std::vector<double> a, const std::vector<double>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
    return a;
  }
};

transfer::Interval interval_of(const std::vector<double>& points, double confidence = .95) {
  return transfer::t_interval(points, confidence, -100, 100);
}

std::string text(const transfer::Interval& interval) {
  return fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", interval.mean, interval.low, interval.high);
}

double mean(const std::vector<double>& points) { return transfer::summarize(points).mean; }

Json to_json(const NetworkRun& run) {
  return {{"scratch", run.scratch},
          {"accuracies", run.accuracies},
          {"upstream", run.upstream},
          {"nothing_inherited", run.nothing_inherited},
          {"all_inherited", run.all_inherited}};
}

NetworkRun run_from(const Json& json) {
  NetworkRun run{json.at("scratch"), json.at("accuracies"), json.at("upstream"), json.at("nothing_inherited"),
                 json.at("all_inherited")};
  for (const Start& start : all_starts()) json.at("accuracies").at(start.name());
  return run;
}

NetworkRecipe recipe_for(const Architecture& network, const RunOptions& options) {
  return options.full() ? NetworkRecipe{.model = network.model,
                                        .few_images = 750,
                                        .downstream_images = 500,
                                        .upstream_epochs = 24,
                                        .downstream_epochs = 24}
                        : NetworkRecipe{.model = network.model,
                                        .upstream_images = 1000,
                                        .few_images = 250,
                                        .downstream_images = 250,
                                        .upstream_epochs = 10,
                                        .downstream_epochs = 10};
}

std::vector<NetworkRun> run_seeds(const Architecture& network, const data::TrainTest& images, int seeds,
                                  const Store& store, const RunOptions& options) {
  const NetworkRecipe recipe = recipe_for(network, options);
  const std::uint64_t content = io::Hash64().add(images.train.input_hash()).add(images.test.input_hash()).value();
  const Store::Facts facts = {{"seed", std::to_string(options.seed)},
                              {"recipe", recipe.text()},
                              transfer::detail::content_fact("images", content, "CIFAR-100")};
  return simulate_draws(
      seeds,
      [&](std::int64_t i) {
        options.check_stop();
        return store.find_or_run(fmt::format("networks_{}_{}.json", network.name, i), facts, run_from, to_json, [&] {
          NetworkRun run =
              run_networks(images, recipe, options.seed * 1'000'000 + static_cast<std::uint64_t>(i), options.stop);
          options.check_stop();
          return run;
        });
      },
      [&](double fraction) { options.progress(fraction, network.name); }, 2);
}

void claim_exact(Reproduction& result, const NetworkOutcome& outcome) {
  double nothing = 0, all = 0;
  for (const NetworkRun& run : outcome.runs) {
    nothing = std::max(nothing, run.nothing_inherited);
    all = std::max(all, run.all_inherited);
  }
  result.claims.push_back(
      {outcome.network.name + ", alpha 0: largest difference from scratch after training", 0, nothing, 0});
  result.claims.push_back({outcome.network.name + ", alpha 1: largest difference from upstream at step 0", 0, all, 0});
}

void claim_gains(Reproduction& result, const NetworkOutcome& outcome) {
  const auto above = [&](const std::string& what, const std::vector<double>& points) {
    result.claims.push_back(
        {fmt::format("{}: {}, lower limit of its 95 % interval, points", outcome.network.name, what), 0,
         interval_of(points).low, 0, Relation::at_least});
  };
  const Start whole{.alpha = 1}, half{.alpha = .5};
  above("alpha 1 minus scratch", outcome.gains(whole));
  above("slope of the accuracy over alpha", outcome.slopes());
  above("alpha 1 minus alpha 0.5", outcome.difference(whole, half));
  for (const Training other : {Training::fewer_images, Training::noisy_images, Training::random_labels}) {
    above(fmt::format("alpha 1, upstream trained on images minus {}", to_string(other)),
          outcome.difference(whole, {.upstream = other, .alpha = 1}));
  }
}

void claim_controls(Reproduction& result, const NetworkOutcome& outcome) {
  for (const double alpha : {.5, 1.}) {
    const std::string name = fmt::format("{}, alpha {}", outcome.network.name, alpha);
    const std::vector<double> untrained = outcome.gains({.upstream = Training::nothing, .alpha = alpha});
    const transfer::Interval wide = interval_of(untrained, .999);
    result.claims.push_back({name + ", untrained upstream: minus scratch, within its 99.9 % interval, points", 0,
                             wide.mean, wide.high - wide.mean});
    const std::vector<double> random = outcome.gains({.upstream = Training::random_labels, .alpha = alpha});
    result.claims.push_back({name + ", upstream with random labels: minus scratch, upper limit of its 95 % interval, "
                                    "points",
                             0, interval_of(random).high, 0, Relation::at_most});
  }
}

TextTable table_of(const NetworkOutcome& outcome) {
  TextTable table{.title = fmt::format("{} ({}): scratch {:.1f} %", outcome.network.name, outcome.network.model,
                                       mean(outcome.scratch())),
                  .header = {"upstream trained on", "its accuracy %", "unit", "alpha", "accuracy %", "minus scratch"},
                  .left = {2}};
  for (const Start& start : all_starts()) {
    std::vector<double> upstream;
    for (const NetworkRun& run : outcome.runs) upstream.push_back(100 * run.upstream.at(to_string(start.upstream)));
    table.rows.push_back({to_string(start.upstream), fmt::format("{:.1f}", mean(upstream)), start.unit,
                          fmt::format("{}", start.alpha), fmt::format("{:.1f}", mean(outcome.points(start))),
                          text(interval_of(outcome.gains(start)))});
  }
  return table;
}

Figure figure_of(const std::vector<NetworkOutcome>& outcomes) {
  Figure figure{.name = "networks",
                .title = "Channels from one half of CIFAR-100 to the other",
                .caption = "Gain over scratch with 95 % intervals over seeds, by the inherited share of the channels.",
                .x_label = "alpha",
                .y_label = "points"};
  for (const NetworkOutcome& outcome : outcomes) {
    Series series = Series::points(outcome.network.name);
    series.add(0, 0, 0);
    for (const double alpha : {.2, .5, .8, 1.}) {
      const transfer::Interval gain = interval_of(outcome.gains({.alpha = alpha}));
      series.add(alpha, gain.mean, gain.high - gain.mean);
    }
    figure.series.push_back(series);
  }
  return figure;
}

}  // namespace

void networks(Reproduction& result, const RunOptions& options, const Runs& runs) {
  const data::TrainTest images = load_cifar(runs.data, 100, ImageSize::half);
  const int seeds = options.full() ? 5 : 2;
  const std::vector<Architecture> kinds = {{"resnet", "ResNet", "thin_resnet:8"}, {"vgg", "VGG", "thin_vgg:8"}};
  result.protocol.emplace_back(
      "networks", fmt::format("{} and {}; {} seeds", recipe_for(kinds[0], options).text(), kinds[1].model, seeds));
  const Store store = runs.store(options);
  std::vector<NetworkOutcome> outcomes;
  Json facts;
  for (const Architecture& kind : kinds) {
    if (std::find(runs.architectures.begin(), runs.architectures.end(), kind.choice) == runs.architectures.end()) {
      continue;
    }
    outcomes.push_back({kind, run_seeds(kind, images, seeds, store, options)});
    claim_exact(result, outcomes.back());
    if (options.full()) {  // a few hundred images and two seeds say no more
      claim_gains(result, outcomes.back());
      claim_controls(result, outcomes.back());
    }
    result.tables.push_back(table_of(outcomes.back()));
    for (const NetworkRun& run : outcomes.back().runs) facts[kind.name].push_back(to_json(run));
  }
  result.figures.push_back(figure_of(outcomes));
  result.facts["networks"] = facts;
}

}  // namespace rtl::studies::partial

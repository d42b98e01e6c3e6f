// Linear transfer on real data: ridge heads from scratch, as the source has them, at the source's own penalty, and as
// the advisor chooses (part "policies"); and the advisor with very few rows (part "few-rows").
#include "studies/study.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "studies/linear_transfer/few_rows.hpp"
#include "studies/linear_transfer/setting_store.hpp"

namespace rtl::studies::linear_transfer {
namespace {

/// The study's own options.
struct Settings {
  std::string data;
  std::vector<std::string> families;
  std::string state;
  int seeds = 20;
  int draws = 400;
};

/// What is summed up over settings: mean difference to scratch, how many are significantly below it, and how far.
struct Tally {
  std::size_t settings = 0, worse = 0;
  double total = 0, largest_loss = 0;

  void add(const transfer::Interval& difference) {
    ++settings;
    total += difference.mean;
    if (difference.high < 0) ++worse, largest_loss = std::max(largest_loss, -difference.mean);
  }
  double gain() const { return settings == 0 ? 0 : total / static_cast<double>(settings); }
};
using Tallies = std::array<Tally, policy_count>;

/// Runs, or takes from the store, all settings of a family.
std::vector<Outcome> run_family(const Settings& settings, const std::string& name, const SettingStore& store,
                                const RunOptions& options) {
  const Device& device = options.device;
  const Family family = load_family(name, settings.data, !options.full(), device);
  std::vector<Outcome> outcomes;
  std::size_t done = 0, all = 0;
  for (const Pair& pair : family.pairs) all += pair.sizes.size();
  std::size_t fitted = family.domains.size();
  std::unique_ptr<FittedSource> source;
  for (const Pair& pair : family.pairs) {
    const Domain &from = family.domains[pair.source], &to = family.domains[pair.target];
    for (const std::int64_t rows : pair.sizes) {
      Outcome outcome;
      outcome.family = name, outcome.source = from.name, outcome.target = to.name, outcome.rows = rows;
      outcome.other_labels = from.outputs != to.outputs;
      options.progress(static_cast<double>(done++) / static_cast<double>(all), outcome.name());
      const int kept = store.load(outcome, from, to, settings.seeds);
      if (kept < settings.seeds) {
        if (fitted != pair.source) {
          source = std::make_unique<FittedSource>(device, from, family.scale_each_feature);
          fitted = pair.source;
        }
        for (int seed = kept + 1; seed <= settings.seeds; ++seed) {
          options.check_stop();
          run_seed(device, *source, to, static_cast<std::uint64_t>(seed), outcome);
        }
        store.save(outcome, from, to);
      }
      outcomes.push_back(std::move(outcome));
    }
  }
  return outcomes;
}

std::string points(const Outcome& outcome, std::size_t policy) {
  if (!outcome.has(policy)) return "";
  const transfer::Interval difference = outcome.difference(policy);
  return fmt::format("{:+.1f} ({:+.1f} to {:+.1f})", 100 * difference.mean, 100 * difference.low,
                     100 * difference.high);
}

TextTable table_of(const std::vector<Outcome>& outcomes) {
  TextTable table{.title = "Settings",
                  .header = {"setting", "scratch", "source as it is", "L2-SP at the source's penalty", "advisor",
                             "verdict", "trust"}};
  for (const Outcome& outcome : outcomes) {
    table.rows.push_back({outcome.name(), fmt::format("{:.1f}", 100 * transfer::summarize(outcome.scores[0]).mean),
                          points(outcome, 1), points(outcome, 2), points(outcome, 3),
                          transfer::to_string(transfer::judge(outcome.difference(3))),
                          fmt::format("{:.2f}", transfer::summarize(outcome.trust).mean)});
  }
  return table;
}

Tallies tallies_of(const std::vector<Outcome>& outcomes, const std::string& family) {
  Tallies tallies;
  for (const Outcome& outcome : outcomes) {
    for (std::size_t p = 1; p < policy_count; ++p) {
      if ((family.empty() || outcome.family == family) && outcome.has(p)) tallies[p].add(outcome.difference(p));
    }
  }
  return tallies;
}

/// Fills one row a family and policy into both.
void summarize_families(const std::vector<Outcome>& outcomes, const std::vector<std::string>& families,
                        TextTable& table, Json& json) {
  for (const std::string& family : families) {
    const Tallies tallies = tallies_of(outcomes, family);
    for (std::size_t p = 1; p < policy_count; ++p) {
      const Tally& tally = tallies[p];
      if (tally.settings == 0) continue;
      table.rows.push_back({family, policy_names[p], std::to_string(tally.settings),
                            fmt::format("{:+.2f}", 100 * tally.gain()), std::to_string(tally.worse),
                            fmt::format("{:.2f}", 100 * tally.largest_loss)});
      json.push_back({{"family", family},
                      {"policy", policy_names[p]},
                      {"settings", tally.settings},
                      {"mean_gain", tally.gain()},
                      {"significantly_worse", tally.worse},
                      {"largest_significant_loss", tally.largest_loss}});
    }
  }
}

std::vector<Claim> claims_of(const std::vector<Outcome>& outcomes) {
  const Tallies tallies = tallies_of(outcomes, "");
  const Tally &always = tallies[2], &advisor = tallies[3];
  const double share = static_cast<double>(advisor.worse) / static_cast<double>(advisor.settings);
  return {
      {"advisor significantly worse than scratch, share of the settings", 0.025, share, 0, Relation::at_most},
      {"largest significant loss of the advisor, fraction of one", 0.01, advisor.largest_loss, 0, Relation::at_most},
      {"mean gain of the advisor minus that of always transferring (L2-SP at the source's penalty)", 0,
       advisor.gain() - always.gain(), 0, Relation::at_least}};
}

Figure figure_of(const std::vector<Outcome>& outcomes) {
  Figure figure{.name = "advisor",
                .title = "The advisor and always transferring",
                .caption =
                    "Every setting: paired means over the seeds with 95 % intervals. On the line both are equal; "
                    "left of zero transferring at the source's penalty does harm.",
                .x_label = "L2-SP at the source penalty minus scratch, points",
                .y_label = "advisor minus scratch, points"};
  Series equal = Series::line("equal");
  for (const Outcome& outcome : outcomes) {
    if (figure.series.empty() || figure.series.back().name != outcome.family) {
      figure.series.push_back(Series::points(outcome.family));
    }
    Series& series = figure.series.back();
    const transfer::Interval a = outcome.difference(2), b = outcome.difference(3);
    series.add(100 * a.mean, 100 * b.mean, 50 * (b.high - b.low));
    equal.x.push_back(100 * a.mean);
  }
  std::sort(equal.x.begin(), equal.x.end());
  equal.y = equal.x;
  figure.series.push_back(std::move(equal));
  return figure;
}

class LinearTransferRun final : public Run {
 public:
  std::vector<Option> options() override {
    return {data_option(settings_.data),
            {.name = "--family",
             .value = &settings_.families,
             .help = "wine, heart, amazon, office, cifar100, housing, cortex, adult, myelin, race, aldolase (default: "
                     "all); cifar100 "
                     "is of the part "
                     "policies alone, those behind it of few-rows",
             .choices = all_family_names()},
            seeds_option(settings_.seeds, "paired seeds of the part policies; at most 3 with --quick"),
            {.name = "--draws",
             .value = &settings_.draws,
             .help = "of a target's rows in the part few-rows; at most 40 with --quick",
             .least = 2,
             .most = 10000,
             .show_default = true},
            state_option(settings_.state, "settings of the part policies")};
  }

  Reproduction run(const RunOptions& options) override {
    require_data(settings_.data, "linear-transfer");
    Reproduction result{.title = "Linear transfer on real data"};
    result.facts = {{"device", options.device.name()}};
    const std::vector<std::string> for_policies = chosen(family_names()),
                                   for_few_rows = chosen(few_rows_family_names());
    std::vector<Part> parts;
    if (!for_policies.empty()) {
      parts.push_back({"policies", options.full() ? 20.0 : 1.0,
                       [&](Reproduction& all, const RunOptions& inner) { policies(all, inner, for_policies); }});
    }
    if (!for_few_rows.empty()) {
      parts.push_back({"few-rows", options.full() ? 5.0 : 1.0, [&](Reproduction& all, const RunOptions& inner) {
                         few_rows(all, inner, {settings_.data, for_few_rows, draws_in(options)});
                       }});
    }
    run_parts(parts, options, result);
    return result;
  }

 private:
  int draws_in(const RunOptions& options) const {
    return options.full() ? settings_.draws : std::min(settings_.draws, 40);
  }

  /// Those of the families that are asked for.
  std::vector<std::string> chosen(const std::vector<std::string>& families) const {
    std::vector<std::string> names;
    for (const std::string& family : families) {
      const auto& wanted = settings_.families;
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), family) != wanted.end()) names.push_back(family);
    }
    return names;
  }
  static std::vector<std::string> all_family_names() {
    std::vector<std::string> names = family_names();
    for (const std::string& family : few_rows_family_names()) {
      if (std::find(names.begin(), names.end(), family) == names.end()) names.push_back(family);
    }
    return names;
  }

  void policies(Reproduction& result, const RunOptions& options, const std::vector<std::string>& families) const {
    Settings settings = settings_;
    settings.families = families;
    if (!options.full()) settings.seeds = std::min(settings.seeds, 3);
    const SettingStore store(settings.state, options);
    std::vector<Outcome> outcomes;
    for (std::size_t i = 0; i < families.size(); ++i) {
      RunOptions inner = options;
      inner.progress = [&](double fraction, const std::string& text) {
        options.progress((static_cast<double>(i) + fraction) / static_cast<double>(families.size()), text);
      };
      std::vector<Outcome> own = run_family(settings, families[i], store, inner);
      std::move(own.begin(), own.end(), std::back_inserter(outcomes));
    }
    report(settings, outcomes, result);
  }

  static void report(const Settings& settings, const std::vector<Outcome>& outcomes, Reproduction& result) {
    TextTable summary{.title = "Families",
                      .header = {"family", "policy", "settings", "mean gain", "significantly worse", "largest loss"},
                      .left = {1}};
    Json families = Json::array();
    summarize_families(outcomes, settings.families, summary, families);
    result.protocol.emplace_back("seeds",
                                 fmt::format("1 to {}, paired: the same rows for every policy", settings.seeds));
    result.protocol.emplace_back("scores", "accuracy, for wine R^2; differences to scratch in points (hundredths)");
    for (Claim& claim : claims_of(outcomes)) result.claims.push_back(std::move(claim));
    result.figures.push_back(figure_of(outcomes));
    result.tables.push_back(std::move(summary));
    result.tables.push_back(table_of(outcomes));
    result.facts["seeds"] = settings.seeds;
    result.facts["families"] = families;
    result.facts["settings"] = Json::array();
    for (const Outcome& outcome : outcomes) result.facts["settings"].push_back(to_json(outcome));
  }

  Settings settings_;
};

}  // namespace

const Study& study() {
  static const Study one{
      .name = "linear-transfer",
      .summary = "Ridge heads on real features: scratch, transfer and the advisor's choice, with paired seeds",
      .parts = {"policies", "few-rows"},
      .quick =
          "policies: few pairs, few rows, three seeds, to show that everything runs; few-rows: without amazon, "
          "two numbers of rows",
      .full = "every pair of domains and every number of rows",
      .default_effort = Effort::full,
      .takes_seed = false,
      .takes_device = true,
      .begin = [] { return std::make_unique<LinearTransferRun>(); }};
  return one;
}

}  // namespace rtl::studies::linear_transfer

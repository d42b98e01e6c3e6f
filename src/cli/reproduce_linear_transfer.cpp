#include "cli/reproduce_linear_transfer.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/linear_study_store.hpp"
#include "cli/progress.hpp"
#include "cli/reproduction.hpp"
#include "cli/table.hpp"
#include "cli/training_arguments.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::cli {
namespace {

struct Arguments {
  std::string data;
  std::vector<std::string> families;
  std::string state;
  std::string json;
  std::string html;
  std::string csv;
  int seeds = 20;
  bool quick = false;
  DeviceArguments device;
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
using Tallies = std::array<Tally, linear_policies>;

/// Runs, or takes from the store, all settings of a family.
std::vector<LinearOutcome> run_family(const Arguments& arguments, const std::string& name, const Device& device,
                                      const LinearStudyStore& store, ProgressBar& progress) {
  const LinearFamily family = load_linear_family(name, arguments.data, arguments.quick, device);
  std::vector<LinearOutcome> outcomes;
  std::size_t done = 0, all = 0;
  for (const LinearPair& pair : family.pairs) all += pair.sizes.size();
  std::size_t fitted = family.domains.size();
  std::unique_ptr<LinearSource> source;
  for (const LinearPair& pair : family.pairs) {
    const LinearDomain &from = family.domains[pair.source], &to = family.domains[pair.target];
    for (const std::int64_t rows : pair.sizes) {
      LinearOutcome outcome;
      outcome.family = name, outcome.source = from.name, outcome.target = to.name, outcome.rows = rows;
      outcome.other_labels = from.outputs != to.outputs;
      progress.show(static_cast<double>(done++) / static_cast<double>(all), outcome.name());
      const int kept = store.load(outcome, from, to, arguments.seeds);
      if (kept < arguments.seeds) {
        if (fitted != pair.source) {
          source = std::make_unique<LinearSource>(device, from, family.scale_each_feature);
          fitted = pair.source;
        }
        for (int seed = kept + 1; seed <= arguments.seeds; ++seed) {
          if (interrupted()) throw Error("the study was stopped");
          run_linear_seed(device, *source, to, static_cast<std::uint64_t>(seed), outcome);
        }
        store.save(outcome, from, to);
      }
      outcomes.push_back(std::move(outcome));
    }
  }
  return outcomes;
}

std::string points(const LinearOutcome& outcome, std::size_t policy) {
  if (!outcome.has(policy)) return "";
  const transfer::Interval difference = outcome.difference(policy);
  return fmt::format("{:+.1f} ({:+.1f} to {:+.1f})", 100 * difference.mean, 100 * difference.low,
                     100 * difference.high);
}

Table table_of(const std::vector<LinearOutcome>& outcomes) {
  Table table(
      {"setting", "scratch", "source as it is", "L2-SP at the source's penalty", "advisor", "verdict", "trust"});
  for (const LinearOutcome& outcome : outcomes) {
    table.add({outcome.name(), fmt::format("{:.1f}", 100 * transfer::summarize(outcome.scores[0]).mean),
               points(outcome, 1), points(outcome, 2), points(outcome, 3),
               transfer::to_string(transfer::judge(outcome.difference(3))),
               fmt::format("{:.2f}", transfer::summarize(outcome.trust).mean)});
  }
  return table;
}

Tallies tallies_of(const std::vector<LinearOutcome>& outcomes, const std::string& family) {
  Tallies tallies;
  for (const LinearOutcome& outcome : outcomes) {
    for (std::size_t p = 1; p < linear_policies; ++p) {
      if ((family.empty() || outcome.family == family) && outcome.has(p)) tallies[p].add(outcome.difference(p));
    }
  }
  return tallies;
}

/// Fills one row a family and policy into both.
void summarize_families(const std::vector<LinearOutcome>& outcomes, const std::vector<std::string>& families,
                        Table& table, Json& json) {
  table.align_left(1);
  for (const std::string& family : families) {
    const Tallies tallies = tallies_of(outcomes, family);
    for (std::size_t p = 1; p < linear_policies; ++p) {
      const Tally& tally = tallies[p];
      if (tally.settings == 0) continue;
      table.add({family, linear_policy_names[p], std::to_string(tally.settings),
                 fmt::format("{:+.2f}", 100 * tally.gain()), std::to_string(tally.worse),
                 fmt::format("{:.2f}", 100 * tally.largest_loss)});
      json.push_back({{"family", family},
                      {"policy", linear_policy_names[p]},
                      {"settings", tally.settings},
                      {"mean_gain", tally.gain()},
                      {"significantly_worse", tally.worse},
                      {"largest_significant_loss", tally.largest_loss}});
    }
  }
}

std::vector<Claim> claims_of(const std::vector<LinearOutcome>& outcomes) {
  const Tallies tallies = tallies_of(outcomes, "");
  const Tally &always = tallies[2], &advisor = tallies[3];
  const double share = static_cast<double>(advisor.worse) / static_cast<double>(advisor.settings);
  return {
      {"advisor significantly worse than scratch, share of the settings", 0.025, share, 0, Relation::at_most},
      {"largest significant loss of the advisor, fraction of one", 0.01, advisor.largest_loss, 0, Relation::at_most},
      {"mean gain of the advisor minus that of always transferring (L2-SP at the source's penalty)", 0,
       advisor.gain() - always.gain(), 0, Relation::at_least}};
}

Figure figure_of(const std::vector<LinearOutcome>& outcomes) {
  Figure figure{.name = "advisor",
                .title = "The advisor and always transferring",
                .caption =
                    "Every setting: paired means over the seeds with 95 % intervals. On the line both are equal; "
                    "left of zero transferring at the source's penalty does harm.",
                .x_label = "L2-SP at the source penalty minus scratch, points",
                .y_label = "advisor minus scratch, points",
                .series = {}};
  Series equal{.name = "equal", .kind = Series::Kind::line, .x = {}, .y = {}, .error = {}};
  for (const LinearOutcome& outcome : outcomes) {
    if (figure.series.empty() || figure.series.back().name != outcome.family) {
      figure.series.push_back({.name = outcome.family, .kind = Series::Kind::points, .x = {}, .y = {}, .error = {}});
    }
    Series& series = figure.series.back();
    const transfer::Interval a = outcome.difference(2), b = outcome.difference(3);
    series.x.push_back(100 * a.mean);
    series.y.push_back(100 * b.mean);
    series.error.push_back(50 * (b.high - b.low));
    equal.x.push_back(100 * a.mean);
  }
  std::sort(equal.x.begin(), equal.x.end());
  equal.y = equal.x;
  figure.series.push_back(std::move(equal));
  return figure;
}

void run(Arguments arguments) {
  check_study_outputs(arguments.json, arguments.html, arguments.csv);
  const Device device = arguments.device.open();
  if (arguments.families.empty()) arguments.families = linear_family_names();
  if (arguments.quick) arguments.seeds = std::min(arguments.seeds, 3);
  const LinearStudyStore store(arguments.state, device);
  std::vector<LinearOutcome> outcomes;
  {
    ProgressBar progress;
    for (const std::string& name : arguments.families) {
      std::vector<LinearOutcome> own = run_family(arguments, name, device, store, progress);
      std::move(own.begin(), own.end(), std::back_inserter(outcomes));
    }
  }
  Table summary({"family", "policy", "settings", "mean gain", "significantly worse", "largest loss"});
  Json families = Json::array();
  summarize_families(outcomes, arguments.families, summary, families);

  Reproduction result;
  result.paper = "linear-transfer";
  result.title = "Linear transfer on real data";
  result.protocol = {{"command", command_line()},
                     {"seeds", fmt::format("1 to {}, paired: the same rows for every policy", arguments.seeds)},
                     {"scores", "accuracy, for wine R^2; differences to scratch in points (hundredths)"},
                     {"machine", fmt::format("{}: {}", device.name(), device.description())},
                     {"program", "rtl " RTL_VERSION}};
  result.claims = claims_of(outcomes);
  result.figures = {figure_of(outcomes)};
  result.tables = {{"Families", summary.to_string()}, {"Settings", table_of(outcomes).to_string()}};

  Json json = to_json(result);
  json["device"] = device.name();
  json["seeds"] = arguments.seeds;
  json["families"] = families;
  json["settings"] = Json::array();
  for (const LinearOutcome& outcome : outcomes) json["settings"].push_back(to_json(outcome));
  if (arguments.json != "-") print(result);
  write_json(arguments.json, json);
  if (!arguments.html.empty()) io::write_file(arguments.html, html_report(result));
  if (!arguments.csv.empty()) write_csv(arguments.csv, result);
  if (result.failed() > 0) {
    throw Error(fmt::format("{} of {} claims failed", result.failed(), result.claims.size()));
  }
}

}  // namespace

void add_linear_transfer_study(CLI::App& reproduce) {
  auto* command = reproduce.add_subcommand(
      "linear-transfer", "Ridge heads on real features: scratch, transfer and the advisor's choice, with paired seeds");
  auto arguments = std::make_shared<Arguments>();
  const char* folder = std::getenv("RTL_DATA");
  arguments->data = folder != nullptr ? folder : "../shared/data";
  command->add_option("--data", arguments->data, "folder of the data sets (default: RTL_DATA)")->capture_default_str();
  command->add_option("--family", arguments->families, "wine, heart, amazon, office, cifar100 (default: all)")
      ->delimiter(',')
      ->check(CLI::IsMember(linear_family_names()));
  command->add_option("--seeds", arguments->seeds, "paired seeds")->check(CLI::Range(2, 1000))->capture_default_str();
  command->add_option("--state", arguments->state,
                      "folder that keeps finished settings; a stopped study goes on there");
  command->add_flag("--quick", arguments->quick, "few pairs, few rows, three seeds: shows that everything runs");
  command->add_option("--json", arguments->json, "write the facts to FILE (- is standard output)");
  command->add_option("--html", arguments->html, "write one self-contained report to FILE");
  command->add_option("--csv", arguments->csv, "write claims.csv and the chart's table into the folder DIR");
  arguments->device.add_to(*command);
  command->callback([arguments] { run(*arguments); });
}

}  // namespace rtl::cli

#include "studies/transfer_table/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "studies/transfer_table/runs.hpp"
#include "studies/transfer_table/summaries.hpp"
#include "studies/transfer_table/transferability.hpp"

namespace rtl::studies::transfer_table {
namespace {

using Labels = std::vector<std::string>;

/// As JSON of each strategy, and a row of those that are told of in detail.
void add_kind(const std::string& part, const Kind& kind, const Outcomes& outcomes, const Selection& selection,
              TextTable& table, Json& json) {
  for (const std::string& label : selection.labels) {
    const Tally tally = Tally::of(outcomes, label);
    if (tally.settings == 0) continue;
    json[label] = to_json(tally);
    if (std::count(selection.detailed.begin(), selection.detailed.end(), label) == 0) continue;
    table.rows.push_back({part, kind.name, label, std::to_string(tally.settings),
                          fmt::format("{:+.2f}", 100 * tally.gain), share(tally.worse, tally.settings),
                          fmt::format("{:+.1f}", 100 * tally.worst), share(tally.better, tally.settings),
                          fmt::format("{:+.2f}", 100 * tally.regret), share(tally.worse_than_best, tally.settings),
                          share(tally.better_than_best, tally.settings), fmt::format("{:.3f}", tally.processor_seconds),
                          std::to_string(tally.diverged), tally.worst_setting});
  }
}

/// Mean gains of the strategies in each group of settings, real targets apart.
void add_groups(const std::string& part, const Outcomes& outcomes, const Selection& selection, TextTable& table,
                Json& json) {
  for (const std::string& group : groups()) {
    for (const bool regression : {false, true}) {
      Outcomes own;
      std::copy_if(outcomes.begin(), outcomes.end(), std::back_inserter(own), [&](const Outcome* outcome) {
        return outcome->setting.group() == group && outcome->setting.regression == regression;
      });
      if (own.empty()) continue;
      const std::string name = group + (regression ? ", real target" : "");
      std::vector<std::string> row{part, name, std::to_string(own.size())};
      for (const std::string& label : selection.detailed) {
        if (label == "scratch") continue;
        const Tally tally = Tally::of(own, label);
        row.push_back(tally.settings == 0 ? "" : fmt::format("{:+.2f}", 100 * tally.gain));
      }
      for (const std::string& label : selection.labels) {
        const Tally tally = Tally::of(own, label);
        if (label != "scratch" && tally.settings > 0) json[name][label] = to_json(tally);
      }
      table.rows.push_back(std::move(row));
    }
  }
}

std::string signed_number(const std::optional<double>& number) {
  return number ? fmt::format("{:+.2f}", *number) : std::string();
}

Json or_null(const std::optional<double>& number) { return number ? Json(*number) : Json(); }

/// A row each score that some of the settings have, and the same as JSON.
void add_scores(const std::string& part, const Kind& kind, const Outcomes& outcomes, TextTable& table, Json& json) {
  for (const auto& [key, name] : score_names()) {
    const Agreement agreement = Agreement::of(outcomes, key);
    if (agreement.settings == 0) continue;
    table.rows.push_back({part, kind.name, name, std::to_string(agreement.settings), std::to_string(agreement.targets),
                          signed_number(agreement.gain_within), signed_number(agreement.accuracy_within),
                          signed_number(agreement.gain_over_all), signed_number(agreement.accuracy_over_all)});
    json[key] = {{"settings", agreement.settings},
                 {"targets", agreement.targets},
                 {"gain_within_targets", or_null(agreement.gain_within)},
                 {"accuracy_within_targets", or_null(agreement.accuracy_within)},
                 {"gain_over_all", or_null(agreement.gain_over_all)},
                 {"accuracy_over_all", or_null(agreement.accuracy_over_all)}};
  }
}

/// Each part apart, and both together, between which the sources of a target are divided.
TextTable scores_table(const std::vector<Outcome>& outcomes, Json& json) {
  TextTable table{.title = "Transferability scores: rank correlation with the better probe",
                  .header = {"part", "settings", "score", "count", "targets", "gain, within targets",
                             "its score, within targets", "gain, over all", "its score, over all"},
                  .left = {1, 2}};
  const auto kept = std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return o.setting.kept; });
  const bool has_both = kept > 0 && kept < static_cast<std::ptrdiff_t>(outcomes.size());
  for (const std::string part : {"visible", "kept", "both"}) {
    const auto of_part = [&](const Outcome& outcome) { return part == (outcome.setting.kept ? "kept" : "visible"); };
    const bool whole = has_both && part == "both";
    for (const Kind& kind : kinds()) {
      Outcomes own;
      for (const Outcome& outcome : outcomes) {
        if (kind.has(outcome.setting) && (whole || of_part(outcome))) own.push_back(&outcome);
      }
      if (!own.empty()) add_scores(part, kind, own, table, json[part][kind.name]);
    }
  }
  return table;
}

/// The header's first cells, then the strategies but for scratch.
std::vector<std::string> with_strategies(std::vector<std::string> header, const Labels& labels) {
  std::copy_if(labels.begin(), labels.end(), std::back_inserter(header),
               [](const std::string& label) { return label != "scratch"; });
  return header;
}

TextTable settings_table(const std::vector<Outcome>& outcomes, const Labels& labels) {
  TextTable table{.title = "Settings: scratch, and differences from it in points, with 95 % intervals",
                  .header = with_strategies({"setting", "part", "scratch"}, labels),
                  .left = {1}};
  table.header.emplace_back("best with hindsight");
  for (const Outcome& outcome : outcomes) {
    std::vector<std::string> row{outcome.setting.name(), outcome.setting.kept ? "kept" : "visible",
                                 fmt::format("{:.1f}", 100 * outcome.mean("scratch"))};
    for (const std::string& label : labels) {
      if (label == "scratch") continue;
      row.emplace_back();
      if (!outcome.has(label)) continue;
      const transfer::Interval difference = outcome.difference(label, "scratch");
      row.back() = fmt::format("{:+.1f} ± {:.1f}", 100 * difference.mean, 50 * (difference.high - difference.low));
    }
    row.push_back(outcome.best_rival());
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// Strategies beside the best rival, in settings with classes.
Figure figure_of(const std::vector<Outcome>& outcomes, const Labels& labels) {
  Figure figure{.name = "strategies",
                .title = "Strategies and the best choice with hindsight",
                .caption =
                    "Every setting with classes: means over the seeds. On the line a strategy is as good as the "
                    "best of scratch, probe, ridge-probe and refine in this setting; below zero it does harm.",
                .x_label = "best with hindsight minus scratch, points",
                .y_label = "strategy minus scratch, points"};
  Series equal = Series::line("equal");
  for (const std::string& label : labels) {
    if (label == "scratch") continue;
    Series points = Series::points(label);
    for (const Outcome& outcome : outcomes) {
      if (outcome.setting.regression || !outcome.has(label)) continue;
      const double scratch = outcome.mean("scratch"), best = outcome.mean(outcome.best_rival()) - scratch;
      points.add(100 * best, 100 * (outcome.mean(label) - scratch));
      equal.x.push_back(100 * best);
    }
    figure.series.push_back(std::move(points));
  }
  std::sort(equal.x.begin(), equal.x.end());
  equal.x.erase(std::unique(equal.x.begin(), equal.x.end()), equal.x.end());
  equal.y = equal.x;
  figure.series.push_back(std::move(equal));
  return figure;
}

/// That the table shows harm where there must be some: nothing can be predicted from these features.
std::optional<Claim> claim_of(const std::vector<Outcome>& outcomes) {
  const Outcomes without_use = chosen(outcomes, [](const Setting& setting) {
    return !setting.regression && (setting.stress == Stress::permuted || setting.stress == Stress::noise_512 ||
                                   setting.stress == Stress::noise_2560);
  });
  if (without_use.empty()) return {};
  const Tally probe = Tally::of(without_use, "probe");
  return Claim{
      "sources that say nothing of the samples: share of settings where the probe is significantly worse than scratch",
      0.8, static_cast<double>(probe.worse) / static_cast<double>(probe.settings), 0, Relation::at_least};
}

/// Fewer settings say nothing of rare losses.
constexpr std::size_t settings_for_claims = 60;

/// What is promised of `safe`, over all settings, those kept aside included.
std::vector<Claim> claims_of_safe(const std::vector<Outcome>& outcomes) {
  const Outcomes all = chosen(outcomes, [](const Setting&) { return true; });
  // Encoders made for every purpose help plain refine too: the multiple is of sources with a task of their own.
  const Outcomes natural = chosen(outcomes, [](const Setting& setting) {
    return !setting.regression && setting.stress == Stress::none && !setting.family.starts_with("pretrained");
  });
  if (all.size() < settings_for_claims || natural.empty() || !all.front()->has("safe")) return {};
  std::size_t below_best = 0;
  for (const Outcome* outcome : all) {
    below_best += outcome->difference("safe", outcome->best_of({"scratch", "probe", "refine"})).high < 0;
  }
  const Tally safe = Tally::of(all, "safe");
  return {{"safe: settings significantly worse than scratch", 0, static_cast<double>(safe.worse), 0, Relation::at_most},
          {"safe: share of settings significantly worse than the best of scratch, probe and refine with hindsight",
           0.02, static_cast<double>(below_best) / static_cast<double>(all.size()), 0, Relation::at_most},
          {"safe: mean gain over scratch as a multiple of refine's, classes, natural sources, pretrained-* apart", 2,
           Tally::of(natural, "safe").gain / Tally::of(natural, "refine").gain, 0, Relation::at_least}};
}

}  // namespace

void report(const std::vector<Outcome>& outcomes, const Selection& selection, Reproduction& result) {
  TextTable strategies{.title = "Strategies; gains and regret in points",
                       .header = {"part", "settings", "strategy", "count", "mean gain", "worse than scratch",
                                  "worst mean", "better than scratch", "regret to the best", "worse than the best",
                                  "better than it", "processor s a fit", "diverged runs", "worst setting"},
                       .left = {1, 2, 13}};
  TextTable gains{.title = "Mean gain over scratch by group, points",
                  .header = with_strategies({"part", "group", "settings"}, selection.detailed),
                  .left = {1}};
  Json parts = Json::object();
  for (const bool kept : {false, true}) {
    const std::string part = kept ? "kept" : "visible";
    const Outcomes own = chosen(outcomes, [&](const Setting& setting) { return setting.kept == kept; });
    if (own.empty()) continue;
    for (const Kind& kind : kinds()) {
      Outcomes of_kind;
      std::copy_if(own.begin(), own.end(), std::back_inserter(of_kind),
                   [&](const Outcome* outcome) { return kind.has(outcome->setting); });
      if (!of_kind.empty()) add_kind(part, kind, of_kind, selection, strategies, parts[part]["kinds"][kind.name]);
    }
    add_groups(part, own, selection, gains, parts[part]["groups"]);
  }
  result.tables.push_back(overview_table(outcomes, selection.labels, result.facts["strategies"]));
  if (!selection.others().empty()) result.tables.push_back(kinds_table(outcomes, selection.labels));
  TextTable left_out = left_out_table(outcomes, selection.labels);
  if (!left_out.rows.empty()) result.tables.push_back(std::move(left_out));
  result.tables.push_back(std::move(strategies));
  result.tables.push_back(std::move(gains));
  result.tables.push_back(scores_table(outcomes, result.facts["transferability"]));
  result.tables.push_back(settings_table(outcomes, selection.detailed));
  const Labels others = selection.others();
  if (!others.empty()) result.tables.push_back(differences_table(outcomes, others));
  result.figures.push_back(figure_of(outcomes, selection.detailed));
  if (const std::optional<Claim> claim = claim_of(outcomes)) result.claims.push_back(*claim);
  const std::vector<Claim> of_safe = claims_of_safe(outcomes);
  result.claims.insert(result.claims.end(), of_safe.begin(), of_safe.end());
  result.facts["parts"] = parts;
  result.facts["settings"] = Json::array();
  for (const Outcome& outcome : outcomes) result.facts["settings"].push_back(transfer_table::to_json(outcome));
}

}  // namespace rtl::studies::transfer_table

#include "studies/transfer_table/summaries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace rtl::studies::transfer_table {
namespace {

std::string points(double fraction, int digits) { return fmt::format("{:+.{}f}", 100 * fraction, digits); }

std::string times_scratch(const Tally& tally) {
  return tally.scratch_seconds > 0 ? fmt::format("{:.1f}", tally.processor_seconds / tally.scratch_seconds)
                                   : std::string();
}

/// "heart 8, wine 4", in the order of the groups.
std::string by_group(const Outcomes& outcomes) {
  std::string text;
  for (const std::string& group : groups()) {
    const auto count = std::count_if(outcomes.begin(), outcomes.end(),
                                     [&](const Outcome* outcome) { return outcome->setting.group() == group; });
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", group, count);
  }
  return text;
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      {"classes, natural sources", [](const Setting& s) { return !s.regression && s.stress == Stress::none; }},
      {"classes, useless sources", [](const Setting& s) { return !s.regression && s.stress != Stress::none; }},
      {"classes", [](const Setting& s) { return !s.regression; }, true},
      {"real targets", [](const Setting& s) { return s.regression; }},
  };
  return all;
}

std::string share(std::size_t count, std::size_t of) {
  return fmt::format("{} ({:.0f} %)", count, 100.0 * static_cast<double>(count) / static_cast<double>(of));
}

Json to_json(const Tally& tally) {
  return {{"settings", tally.settings},
          {"mean_gain", tally.gain},
          {"significantly_worse_than_scratch", tally.worse},
          {"significantly_better_than_scratch", tally.better},
          {"worst_mean_difference", tally.worst},
          {"worst_setting", tally.worst_setting},
          {"mean_regret", tally.regret},
          {"significantly_worse_than_best", tally.worse_than_best},
          {"significantly_better_than_best", tally.better_than_best},
          {"processor_seconds", tally.processor_seconds},
          {"scratch_processor_seconds", tally.scratch_seconds},
          {"diverged_runs", tally.diverged}};
}

TextTable overview_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels, Json& json) {
  TextTable table{.title = "Every strategy in the settings that allow it; gains and regret in points",
                  .header = {"strategy"}};
  std::vector<std::pair<std::string, Outcomes>> apart;
  for (const Kind& kind : kinds()) {
    if (kind.whole) continue;
    apart.emplace_back(kind.name, chosen(outcomes, kind.has));
    if (apart.back().second.empty()) {
      apart.pop_back();
      continue;
    }
    table.header.push_back(fmt::format("{}: settings", kind.name));
    for (const char* name : {"mean gain", "worse than scratch", "worst mean", "regret"})
      table.header.emplace_back(name);
  }
  for (const char* name : {"processor s a fit", "times scratch", "diverged runs"}) table.header.emplace_back(name);
  const Outcomes all = chosen(outcomes, [](const Setting&) { return true; });
  for (const std::string& label : labels) {
    const Tally whole = Tally::of(all, label);
    if (whole.settings == 0) continue;
    json[label] = to_json(whole);
    std::vector<std::string> row{label};
    for (const auto& [name, own] : apart) {
      const Tally tally = Tally::of(own, label);
      row.push_back(std::to_string(tally.settings));
      if (tally.settings > 0) json[label]["kinds"][name] = to_json(tally);
      for (const std::string& cell :
           {points(tally.gain, 1), std::to_string(tally.worse), points(tally.worst, 1), points(tally.regret, 1)}) {
        row.push_back(tally.settings > 0 ? cell : "");
      }
    }
    row.push_back(fmt::format("{:.3f}", whole.processor_seconds));
    row.push_back(times_scratch(whole));
    row.push_back(std::to_string(whole.diverged));
    table.rows.push_back(std::move(row));
  }
  return table;
}

TextTable kinds_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels) {
  TextTable table{
      .title = "Every strategy by part and kind of setting; gains and regret in points",
      .header = {"part", "settings", "strategy", "count", "mean gain", "worse than scratch", "worst mean",
                 "better than scratch", "regret to the best", "worse than the best", "times scratch", "worst setting"},
      .left = {1, 2, 11}};
  for (const bool kept : {false, true}) {
    for (const Kind& kind : kinds()) {
      if (kind.whole) continue;
      const Outcomes own =
          chosen(outcomes, [&](const Setting& setting) { return setting.kept == kept && kind.has(setting); });
      for (const std::string& label : labels) {
        const Tally tally = Tally::of(own, label);
        if (tally.settings == 0) continue;
        table.rows.push_back({kept ? "kept" : "visible", kind.name, label, std::to_string(tally.settings),
                              points(tally.gain, 2), share(tally.worse, tally.settings), points(tally.worst, 1),
                              share(tally.better, tally.settings), points(tally.regret, 2),
                              share(tally.worse_than_best, tally.settings), times_scratch(tally), tally.worst_setting});
      }
    }
  }
  return table;
}

TextTable left_out_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels) {
  TextTable table{.title = "What is left out, and where",
                  .header = {"strategies", "settings", "of the groups", "why, in the first of them"},
                  .left = {2, 3}};
  std::vector<std::pair<Outcomes, std::vector<std::string>>> alike;  // settings, and what they do not allow
  for (const std::string& label : labels) {
    Outcomes without;
    for (const Outcome& outcome : outcomes) {
      if (outcome.left_out.contains(label)) without.push_back(&outcome);
    }
    if (without.empty()) continue;
    const auto same = std::find_if(alike.begin(), alike.end(), [&](const auto& one) { return one.first == without; });
    if (same == alike.end()) {
      alike.push_back({std::move(without), {label}});
    } else {
      same->second.push_back(label);
    }
  }
  for (const auto& [without, names] : alike) {
    table.rows.push_back({fmt::format("{}", fmt::join(names, ", ")), std::to_string(without.size()), by_group(without),
                          without.front()->left_out.at(names.front())});
  }
  return table;
}

TextTable differences_table(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels) {
  TextTable table{.title =
                      "Settings, the other strategies: differences from scratch in points; * beyond zero by its "
                      "95 % interval",
                  .header = {"setting"}};
  table.header.insert(table.header.end(), labels.begin(), labels.end());
  for (const Outcome& outcome : outcomes) {
    std::vector<std::string> row{outcome.setting.name()};
    for (const std::string& label : labels) {
      row.emplace_back();
      if (!outcome.has(label)) continue;
      const transfer::Interval difference = outcome.difference(label, "scratch");
      row.back() = points(difference.mean, 1) + (difference.low > 0 || difference.high < 0 ? "*" : "");
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace rtl::studies::transfer_table

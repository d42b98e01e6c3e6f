#include "cli/strategy_list.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "cli/commands.hpp"
#include "cli/model_spec.hpp"

namespace rtl::cli {

namespace {

bool fits(const transfer::StrategyInfo& info, std::size_t sources) {
  return !info.needs_source || sources == 1 || (sources > 1 && info.several_sources);
}

/// Whether it trains the source itself, all of it, and not a head on its features.
bool trains_source(const transfer::StrategyInfo& info) { return info.name == "fine-tune"; }

bool scales_features(const std::string& name) { return name == "probe" || name == "refine"; }

std::vector<std::string> requested(const std::string& strategies, const AskedSources& sources) {
  if (strategies != "all") return split_list("--strategy", strategies);
  std::vector<std::string> names;
  for (const auto& info : transfer::strategies()) {
    if (fits(info, sources.count) && !(sources.at_layer && trains_source(info))) names.push_back(info.name);
  }
  return names;
}

void check(const std::string& entry, const AskedSources& sources) {
  const auto colon = entry.find(':');
  const auto& info = transfer::strategy(entry.substr(0, colon));
  if (colon != std::string::npos) {
    transfer::parse_feature_scaling(entry.substr(colon + 1));
    if (!scales_features(info.name)) throw UsageError(fmt::format("--strategy {}: it has no frozen features", entry));
  }
  if (info.needs_source && sources.count == 0)
    throw UsageError(fmt::format("--strategy {} needs a --source", info.name));
  if (!fits(info, sources.count))
    throw UsageError(fmt::format("--strategy {} takes one --source, not {}", info.name, sources.count));
  if (sources.at_layer && trains_source(info))
    throw UsageError(fmt::format("--strategy {} trains all of a --source; take it without layer=", info.name));
}

}  // namespace

StrategyList parse_strategies(const std::string& strategies, const std::string& scalings, const AskedSources& sources) {
  StrategyList list;
  try {
    const auto scaling_names = split_list("--feature-scaling", scalings);
    if (scaling_names.empty()) throw UsageError("--feature-scaling takes raw, standardize or balance");
    for (const auto& scaling : scaling_names) list.default_scaling = transfer::parse_feature_scaling(scaling);
    const auto add = [&](const std::string& name) {
      if (std::find(list.names.begin(), list.names.end(), name) == list.names.end()) list.names.push_back(name);
    };
    for (const auto& entry : requested(strategies, sources)) {
      check(entry, sources);
      if (scaling_names.size() == 1 || !scales_features(entry)) {
        add(entry);
        continue;
      }
      for (const auto& scaling : scaling_names) add(scaling == "raw" ? entry : fmt::format("{}:{}", entry, scaling));
    }
    if (scaling_names.size() > 1) list.default_scaling = transfer::FeatureScaling::raw;
  } catch (const ValueError& error) {
    throw UsageError(error.what());
  }
  if (list.names.empty()) throw UsageError("--strategy names none");
  return list;
}

}  // namespace rtl::cli

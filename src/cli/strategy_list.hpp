// What `--strategy` and `--feature-scaling` ask for together.
#pragma once

#include <string>
#include <vector>

#include "rtl/transfer/strategies.hpp"

namespace rtl::cli {

struct StrategyList {
  std::vector<std::string> names;  ///< "probe", "refine:balance", ...; scratch first if it was asked for
  transfer::FeatureScaling default_scaling = transfer::FeatureScaling::raw;  ///< of names without one
};

/// `strategies` is "all" (everything that goes with that many sources) or names with commas between, each NAME or
/// NAME:SCALING; `scalings` is one scaling or several: then every probe and refine without a scaling of its own is run
/// with each. Throws UsageError for unknown names.
StrategyList parse_strategies(const std::string& strategies, const std::string& scalings, std::size_t sources);

}  // namespace rtl::cli

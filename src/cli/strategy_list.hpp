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

/// What is asked of the sources.
struct AskedSources {
  std::size_t count = 0;
  bool at_layer = false;  ///< one of them is to be taken at an inner layer
};

/// `strategies` is "all" (everything that goes with these sources) or names with commas between, each NAME or
/// NAME:SCALING; `scalings` is one scaling or several: then every probe and refine without a scaling of its own is run
/// with each. Throws UsageError for unknown names, and for strategies that do not go with the sources.
StrategyList parse_strategies(const std::string& strategies, const std::string& scalings, const AskedSources& sources);

}  // namespace rtl::cli

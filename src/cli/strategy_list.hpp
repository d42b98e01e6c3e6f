// The flags that strategies' options make, and what `--strategy` asks for together with them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command_line_classes.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::cli {

struct StrategyList {
  std::vector<std::string> names;  ///< labels: "probe", "refine:balance", ...
  transfer::OptionValues values;   ///< of labels that say nothing else
};

/// --strategy, and a flag for each option that any strategy has ("feature_scaling" is --feature-scaling).
class StrategyArguments {
 public:
  void add_to(CLI::App& command);
  bool all() const { return strategies_ == "all"; }
  /// What --strategy names; nothing for `all`; without the flag safe, or scratch where there is no source. Throws
  /// UsageError for unknown names and values, and for strategies that do not go with that many sources, or with one
  /// that is taken at an inner layer.
  StrategyList parse(std::size_t sources, bool at_layer) const;
  /// The same for given labels. An option with choices may be given several, with commas between: then every strategy
  /// that has it, and whose label does not set it, is run with each.
  StrategyList parse(const std::vector<std::string>& labels, std::size_t sources, bool at_layer) const;

 private:
  std::string strategies_;                    ///< empty: not given
  std::map<std::string, std::string> flags_;  ///< by the option's name; empty: not given
};

/// "--feature-scaling" of "feature_scaling".
std::string flag_of(const std::string& option);

}  // namespace rtl::cli

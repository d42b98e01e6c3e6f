// What the runs of a comparison say: means, paired differences, verdicts, and what deserves a warning.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtl/transfer/compare.hpp"
#include "transfer/run_store.hpp"

namespace rtl::transfer::detail {

/// All runs of one strategy, one a seed.
struct StrategyRuns {
  std::string label;
  std::string strategy;
  OptionValues options;  ///< all of them
  std::vector<const RunResult*> runs;
};

/// Fills in comparison.strategies and comparison.scratch; its confidence is given. `all` begins with scratch, `labels`
/// are those of the test samples.
void summarize_runs(Comparison& comparison, const std::vector<StrategyRuns>& all, std::span<const std::int32_t> labels);

}  // namespace rtl::transfer::detail

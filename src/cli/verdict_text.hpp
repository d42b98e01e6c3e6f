// A comparison in words, for the terminal and the report.
#pragma once

#include <string>
#include <vector>

#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// "refine helps: 8.2 percentage points above scratch on average (95 % interval 7.1 to 9.3)."
std::string describe_verdict(const transfer::StrategyResult& result, const transfer::Comparison& comparison);

/// For every strategy whose residual encoder stands beside a frozen block that dominates the logits: which block, how
/// much, and what can be done. Empty if there is none.
std::vector<std::string> describe_dominance(const transfer::Comparison& comparison);

/// 0.0823 as "+8.2".
std::string points(double fraction);
/// 0.0823 as "8.2".
std::string percent(double fraction);

}  // namespace rtl::cli

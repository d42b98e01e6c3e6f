// A comparison in words, for the terminal and the report.
#pragma once

#include <string>
#include <vector>

#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// "refine helps: 8.2 percentage points above scratch on average (95 % interval 7.1 to 9.3). .." and what is to be
/// expected on other test samples.
std::string describe_verdict(const transfer::StrategyResult& result, const transfer::Comparison& comparison);

/// Names of the strategies with this verdict that keep it after Holm's correction over all of them.
std::vector<std::string> concluded(const transfer::Comparison& comparison, transfer::Verdict verdict);
/// "Transfer helped: .." and "Transfer hurt: ..", a line each, of those that `concluded`; or that there is none. Empty
/// where nothing was compared with scratch.
std::vector<std::string> describe_conclusion(const transfer::Comparison& comparison);

/// For every strategy whose residual encoder stands beside a frozen block that dominates the logits: which block, how
/// much, and what can be done. Empty if there is none.
std::vector<std::string> describe_dominance(const transfer::Comparison& comparison);
/// What makes the numbers say less than they seem to: diverged runs, a scratch that did not learn, constant
/// predictions, classes that are never predicted, differences without spread; and dominance.
std::vector<std::string> describe_notes(const transfer::Comparison& comparison);

/// A class's name, or its number where the data set has no names.
std::string class_name(const transfer::Comparison& comparison, std::int32_t index);

/// 0.0823 as "+8.2"; what is not a number as a dash.
std::string points(double fraction);
/// "accuracy" or "R^2", what the comparison is by ..
std::string score_name(const transfer::Comparison& comparison);
/// .. and what its differences count: "percentage points", "hundredths of R^2".
std::string score_unit(const transfer::Comparison& comparison);
/// 0.0823 as "8.2"; what is not a number as a dash.
std::string percent(double fraction);
/// "+7.1 to +9.3" in percentage points.
std::string limits(const transfer::Interval& difference);

}  // namespace rtl::cli

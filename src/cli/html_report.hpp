// A comparison as one self-contained HTML file: table, charts, verdicts in words, protocol.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/plot.hpp"
#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// How the numbers were made, in the order in which the report shows it: {"seeds", "1 to 5"}, ...
using Protocol = std::vector<std::pair<std::string, std::string>>;

/// The page refers to nothing outside itself. Without charts it says why.
std::string html_report(const transfer::Comparison& comparison, const Protocol& protocol, const Charts& charts);

}  // namespace rtl::cli

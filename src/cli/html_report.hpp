// A comparison as one self-contained HTML file: table, charts, verdicts in words, protocol.
#pragma once

#include <string>

#include "cli/html_page.hpp"
#include "cli/plot.hpp"
#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// The page refers to nothing outside itself. Without charts it says why.
std::string html_report(const transfer::Comparison& comparison, const Protocol& protocol, const Charts& charts);

}  // namespace rtl::cli

// Charts of a comparison, drawn by gnuplot as SVG to be put into an HTML page.
#pragma once

#include <string>

#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// "5.4"; empty if gnuplot is not installed.
std::string gnuplot_version();

struct Charts {
  std::string accuracy;     ///< of every strategy: each seed, the mean and its interval
  std::string differences;  ///< paired differences to scratch with their intervals and a line at zero
  std::string losses;       ///< training loss of every strategy
  std::string problem;      ///< why there are no charts; empty if there are
};

/// Runs gnuplot once a chart. Never throws for gnuplot's sake: what went wrong is in `problem`.
Charts draw_charts(const transfer::Comparison& comparison);

}  // namespace rtl::cli

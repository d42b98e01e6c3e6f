// Charts of a comparison, drawn by gnuplot as SVG to be put into an HTML page.
#pragma once

#include <string>

#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// "5.4"; empty if gnuplot is not installed.
std::string gnuplot_version();

/// Runs gnuplot on `script`, without its terminal settings, and returns the <svg> element. `name` keeps the element's
/// identifiers apart from those of other charts in one page. Throws Error with gnuplot's words if it fails.
std::string draw_svg(const std::string& name, const std::string& script, int width, int height);

struct Charts {
  std::string accuracy;     ///< of every strategy: each seed, the mean and its interval
  std::string differences;  ///< paired differences to scratch with their intervals and a line at zero
  std::string losses;       ///< training loss of every strategy
  std::string problem;      ///< why there are no charts; empty if there are
};

/// Runs gnuplot once a chart. Never throws for gnuplot's sake: what went wrong is in `problem`.
Charts draw_charts(const transfer::Comparison& comparison);

}  // namespace rtl::cli

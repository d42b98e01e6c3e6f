#include "cli/reproduce_l2sp.hpp"

#include <cmath>

namespace rtl::cli {

namespace l2sp {

std::vector<double> alignments() { return steps(.5, 1.5, .05); }

std::vector<double> penalties() {
  std::vector<double> values(50);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::pow(10.0, -2 + 4.0 * static_cast<double>(i) / 49);
  return values;
}

double minimise_logarithmic(const std::function<double(double)>& function, double low, double high) {
  const double share = (std::sqrt(5.0) - 1) / 2;
  double left = std::log(low), right = std::log(high);
  for (int i = 0; i < 80; ++i) {
    const double a = right - share * (right - left), b = left + share * (right - left);
    if (function(std::exp(a)) < function(std::exp(b))) {
      right = b;
    } else {
      left = a;
    }
  }
  return std::exp((left + right) / 2);
}

}  // namespace l2sp

namespace {

Reproduction reproduce(const ReproductionOptions& options) {
  Reproduction result;
  result.paper = "l2sp";
  result.title = "L2-SP transfer: source-optimal training is transfer-suboptimal";
  result.protocol = {{"published curves",
                      "p = 500, n1 = 50, source noise 1, target noise 0.1, target penalty 0.1, 50 penalties from 0.01 "
                      "to 100, seeds 42 to 51 of NumPy's legacy generator"},
                     {"averaged curves", "the same problem with Philox seeds and many draws"},
                     {"penalties", "per sample: (1/n) ||y - X w||^2 + penalty ||w - centre||^2"}};
  run_parts({{"published", options.effort == Effort::full ? 7.0 : 1.0, l2sp::published_curves},
             {"averaged", options.effort == Effort::full ? 14.0 : 1.2, l2sp::averaged_curves},
             {"risks", 1, l2sp::risks},
             {"decision", .3, l2sp::decision},
             {"advisor", options.effort == Effort::full ? 2.0 : .5, l2sp::advisor}},
            options, result);
  return result;
}

}  // namespace

void add_l2sp_study(CLI::App& command) {
  add_study(command, "l2sp", "L2-SP transfer between ridge regressions", reproduce);
}

}  // namespace rtl::cli

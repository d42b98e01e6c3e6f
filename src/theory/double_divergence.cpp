#include "rtl/theory/double_divergence.hpp"

#include <cmath>

#include "rtl/theory/featurized_risk.hpp"
#include "solvers/domain.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;

namespace {

void check(const char* call, const TwoLevelTasks& tasks) {
  domain::positive(call, "strong", static_cast<double>(tasks.strong));
  domain::positive(call, "weak", static_cast<double>(tasks.weak));
  domain::positive(call, "strong_energy", tasks.strong_energy);
  domain::positive(call, "weak_energy", tasks.weak_energy);
}

}  // namespace

std::vector<double> spectrum(const TwoLevelTasks& tasks) {
  check("spectrum", tasks);
  std::vector<double> values(static_cast<std::size_t>(tasks.strong),
                             tasks.strong_energy / static_cast<double>(tasks.strong));
  values.resize(static_cast<std::size_t>(tasks.strong + tasks.weak),
                tasks.weak_energy / static_cast<double>(tasks.weak));
  return values;
}

double ground_truth_risk(std::span<const double> tasks, double noise, double samples) {
  return featurized_risk(tasks, tasks, noise, 0, samples).risk;
}

double first_peak_height(const TwoLevelTasks& tasks, double noise) {
  check("first_peak_height", tasks);
  domain::not_negative("first_peak_height", "noise", noise);
  return noise / 2 * std::sqrt(tasks.strong_energy / tasks.weak_energy);
}

double second_peak_height(const TwoLevelTasks& tasks, double noise, double samples) {
  check("second_peak_height", tasks);
  domain::not_negative("second_peak_height", "noise", noise);
  domain::positive("second_peak_height", "samples", samples);
  return noise / std::abs(1 - static_cast<double>(tasks.strong + tasks.weak) / samples);
}

}  // namespace rtl::theory

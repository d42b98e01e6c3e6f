#include "cli/class_accuracy.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rtl::cli {

ClassAccuracy class_accuracy(const std::vector<std::string>& classes, const std::vector<double>& targets,
                             const std::vector<double>& residuals, const std::vector<double>& weights) {
  const std::size_t width = classes.size(), rows = targets.size() / width;
  std::vector<double> counts(width);
  double right = 0, all = 0;
  const double largest = weights.empty() ? 1 : *std::max_element(weights.begin(), weights.end());
  for (std::size_t i = 0; i < rows; ++i) {
    const double weight = weights.empty() ? 1 : weights[i] / largest;
    const double* own = targets.data() + i * width;
    const double* left = residuals.data() + i * width;
    std::size_t chosen = 0, truth = 0;
    for (std::size_t c = 0; c < width; ++c) {
      if (own[c] > own[truth]) truth = c;
      // What is not determined chooses nothing.
      if (own[c] - left[c] > own[chosen] - left[chosen]) chosen = c;
    }
    counts[truth] += weight;
    all += weight;
    if (chosen == truth) right += weight;
  }
  if (!(all > 0)) return {};
  // The same for the rule that takes the most frequent class of the other rows; of equally frequent ones any.
  double as_frequent = 0;
  for (std::size_t c = 0; c < width; ++c) {
    double others = 0, equal = 0;
    for (std::size_t o = 0; o < width; ++o) {
      if (o != c) others = std::max(others, counts[o]);
    }
    for (std::size_t o = 0; o < width; ++o) equal += o != c && counts[o] == others ? 1 : 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double weight = weights.empty() ? 1 : weights[i] / largest;
      if (!(targets[i * width + c] > 0)) continue;
      const double rest = counts[c] - weight;
      if (rest > others) as_frequent += weight;
      if (rest == others) as_frequent += weight / (equal + 1);
    }
  }
  return {right / all, as_frequent / all};
}

std::string describe(const ClassAccuracy& accuracy) {
  return fmt::format("leave-one-out accuracy {:.1f} % (always the most frequent class of the other rows: {:.1f} %)",
                     100 * accuracy.right, 100 * accuracy.most_frequent);
}

}  // namespace rtl::cli

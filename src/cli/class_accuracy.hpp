// How often linear models of one-hot targets name the right class.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rtl::cli {

struct ClassAccuracy {
  double right = 0;          ///< share of rows whose largest prediction, by the fit without them, is their class
  double most_frequent = 0;  ///< the same where the most frequent class of the other rows is predicted
};

/// Of predictions `targets - residuals`, both [rows, classes], targets one-hot; weights of the rows (none: all 1).
ClassAccuracy class_accuracy(const std::vector<std::string>& classes, const std::vector<double>& targets,
                             const std::vector<double>& residuals, const std::vector<double>& weights = {});

/// A sentence.
std::string describe(const ClassAccuracy& accuracy);

}  // namespace rtl::cli

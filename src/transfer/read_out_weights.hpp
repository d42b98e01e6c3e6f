// How much outputs are trusted, from rows that they were not trained on: temperatures, then weights of their mean.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtl/transfer/record.hpp"
#include "transfer/row_targets.hpp"

namespace rtl::transfer::detail {

/// What outputs may be multiplied by.
std::span<const double> shrink_factors();

/// Weights of M probability vectors, of which the row i has the probability p[k][i] of its own class: the maximum of
/// sum_i log(sum_k w_k p_ki) + count sum_k log w_k over the simplex, by expectation maximisation: r_ik = w_k p_k(i) /
/// sum_j w_j p_j(i), w_k = (sum_i r_ik + count) / (n + M count). `count` > 0 keeps every weight above zero.
/// A vector without rows has weight for its count alone.
std::vector<double> mixture_weights(const std::vector<std::vector<double>>& probabilities, double count);

/// The minimum of ||y - sum_k w_k z_k||^2 over w >= 0, sum w = 1, of M columns z_k as long as y: exact, by looking at
/// every face of the simplex (M <= 16).
std::vector<double> simplex_weights(const std::vector<std::vector<double>>& columns, std::span<const double> y);

/// What is known of one output on the rows left out.
struct LeftOutOutputs {
  std::string name;
  std::vector<float> outputs;  ///< [n, task.outputs]
};
struct WeightRule {
  double count = 5;  ///< of mixture_weights
  /// In standard errors of the mean difference over rows. The first output, if it is worse than the second by more than
  /// this, is of no use, nor is a later one that is not better by one standard error than what the shares of the
  /// classes (the mean of real targets) give: they have the weight of the count alone (0 of real targets).
  double tolerance = 1;
};

/// Which of several parts of the rows, the next `sizes` ones each, were predicted by networks whose training failed: at
/// the temperature with the smallest median loss over parts, the part's loss is beyond twice what the shares of the
/// classes (the mean of real targets) give. None where that holds for half of them or more: then it is the task.
std::vector<bool> failed_parts(const RowTargets& rows, const std::vector<float>& outputs,
                               std::span<const std::int64_t> sizes);

/// The first output is that of a network with a source's features, the second the same without, then come those that
/// look at features alone. Each gets the temperature of shrink_factors() with the smallest mean loss, a weight as
/// above, and its loss beside that of the second.
std::vector<ReadOut> weigh(const RowTargets& rows, const std::vector<LeftOutOutputs>& outputs, const WeightRule& rule);

/// The T in [0, highest] with the smallest mean cross-entropy of the logits base [C] + T scores [n, C], where a class
/// with m rows is believed of each with (m + 1) / (m + 2) only, and the others share the rest (Platt 1999): else scores
/// that separate the rows would have no T, and those that nearly do one that new rows pay for.
double calibrated_temperature(std::span<const double> base, const std::vector<double>& scores,
                              std::span<const std::int32_t> labels, double highest);

}  // namespace rtl::transfer::detail

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
std::vector<double> mixture_weights(const std::vector<std::vector<double>>& probabilities, double count);

/// The minimum of ||y - sum_k w_k z_k||^2 over w >= 0, sum w = 1, of M columns z_k as long as y: exact, by looking at
/// every face of the simplex (M <= 16).
std::vector<double> simplex_weights(const std::vector<std::vector<double>>& columns, std::span<const double> y);

/// Of outputs [n, task.outputs] of each name on the rows left out: the temperature of shrink_factors() with the
/// smallest mean loss, weights as above, and the losses beside those of `reference`, the index of one of them.
std::vector<ReadOut> weigh(const RowTargets& rows, const std::vector<std::string>& names,
                           const std::vector<std::vector<float>>& outputs, double count, std::size_t reference);

/// The T in [0, highest] with the smallest mean cross-entropy of the logits base [C] + T scores [n, C].
double calibrated_temperature(std::span<const double> base, const std::vector<double>& scores,
                              std::span<const std::int32_t> labels, double highest);

}  // namespace rtl::transfer::detail

// Few filters that stand for many: the L x r matrix 1 / (e_j + t_l) of eigenvalues e and total penalties t is a Cauchy
// matrix of numerical rank 10 to 60, so all its rows are combinations of some of them.
#pragma once

#include <cstdint>
#include <vector>

namespace rtl::solvers {

/// filter(l) = sum_s mixing[l, s] * filter(chosen[s]).
struct FilterBasis {
  std::vector<std::size_t> chosen;  ///< rows that are kept
  std::vector<double> mixing;       ///< [L, s] row-major; empty if all rows are kept
};

/// Chooses rows by a pivoted QR factorisation of the scaled filters (an interpolative decomposition) until the rest is
/// below `tolerance` of the largest. Keeps all rows where that saves less than a quarter of them, or where an element
/// of a combined row is wrong by more than 100 `tolerance` of itself.
FilterBasis choose_filters(const std::vector<double>& eigenvalues, const std::vector<double>& totals, double tolerance);

}  // namespace rtl::solvers

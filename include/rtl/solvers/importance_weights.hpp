// Weights of samples of one distribution that make them stand for another: estimates of the ratio of two densities,
// for training on a source's samples as if they were the target's. Samples are rows, f32 or f64 on any device;
// everything is calculated in f64 on its host. Kernels are exp(-|a - b|^2 / (2 width^2)).
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

/// The median distance between rows [n, p], of at most 500 evenly spaced ones: a width to begin with. Throws
/// ShapeError, DTypeError, ValueError for fewer than two rows, or for rows of which most are alike.
double median_distance(ConstView rows);

struct DensityRatioOptions {
  std::int64_t centres = 100;  ///< kernels at that many evenly spaced rows of the numerator, or at all
  /// To choose from by leave-one-out; none: the median distance of the numerator's rows times 1/4, 1/2, 1, 2, 4.
  std::vector<double> widths = {};
  std::vector<double> penalties = {1e-3, 1e-2, 1e-1, 1, 10};
};

/// r(x) = sum_l a_l k(x, c_l) for the density of a numerator (the target) over that of a denominator (the source).
struct DensityRatio {
  Tensor centres;       ///< f64 [b, p]
  Tensor coefficients;  ///< f64 [b], at least 0
  double width = 0;
  double penalty = 0;
  double score = 0;  ///< leave-one-out estimate of mean r^2 / 2 of the denominator less mean r of the numerator

  /// f64 [n] of rows [n, p], at least 0. Throws ShapeError, DTypeError.
  Tensor operator()(ConstView rows) const;
};

/// uLSIF (Kanamori, Hido and Sugiyama 2009): a = max(0, (H + penalty I)^-1 h), H the mean of k k' over the
/// denominator's rows [n, p], h the mean of k over the numerator's rows [m, p]. Width and penalty have the least score,
/// each fit of which leaves out the i-th row of both, i = 1 .. min(m, n), in closed form. O((m + n) b p + min(m, n)
/// b^2) a width, and b^3 + min(m, n) b^2 a pair. Throws ShapeError, DTypeError, ValueError for fewer than two rows or
/// options that are not positive.
DensityRatio fit_density_ratio(ConstView numerator, ConstView denominator, const DensityRatioOptions& options = {});

struct MeanMatchingOptions {
  double width = 0;       ///< 0: the median distance of the source's rows
  double largest = 1000;  ///< B
  double slack = -1;      ///< epsilon; below 0: (sqrt(n) - 1) / sqrt(n), as published
  double precision = 1e-6;
  std::int64_t iterations = 20000;
};

struct MeanMatching {
  Tensor weights;  ///< f64 [n]
  /// How far the objective can be above its least, by the linear bound of convexity.
  double gap = 0;
};

/// Kernel mean matching (Huang, Smola, Gretton, Borgwardt and Schoelkopf 2006): w of the source's rows [n, p] that
/// minimises the squared norm of mean_i w_i k(s_i, .) - mean_j k(t_j, .) for the target's rows [m, p], with 0 <= w <= B
/// and a mean of w within epsilon of 1, by accelerated projected gradients until the gap is at most `precision` times
/// the squared norm of the target's mean. O(n (n + m) p + iterations n^2). Throws as above, ValueError for bounds that
/// leave no weights, and Error where the iterations do not suffice.
MeanMatching match_means(ConstView source, ConstView target, const MeanMatchingOptions& options = {});

}  // namespace rtl::solvers

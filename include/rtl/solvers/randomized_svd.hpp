// The leading singular vectors of a large matrix by random projection, with error figures of the very result.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

struct RandomizedSvdOptions {
  std::int64_t rank = 0;              ///< singular triplets wanted; at least 1
  std::int64_t oversampling = 10;     ///< directions more than that are projected on
  std::int64_t power_iterations = 2;  ///< each sharpens the decay of the spectrum by a power of two: 1 or 2 suffice
  std::uint64_t seed = 0;
};

/// A ~ U diag(values) V'.
struct RandomizedSvd {
  Tensor left;    ///< U [n, rank], f64, orthonormal columns
  Tensor values;  ///< [rank], f64, descending
  Tensor right;   ///< V' [rank, p], f64, orthonormal rows
  /// ||A - U diag(values) V'||_F, exact up to rounding: the squares of what is kept and what is not add up.
  double frobenius_error = 0;
  /// With a probability of at least 1 - 1e-10, ||A - QQ'A||_2 is not above this, Q being the basis of rank +
  /// oversampling directions (Halko, Martinsson and Tropp, SIAM Review 53 (2011), lemma 4.1, ten probes).
  double range_error_bound = 0;
};

/// Randomized subspace iteration (Halko, Martinsson and Tropp, algorithms 4.4 and 5.1) of x [n, p], f32 or f64, rows
/// contiguous; arithmetic f64. With q = rank + oversampling: (4 + 4 power_iterations) n p q + O((n + p) q^2) FLOP and
/// (4 + 2 power_iterations) readings of x; memory 2 (n + p) q. The same seed gives the same result.
///
/// Meant for p and n far above the rank, where the Gram matrix of RidgePath would not fit: a RidgePath on the features
/// X V = U diag(values) [n, rank] costs n rank^2, and its coefficients theta give W = V theta; exact if x has this
/// rank. x is taken as it is: centre its columns first where there is to be an intercept. Throws ShapeError,
/// DTypeError, DeviceError; ValueError for a rank below 1 or above min(n, p), negative options, or entries that are not
/// finite.
RandomizedSvd randomized_svd(const Device& device, ConstView x, const RandomizedSvdOptions& options);

}  // namespace rtl::solvers

// A covariance (any symmetric positive semidefinite matrix) by its eigenpairs: what the risk formulas compute with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::theory {

/// Immutable; copies are deep. A diagonal covariance stores p numbers and no eigenvectors.
class Covariance {
 public:
  /// variance * I in `dimension` dimensions. Throws ValueError unless both are positive.
  static Covariance isotropic(std::int64_t dimension, double variance = 1);
  /// diag(variances). Throws ValueError for none, a negative or a not finite one.
  static Covariance diagonal(std::vector<double> variances);
  /// diag(i^-exponent), i = 1 .. dimension, scaled to a mean of 1. Throws ValueError for no dimension.
  static Covariance power_law(std::int64_t dimension, double exponent);
  /// A full matrix [p, p], f64, contiguous, on any device (it is copied to the host and decomposed there, 9 p^3 FLOP).
  /// Throws DTypeError, ShapeError if it is not square, ValueError if it has a value that is not finite, is not
  /// symmetric within 1e-10 of its largest value, or has an eigenvalue below -1e-10 of the largest; smaller negative
  /// ones are rounding and become 0.
  static Covariance dense(ConstView matrix);

  std::int64_t dimension() const noexcept { return static_cast<std::int64_t>(eigenvalues_.size()); }
  /// In the order of the eigenvectors: of the dimensions for a diagonal covariance, else rising.
  std::span<const double> eigenvalues() const& noexcept { return eigenvalues_; }
  std::span<const double> eigenvalues() const&& = delete;  // it would look at what is gone
  /// Row-major [p, p], row i the eigenvector of eigenvalue i; empty stands for the identity.
  std::span<const double> eigenvectors() const& noexcept { return eigenvectors_; }
  std::span<const double> eigenvectors() const&& = delete;
  bool is_diagonal() const noexcept { return eigenvectors_.empty(); }
  /// Coordinates of `vector` along the eigenvectors. Throws ShapeError unless it has p values. 2 p^2 FLOP.
  std::vector<double> coordinates(std::span<const double> vector) const;

 private:
  Covariance(std::vector<double> eigenvalues, std::vector<double> eigenvectors);

  std::vector<double> eigenvalues_;
  std::vector<double> eigenvectors_;
};

}  // namespace rtl::theory

// Draws of the problems that the risk formulas describe: what a formula says on average, simulated. Inputs are
// Gaussian. A draw is a function of its seed alone, whatever the number of threads that draw. (It is made in the
// covariances' eigenbases: where eigenvalues are equal, rounding chooses the basis, and another number of threads in
// the eigensolver then gives another draw of the same problem.)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/theory/covariance.hpp"
#include "rtl/theory/transfer_risk.hpp"

namespace rtl::theory {

/// `count` standard normal numbers (Philox, Box-Muller). `stream` separates uses of one seed.
std::vector<double> standard_normals(std::uint64_t seed, std::uint64_t stream, std::int64_t count);

/// X [rows, p], f64, host: independent rows of covariance `inputs`.
Tensor gaussian_inputs(const Covariance& inputs, std::int64_t rows, std::uint64_t seed, std::uint64_t stream);

/// Realised excess risks of one draw of source and target samples, for every source penalty, and for every target
/// w1 = alignment * w0 + apart: a quadratic form in (scale of the centre, alignment) whose coefficients are kept.
class TransferDraw {
 public:
  std::int64_t penalties() const noexcept { return static_cast<std::int64_t>(source_risk_.size()); }
  /// (w0_hat - w0)' S0 (w0_hat - w0) with source penalty number `index`.
  /// Throws ValueError for a number that there is not, as does transfer_risk.
  double source_risk(std::int64_t index) const;
  /// Of the target model centred at scale * w0_hat.
  double transfer_risk(std::int64_t index, double alignment, double scale = 1) const;
  /// Of the target model centred at zero.
  double scratch_risk(double alignment) const { return rest(alignment); }

 private:
  friend class TransferSimulation;
  /// error = scale * a_i - alignment * b + c; products in S1.
  std::size_t checked(std::int64_t index) const;
  double rest(double alignment) const { return alignment * alignment * bb_ - 2 * alignment * bc_ + cc_; }

  std::vector<double> source_risk_;
  std::vector<double> aa_, ab_, ac_;
  double bb_ = 0, bc_ = 0, cc_ = 0;
};

/// L2-SP transfer between two ridge regressions. One draw takes one eigendecomposition of the source's smaller Gram
/// matrix and one Cholesky factorisation of the target's.
class TransferSimulation {
 public:
  /// `source.penalty` is not looked at: `penalties` are. Samples must be whole. Throws ShapeError, ValueError as
  /// LinearTransfer.
  TransferSimulation(Covariance source_inputs, std::vector<double> w0, Covariance target_inputs,
                     std::vector<double> apart, const RidgeSetting& source, const RidgeSetting& target,
                     std::vector<double> penalties);

  /// May be called by several threads at a time. Throws ValueError if the target's or, at a penalty of 0, the source's
  /// normal equations are singular.
  TransferDraw draw(std::uint64_t seed) const;
  /// The same in two steps, for samples that were drawn elsewhere. Coefficients [p, L] of the source fits to inputs
  /// x0 [n0, p], f64, and targets x0 w0 + noise0:
  Tensor fit_source(ConstView x0, std::span<const double> noise0) const;
  /// and the risks with such fits, for target inputs x1 [n1, p] and noise1.
  TransferDraw evaluate(ConstView source_fits, ConstView x1, std::span<const double> noise1) const;
  const std::vector<double>& penalties() const noexcept { return penalties_; }

 private:
  Covariance source_inputs_;
  Covariance target_inputs_;
  std::vector<double> w0_;
  std::vector<double> apart_;
  RidgeSetting source_;
  RidgeSetting target_;
  std::vector<double> penalties_;
};

/// One pair of draws of the inputs of a regression on features, averaged exactly over tasks and noise. Unbiased for the
/// parts of FeaturizedRisk: the bias comes from two independent draws.
struct FeatureDraw {
  double bias = 0;
  double input_variance = 0;
  double interaction_variance = 0;
  double risk = 0;  ///< total test error
};

/// Ridge (penalty 0: least-norm) regression on features with K and tasks T as in featurized_risk.hpp. A draw of
/// rank(K) = q takes 2 (q^2 n or q n^2) + 4 p^2 min(n, q) FLOP, twice.
class FeatureSimulation {
 public:
  /// Throws ShapeError, ValueError as featurized_risk; samples must be whole.
  FeatureSimulation(const Covariance& features, const Covariance& tasks, double noise, double penalty,
                    std::int64_t samples);
  /// May be called by several threads at a time. Throws ValueError if the normal equations are singular (penalty 0 at
  /// n = rank).
  FeatureDraw draw(std::uint64_t seed) const;

 private:
  std::vector<double> scales_;        // sqrt(k) of the directions with k > 0, along eigenvectors of K
  std::vector<std::int64_t> active_;  // those directions
  Tensor task_root_;                  // T^(1/2) in the eigenbasis of K, [p, p]
  double noise_;
  double penalty_;
  std::int64_t samples_;
};

/// Mean of draws and its standard error.
struct Average {
  double mean = 0;
  double error = 0;
};
/// Throws ValueError for fewer than two values.
Average average(std::span<const double> values);

}  // namespace rtl::theory

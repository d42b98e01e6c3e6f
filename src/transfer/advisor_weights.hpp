// How a TransferAdvisor weighs two models by their leave-one-out errors, and what it believes of penalties beforehand.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/advisor.hpp"
#include "transfer/advisor_centres.hpp"

namespace rtl::transfer {

/// A centre with its leave-one-out residuals at its best tau1.
struct Judged {
  Centre centre;
  std::vector<double> residuals = {};    ///< [rows, outputs]
  std::vector<double> row_squares = {};  ///< mean over outputs
  /// Leave-one-out error times the prior's factor, of the best penalty so far.
  double doubtful_error = std::numeric_limits<double>::infinity();
};

/// Residuals [rows, outputs] of a weighted average of the models.
std::vector<double> blended_residuals(const std::vector<Judged>& judged, const std::vector<double>& weights);
/// Of each row, the mean over outputs.
std::vector<double> row_squares(const std::vector<double>& residuals, std::int64_t outputs);

class Weighing {
 public:
  /// What is believed beforehand, in standard errors, of the second of two models. Chosen in a pilot on real data: see
  /// docs/results/linear-transfer.md.
  static constexpr double favour_of_scaling = -2;            ///< the scaled centre beside the source's at tauS
  static constexpr double favour_of_source_intercept = 0.5;  ///< beside the target's, the source being as it is
  static constexpr double favour_of_source_as_it_is = 0.8;   ///< beside what is fitted around it

  /// `taken`: rows that an intercept takes.
  Weighing(AdvisorRule rule, std::int64_t taken) : rule_(rule), taken_(taken) {}

  /// For the second of two models, in standard errors, from the squared errors of each row.
  double evidence(const std::vector<double>& first, const std::vector<double>& second) const;
  /// The second's weight.
  double of_second(const std::vector<double>& first, const std::vector<double>& second, double favour) const;

 private:
  AdvisorRule rule_;
  std::int64_t taken_;
};

/// Weights of the models but the one from scratch, which is judged[0]; judged[1] is the scaled or mixed centre's.
/// Models that are fitted around a centre against the source as it is. `optimal` [sources]: tauS of each source.
std::vector<double> transfer_weights(const std::vector<Judged>& judged, const std::vector<double>& optimal,
                                     const Weighing& weighing);

/// A Beta prior on the share of the targets' variance that a ridge model explains: what a leave-one-out error is to be
/// multiplied by, so that penalties compare as by likelihood times prior, the likelihood being error^(-n/2).
class PenaltyPrior {
 public:
  explicit PenaltyPrior(const solvers::RidgePath& path);
  double factor(double penalty) const;

 private:
  double rows_ = 0, trace_ = 0;  ///< trace of X'X
};

}  // namespace rtl::transfer

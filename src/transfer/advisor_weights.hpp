// How a TransferAdvisor weighs two models by their leave-one-out errors, and what it believes of penalties beforehand.
#pragma once

#include <cstddef>
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

/// How little n rows tell of their own standard errors: 1 for very few, 0.76 for 30, 0.29 for 50, 0.02 for 100.
double doubt(std::size_t rows);

/// Two models, and what is believed of the second beforehand, in standard errors where rows are few; with many nothing
/// is. Chosen in a pilot on real data: docs/results/linear-transfer.md.
struct Match {
  double favour = 0;
  /// Errors that are farther apart than this factor are no matter of noise.
  double apart = 4;
  /// What a standard error that few rows tell is worth.
  double worth = 0.4;
};
/// The scaled centre beside the source's at tauS. It can fit few rows by chance, and is then exact or not worth it.
inline constexpr Match scaling{.favour = -2, .apart = 1000};
/// The source as it is with its own intercept, beside that with the target's: nothing is fitted, so few rows tell.
inline constexpr Match source_intercept{.favour = 0.6, .worth = 1};
/// The source as it is beside what is fitted around it.
inline constexpr Match source_as_it_is{.favour = 0.8};

class Weighing {
 public:
  /// `taken`: rows that an intercept takes.
  Weighing(AdvisorRule rule, std::int64_t taken) : rule_(rule), taken_(taken) {}

  /// For the second of two models, in standard errors, from the squared errors of each row.
  double evidence(const std::vector<double>& first, const std::vector<double>& second, const Match& match) const;
  /// The second's weight.
  double of_second(const std::vector<double>& first, const std::vector<double>& second, const Match& match) const;
  /// Transfer's weight beside scratch, what is believed of it being the caller's to say.
  double of_transfer(const std::vector<double>& scratch, const std::vector<double>& transfer, double favour) const;

 private:
  AdvisorRule rule_;
  std::int64_t taken_;
};

/// Weights of the models but the one from scratch, which is judged[0]; judged[1] is the scaled or mixed centre's.
/// Models that are fitted around a centre against the source as it is. `optimal` [sources]: tauS of each source.
std::vector<double> transfer_weights(const std::vector<Judged>& judged, const std::vector<double>& optimal,
                                     const Weighing& weighing);

/// A Beta prior on the share of the targets' variance that a ridge model explains: what a leave-one-out error is to be
/// multiplied by, so that penalties compare as by likelihood times prior, the likelihood being error^(-n/2). The
/// density is raised to the power doubt(n).
class PenaltyPrior {
 public:
  explicit PenaltyPrior(const solvers::RidgePath& path);
  double factor(double penalty) const;

 private:
  double rows_ = 0, trace_ = 0;  ///< trace of X'X
};

}  // namespace rtl::transfer

// "Should I transfer, and how?" for linear models: the decision, the choice, and what it is expected to bring.
//
// The target model minimises (1/n) ||Y - X W - 1 b'||^2 + tau1 ||W - C||^2 (solvers/ridge_path.hpp), and the question
// is which centre C to take from one or several sources: none (scratch), a source's solution at some source penalty
// tau0, or a scaled or mixed one; or whether to take the source as it is, the limit of an infinite tau1. Everything is
// judged by exact leave-one-out errors on the target's own rows, the estimation of scales and mixing matrices left out
// along with the row. Notation: docs/theory.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtl/solvers/l2sp_source.hpp"

namespace rtl::transfer {

enum class CentreKind : std::uint8_t {
  scratch,  ///< C = 0
  source,   ///< C = w0_hat(tau0) of one source
  scaled,   ///< C = sum over sources s of alpha_s w0_hat_s(tauS_s): one regression coefficient per source
  mixed,    ///< C = [w0_hat_1(tauS_1), ..] A, A [sum of k_s, k] ridge-regressed on the target: other label sets
  /// W = C = w0_hat(tauS) of one source, as it is: tau1 -> infinity. Only the intercept may be the target's.
  unchanged,
};
std::string to_string(CentreKind kind);

enum class AdvisorRule : std::uint8_t {
  /// Of two models the second gets the weight Phi(z (1 - 0.6 d) + what is believed beforehand), z being the mean of the
  /// paired differences of squared leave-one-out errors over its standard error, d = 1 / (1 + (n / 40)^4):
  /// docs/solvers.md
  /// derives it. Errors that are more than a factor of four apart (two centres: a thousand) count by the factor, too.
  average,
  choose,  ///< the weight is 1 if the mean difference is positive, otherwise 0
};

struct AdvisorOptions {
  bool intercept = true;
  AdvisorRule rule = AdvisorRule::average;
  /// Added to z where transfer is weighed against scratch: what is believed beforehand, in standard errors. Somebody
  /// who offers a source usually has a reason.
  double favour = 0.5;
  /// tau1 candidates; empty: 33 penalties that span the target (solvers::spanning_penalties).
  std::vector<double> target_penalties = {};
  /// tau0 candidates are these multiples of each source's tauS, and the transfer-optimal tau0 by the spectrum rule
  /// with the estimated alignment. 1 is always tried. Used where the label sets agree.
  std::vector<double> source_penalty_factors = {0.1, 10, 100};
};

/// One way to transfer (or not), at its best tau1: the one with the least leave-one-out error times
/// ((R^2)^3 (1 - R^2)^6)^(-2d/n), d as in AdvisorRule, R^2 = t / (t + n tau1), t = trace X'X / n (X centred with an
/// intercept): the error under a Beta(3, 6) prior on the share R^2 of the variance that W - C explains. With few rows
/// the least error alone is often that of a penalty far too small; with many the prior does nothing.
struct AdvisorCandidate {
  CentreKind kind = CentreKind::scratch;
  std::size_t source = 0;     ///< which one (kinds source and unchanged)
  double source_penalty = 0;  ///< tau0 (kinds source and unchanged)
  /// Kind unchanged: the intercept, too, is the source's; otherwise it is fitted to the target.
  bool source_intercept = false;
  std::vector<double> scales;  ///< alpha_s (kind scaled)
  double mixing_penalty = 0;   ///< of A, per sample (kind mixed)
  double target_penalty = 0;   ///< tau1; infinite for kind unchanged
  double leave_one_out = 0;    ///< mean squared leave-one-out error over rows and outputs
  double gain = 0;             ///< scratch's leave_one_out minus this one's
  /// Of the paired differences, row by row; infinite with fewer than two rows besides one for the intercept.
  double gain_standard_error = 0;
};

enum class Decision : std::uint8_t { transfer, do_not_transfer, unclear };
std::string to_string(Decision decision);

/// What is known about one source (where the label sets agree; otherwise only its penalty).
struct SourceAdvice {
  double optimal_penalty = 0;   ///< tauS, by marginal likelihood
  double transfer_penalty = 0;  ///< tau0* by the spectrum rule with `alignment`; infinite for alignment <= 0
  double alignment = 0;         ///< rho_hat = <y1, g> / <g, g>, g = X1 w0_hat(tauS), centred with an intercept
  /// With (n - 1 for an intercept) k - 1 degrees of freedom. Infinite, and z then 0, where the predictions do not vary
  /// to rounding or n is below 2 (3 with an intercept).
  double alignment_standard_error = 0;
  double z = 0;  ///< (alignment - 1/2) / standard error
  /// Transfer for z > 1, do not for z < -1: whether the alignment is a standard error away from 1/2, above which a
  /// source at its own best penalty helps (Hedges 2025, docs/theory.md). Of this centre, unscaled.
  Decision decision = Decision::unclear;
  /// a1 (mean y1^2 - mean (y1 - g)^2): the risk that the source's solution at tauS saves over scratch at scratch's own
  /// tau1, if inputs were isotropic; compare `AdvisorReport::gain`, which assumes nothing.
  double predicted_gain = 0;
};

struct AdvisorReport {
  std::vector<SourceAdvice> sources;
  std::vector<AdvisorCandidate> candidates;  ///< [0] is scratch
  std::vector<double> weights;               ///< of the candidates' models in the resulting one; they sum to 1
  double trust = 0;                          ///< how much of it is transfer: 1 - weights[0]
  /// What trust says: transfer from 0.84 (one standard error in its favour), do_not_transfer up to 0.16. A source's own
  /// `decision` is about its centre as it is; scaled, it may be worth transferring all the same.
  Decision decision = Decision::unclear;
  /// False where there are too few rows to know a standard error (fewer than two besides one for the intercept). Then
  /// the model is the one from scratch, whatever the candidates' errors are: trust is 0, the decision unclear.
  bool judged = true;
  double leave_one_out = 0;  ///< of the resulting model, given the weights
  double gain = 0;           ///< scratch's leave-one-out error minus this
  double gain_standard_error = 0;
  /// Row-major [n, k]: what a row's target is more than its prediction without it, by the resulting model (given the
  /// weights) and by the one from scratch.
  std::vector<double> leave_one_out_residuals, scratch_residuals;
};

/// Examines and fits when made; what it returns afterwards is the resulting linear model.
///
/// Models are weighed two by two, and what needs less of the target has the benefit of the doubt: docs/solvers.md,
/// "Should I transfer?", has the order, the beliefs and why. Where the rows are too few to judge, scratch is taken. A
/// source whose predictions for the target's rows do not vary is not offered as it is. The result is the weighted
/// average of the candidates' coefficients. Measured on real data in docs/results/linear-transfer.md.
///
/// Cost: one factorisation of the target, whose outputs are the k targets and each candidate's predictions, m columns
/// together; n r m FLOP for each tau1 (r = min(n, p)), and n (sum of k_s)^2 for a mixing matrix.
/// Deterministic for a fixed number of threads.
class TransferAdvisor {
 public:
  /// x [n, p], y [n, k] or [n] of the target, read only during the call; f32 or f64, on the sources' device. Sources
  /// all have p features; if all have k outputs, outputs correspond by position, otherwise centres are mixed.
  /// Throws ShapeError, DTypeError, DeviceError; ValueError as RidgePath does (so for n = 1 with an intercept), for no
  /// source, and for a factor that is not positive.
  TransferAdvisor(const Device& device, std::span<const solvers::L2SPSource* const> sources, ConstView x, ConstView y,
                  const AdvisorOptions& options = {});
  TransferAdvisor(const Device& device, const solvers::L2SPSource& source, ConstView x, ConstView y,
                  const AdvisorOptions& options = {});

  const AdvisorReport& report() const noexcept { return report_; }
  const Tensor& coefficients() const noexcept { return coefficients_; }  ///< [p, k], f64
  const Tensor& intercept() const noexcept { return intercept_; }        ///< [k], f64; zeros without an intercept
  /// X W + b [m, k], f64, for x [m, p].
  Tensor predict(ConstView x) const;
  /// The model of one candidate of the report, at its own tau1: for comparisons. Throws ValueError for a number that
  /// the report does not have.
  const Tensor& candidate_coefficients(std::size_t candidate) const;
  const Tensor& candidate_intercept(std::size_t candidate) const;

 private:
  Device device_;
  AdvisorReport report_;
  Tensor coefficients_, intercept_;
  std::vector<Tensor> candidate_coefficients_, candidate_intercepts_;
};

}  // namespace rtl::transfer

#include "rtl/solvers/blended_ridge.hpp"

#include <fmt/format.h>

#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/solvers/ridge_path.hpp"
#include "solvers/dense.hpp"

namespace rtl::solvers {
namespace {

/// A positive semidefinite matrix scaled to the identity's trace.
Dense unit_trace(const char* name, Dense matrix) {
  Eigen decomposed = eigen(matrix);
  require_semidefinite("BlendedRidge", name, decomposed);
  const double trace = matrix.trace();
  if (!(trace > 0)) throw ValueError(fmt::format("BlendedRidge: {} is 0; take ordinary ridge regression", name));
  matrix.scale(static_cast<double>(matrix.rows()) / trace);
  return matrix;
}

Dense blend(const Dense& metric, const Dense& whitened, double identity, double whitening) {
  Dense sum = metric;
  sum.scale(1 - identity - whitening);
  if (whitening > 0) {
    for (std::size_t i = 0; i < sum.values().size(); ++i) sum.values()[i] += whitening * whitened.values()[i];
  }
  sum.add_to_diagonal(identity);
  return sum;
}

Dense symmetric_root(const Dense& matrix) {
  return spectral(eigen(matrix), [](double value) { return std::sqrt(std::max(value, 0.0)); });
}

/// Whether `a` is to be taken instead of `b`.
bool better(const BlendCandidate& a, const BlendCandidate& b) {
  if (a.leave_one_out != b.leave_one_out) return a.leave_one_out < b.leave_one_out;
  return a.identity > b.identity;
}

}  // namespace

BlendedRidge::BlendedRidge(ConstView metric, const BlendOptions& options) {
  const Dense learnt = unit_trace("metric", symmetric_copy("BlendedRidge", "metric", metric));
  inputs_ = learnt.rows();
  if (options.identity_shares.empty())
    throw ValueError("BlendedRidge: identity_shares is empty; give 1 for plain ridge");
  Dense whitened;
  if (options.whitening.given()) {
    const SquareRoots roots = square_roots("BlendedRidge", options.whitening, options.eigenvalue_floor);
    if (roots.inverse.rows() != inputs_) {
      throw ShapeError(fmt::format("BlendedRidge: whitening is {}, metric is {}; they must be equal",
                                   options.whitening.shape().to_string(), metric.shape().to_string()));
    }
    whitened = unit_trace("whitening", multiply(roots.inverse, roots.inverse));
  }
  const auto add = [&](double identity, double whitening) {
    factors_.push_back(
        {{identity, whitening, 0, 0}, symmetric_root(blend(learnt, whitened, identity, whitening)).tensor()});
  };
  for (const double share : options.identity_shares) {
    if (!(share >= 0 && share <= 1)) {
      throw ValueError(fmt::format("BlendedRidge: the identity share {} is not between 0 and 1", share));
    }
    add(share, 0);
    if (options.whitening.given() && share < 1) add(share, (1 - share) / 2);
  }
  if (options.whitening.given()) add(0, 1);
}

BlendedFit BlendedRidge::fit(const Device& device, ConstView x, ConstView y, std::span<const double> penalties,
                             const BlendedFitOptions& options) const {
  const Dense inputs = dense_copy("BlendedRidge::fit", "x", x);
  Dense targets = dense_copy("BlendedRidge::fit", "y", y);
  if (inputs.columns() != inputs_ || targets.rows() != inputs.rows()) {
    throw ShapeError(fmt::format("BlendedRidge::fit: x is {}, y is {}; they must be [n, {}] and [n, k]",
                                 x.shape().to_string(), y.shape().to_string(), inputs_));
  }
  if (penalties.empty()) throw ValueError("BlendedRidge::fit: penalties is empty; give at least one");
  Dense centre(inputs_, targets.columns(), inputs.host());
  if (options.centre.given()) {
    centre = dense_copy("BlendedRidge::fit", "centre", options.centre);
    if (centre.rows() != inputs_ || centre.columns() != targets.columns()) {
      throw ShapeError(fmt::format("BlendedRidge::fit: centre is {}; it must be [{}, {}]",
                                   options.centre.shape().to_string(), inputs_, targets.columns()));
    }
    multiply_into(targets, -1, inputs, Transpose::no, centre, Transpose::no, 1);
  }
  const Tensor residuals = targets.tensor().to(device);
  const RidgeOptions ridge_options{.intercept = options.intercept};

  BlendedFit fit;
  for (const Factor& factor : factors_) {
    const Dense root = dense_copy("BlendedRidge", "root", factor.root);
    const Tensor features = multiply(inputs, root).tensor().to(device);
    const RidgePath path(device, features, residuals, penalties, ridge_options);
    BlendCandidate candidate = factor.shares;
    candidate.penalty = path.best_penalty();
    candidate.leave_one_out = path.scores().leave_one_out[path.scores().best];
    if (fit.candidates.empty() || better(candidate, fit.chosen)) {
      const Dense theta = dense_copy("BlendedRidge", "theta", path.coefficients(candidate.penalty));
      Dense coefficients = centre;
      multiply_into(coefficients, 1, root, Transpose::no, theta, Transpose::no, 1);
      fit.coefficients = coefficients.tensor();
      fit.intercept = path.intercept(candidate.penalty).to(inputs.host());
      fit.chosen = candidate;
    }
    fit.candidates.push_back(candidate);
  }
  return fit;
}

}  // namespace rtl::solvers

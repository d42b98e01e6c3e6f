#include "rtl/solvers/descend_featurization.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/solvers/effective_penalty.hpp"
#include "rtl/solvers/featurization.hpp"
#include "solvers/dense.hpp"
#include "solvers/descent.hpp"
#include "solvers/domain.hpp"

namespace rtl::solvers {
namespace {

/// Expected risk of a featurization, with what does not change along a descent.
class ExpectedRisk {
 public:
  ExpectedRisk(const char* call, ConstView sigma, ConstView omega, double noise, double penalty, double samples)
      : noise_(noise), penalty_(penalty), samples_(samples) {
    domain::not_negative(call, "noise", noise);
    domain::not_negative(call, "penalty", penalty);
    domain::positive(call, "samples", samples);
    root_ = square_roots(call, sigma, 1e-10).root;
    const Dense wanted = symmetric_copy(call, "omega", omega);
    if (wanted.rows() != root_.rows()) {
      throw ShapeError(fmt::format("{}: omega is {}, sigma is {}; they must be equal", call, omega.shape().to_string(),
                                   sigma.shape().to_string()));
    }
    tasks_ = multiply(multiply(root_, wanted), root_);
    tasks_.symmetrize();
  }

  void check_start(const char* call, ConstView matrix) const {
    if (matrix.rank() != 2 || matrix.extent(0) != root_.rows()) {
      throw ShapeError(fmt::format("{}: the featurization is {}; it must be [{}, q]", call, matrix.shape().to_string(),
                                   root_.rows()));
    }
    if (penalty_ == 0 && static_cast<double>(matrix.extent(1)) <= samples_) {
      throw ValueError(
          fmt::format("{}: {} features for {} samples without a penalty: the risk depends on their span alone; give a "
                      "penalty, more "
                      "features, or take hard features",
                      call, matrix.extent(1), samples_));
    }
  }

  /// Risk; the gradient by B into `gradient` if it is given.
  double operator()(const Dense& matrix, Dense* gradient) const {
    const std::int64_t p = root_.rows();
    const Dense left = multiply(root_, matrix);  // K = left left'
    Dense features = multiply_transposed(left, left);
    features.symmetrize();
    Eigen axes = eigen(std::move(features));
    for (double& value : axes.values) value = std::max(value, 0.0);
    const EffectivePenalty level = effective_penalty(axes.values, penalty_, samples_);
    const Dense tasks = multiply_transposed(multiply(axes.vectors, tasks_), axes.vectors);
    const double kappa = level.kappa, rest = 1 - level.variance_share;
    std::vector<double> missed;  // kappa / (k + kappa)
    for (const double k : axes.values) missed.push_back(is_negligible(k, level) ? 1 : kappa / (k + kappa));
    double bias = 0;
    for (std::int64_t i = 0; i < p; ++i) bias += tasks(i, i) * missed[i] * missed[i];
    const double risk = rest > 0 ? (bias + noise_) / rest : std::numeric_limits<double>::infinity();
    if (gradient == nullptr) return risk;
    if (kappa == 0)
      throw ValueError("featurization_gradient: the features span fewer directions than there are samples");

    double curvature = samples_ * penalty_ / (kappa * kappa), pull = 0;  // c and tr(Q K G^2)
    Dense slope(p, p, root_.host());  // kappa G Q G in the axes of K, then all of dR/dK
    for (std::int64_t i = 0; i < p; ++i) {
      for (std::int64_t j = 0; j < p; ++j) {
        double q = -tasks(i, j) * (missed[i] + missed[j]);
        if (i == j) q += 2 * risk / samples_ * (1 - missed[i]);
        q /= rest;
        slope(i, j) = q * missed[i] * missed[j] / kappa;
        if (i == j) pull += q * axes.values[i] * missed[i] * missed[i] / (kappa * kappa);
      }
      curvature += axes.values[i] * missed[i] * missed[i] / (kappa * kappa);
    }
    for (std::int64_t i = 0; i < p; ++i) slope(i, i) -= pull / curvature * missed[i] * missed[i] / kappa;
    const Dense turned = multiply(axes.vectors, left);
    *gradient = transposed_multiply(root_, transposed_multiply(axes.vectors, multiply(slope, turned)));
    gradient->scale(2);
    return risk;
  }

  const Dense& tasks() const { return tasks_; }

 private:
  Dense root_;
  Dense tasks_;
  double noise_;
  double penalty_;
  double samples_;
};

double norm(const Dense& matrix) {
  return std::sqrt(std::inner_product(matrix.values().begin(), matrix.values().end(), matrix.values().begin(), 0.0));
}

/// Normalised, projected gradient steps; the best point of all.
Dense projected_descent(const ExpectedRisk& risk, Dense matrix, const DescentOptions& options,
                        std::vector<double>& risks) {
  options.constraint(matrix.view());
  Dense gradient, best = matrix;
  double least = risk(matrix, &gradient);
  risks.push_back(least);
  for (int k = 0; k < options.iterations; ++k) {
    const double length = norm(gradient);
    if (!(length > 0)) break;
    const double step = options.step / std::sqrt(1.0 + k) * norm(matrix) / length;
    for (std::size_t i = 0; i < matrix.values().size(); ++i) matrix.values()[i] -= step * gradient.values()[i];
    options.constraint(matrix.view());
    const double now = risk(matrix, &gradient);
    risks.push_back(now);
    if (now < least) {
      least = now;
      best = matrix;
    }
  }
  return best;
}

}  // namespace

RiskGradient featurization_gradient(ConstView sigma, ConstView omega, ConstView matrix, double noise, double penalty,
                                    double samples) {
  const ExpectedRisk risk("featurization_gradient", sigma, omega, noise, penalty, samples);
  risk.check_start("featurization_gradient", matrix);
  Dense gradient;
  const double value = risk(dense_copy("featurization_gradient", "matrix", matrix), &gradient);
  return {value, gradient.tensor()};
}

Descent descend_featurization(ConstView sigma, ConstView omega, ConstView start, double noise, double penalty,
                              double samples, const DescentOptions& options) {
  constexpr const char* call = "descend_featurization";
  const ExpectedRisk risk(call, sigma, omega, noise, penalty, samples);
  risk.check_start(call, start);
  domain::positive(call, "iterations", options.iterations);
  domain::positive(call, "step", options.step);
  domain::not_negative(call, "tolerance", options.tolerance);
  Dense matrix = dense_copy(call, "start", start);
  std::vector<double> risks;
  if (options.constraint) {
    matrix = projected_descent(risk, std::move(matrix), options, risks);
  } else {
    const std::int64_t rows = matrix.rows(), columns = matrix.columns();
    Dense at(rows, columns, matrix.host()), gradient;
    const auto value = [&](const std::vector<double>& point, std::vector<double>& slope) {
      at.values() = point;
      const double now = risk(at, &gradient);
      slope = gradient.values();
      return now;
    };
    matrix.values() = lbfgs(value, matrix.values(), options.iterations, options.tolerance, risks);
  }
  const double least = *std::min_element(risks.begin(), risks.end());
  return {FeatureMap(matrix.view(), {"descent", penalty, samples, noise, least}), std::move(risks)};
}

Minimax minimax_featurization(ConstView sigma, std::span<const ConstView> omegas, double noise, double samples,
                              int iterations, double tolerance) {
  constexpr const char* call = "minimax_featurization";
  if (omegas.empty()) throw ValueError("minimax_featurization: there are no tasks");
  domain::positive(call, "iterations", iterations);
  domain::not_negative(call, "tolerance", tolerance);
  std::vector<Dense> kinds, wanted;
  for (const ConstView& omega : omegas) {
    kinds.push_back(ExpectedRisk(call, sigma, omega, noise, 0, samples).tasks());
    wanted.push_back(symmetric_copy(call, "omega", omega));
  }
  const auto p = kinds.front().rows();
  const auto mixture = [p, host = kinds.front().host()](const std::vector<Dense>& matrices,
                                                        const std::vector<double>& weights) {
    Dense sum(p, p, host);
    for (std::size_t j = 0; j < matrices.size(); ++j) {
      for (std::size_t i = 0; i < sum.values().size(); ++i) sum.values()[i] += weights[j] * matrices[j].values()[i];
    }
    return sum;
  };
  std::vector<double> weights(kinds.size(), 1.0 / static_cast<double>(kinds.size())), best = weights,
                                                                                      risks(kinds.size());
  double worst = std::numeric_limits<double>::infinity(), bound = 0;
  for (int k = 1; k <= iterations; ++k) {
    Eigen axes = eigen(mixture(kinds, weights));
    for (double& value : axes.values) value = std::max(value, 0.0);
    const FeatureOptimum optimum = bayes_optimum(axes.values, noise, samples);
    double share = 0;
    for (const double h : optimum.weights) share += h * h / samples;
    for (std::size_t j = 0; j < kinds.size(); ++j) {
      const Dense turned = multiply(axes.vectors, kinds[j]);
      double bias = 0;
      for (std::int64_t i = 0; i < p; ++i) {
        const double missed = 1 - optimum.weights[static_cast<std::size_t>(i)];
        bias += missed * missed * std::inner_product(turned.row(i), turned.row(i) + p, axes.vectors.row(i), 0.0);
      }
      risks[j] = (bias + noise) / (1 - share);
    }
    bound = std::max(bound, optimum.risk);
    const double largest = *std::max_element(risks.begin(), risks.end());
    if (largest < worst) {
      worst = largest;
      best = weights;
    }
    if (worst - bound <= tolerance * worst) break;
    double total = 0;
    for (std::size_t j = 0; j < kinds.size(); ++j) {
      weights[j] *= std::exp(2 / std::sqrt(static_cast<double>(k)) * (risks[j] - largest));
      total += weights[j];
    }
    for (double& weight : weights) weight /= total;
  }
  const Dense omega = mixture(wanted, best);
  FeatureMap map = optimal_featurization(sigma, omega.view(), noise, samples).map;
  FeatureMap::Facts facts = map.facts();
  facts.kind = "minimax";
  facts.expected_risk = worst;
  return {FeatureMap(map.matrix(), std::move(facts)), std::move(best), worst, bound};
}

}  // namespace rtl::solvers

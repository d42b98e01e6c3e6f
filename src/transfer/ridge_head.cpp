#include "transfer/ridge_head.hpp"

#include <algorithm>
#include <cmath>

#include "rtl/kernels/pointwise.hpp"
#include "transfer/read_out_weights.hpp"

namespace rtl::transfer::detail {
namespace {

/// scikit-learn's alpha: half decades.
constexpr double lowest_alpha = 1e-3, highest_alpha = 1e5;
constexpr std::int64_t penalties = 17;
/// A leave-one-out score is right to some 1e-4; logits beyond these are none.
constexpr double highest_temperature = 1000;

/// Shares of the classes, each with half a row more, so that none is 0.
std::vector<double> priors(const RowTargets& targets) {
  std::vector<double> shares(static_cast<std::size_t>(targets.task.outputs), 0.5);
  double total = 0.5 * static_cast<double>(shares.size());
  for (std::size_t i = 0; i < targets.labels.size(); ++i) {
    const double weight = targets.weights.empty() ? 1 : static_cast<double>(targets.weights[i]);
    shares[static_cast<std::size_t>(targets.labels[i])] += weight;
    total += weight;
  }
  for (double& share : shares) share /= total;
  return shares;
}

HeadScale around_priors(const RowTargets& targets, double temperature) {
  HeadScale scale{{}, priors(targets), temperature};
  for (const double share : scale.shift) scale.base.push_back(std::log(share));
  return scale;
}

/// Of logits base + temperature scores [n, classes].
double mean_cross_entropy(const std::vector<double>& base, const std::vector<double>& scores,
                          const std::vector<std::int32_t>& labels, double temperature) {
  const std::size_t classes = base.size();
  double sum = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto logit = [&](std::size_t c) { return base[c] + temperature * scores[i * classes + c]; };
    double largest = -INFINITY, all = 0;
    for (std::size_t c = 0; c < classes; ++c) largest = std::max(largest, logit(c));
    for (std::size_t c = 0; c < classes; ++c) all += std::exp(logit(c) - largest);
    sum += largest + std::log(all) - logit(static_cast<std::size_t>(labels[i]));
  }
  return sum / static_cast<double>(labels.size());
}

}  // namespace

std::unique_ptr<FusedHead> ridge_head(std::vector<FrozenBlock> blocks, const solvers::RidgeFit& fit,
                                      const HeadScale* scale) {
  const Device& device = fit.coefficients.device();
  const std::int64_t columns = fit.coefficients.extent(0), outputs = fit.coefficients.extent(1);
  const std::vector<double> w = fit.coefficients.to_vector<double>(), b = fit.intercept.to_vector<double>();
  const double temperature = scale != nullptr ? scale->temperature : 1;
  std::vector<float> weight, bias;
  for (std::size_t c = 0; c < b.size(); ++c) {
    for (std::size_t j = 0; j < w.size() / b.size(); ++j) {
      weight.push_back(static_cast<float>(temperature * w[j * b.size() + c]));
    }
    bias.push_back(
        static_cast<float>(scale != nullptr ? scale->base[c] + temperature * (b[c] - scale->shift[c]) : b[c]));
  }
  return std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(blocks),
                                     Tensor::from(weight, {outputs, columns}, device),
                                     Tensor::from(bias, {outputs}, device));
}

std::unique_ptr<FusedHead> copy_of(const FusedHead& head) {
  std::vector<FrozenBlock> blocks;
  for (const FrozenBlock& block : head.blocks()) blocks.push_back(block.clone());
  return std::make_unique<FusedHead>(nullptr, head.normalization(), std::move(blocks), head.weight().clone(),
                                     head.bias().clone());
}

Tensor side_by_side(const std::vector<Tensor>& features) {
  std::int64_t columns = 0;
  for (const Tensor& block : features) columns += block.extent(1);
  const Device& device = features.front().device();
  Tensor all({features.front().extent(0), columns}, DType::f32, device);
  std::int64_t column = 0;
  for (const Tensor& block : features) {
    kernels::unary(device, kernels::UnaryOp::copy, block, all.view().slice(1, column, column + block.extent(1)));
    column += block.extent(1);
  }
  return all;
}

CalibratedProbe calibrated_probe(std::vector<FrozenBlock> blocks, const Tensor& features, const RowTargets& targets) {
  const Device& device = features.device();
  const Tensor y = targets.columns(device);
  std::vector<double> grid = solvers::logarithmic_penalties(lowest_alpha, highest_alpha, penalties);
  for (double& penalty : grid) penalty = solvers::penalty_from_sklearn(penalty, static_cast<double>(targets.rows()));
  const Tensor weights = targets.row_weights(device);
  const solvers::RidgePath path(device, features, y, grid,
                                {.sample_weights = weights.defined() ? weights.view() : ConstView()});
  const double best = path.best_penalty();
  const solvers::RidgeFit fit = path.fit(best);
  std::vector<double> scores = path.leave_one_out_residuals(best).to_vector<double>();
  const double alpha = solvers::penalty_to_sklearn(best, static_cast<double>(targets.rows()));
  if (targets.task.regression) {
    double squares = 0;
    for (const double residual : scores) squares += residual * residual;
    return {ridge_head(std::move(blocks), fit), squares / static_cast<double>(scores.size()), alpha};
  }
  HeadScale scale = around_priors(targets, 1);
  const std::vector<float> own = y.to_vector<float>();
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double score = own[i] - scores[i];
    scores[i] = (std::isfinite(score) ? score : 0) - scale.shift[i % scale.shift.size()];
  }
  scale.temperature = calibrated_temperature(scale.base, scores, targets.labels, highest_temperature);
  const double loss = mean_cross_entropy(scale.base, scores, targets.labels, scale.temperature);
  return {ridge_head(std::move(blocks), fit, &scale), loss, alpha, scale.temperature};
}

std::unique_ptr<FusedHead> calibrated_head(std::vector<FrozenBlock> blocks, const solvers::RidgeFit& fit,
                                           const RowTargets& targets, double temperature) {
  if (targets.task.regression) return ridge_head(std::move(blocks), fit);
  const HeadScale scale = around_priors(targets, temperature);
  return ridge_head(std::move(blocks), fit, &scale);
}

std::unique_ptr<FusedHead> probe_with(std::vector<FrozenBlock> blocks, const Tensor& features,
                                      const RowTargets& targets, double alpha, double temperature) {
  const Device& device = features.device();
  const Tensor weights = targets.row_weights(device);
  const solvers::RidgeFit fit =
      solvers::ridge(device, features, targets.columns(device),
                     solvers::penalty_from_sklearn(alpha, static_cast<double>(targets.rows())),
                     {.sample_weights = weights.defined() ? weights.view() : ConstView()});
  return calibrated_head(std::move(blocks), fit, targets, temperature);
}

}  // namespace rtl::transfer::detail

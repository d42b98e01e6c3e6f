#include "rtl/solvers/l2sp_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "solvers/find_minimum.hpp"

namespace rtl::solvers {
namespace {

/// The profiled likelihood of a ridge prior, as a function of log delta.
class Likelihood {
 public:
  Likelihood(const RidgePath& path, bool intercept)
      : eigenvalues_(path.eigenvalues()),
        rotated_(path.rotated_targets()),
        sums_(path.sum_squares()),
        samples_(static_cast<double>(path.counted_rows() - (intercept ? 1 : 0))),
        counted_share_(static_cast<double>(path.counted_rows()) / static_cast<double>(path.rows())) {
    const auto outputs = sums_.size();
    for (std::size_t k = 0; k < outputs; ++k) {
      if (!(sums_[k] > 0)) continue;
      double explained = 0;
      for (std::size_t j = 0; j < eigenvalues_.size(); ++j) explained += std::pow(rotated_[j * outputs + k], 2);
      const double rest = sums_[k] - explained;
      const double rounding = 4 * std::numeric_limits<double>::epsilon() * static_cast<double>(path.rows());
      varying_.push_back({k, rest > rounding * sums_[k] ? rest : 0.0});
    }
  }
  bool any() const { return !varying_.empty() && samples_ > 0 && !eigenvalues_.empty() && eigenvalues_.back() > 0; }

  double noise(const std::pair<std::size_t, double>& output, double delta) const {
    double sum = output.second;
    for (std::size_t j = 0; j < eigenvalues_.size(); ++j) {
      sum += std::pow(rotated_[j * sums_.size() + output.first], 2) / (1 + delta * eigenvalues_[j]);
    }
    // A fit without any residual has a likelihood without an end.
    return std::max(sum, 1e-300 + 1e-30 * sums_[output.first]) / samples_ * counted_share_;
  }
  double deviance(double log_delta) const {
    const double delta = std::exp(log_delta);
    double determinant = 0;
    for (const double e : eigenvalues_) determinant += std::log1p(delta * e);
    double total = 0;
    for (const auto& output : varying_) total += samples_ * std::log(noise(output, delta)) + determinant;
    return total;
  }
  const std::vector<std::pair<std::size_t, double>>& varying() const { return varying_; }

 private:
  const std::vector<double>&eigenvalues_, &rotated_, &sums_;
  double samples_;
  double counted_share_;  ///< weights sum to the number of rows, so those of counted rows are 1 by this on average
  std::vector<std::pair<std::size_t, double>> varying_;  ///< output, its sum of squares outside the range of X
};

}  // namespace

RidgePrior fit_ridge_prior(const RidgePath& path) {
  const Likelihood likelihood(path, path.has_intercept());
  const auto outputs = static_cast<std::size_t>(path.outputs());
  const double rows = static_cast<double>(path.rows());
  const double largest = path.eigenvalues().empty() ? 0 : path.eigenvalues().back();
  RidgePrior prior{.noise = std::vector<double>(outputs), .signal = std::vector<double>(outputs)};
  if (!likelihood.any()) {
    prior.penalty = 1e8 * std::max(largest, 1.0) / rows;
    prior.at_boundary = true;
    return prior;
  }
  const double low = std::log(1e-8 / largest), high = std::log(1e12 / largest);
  constexpr int trials = 120;
  const double step = (high - low) / trials;
  const auto deviance = [&](double log_delta) { return likelihood.deviance(log_delta); };
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= trials; ++i) {
    const double here = deviance(low + step * i);
    if (here < least) least = here, best = i;
  }
  // Where an end of the range is as likely as anything inside, to rounding, there is no maximum inside.
  const auto as_good = [&](double end) { return deviance(end) <= least + 1e-9 * (1 + std::fabs(least)); };
  if (as_good(low)) {
    best = 0;
  } else if (as_good(high)) {
    best = trials;
  }
  prior.at_boundary = best == 0 || best == trials;
  const double log_delta =
      prior.at_boundary ? low + step * best : find_minimum(deviance, low + step * (best - 1), low + step * (best + 1));
  const double delta = std::exp(log_delta);
  const double penalty = 1 / (rows * delta);
  prior.penalty = std::max(penalty, path.smallest_penalty());
  prior.deviance = deviance(log_delta);
  for (const auto& output : likelihood.varying()) {
    prior.noise[output.first] = likelihood.noise(output, delta);
    prior.signal[output.first] = static_cast<double>(path.features()) * prior.noise[output.first] /
                                 (static_cast<double>(path.counted_rows()) * penalty);
  }
  return prior;
}

std::vector<double> spanning_penalties(const RidgePath& path, std::int64_t count) {
  if (count < 2) throw ValueError(fmt::format("spanning_penalties: {} penalties; at least 2 are needed", count));
  const double largest = path.eigenvalues().empty() ? 0 : path.eigenvalues().back();
  const double scale = largest > 0 ? largest / static_cast<double>(path.rows()) : 1;
  return logarithmic_penalties(std::max(1e-7 * scale, path.smallest_penalty()), 1e3 * scale, count);
}

L2SPSource::L2SPSource(const Device& device, ConstView x, ConstView y, const L2SPSourceOptions& options)
    : path_(device, x, y, {},
            {.intercept = options.intercept,
             .sample_weights = options.sample_weights,
             .method = options.method,
             .arithmetic = options.arithmetic}) {}

const L2SPSource::Solution& L2SPSource::solution(double penalty) const {
  const auto known = solutions_.find(penalty);
  if (known != solutions_.end()) return known->second;
  RidgeFit fit = path_.fit(penalty);
  return solutions_.emplace(penalty, Solution{std::move(fit.coefficients), std::move(fit.intercept)}).first->second;
}

const Tensor& L2SPSource::coefficients(double penalty) const { return solution(penalty).coefficients; }
const Tensor& L2SPSource::intercept(double penalty) const { return solution(penalty).intercept; }

const RidgePrior& L2SPSource::prior() const {
  if (!prior_) prior_ = fit_ridge_prior(path_);
  return *prior_;
}

double L2SPSource::leave_one_out_penalty() const {
  if (!leave_one_out_penalty_) leave_one_out_penalty_ = path_.evaluate(spanning_penalties(path_, 41)).best_penalty();
  return *leave_one_out_penalty_;
}

}  // namespace rtl::solvers

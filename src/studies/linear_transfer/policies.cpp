#include "studies/linear_transfer/policies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "rtl/core/random.hpp"
#include "rtl/transfer/advisor.hpp"

namespace rtl::studies::linear_transfer {
namespace {

constexpr std::size_t most_test_rows = 2000;

/// R^2 (against the test rows' own mean) or accuracy.
double score_of(Task task, const std::vector<double>& predicted, const std::vector<double>& y, std::size_t outputs) {
  const std::size_t rows = y.size() / outputs;
  if (task == Task::regression) {
    double mean = 0, residual = 0, total = 0;
    for (const double value : y) mean += value / static_cast<double>(y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      residual += std::pow(y[i] - predicted[i], 2);
      total += std::pow(y[i] - mean, 2);
    }
    return 1 - residual / total;
  }
  std::size_t correct = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto* p = predicted.data() + i * outputs;
    const auto* t = y.data() + i * outputs;
    correct += outputs == 1 ? (p[0] > 0) == (t[0] > 0)
                            : std::max_element(p, p + outputs) - p == std::max_element(t, t + outputs) - t;
  }
  return static_cast<double>(correct) / static_cast<double>(rows);
}

}  // namespace

std::vector<double> target_values(const Domain& domain, const std::vector<std::int64_t>& rows) {
  std::vector<double> values;
  for (const std::int64_t row : rows) {
    const double* from = domain.y.data() + row * domain.outputs;
    values.insert(values.end(), from, from + domain.outputs);
  }
  return values;
}

/// X W + b on the host.
std::vector<double> linear(const Tensor& x, const Tensor& coefficients, const Tensor& intercept) {
  const std::vector<double> rows = x.to_vector<double>(), w = coefficients.to_vector<double>();
  const std::vector<double> b = intercept.to_vector<double>();
  const auto p = static_cast<std::size_t>(x.extent(1)), k = b.size();
  std::vector<double> out(static_cast<std::size_t>(x.extent(0)) * k);
  for (std::size_t i = 0; i < out.size() / k; ++i) {
    double* to = out.data() + i * k;
    std::copy(b.begin(), b.end(), to);
    for (std::size_t j = 0; j < p; ++j) {
      for (std::size_t o = 0; o < k; ++o) to[o] += rows[i * p + j] * w[j * k + o];
    }
  }
  return out;
}

solvers::RidgeFit leave_one_out_ridge(const Device& device, const Tensor& x, const Tensor& y, ConstView centre) {
  const solvers::RidgePath path(device, x, y, {}, {.centre = centre});
  return path.fit(path.evaluate(solvers::spanning_penalties(path, 33)).best_penalty());
}

std::string Outcome::name() const { return fmt::format("{}, {} to {}, {} rows", family, source, target, rows); }

transfer::Interval Outcome::difference(std::size_t policy) const {
  std::vector<double> differences;
  for (std::size_t i = 0; i < scores[0].size(); ++i) differences.push_back(scores[policy][i] - scores[0][i]);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return transfer::t_interval(differences, 0.95, -infinity, infinity);
}

FittedSource::FittedSource(const Device& device, const Domain& domain, bool scale_each_feature)
    : device_(device), scaling_(domain, scale_each_feature) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(domain.source_rows));
  std::iota(rows.begin(), rows.end(), 0);
  x_ = scaled(domain, rows);
  y_ = Tensor::from(target_values(domain, rows), {domain.source_rows, domain.outputs}, device);
  model_ = std::make_unique<solvers::L2SPSource>(device, x_, y_);
}

Tensor FittedSource::scaled(const Domain& domain, const std::vector<std::int64_t>& rows) const {
  return Tensor::from(scaling_.scaled(domain, rows), {static_cast<std::int64_t>(rows.size()), domain.features},
                      device_);
}

Split split_rows(const Domain& domain, std::int64_t count, std::uint64_t seed) {
  RandomSequence random(seed, static_cast<std::uint64_t>(count));
  Split split;
  split.training = random.permutation(domain.training_rows);
  if (domain.training_rows < domain.rows) {
    for (std::int64_t i = domain.training_rows; i < domain.rows; ++i) split.testing.push_back(i);
  } else {
    split.testing.assign(split.training.begin() + count, split.training.end());
  }
  split.training.resize(static_cast<std::size_t>(count));
  split.testing.resize(std::min(split.testing.size(), most_test_rows));
  return split;
}

void run_seed(const Device& device, const FittedSource& source, const Domain& target, std::uint64_t seed,
              Outcome& outcome) {
  const Split split = split_rows(target, outcome.rows, seed);
  const auto outputs = static_cast<std::size_t>(target.outputs);
  const Tensor x = source.scaled(target, split.training), test = source.scaled(target, split.testing);
  const Tensor y = Tensor::from(target_values(target, split.training), {outcome.rows, target.outputs}, device);
  const std::vector<double> truth = target_values(target, split.testing);
  const transfer::TransferAdvisor advisor(device, source.model(), x, y);
  const auto add = [&](std::size_t policy, const std::vector<double>& predicted) {
    // Six digits, so that a kept setting and a fresh one agree to the last bit of the report.
    outcome.scores[policy].push_back(std::round(1e6 * score_of(target.task, predicted, truth, outputs)) / 1e6);
  };
  const solvers::RidgeFit scratch = leave_one_out_ridge(device, x, y);
  add(0, linear(test, scratch.coefficients, scratch.intercept));
  if (outcome.other_labels) {
    constexpr std::size_t mixed = 1;
    add(2, linear(test, advisor.candidate_coefficients(mixed), advisor.candidate_intercept(mixed)));
  } else {
    const double optimal = source.model().prior().penalty;
    const Tensor& centre = source.model().coefficients(optimal);
    add(1, linear(test, centre, source.model().intercept(optimal)));
    const solvers::RidgeFit drawn = leave_one_out_ridge(device, x, y, centre);
    add(2, linear(test, drawn.coefficients, drawn.intercept));
  }
  add(3, linear(test, advisor.coefficients(), advisor.intercept()));
  outcome.trust.push_back(std::round(1e6 * advisor.report().trust) / 1e6);
}

}  // namespace rtl::studies::linear_transfer

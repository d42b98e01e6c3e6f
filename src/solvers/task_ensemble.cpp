#include "rtl/solvers/task_ensemble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/core/error.hpp"
#include "solvers/dense.hpp"
#include "solvers/domain.hpp"
#include "solvers/find_minimum.hpp"

namespace rtl::solvers {
namespace {

void check_tasks(const char* call, std::int64_t tasks) {
  if (tasks == 0) throw ValueError(fmt::format("{}: there is no task yet; call add first", call));
}

/// K <- its `rank` strongest directions and a floor: the mean of the rest.
Dense low_rank_and_floor(Dense whitened, std::int64_t rank) {
  Eigen decomposed = eigen(std::move(whitened));
  const auto rest = decomposed.values.size() - static_cast<std::size_t>(rank);
  double sum = 0;
  for (std::size_t i = 0; i < rest; ++i) sum += std::max(decomposed.values[i], 0.0);
  const double floor = rest > 0 ? sum / static_cast<double>(rest) : 0;
  for (std::size_t i = 0; i < rest; ++i) decomposed.values[i] = floor;
  return spectral(decomposed, [](double value) { return std::max(value, 0.0); });
}

/// Eigenvalues up to the most negative one's magnitude are noise; the mean of their positive parts replaces them.
void edge_cut(std::vector<double>& ascending) {
  const double edge = std::max(-ascending.front(), 0.0);
  double sum = 0;
  std::size_t count = 0;
  while (count < ascending.size() && ascending[count] <= edge) sum += std::max(ascending[count++], 0.0);
  if (count == 0) return;
  std::fill_n(ascending.begin(), count, sum / static_cast<double>(count));
}

/// One task's part of an iteration: mu mu' - K Z' (Z K Z' + noise)^-1 Z K is added to `sum`.
void add_posterior(Dense& sum, const Dense& inputs, const Dense& targets, const Dense& whitened, double noise) {
  const std::int64_t n = inputs.rows(), p = inputs.columns();
  const Dense cross = multiply(inputs, whitened);  // Z K [n, p]
  Dense factor = multiply_transposed(cross, inputs);
  factor.symmetrize();
  factor.add_to_diagonal(noise);
  factor_cholesky(factor);
  Dense right(n, p + 1, inputs.host());  // [Z K, y]
  for (std::int64_t i = 0; i < n; ++i) {
    std::copy_n(cross.row(i), p, right.row(i));
    right(i, p) = targets(i, 0);
  }
  solve_cholesky(factor, right);
  Dense solved(n, p, inputs.host()), weights(n, 1, inputs.host());
  for (std::int64_t i = 0; i < n; ++i) {
    std::copy_n(right.row(i), p, solved.row(i));
    weights(i, 0) = right(i, p);
  }
  const Dense mean = transposed_multiply(cross, weights);  // mu [p, 1]
  multiply_into(sum, -1, cross, Transpose::yes, solved, Transpose::no, 1);
  multiply_into(sum, 1, mean, Transpose::no, mean, Transpose::yes, 1);
}

}  // namespace

TaskEnsemble::TaskEnsemble(ConstView sigma, double eigenvalue_floor) {
  whitener_ = square_roots("TaskEnsemble", sigma, eigenvalue_floor).inverse.tensor();
}

void TaskEnsemble::add(ConstView x, ConstView y) {
  const Dense inputs = dense_copy("TaskEnsemble::add", "x", x), targets = dense_copy("TaskEnsemble::add", "y", y);
  if (inputs.columns() != this->inputs() || targets.columns() != 1 || targets.rows() != inputs.rows()) {
    throw ShapeError(fmt::format("TaskEnsemble::add: x is {}, y is {}; they must be [n, {}] and [n]",
                                 x.shape().to_string(), y.shape().to_string(), this->inputs()));
  }
  if (inputs.rows() < 2) throw ValueError("TaskEnsemble::add: one row; a task needs at least two");
  const Dense whitener = dense_copy("TaskEnsemble::add", "whitener", whitener_);
  tasks_.push_back({multiply(inputs, whitener).tensor(), targets.tensor()});
}

TaskCovariance TaskEnsemble::finish(Tensor whitened, double noise) const {
  const Dense whitener = dense_copy("TaskEnsemble", "whitener", whitener_);
  Dense omega = multiply(multiply(whitener, dense_copy("TaskEnsemble", "whitened", whitened)), whitener);
  omega.symmetrize();
  return {std::move(whitened), omega.tensor(), noise};
}

TaskCovariance TaskEnsemble::moments(MomentCleaning cleaning) const {
  check_tasks("TaskEnsemble::moments", tasks());
  const Device& host = whitener_.device();
  Dense sum(inputs(), inputs(), host);
  for (const Task& task : tasks_) {
    const Dense z = dense_copy("TaskEnsemble", "inputs", task.inputs),
                y = dense_copy("TaskEnsemble", "targets", task.targets);
    Dense halves[2] = {Dense(inputs(), 1, host), Dense(inputs(), 1, host)};
    for (std::int64_t i = 0; i < z.rows(); ++i) {
      const std::int64_t rows_of_half = (z.rows() + 1 - i % 2) / 2;
      const double weight = y(i, 0) / static_cast<double>(rows_of_half);
      for (std::int64_t j = 0; j < inputs(); ++j) halves[i % 2](j, 0) += weight * z(i, j);
    }
    multiply_into(sum, 1, halves[0], Transpose::no, halves[1], Transpose::yes, 1);
  }
  sum.scale(1 / static_cast<double>(tasks()));
  sum.symmetrize();
  Eigen decomposed = eigen(std::move(sum));
  if (cleaning == MomentCleaning::floor) edge_cut(decomposed.values);
  return finish(spectral(decomposed, [](double value) { return std::max(value, 0.0); }).tensor(), 0);
}

PooledVariance TaskEnsemble::pooled() const {
  check_tasks("TaskEnsemble::pooled", tasks());
  std::vector<double> spectrum, squares;  // eigenvalues of all Z Z', squared targets along their eigenvectors
  for (const Task& task : tasks_) {
    const Dense z = dense_copy("TaskEnsemble", "inputs", task.inputs),
                y = dense_copy("TaskEnsemble", "targets", task.targets);
    Dense gram = multiply_transposed(z, z);
    gram.symmetrize();
    const Eigen decomposed = eigen(std::move(gram));
    const Dense rotated = multiply(decomposed.vectors, y);
    for (std::int64_t i = 0; i < z.rows(); ++i) {
      spectrum.push_back(std::max(decomposed.values[static_cast<std::size_t>(i)], 0.0));
      squares.push_back(rotated(i, 0) * rotated(i, 0));
    }
  }
  const auto count = static_cast<double>(spectrum.size());
  const auto noise_at = [&](double ratio) {
    double sum = 0;
    for (std::size_t i = 0; i < spectrum.size(); ++i) sum += squares[i] / (1 + ratio * spectrum[i]);
    return sum / count;
  };
  const double largest = *std::max_element(spectrum.begin(), spectrum.end());
  if (!(largest > 0) || !(noise_at(0) > 0)) {
    throw ValueError("TaskEnsemble::pooled: all inputs or all targets are 0");
  }
  const auto deviance = [&](double logarithm) {
    const double ratio = std::exp(logarithm);
    double sum = count * std::log(noise_at(ratio));
    for (const double value : spectrum) sum += std::log1p(ratio * value);
    return sum;
  };
  const double ratio = std::exp(find_minimum(deviance, std::log(1e-8 / largest), std::log(1e8 / largest)));
  const double noise = noise_at(ratio);
  return {noise, noise * ratio};
}

TaskCovariance TaskEnsemble::expectation_maximization(const EmOptions& options) const {
  constexpr const char* call = "TaskEnsemble::expectation_maximization";
  check_tasks(call, tasks());
  if (options.iterations < 1)
    throw ValueError(fmt::format("{}: {} iterations; take 1 or more", call, options.iterations));
  if (options.rank < 0 || options.rank > inputs()) {
    throw ValueError(
        fmt::format("{}: rank is {}; it must be between 1 and p = {}, or 0", call, options.rank, inputs()));
  }
  const PooledVariance start = pooled();
  const double noise = options.noise.value_or(start.noise);
  domain::positive(call, "noise", noise);
  Dense whitened = Dense::identity(inputs(), whitener_.device());
  whitened.scale(start.prior);
  for (int iteration = 0; iteration < options.iterations; ++iteration) {
    Dense sum(inputs(), inputs(), whitener_.device());
    for (const Task& task : tasks_) {
      add_posterior(sum, dense_copy(call, "inputs", task.inputs), dense_copy(call, "targets", task.targets), whitened,
                    noise);
    }
    sum.scale(1 / static_cast<double>(tasks()));
    for (std::size_t i = 0; i < whitened.values().size(); ++i) whitened.values()[i] += sum.values()[i];
    whitened.symmetrize();
    if (options.rank > 0) whitened = low_rank_and_floor(std::move(whitened), options.rank);
  }
  return finish(whitened.tensor(), noise);
}

}  // namespace rtl::solvers

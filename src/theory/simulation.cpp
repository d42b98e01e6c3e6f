#include "rtl/theory/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/theory/kappa.hpp"
#include "solvers/dense.hpp"
#include "solvers/domain.hpp"
#include "theory/basis_change.hpp"

namespace rtl::theory {

namespace domain = solvers::domain;
using solvers::Dense;
using solvers::Transpose;

namespace {

enum Stream : std::uint64_t { source_rows = 1, source_noise, target_rows, target_noise, feature_rows };

std::int64_t whole(const char* call, double samples) {
  if (samples != std::floor(samples)) {
    throw ValueError(fmt::format("{}: {} samples; a draw needs a whole number", call, samples));
  }
  return static_cast<std::int64_t>(samples);
}

/// Rows in the eigenbasis of their covariance: independent columns of variance s.
Dense scaled_rows(std::span<const double> scales, std::int64_t rows, std::uint64_t seed, std::uint64_t stream) {
  const auto p = static_cast<std::int64_t>(scales.size());
  Dense x(rows, p, Device::cpu());
  x.values() = standard_normals(seed, stream, rows * p);
  for (std::int64_t i = 0; i < rows; ++i) {
    double* row = x.row(i);
    for (std::int64_t j = 0; j < p; ++j) row[j] *= scales[static_cast<std::size_t>(j)];
  }
  return x;
}

Dense gaussian_rows(const Covariance& inputs, std::int64_t rows, std::uint64_t seed, std::uint64_t stream) {
  std::vector<double> deviations;
  for (const double s : inputs.eigenvalues()) deviations.push_back(std::sqrt(s));
  Dense x = scaled_rows(deviations, rows, seed, stream);
  if (inputs.is_diagonal()) return x;
  Dense vectors(inputs.dimension(), inputs.dimension(), x.host());
  vectors.values().assign(inputs.eigenvectors().begin(), inputs.eigenvectors().end());
  return multiply(x, vectors);
}

Dense column(const std::vector<double>& values) {
  Dense result(static_cast<std::int64_t>(values.size()), 1, Device::cpu());
  result.values() = values;
  return result;
}

std::vector<double> noise_of(double variance, std::int64_t count, std::uint64_t seed, std::uint64_t stream) {
  auto noise = standard_normals(seed, stream, count);
  for (double& value : noise) value *= std::sqrt(variance);
  return noise;
}

/// Ridge coefficients of every penalty in the columns [p, L], by one eigendecomposition.
Dense ridge_path(const Dense& x, const Dense& y, const std::vector<double>& penalties) {
  const bool dual = x.rows() < x.columns();
  const auto n = static_cast<double>(x.rows());
  Dense gram = dual ? multiply_transposed(x, x) : transposed_multiply(x, x);
  gram.symmetrize();
  const solvers::Eigen axes = solvers::eigen(std::move(gram));
  const Dense rotated = multiply(axes.vectors, dual ? y : transposed_multiply(x, y));
  Dense shrunk(rotated.rows(), static_cast<std::int64_t>(penalties.size()), rotated.host());
  for (std::int64_t i = 0; i < shrunk.rows(); ++i) {
    const double e = axes.values[static_cast<std::size_t>(i)];
    if (e <= 1e-12 * axes.values.back()) continue;
    for (std::int64_t l = 0; l < shrunk.columns(); ++l) {
      shrunk(i, l) = rotated(i, 0) / (e + n * penalties[static_cast<std::size_t>(l)]);
    }
  }
  const Dense back = transposed_multiply(axes.vectors, shrunk);
  return dual ? transposed_multiply(x, back) : back;
}

Dense source_path(const Dense& x0, const std::vector<double>& w0, std::span<const double> noise0,
                  const std::vector<double>& penalties) {
  Dense y0 = multiply(x0, column(w0));
  for (std::int64_t i = 0; i < y0.rows(); ++i) y0(i, 0) += noise0[static_cast<std::size_t>(i)];
  return ridge_path(x0, y0, penalties);
}

/// The linear map r -> (X'X + n penalty)^-1 X' r for several columns r.
class RidgeMap {
 public:
  RidgeMap(const Dense& x, double penalty) : x_(x), dual_(x.rows() < x.columns()) {
    factor_ = dual_ ? multiply_transposed(x, x) : transposed_multiply(x, x);
    factor_.symmetrize();
    factor_.add_to_diagonal(static_cast<double>(x.rows()) * penalty);
    factor_cholesky(factor_);
  }
  Dense operator()(Dense right) const {
    if (!dual_) right = transposed_multiply(x_, right);
    solve_cholesky(factor_, right);
    return dual_ ? transposed_multiply(x_, right) : right;
  }

 private:
  const Dense& x_;
  bool dual_;
  Dense factor_;
};

/// Columns times S^(1/2), in the eigenbasis of S, as rows: their inner products are those in S.
Dense weighted_rows(const Covariance& inputs, const Dense& columns) {
  Dense rows(columns.columns(), columns.rows(), columns.host());
  std::vector<double> vector(static_cast<std::size_t>(columns.rows()));
  for (std::int64_t j = 0; j < columns.columns(); ++j) {
    for (std::int64_t i = 0; i < columns.rows(); ++i) vector[static_cast<std::size_t>(i)] = columns(i, j);
    const auto coordinates = inputs.coordinates(vector);
    for (std::size_t i = 0; i < coordinates.size(); ++i) {
      rows(j, static_cast<std::int64_t>(i)) = coordinates[i] * std::sqrt(inputs.eigenvalues()[i]);
    }
  }
  return rows;
}

double inner(const Dense& rows, std::int64_t a, std::int64_t b) {
  return std::inner_product(rows.row(a), rows.row(a) + rows.columns(), rows.row(b), 0.0);
}

double inner(const Dense& a, const Dense& b) {
  return std::inner_product(a.values().begin(), a.values().end(), b.values().begin(), 0.0);
}

}  // namespace

std::vector<double> standard_normals(std::uint64_t seed, std::uint64_t stream, std::int64_t count) {
  domain::not_negative("standard_normals", "count", static_cast<double>(count));
  const Philox philox(seed, mix(0x6e6f726d616c, stream));
  std::vector<double> values(static_cast<std::size_t>(count) + 1);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); i += 2) {
    const PhiloxBlock bits = philox.block(i / 2);
    const auto uniform = [](std::uint64_t high, std::uint64_t low) {
      return static_cast<double>((high << 21) ^ (low >> 11)) * 0x1p-53;
    };
    const double radius = std::sqrt(-2 * std::log(1 - uniform(bits.word[0], bits.word[1])));
    const double angle = 2 * std::numbers::pi * uniform(bits.word[2], bits.word[3]);
    values[i] = radius * std::cos(angle);
    values[i + 1] = radius * std::sin(angle);
  }
  values.resize(static_cast<std::size_t>(count));
  return values;
}

Tensor gaussian_inputs(const Covariance& inputs, std::int64_t rows, std::uint64_t seed, std::uint64_t stream) {
  domain::positive("gaussian_inputs", "rows", static_cast<double>(rows));
  return gaussian_rows(inputs, rows, seed, stream).tensor();
}

std::size_t TransferDraw::checked(std::int64_t index) const {
  if (index >= 0 && index < penalties()) return static_cast<std::size_t>(index);
  throw ValueError(fmt::format("TransferDraw: there is no source penalty {}; there are {}", index, penalties()));
}

double TransferDraw::source_risk(std::int64_t index) const { return source_risk_[checked(index)]; }

double TransferDraw::transfer_risk(std::int64_t index, double alignment, double scale) const {
  const std::size_t i = checked(index);
  return scale * scale * aa_[i] - 2 * scale * alignment * ab_[i] + 2 * scale * ac_[i] + rest(alignment);
}

TransferSimulation::TransferSimulation(Covariance source_inputs, std::vector<double> w0, Covariance target_inputs,
                                       std::vector<double> apart, const RidgeSetting& source,
                                       const RidgeSetting& target, std::vector<double> penalties)
    : source_inputs_(std::move(source_inputs)),
      target_inputs_(std::move(target_inputs)),
      w0_(std::move(w0)),
      apart_(std::move(apart)),
      source_(source),
      target_(target),
      penalties_(std::move(penalties)) {
  const LinearTransfer formula(source_inputs_, w0_, target_inputs_, apart_);  // checks the sizes and values
  formula.risk({source.samples, source.noise, 1}, {target.samples, target.noise, target.penalty});
  whole("TransferSimulation", source.samples);
  whole("TransferSimulation", target.samples);
  domain::spectrum("TransferSimulation", "penalties", penalties_);
}

TransferDraw TransferSimulation::draw(std::uint64_t seed) const {
  const auto n0 = static_cast<std::int64_t>(source_.samples), n1 = static_cast<std::int64_t>(target_.samples);
  const Dense x0 = gaussian_rows(source_inputs_, n0, seed, source_rows);
  const Dense x1 = gaussian_rows(target_inputs_, n1, seed, target_rows);
  const Dense fits = source_path(x0, w0_, noise_of(source_.noise, n0, seed, source_noise), penalties_);
  return evaluate(fits.view(), x1.view(), noise_of(target_.noise, n1, seed, target_noise));
}

Tensor TransferSimulation::fit_source(ConstView inputs, std::span<const double> noise0) const {
  constexpr const char* call = "TransferSimulation::fit_source";
  const Dense x0 = solvers::dense_copy(call, "x0", inputs);
  if (x0.columns() != static_cast<std::int64_t>(w0_.size())) {
    throw ShapeError(fmt::format("{}: x0 is {}; it must be [n, {}]", call, inputs.shape().to_string(), w0_.size()));
  }
  domain::count(call, "noise0", noise0.size(), static_cast<std::size_t>(x0.rows()));
  return source_path(x0, w0_, noise0, penalties_).tensor();
}

TransferDraw TransferSimulation::evaluate(ConstView source_fits, ConstView inputs,
                                          std::span<const double> noise1) const {
  constexpr const char* call = "TransferSimulation::evaluate";
  const Dense fits = solvers::dense_copy(call, "source_fits", source_fits),
              x1 = solvers::dense_copy(call, "x1", inputs);
  const Dense w0 = column(w0_);
  const std::int64_t count = static_cast<std::int64_t>(penalties_.size()), p = w0.rows();
  if (fits.rows() != p || fits.columns() != count || x1.columns() != p) {
    throw ShapeError(fmt::format("{}: source_fits is {}, x1 is {}; they must be [{}, {}] and [n, {}]", call,
                                 source_fits.shape().to_string(), inputs.shape().to_string(), p, count, p));
  }
  domain::count(call, "noise1", noise1.size(), static_cast<std::size_t>(x1.rows()));

  // Columns: the source fits, w0, w_perp. What the target's fit leaves of them is v - R X v.
  Dense columns(p, count + 2, fits.host()), errors(p, count, fits.host());
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t l = 0; l < count; ++l) {
      columns(i, l) = fits(i, l);
      errors(i, l) = fits(i, l) - w0(i, 0);
    }
    columns(i, count) = w0(i, 0);
    columns(i, count + 1) = apart_[static_cast<std::size_t>(i)];
  }
  const RidgeMap fit(x1, target_.penalty);
  const Dense learnt = fit(multiply(x1, columns));
  const Dense noise = fit(column({noise1.begin(), noise1.end()}));
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t l = 0; l < count + 2; ++l) columns(i, l) -= learnt(i, l);
    columns(i, count + 1) = noise(i, 0) - columns(i, count + 1);
  }

  TransferDraw draw;
  const Dense source_rows_weighted = weighted_rows(source_inputs_, errors);
  const Dense rows = weighted_rows(target_inputs_, columns);
  for (std::int64_t l = 0; l < count; ++l) {
    draw.source_risk_.push_back(inner(source_rows_weighted, l, l));
    draw.aa_.push_back(inner(rows, l, l));
    draw.ab_.push_back(inner(rows, l, count));
    draw.ac_.push_back(inner(rows, l, count + 1));
  }
  draw.bb_ = inner(rows, count, count);
  draw.bc_ = inner(rows, count, count + 1);
  draw.cc_ = inner(rows, count + 1, count + 1);
  return draw;
}

FeatureSimulation::FeatureSimulation(const Covariance& features, const Covariance& tasks, double noise, double penalty,
                                     std::int64_t samples)
    : noise_(noise), penalty_(penalty), samples_(samples) {
  domain::not_negative("FeatureSimulation", "noise", noise);
  domain::count("FeatureSimulation", "tasks", tasks.eigenvalues().size(), features.eigenvalues().size());
  const EffectivePenalty level = effective_penalty(features.eigenvalues(), penalty, static_cast<double>(samples));
  const std::int64_t p = features.dimension();
  for (std::int64_t i = 0; i < p; ++i) {
    const double k = features.eigenvalues()[static_cast<std::size_t>(i)];
    if (is_negligible(k, level)) continue;
    active_.push_back(i);
    scales_.push_back(std::sqrt(k));
  }
  if (active_.empty()) throw ValueError("FeatureSimulation: features is 0; there is nothing to fit");
  // Column j: sqrt(t_j) times eigenvector j of T, in the eigenbasis of K; task_root task_root' = T.
  Dense root(p, p, Device::cpu());
  const auto change = basis_change(tasks, features);
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t j = 0; j < p; ++j) {
      const double turned = change.empty() ? (i == j ? 1.0 : 0.0) : change[static_cast<std::size_t>(i * p + j)];
      root(i, j) = turned * std::sqrt(tasks.eigenvalues()[static_cast<std::size_t>(j)]);
    }
  }
  task_root_ = root.tensor();
}

FeatureDraw FeatureSimulation::draw(std::uint64_t seed) const {
  const Dense root = solvers::dense_copy("FeatureSimulation", "task_root", task_root_);
  const std::int64_t p = root.rows(), q = static_cast<std::int64_t>(active_.size());
  Dense missed[2];  // what each fit leaves of the tasks, (I - L) T^(1/2)
  double noise_gain = 0;
  for (std::uint64_t half = 0; half < 2; ++half) {
    const Dense z =
        scaled_rows(std::vector<double>(static_cast<std::size_t>(p), 1.0), samples_, seed, feature_rows + half);
    Dense features(samples_, q, z.host());
    for (std::int64_t i = 0; i < samples_; ++i) {
      for (std::int64_t j = 0; j < q; ++j) {
        features(i, j) = z(i, active_[static_cast<std::size_t>(j)]) * scales_[static_cast<std::size_t>(j)];
      }
    }
    const RidgeMap fit(features, penalty_);
    const auto coefficients = [&](Dense right) {  // theta, brought to the eigenbasis of K
      Dense theta = fit(std::move(right));
      for (std::int64_t j = 0; j < q; ++j) {
        for (std::int64_t c = 0; c < theta.columns(); ++c) theta(j, c) *= scales_[static_cast<std::size_t>(j)];
      }
      return theta;
    };
    const Dense noise = coefficients(Dense::identity(samples_, z.host())), learnt = coefficients(multiply(z, root));
    noise_gain += inner(noise, noise) / 2;
    missed[half] = root;
    for (std::int64_t j = 0; j < q; ++j) {
      double* row = missed[half].row(active_[static_cast<std::size_t>(j)]);
      for (std::int64_t c = 0; c < p; ++c) row[c] -= learnt(j, c);
    }
  }
  FeatureDraw draw;
  draw.bias = inner(missed[0], missed[1]);
  draw.input_variance = (inner(missed[0], missed[0]) + inner(missed[1], missed[1])) / 2 - draw.bias;
  draw.interaction_variance = noise_ * noise_gain;
  draw.risk = draw.bias + draw.input_variance + draw.interaction_variance + noise_;
  return draw;
}

Average average(std::span<const double> values) {
  if (values.size() < 2) throw ValueError("average: fewer than two values have no standard error");
  const auto count = static_cast<double>(values.size());
  Average result;
  for (const double value : values) result.mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.error = std::sqrt(squares / (count - 1) / count);
  return result;
}

}  // namespace rtl::theory

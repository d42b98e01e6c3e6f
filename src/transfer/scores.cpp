#include "rtl/transfer/scores.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "solvers/dense.hpp"
#include "solvers/find_minimum.hpp"
#include "transfer/features.hpp"

namespace rtl::transfer {
namespace {

using solvers::Dense;

std::vector<std::int32_t> checked_labels(const char* call, ConstView labels, std::int64_t rows, std::int64_t classes) {
  if (!labels.given() || labels.rank() != 1 || labels.extent(0) != rows) {
    throw ShapeError(fmt::format("{}: labels {} for {} samples; they must be [samples]", call,
                                 labels.given() ? labels.shape().to_string() : "that are absent", rows));
  }
  if (labels.dtype() != DType::i32) {
    throw DTypeError(fmt::format("{}: labels are {}; they must be i32", call, name_of(labels.dtype())));
  }
  std::vector<std::int32_t> values(static_cast<std::size_t>(rows));
  const Device host = labels.device().host();
  copy_bytes(labels, View(values.data(), DType::i32, labels.shape(), host));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= 0 && values[i] < classes) continue;
    throw ValueError(
        fmt::format("{}: the label of sample {} is {}; there are {} classes", call, i, values[i], classes));
  }
  return values;
}

/// Labels of a target, of which two classes occur at least.
std::vector<std::int32_t> target_labels(const char* call, ConstView labels, std::int64_t rows, std::int64_t classes) {
  std::vector<std::int32_t> values = checked_labels(call, labels, rows, classes);
  if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end()) {
    throw ValueError(fmt::format("{}: all samples are of one class; at least two are needed", call));
  }
  return values;
}

/// Rows of each class that occurs.
std::vector<std::vector<std::int64_t>> rows_of_classes(const std::vector<std::int32_t>& labels, std::int64_t classes) {
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    rows[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::int64_t>(i));
  }
  std::erase_if(rows, [](const auto& of_class) { return of_class.empty(); });
  return rows;
}

/// Takes each column's mean away; a column of one value becomes exactly zero.
void centre(Dense& x) {
  for (std::int64_t j = 0; j < x.columns(); ++j) {
    double sum = 0, low = x(0, j), high = x(0, j);
    for (std::int64_t i = 0; i < x.rows(); ++i) {
      sum += x(i, j);
      low = std::min(low, x(i, j));
      high = std::max(high, x(i, j));
    }
    const double mean = low == high ? low : sum / static_cast<double>(x.rows());
    for (std::int64_t i = 0; i < x.rows(); ++i) x(i, j) -= mean;
  }
}

/// The singular values of a matrix that are not roundoff, with their left vectors in the rows.
struct LeftVectors {
  std::vector<double> values;
  Dense vectors;  ///< [rank, n]
};

LeftVectors left_vectors(const Dense& x) {
  const std::int64_t n = x.rows(), p = x.columns(), q = std::min(n, p);
  const Device& host = x.host();
  Tensor a = x.tensor(), u({n, q}, DType::f64, host), values({q}, DType::f64, host), vt({q, p}, DType::f64, host);
  kernels::svd(host, a, u, values, vt);
  LeftVectors kept{values.to_vector<double>(), {}};
  const double roundoff = static_cast<double>(std::max(n, p)) * std::numeric_limits<double>::epsilon();
  const double least = roundoff * kept.values.front();
  std::erase_if(kept.values, [&](double value) { return !(value > least); });
  const std::vector<double> all = u.to_vector<double>();
  kept.vectors = Dense(static_cast<std::int64_t>(kept.values.size()), n, host);
  for (std::int64_t k = 0; k < kept.vectors.rows(); ++k) {
    for (std::int64_t i = 0; i < n; ++i) kept.vectors(k, i) = all[static_cast<std::size_t>(i * q + k)];
  }
  return kept;
}

/// sum over classes c of (u' z_c)^2 / n_c, z_c being 1 at the samples of the class: of each left vector u, how much of
/// it lies in the span of the classes.
std::vector<double> between_classes(const LeftVectors& left, const std::vector<std::vector<std::int64_t>>& classes) {
  std::vector<double> shares;
  for (std::int64_t k = 0; k < left.vectors.rows(); ++k) {
    double share = 0;
    for (const auto& rows : classes) {
      double sum = 0;
      for (const std::int64_t row : rows) sum += left.vectors(k, row);
      share += sum * sum / static_cast<double>(rows.size());
    }
    shares.push_back(share);
  }
  return shares;
}

/// The logarithm of the evidence of one column y over n, at its largest. With lambda = alpha / beta the best beta is
/// n / Q, Q = y' (I + X X' / lambda)^-1 y.
double best_evidence(const LeftVectors& left, const std::vector<double>& y) {
  const auto n = static_cast<double>(y.size());
  double rest = 0;
  for (const double value : y) rest += value * value;
  const double squares = rest;
  std::vector<double> along;
  for (std::int64_t k = 0; k < left.vectors.rows(); ++k) {
    double product = 0;
    for (std::size_t i = 0; i < y.size(); ++i) product += left.vectors(k, static_cast<std::int64_t>(i)) * y[i];
    along.push_back(product * product);
    rest -= along.back();
  }
  rest = std::max(rest, 0.0);
  const auto evidence = [&](double log_lambda) {
    const double lambda = std::exp(log_lambda);
    double fit = rest, determinant = 0;
    for (std::size_t k = 0; k < along.size(); ++k) {
      const double eigenvalue = left.values[k] * left.values[k];
      fit += along[k] * lambda / (lambda + eigenvalue);
      determinant += std::log1p(eigenvalue / lambda);
    }
    return (std::log(n / fit) - 1 - std::log(2 * std::numbers::pi) - determinant / n) / 2;
  };
  // No penalty stands for no features at all.
  double best = (std::log(n / squares) - 1 - std::log(2 * std::numbers::pi)) / 2;
  if (along.empty()) return best;
  constexpr int steps = 240;
  const double middle = 2 * std::log(left.values.front()), reach = 12 * std::numbers::ln10, step = 2 * reach / steps;
  double found = middle;
  for (int i = 0; i <= steps; ++i) {
    const double at = middle - reach + i * step;
    if (const double value = evidence(at); value > best) {
      best = value;
      found = at;
    }
  }
  const double low = std::max(found - step, middle - reach), high = std::min(found + step, middle + reach);
  return std::max(best, evidence(solvers::find_minimum([&](double at) { return -evidence(at); }, low, high)));
}

double coding_rate(const Dense& z, double epsilon) {
  const bool wide = z.columns() > z.rows();
  Dense gram = wide ? solvers::multiply_transposed(z, z) : solvers::transposed_multiply(z, z);
  gram.scale(1 / (static_cast<double>(z.rows()) * epsilon));
  gram.add_to_diagonal(1);
  solvers::factor_cholesky(gram);
  double rate = 0;
  for (std::int64_t i = 0; i < gram.rows(); ++i) rate += std::log(gram(i, i));
  return rate;
}

/// Of centred features.
double shrinkage_of(const Dense& x) {
  const auto n = static_cast<double>(x.rows()), p = static_cast<double>(x.columns());
  const bool wide = x.columns() > x.rows();
  const Dense gram = wide ? solvers::multiply_transposed(x, x) : solvers::transposed_multiply(x, x);
  double squares = 0, fourth = 0;  // |X'X|^2, and the sum of the rows' norms to the fourth
  for (const double value : gram.values()) squares += value * value;
  for (std::int64_t i = 0; i < x.rows(); ++i) {
    double norm = 0;
    for (std::int64_t j = 0; j < x.columns(); ++j) norm += x(i, j) * x(i, j);
    fourth += norm * norm;
  }
  const double trace = gram.trace() / n, covariance = squares / (n * n);
  const double apart = (covariance - trace * trace / p) / p, noise = (fourth / n - covariance) / (p * n);
  if (!(noise > 0)) return 0;
  return apart > noise ? noise / apart : 1;
}

}  // namespace

double leep(ConstView source_logits, ConstView labels, std::int64_t classes) {
  Dense theta = solvers::dense_copy("leep", "the source's logits", source_logits);
  const std::vector<std::int32_t> y = target_labels("leep", labels, theta.rows(), classes);
  Dense joint(classes, theta.columns(), theta.host());
  std::vector<double> marginal(static_cast<std::size_t>(theta.columns()));
  for (std::int64_t i = 0; i < theta.rows(); ++i) {
    double* const row = theta.row(i);
    const double largest = *std::max_element(row, row + theta.columns());
    double sum = 0;
    for (std::int64_t z = 0; z < theta.columns(); ++z) sum += row[z] = std::exp(row[z] - largest);
    for (std::int64_t z = 0; z < theta.columns(); ++z) {
      row[z] /= sum;
      joint(y[static_cast<std::size_t>(i)], z) += row[z];
      marginal[static_cast<std::size_t>(z)] += row[z];
    }
  }
  double total = 0;
  for (std::int64_t i = 0; i < theta.rows(); ++i) {
    double probability = 0;
    for (std::int64_t z = 0; z < theta.columns(); ++z) {
      const double all = marginal[static_cast<std::size_t>(z)];
      if (all > 0) probability += joint(y[static_cast<std::size_t>(i)], z) / all * theta(i, z);
    }
    total += std::log(probability);
  }
  return total / static_cast<double>(theta.rows());
}

double nce(ConstView source_labels, std::int64_t source_classes, ConstView labels, std::int64_t classes) {
  const std::int64_t n = source_labels.given() && source_labels.rank() == 1 ? source_labels.extent(0) : 0;
  if (n == 0) throw ShapeError("nce: there are no classes of the source, which must be i32 [samples]");
  const std::vector<std::int32_t> z = checked_labels("nce", source_labels, n, source_classes);
  const std::vector<std::int32_t> y = target_labels("nce", labels, n, classes);
  std::vector<double> joint(static_cast<std::size_t>(source_classes * classes));
  std::vector<double> marginal(static_cast<std::size_t>(source_classes));
  const auto at = [&](std::size_t i) { return static_cast<std::size_t>(z[i] * classes + y[i]); };
  for (std::size_t i = 0; i < y.size(); ++i) {
    joint[at(i)] += 1;
    marginal[static_cast<std::size_t>(z[i])] += 1;
  }
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += std::log(joint[at(i)] / marginal[static_cast<std::size_t>(z[i])]);
  return sum / static_cast<double>(n);
}

double log_me(ConstView features, ConstView labels, std::int64_t classes) {
  const Dense x = solvers::dense_copy("log_me", "features", features);
  const auto rows = rows_of_classes(target_labels("log_me", labels, x.rows(), classes), classes);
  const LeftVectors left = left_vectors(x);
  double sum = 0;
  for (const auto& of_class : rows) {
    std::vector<double> y(static_cast<std::size_t>(x.rows()));
    for (const std::int64_t row : of_class) y[static_cast<std::size_t>(row)] = 1;
    sum += best_evidence(left, y);
  }
  return sum / static_cast<double>(rows.size());
}

double log_me_regression(ConstView features, ConstView targets) {
  const Dense x = solvers::dense_copy("log_me_regression", "features", features);
  const Dense y = solvers::dense_copy("log_me_regression", "targets", targets);
  if (y.rows() != x.rows()) {
    throw ShapeError(fmt::format("log_me_regression: {} targets for {} samples", y.rows(), x.rows()));
  }
  const LeftVectors left = left_vectors(x);
  double sum = 0;
  for (std::int64_t j = 0; j < y.columns(); ++j) {
    std::vector<double> column;
    for (std::int64_t i = 0; i < y.rows(); ++i) column.push_back(y(i, j));
    if (std::adjacent_find(column.begin(), column.end(), std::not_equal_to<>()) == column.end()) {
      throw ValueError(fmt::format("log_me_regression: target {} is {} in all samples", j, column.front()));
    }
    sum += best_evidence(left, column);
  }
  return sum / static_cast<double>(y.columns());
}

double ledoit_wolf_shrinkage(ConstView features) {
  Dense x = solvers::dense_copy("ledoit_wolf_shrinkage", "features", features);
  centre(x);
  return shrinkage_of(x);
}

double h_score(ConstView features, ConstView labels, std::int64_t classes, HScoreForm form) {
  Dense x = solvers::dense_copy("h_score", "features", features);
  const auto rows = rows_of_classes(target_labels("h_score", labels, x.rows(), classes), classes);
  centre(x);
  const LeftVectors left = left_vectors(x);
  const std::vector<double> shares = between_classes(left, rows);
  double sum = 0;
  if (form == HScoreForm::plain) {
    for (const double share : shares) sum += share;
    return sum;
  }
  const double shrinkage = shrinkage_of(x), n = static_cast<double>(x.rows());
  double trace = 0;
  for (const double value : left.values) trace += value * value / n;
  const double added = shrinkage * trace / static_cast<double>(x.columns());
  for (std::size_t k = 0; k < shares.size(); ++k) {
    const double kept = (1 - shrinkage) * left.values[k] * left.values[k] / n;
    sum += shares[k] * kept / (kept + added);
  }
  return sum;
}

double transrate(ConstView features, ConstView labels, std::int64_t classes, double epsilon) {
  if (!(epsilon > 0)) throw ValueError(fmt::format("transrate: epsilon is {}; it must be above 0", epsilon));
  Dense z = solvers::dense_copy("transrate", "features", features);
  const auto rows = rows_of_classes(target_labels("transrate", labels, z.rows(), classes), classes);
  centre(z);
  double within = 0;
  for (const auto& of_class : rows) {
    Dense part(static_cast<std::int64_t>(of_class.size()), z.columns(), z.host());
    for (std::size_t i = 0; i < of_class.size(); ++i) {
      std::copy_n(z.row(of_class[i]), z.columns(), part.row(static_cast<std::int64_t>(i)));
    }
    within += coding_rate(part, epsilon);
  }
  return coding_rate(z, epsilon) - within / static_cast<double>(rows.size());
}

Transferability transferability(const FrozenSource& source, const data::Dataset& train, FeatureCache* cache) {
  train.validate(false);
  const Tensor features = detail::find_tables({source}, train, cache).front()->gather(nullptr, train.device());
  Transferability found;
  if (train.is_regression()) {
    found.log_me = log_me_regression(features, train.targets);
    return found;
  }
  found.log_me = log_me(features, train.labels, train.classes);
  found.h_score = h_score(features, train.labels, train.classes);
  found.h_score_shrunk = h_score(features, train.labels, train.classes, HScoreForm::shrunk);
  found.transrate = transrate(features, train.labels, train.classes);
  const bool real = source.task() && source.task()->regression;
  if (real || source.classes() < 2) return found;
  const Tensor logits = source.logits(train);
  found.leep = leep(logits, train.labels, train.classes);
  const std::vector<float> values = logits.to_vector<float>();
  std::vector<std::int32_t> named;
  for (auto row = values.begin(); row != values.end(); row += source.classes()) {
    named.push_back(static_cast<std::int32_t>(std::max_element(row, row + source.classes()) - row));
  }
  const auto samples = static_cast<std::int64_t>(named.size());
  found.nce =
      nce(Tensor::from(named, {samples}, logits.device().host()), source.classes(), train.labels, train.classes);
  return found;
}

}  // namespace rtl::transfer

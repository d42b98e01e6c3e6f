#include "rtl/solvers/importance_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "rtl/core/error.hpp"
#include "solvers/dense.hpp"

namespace rtl::solvers {
namespace {

double squared_distance(const double* a, const double* b, std::int64_t columns) {
  double sum = 0;
  for (std::int64_t j = 0; j < columns; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

Dense kernels_between(const Dense& a, const Dense& b, double width) {
  Dense k(a.rows(), b.rows(), a.host());
  for (std::int64_t i = 0; i < a.rows(); ++i) {
    for (std::int64_t j = 0; j < b.rows(); ++j) {
      k(i, j) = std::exp(-squared_distance(a.row(i), b.row(j), a.columns()) / (2 * width * width));
    }
  }
  return k;
}

/// At most `count` rows, evenly spaced.
Dense spaced_rows(const Dense& x, std::int64_t count) {
  const std::int64_t kept = std::min(count, x.rows());
  Dense rows(kept, x.columns(), x.host());
  for (std::int64_t i = 0; i < kept; ++i) std::copy_n(x.row(i * x.rows() / kept), x.columns(), rows.row(i));
  return rows;
}

double median_distance_of(const char* call, const Dense& x) {
  const Dense rows = spaced_rows(x, 500);
  std::vector<double> distances;
  for (std::int64_t i = 0; i < rows.rows(); ++i) {
    for (std::int64_t j = 0; j < i; ++j) distances.push_back(squared_distance(rows.row(i), rows.row(j), x.columns()));
  }
  if (distances.empty()) throw ValueError(fmt::format("{}: one row has no distances", call));
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  if (!(*middle > 0)) throw ValueError(fmt::format("{}: most rows are alike; give a width", call));
  return std::sqrt(*middle);
}

void check_columns(const char* call, const Dense& a, const Dense& b) {
  if (a.columns() == b.columns()) return;
  throw ShapeError(fmt::format("{}: samples of {} and of {} numbers", call, a.columns(), b.columns()));
}

void check_positive(const char* call, const char* name, double value) {
  if (value > 0 && std::isfinite(value)) return;
  throw ValueError(fmt::format("{}: {} is {}; it must be above 0", call, name, value));
}

/// What fits with one width have in common.
struct RatioProblem {
  Dense numerator, denominator;  ///< kernels [m, b], [n, b]
  Dense second;                  ///< H [b, b]
  std::vector<double> first;     ///< h
};

RatioProblem ratio_problem(const Dense& numerator, const Dense& denominator, const Dense& centres, double width) {
  RatioProblem problem{
      kernels_between(numerator, centres, width), kernels_between(denominator, centres, width), {}, {}};
  problem.second = transposed_multiply(problem.denominator, problem.denominator);
  problem.second.scale(1 / static_cast<double>(denominator.rows()));
  problem.first.resize(static_cast<std::size_t>(centres.rows()));
  for (std::int64_t i = 0; i < numerator.rows(); ++i) {
    for (std::int64_t l = 0; l < centres.rows(); ++l) {
      problem.first[static_cast<std::size_t>(l)] += problem.numerator(i, l) / static_cast<double>(numerator.rows());
    }
  }
  return problem;
}

/// (H + penalty I)^-1 of columns.
Dense solved(const RatioProblem& problem, double penalty, Dense columns) {
  Dense factor = problem.second;
  factor.add_to_diagonal(penalty);
  factor_cholesky(factor);
  solve_cholesky(factor, columns);
  return columns;
}

/// [h, the first `count` rows of denominator and numerator as columns].
Dense right_sides(const RatioProblem& problem, std::int64_t count) {
  const std::int64_t b = problem.second.rows();
  Dense right(b, 1 + 2 * count, problem.second.host());
  for (std::int64_t l = 0; l < b; ++l) {
    right(l, 0) = problem.first[static_cast<std::size_t>(l)];
    for (std::int64_t i = 0; i < count; ++i) {
      right(l, 1 + i) = problem.denominator(i, l);
      right(l, 1 + count + i) = problem.numerator(i, l);
    }
  }
  return right;
}

/// The mean over i of r(d_i)^2 / 2 - r(n_i), r being fitted without the i-th rows d_i and n_i: docs/theory.md, "Density
/// ratios without a row".
double left_out_score(const RatioProblem& problem, double penalty) {
  const auto m = static_cast<double>(problem.numerator.rows()), n = static_cast<double>(problem.denominator.rows());
  const std::int64_t count = std::min(problem.numerator.rows(), problem.denominator.rows());
  const std::int64_t b = problem.second.rows();
  const Dense right = right_sides(problem, count);
  const Dense left = solved(problem, penalty * (n - 1) / n, right);
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at_x = 1 + i, at_y = 1 + count + i;
    double xx = 0, hx = 0, yx = 0;
    for (std::int64_t l = 0; l < b; ++l) {
      xx += right(l, at_x) * left(l, at_x);
      hx += right(l, 0) * left(l, at_x);
      yx += right(l, at_y) * left(l, at_x);
    }
    double of_denominator = 0, of_numerator = 0;
    for (std::int64_t l = 0; l < b; ++l) {
      const double of_mean = left(l, 0) + left(l, at_x) * hx / (n - xx);
      const double of_row = left(l, at_y) + left(l, at_x) * yx / (n - xx);
      const double coefficient = std::max(0.0, (n - 1) / (n * (m - 1)) * (m * of_mean - of_row));
      of_denominator += coefficient * right(l, at_x);
      of_numerator += coefficient * right(l, at_y);
    }
    total += of_denominator * of_denominator / 2 - of_numerator;
  }
  return total / static_cast<double>(count);
}

/// The projection onto 0 <= w <= largest, low <= sum w <= high: v less one number, cut off.
std::vector<double> projected(const std::vector<double>& v, double largest, double low, double high) {
  const auto cut = [&](double shift) {
    std::vector<double> w(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) w[i] = std::clamp(v[i] - shift, 0.0, largest);
    return w;
  };
  const auto sum_of = [](const std::vector<double>& w) { return std::accumulate(w.begin(), w.end(), 0.0); };
  std::vector<double> w = cut(0);
  const double sum = sum_of(w), wanted = std::clamp(sum, low, high);
  if (sum == wanted) return w;
  const auto [least, most] = std::minmax_element(v.begin(), v.end());
  double below = *least - largest, above = *most;  // shifts with every weight at its largest, and at zero
  for (int i = 0; i < 200 && below < above; ++i) {
    const double middle = below + (above - below) / 2;
    if (middle == below || middle == above) break;
    (sum_of(cut(middle)) > wanted ? below : above) = middle;
  }
  return cut(above);
}

/// The least g'w over the same set: the largest weights where g is least.
double least_product(const std::vector<double>& g, double largest, double low, double high) {
  std::vector<double> sorted = g;
  std::sort(sorted.begin(), sorted.end());
  double sum = 0, product = 0;
  for (const double value : sorted) {
    const double room = (value < 0 ? high : low) - sum;
    if (room <= 0) break;
    const double weight = std::min(largest, room);
    sum += weight;
    product += weight * value;
  }
  return product;
}

std::vector<double> times(const Dense& k, const std::vector<double>& w) {
  std::vector<double> result(static_cast<std::size_t>(k.rows()));
  for (std::int64_t i = 0; i < k.rows(); ++i) {
    result[static_cast<std::size_t>(i)] = std::inner_product(w.begin(), w.end(), k.row(i), 0.0);
  }
  return result;
}

double mean_of(const Dense& k) {
  return std::accumulate(k.values().begin(), k.values().end(), 0.0) / static_cast<double>(k.values().size());
}

}  // namespace

double median_distance(ConstView rows) {
  return median_distance_of("median_distance", dense_copy("median_distance", "rows", rows));
}

Tensor DensityRatio::operator()(ConstView rows) const {
  const Dense x = dense_copy("DensityRatio", "rows", rows), c = dense_copy("DensityRatio", "centres", centres);
  check_columns("DensityRatio", x, c);
  return Tensor::from(times(kernels_between(x, c, width), coefficients.to_vector<double>()), {x.rows()},
                      centres.device());
}

DensityRatio fit_density_ratio(ConstView numerator, ConstView denominator, const DensityRatioOptions& options) {
  constexpr const char* call = "fit_density_ratio";
  const Dense top = dense_copy(call, "the numerator", numerator),
              bottom = dense_copy(call, "the denominator", denominator);
  check_columns(call, top, bottom);
  if (top.rows() < 2 || bottom.rows() < 2) {
    throw ValueError(fmt::format("{}: {} and {} rows; two of each are needed", call, top.rows(), bottom.rows()));
  }
  check_positive(call, "the number of centres", static_cast<double>(options.centres));
  if (options.penalties.empty()) throw ValueError(fmt::format("{}: there are no penalties to choose from", call));
  std::vector<double> widths = options.widths;
  if (widths.empty()) {
    for (const double factor : {0.25, 0.5, 1.0, 2.0, 4.0}) widths.push_back(factor * median_distance_of(call, top));
  }
  const Dense centres = spaced_rows(top, options.centres);
  DensityRatio best;
  best.score = std::numeric_limits<double>::infinity();
  for (const double width : widths) {
    check_positive(call, "a width", width);
    const RatioProblem problem = ratio_problem(top, bottom, centres, width);
    for (const double penalty : options.penalties) {
      check_positive(call, "a penalty", penalty);
      const double score = left_out_score(problem, penalty);
      if (score >= best.score) continue;
      best.width = width;
      best.penalty = penalty;
      best.score = score;
    }
  }
  const RatioProblem problem = ratio_problem(top, bottom, centres, best.width);
  std::vector<double> coefficients = solved(problem, best.penalty, right_sides(problem, 0)).values();
  for (double& value : coefficients) value = std::max(value, 0.0);
  best.centres = centres.tensor();
  best.coefficients = Tensor::from(coefficients, {centres.rows()}, centres.host());
  return best;
}

MeanMatching match_means(ConstView source, ConstView target, const MeanMatchingOptions& options) {
  constexpr const char* call = "match_means";
  const Dense s = dense_copy(call, "the source", source), t = dense_copy(call, "the target", target);
  check_columns(call, s, t);
  const auto n = static_cast<double>(s.rows());
  const double width = options.width == 0 ? median_distance_of(call, s) : options.width;
  check_positive(call, "the width", width);
  check_positive(call, "the precision", options.precision);
  const double slack = options.slack < 0 ? (std::sqrt(n) - 1) / std::sqrt(n) : options.slack;
  const double low = n * std::max(0.0, 1 - slack), high = n * (1 + slack);
  if (!(options.largest > 0 && options.largest * n >= low)) {
    throw ValueError(fmt::format("{}: no weights up to {} have a mean of 1 within {}", call, options.largest, slack));
  }
  // Half of the objective times n^2: w'Kw / 2 - w'k, k_i = n mean_j k(s_i, t_j).
  const Dense k = kernels_between(s, s, width), between = kernels_between(s, t, width);
  std::vector<double> linear(static_cast<std::size_t>(s.rows()));
  for (std::int64_t i = 0; i < s.rows(); ++i) {
    linear[static_cast<std::size_t>(i)] =
        n * std::accumulate(between.row(i), between.row(i) + t.rows(), 0.0) / static_cast<double>(t.rows());
  }
  double steepest = 0;  // the largest sum of a row bounds the eigenvalues
  for (std::int64_t i = 0; i < s.rows(); ++i) {
    steepest = std::max(steepest, std::accumulate(k.row(i), k.row(i) + s.rows(), 0.0));
  }
  const double enough = options.precision * n * n / 2 * mean_of(kernels_between(t, t, width));
  std::vector<double> w = projected(std::vector<double>(linear.size(), 1), options.largest, low, high), ahead = w;
  std::vector<double> kw = times(k, w), kahead = kw, slope(w.size());
  double momentum = 1, gap = 0;
  for (std::int64_t i = 0; i < options.iterations; ++i) {
    std::transform(kw.begin(), kw.end(), linear.begin(), slope.begin(), std::minus<>());
    gap = std::inner_product(slope.begin(), slope.end(), w.begin(), 0.0) -
          least_product(slope, options.largest, low, high);
    if (gap <= enough) return {Tensor::from(w, {s.rows()}, s.host()), 2 * gap / (n * n)};
    for (std::size_t j = 0; j < w.size(); ++j) slope[j] = ahead[j] - (kahead[j] - linear[j]) / steepest;
    std::vector<double> next = projected(slope, options.largest, low, high), knext = times(k, next);
    double turned = 0;
    for (std::size_t j = 0; j < w.size(); ++j) turned += (ahead[j] - next[j]) * (next[j] - w[j]);
    const double faster = turned > 0 ? 1 : (1 + std::sqrt(1 + 4 * momentum * momentum)) / 2;
    const double share = turned > 0 ? 0 : (momentum - 1) / faster;
    for (std::size_t j = 0; j < w.size(); ++j) {
      ahead[j] = next[j] + share * (next[j] - w[j]);
      kahead[j] = knext[j] + share * (knext[j] - kw[j]);
    }
    w = std::move(next);
    kw = std::move(knext);
    momentum = faster;
  }
  throw Error(fmt::format("{}: {} iterations leave a gap of {} where {} is asked for; allow more, or a larger width",
                          call, options.iterations, gap, enough));
}

}  // namespace rtl::solvers

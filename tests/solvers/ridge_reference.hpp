// Ridge regression the plain way, for comparison: normal equations in long double, solved by Gaussian elimination; and
// leaving rows out by fitting again without them.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace rtl::test {

using Reals = std::vector<long double>;

/// A row-major matrix.
struct Matrix {
  std::int64_t rows = 0, columns = 0;
  Reals values;

  Matrix() = default;
  Matrix(std::int64_t r, std::int64_t c) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  long double& operator()(std::int64_t i, std::int64_t j) { return values[static_cast<std::size_t>(i * columns + j)]; }
  long double operator()(std::int64_t i, std::int64_t j) const {
    return values[static_cast<std::size_t>(i * columns + j)];
  }
  std::vector<double> doubles() const { return {values.begin(), values.end()}; }
  std::vector<float> floats() const { return {values.begin(), values.end()}; }
};

/// Solves a x = b by elimination with partial pivoting; b becomes x.
inline void solve(Matrix a, Matrix& b) {
  const std::int64_t n = a.rows;
  for (std::int64_t c = 0; c < n; ++c) {
    std::int64_t pivot = c;
    for (std::int64_t i = c + 1; i < n; ++i) {
      if (std::fabs(a(i, c)) > std::fabs(a(pivot, c))) pivot = i;
    }
    for (std::int64_t j = 0; j < n; ++j) std::swap(a(c, j), a(pivot, j));
    for (std::int64_t j = 0; j < b.columns; ++j) std::swap(b(c, j), b(pivot, j));
    for (std::int64_t i = 0; i < n; ++i) {
      if (i == c) continue;
      const long double factor = a(i, c) / a(c, c);
      for (std::int64_t j = c; j < n; ++j) a(i, j) -= factor * a(c, j);
      for (std::int64_t j = 0; j < b.columns; ++j) b(i, j) -= factor * b(c, j);
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < b.columns; ++j) b(i, j) /= a(i, i);
  }
}

struct ReferenceProblem {
  Matrix x, y;
  Matrix centre;  ///< no rows: 0
  Reals weights;  ///< empty: 1
  bool intercept = true;
};

struct ReferenceFit {
  Matrix coefficients;
  Reals intercept;
};

/// Minimises sum w_i ||y_i - W'x_i - b||^2 + total ||W - C||^2 with one unknown for the intercept like any other; row
/// `left_out` does not count.
inline ReferenceFit reference_fit(const ReferenceProblem& problem, long double total, std::int64_t left_out = -1) {
  const std::int64_t n = problem.x.rows, p = problem.x.columns, k = problem.y.columns;
  const std::int64_t unknowns = p + (problem.intercept ? 1 : 0);
  Matrix a(unknowns, unknowns), b(unknowns, k);
  for (std::int64_t i = 0; i < n; ++i) {
    if (i == left_out) continue;
    const long double weight = problem.weights.empty() ? 1 : problem.weights[static_cast<std::size_t>(i)];
    const auto entry = [&](std::int64_t j) { return j < p ? problem.x(i, j) : 1.0L; };
    for (std::int64_t j = 0; j < unknowns; ++j) {
      for (std::int64_t l = 0; l < unknowns; ++l) a(j, l) += weight * entry(j) * entry(l);
      for (std::int64_t o = 0; o < k; ++o) b(j, o) += weight * entry(j) * problem.y(i, o);
    }
  }
  for (std::int64_t j = 0; j < p; ++j) {
    a(j, j) += total;
    for (std::int64_t o = 0; o < k; ++o) b(j, o) += problem.centre.rows > 0 ? total * problem.centre(j, o) : 0;
  }
  solve(a, b);
  ReferenceFit fit{Matrix(p, k), Reals(static_cast<std::size_t>(k))};
  for (std::int64_t o = 0; o < k; ++o) {
    for (std::int64_t j = 0; j < p; ++j) fit.coefficients(j, o) = b(j, o);
    if (problem.intercept) fit.intercept[static_cast<std::size_t>(o)] = b(p, o);
  }
  return fit;
}

inline long double reference_prediction(const ReferenceProblem& problem, const ReferenceFit& fit, std::int64_t row,
                                        std::int64_t output) {
  long double value = fit.intercept[static_cast<std::size_t>(output)];
  for (std::int64_t j = 0; j < problem.x.columns; ++j) value += problem.x(row, j) * fit.coefficients(j, output);
  return value;
}

/// Residual of each row by the fit without it, [n, k].
inline Matrix reference_left_out(const ReferenceProblem& problem, long double total) {
  Matrix errors(problem.y.rows, problem.y.columns);
  for (std::int64_t i = 0; i < problem.y.rows; ++i) {
    const ReferenceFit fit = reference_fit(problem, total, i);
    for (std::int64_t o = 0; o < problem.y.columns; ++o) {
      errors(i, o) = problem.y(i, o) - reference_prediction(problem, fit, i, o);
    }
  }
  return errors;
}

}  // namespace rtl::test

// Ridge regression for one penalty, by Cholesky.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/solvers/ridge_path.hpp"
#include "solvers/accurate_solution.hpp"
#include "solvers/arguments.hpp"
#include "solvers/ridge_rows.hpp"

namespace rtl::solvers {
namespace {

using kernels::GramOf;
using kernels::Transpose;

/// The diagonal of a square matrix, as a view with one long stride.
View diagonal(Tensor& matrix) {
  const std::int64_t n = matrix.extent(0);
  return {matrix.view().data(), matrix.dtype(), Shape{n}, Strides{n + 1}, matrix.view().context()};
}

/// W - C = X'(XX' + total)^-1 R, and the condition; nothing where eigenvalues lie so far apart that this is not exact
/// for every single column.
std::optional<ColumnSolution> dual(const RidgeRows& rows, double total) {
  constexpr double most_condition = 1e3;
  const Device& device = rows.device();
  const std::int64_t n = rows.rows();
  const Tensor all = rows.all_features(), targets = rows.all_targets();
  Tensor matrix = Tensor::zeros({n, n}, DType::f64, device), weights({n, rows.outputs()}, DType::f64, device);
  kernels::gram(device, GramOf::rows, 1.0, all, 0.0, matrix);
  if (!kernels::all_finite(device, matrix) || !kernels::all_finite(device, targets)) rows.report_not_finite("ridge");
  kernels::unary(device, kernels::UnaryOp::copy, targets.view().permuted({1, 0}), weights);
  const View own = diagonal(matrix);
  kernels::binary(device, kernels::BinaryOp::add, own, Tensor::from(std::vector<double>{total}, {1}, device), own);
  try {
    kernels::cholesky_factor(device, matrix);
  } catch (const ValueError&) {
    return std::nullopt;
  }
  Tensor pivots({n}, DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::copy, own, pivots);
  const std::vector<double> values = pivots.to_vector<double>();
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  ColumnSolution solution{Tensor({rows.features(), rows.outputs()}, DType::f64, device),
                          (*most / *least) * (*most / *least)};
  if (!(solution.condition <= most_condition)) return std::nullopt;
  kernels::cholesky_solve(device, matrix, weights);
  kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, all, weights, 0.0, solution.coefficients);
  if (rows.centre().given()) {
    kernels::binary(device, kernels::BinaryOp::add, rows.centre(), solution.coefficients, solution.coefficients);
  }
  return solution;
}

RidgeFit through_path(const Device& device, ConstView x, ConstView y, double penalty, RidgeOptions options) {
  options.leave_one_out = false;
  return RidgePath(device, x, y, {&penalty, 1}, options).fit(penalty);
}

}  // namespace

RidgeFit ridge(const Device& device, ConstView x, ConstView y, double penalty, const RidgeOptions& options) {
  arguments::check_penalties("ridge", {&penalty, 1});
  if (options.method == RidgeMethod::svd) return through_path(device, x, y, penalty, options);
  RidgeOptions wide = options;
  wide.arithmetic = RidgeArithmetic::f64;
  const RidgeRows rows("ridge", device, x, y, wide);
  const bool by_columns = options.method == RidgeMethod::primal ||
                          (options.method == RidgeMethod::automatic && rows.features() <= rows.rows());
  if (penalty == 0 && rows.features() > rows.rows() - (rows.has_intercept() ? 1 : 0)) {
    throw ValueError(
        fmt::format("ridge: penalty 0, but x {} has too few rows for a unique solution; use a positive "
                    "penalty",
                    rows.x().shape().to_string()));
  }
  const double total = penalty * static_cast<double>(rows.rows());
  std::optional<ColumnSolution> solution = by_columns ? solve_by_columns("ridge", rows, total) : dual(rows, total);
  if (!solution && !by_columns) {
    wide.method = RidgeMethod::automatic;
    return through_path(device, x, y, penalty, wide);
  }
  if (!solution) {
    throw ValueError(
        fmt::format("ridge: the penalised Gram matrix of x {} with penalty {} is singular to rounding, though its "
                    "columns were scaled; raise the penalty or use RidgePath with RidgeMethod::svd",
                    rows.x().shape().to_string(), penalty));
  }
  RidgeFit fit{std::move(solution->coefficients), Tensor(), solution->condition};
  fit.intercept = Tensor::zeros({rows.outputs()}, DType::f64, device);
  if (!rows.has_intercept()) return fit;
  kernels::unary(device, kernels::UnaryOp::copy, rows.y_means(), fit.intercept);
  kernels::gemm(device, Transpose::no, Transpose::no, -1.0, rows.x_means().view().reshaped({1, rows.features()}),
                fit.coefficients, 1.0, fit.intercept.view().reshaped({1, rows.outputs()}));
  return fit;
}

}  // namespace rtl::solvers

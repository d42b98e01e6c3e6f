// Ridge regression for one penalty, by Cholesky.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/solvers/ridge_path.hpp"
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

/// Adds `total` to the diagonal of `gram`, factorises it, and gives the bound of its condition.
double factorise(const RidgeRows& rows, double penalty, Tensor& gram) {
  const Device& device = rows.device();
  const Tensor total = Tensor::from(std::vector<double>{penalty * static_cast<double>(rows.rows())}, {1}, device);
  const View own = diagonal(gram);
  kernels::binary(device, kernels::BinaryOp::add, own, total, own);
  const auto singular = [&](double condition) {
    return ValueError(
        fmt::format("ridge: the penalised Gram matrix of x {} with penalty {} is singular to rounding "
                    "(condition {:.2g}); raise the penalty or use RidgePath with RidgeMethod::svd",
                    rows.x().shape().to_string(), penalty, condition));
  };
  try {
    kernels::cholesky_factor(device, gram);
  } catch (const ValueError&) {
    throw singular(INFINITY);
  }
  Tensor pivots({gram.extent(0)}, DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::copy, own, pivots);
  const std::vector<double> values = pivots.to_vector<double>();
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double condition = (*most / *least) * (*most / *least);
  if (!(condition < 1e14)) throw singular(condition);
  return condition;
}

/// W - C = (X'X + total)^-1 X'R.
Tensor primal(const RidgeRows& rows, double penalty, double& condition) {
  const Device& device = rows.device();
  const std::int64_t p = rows.features(), width = p + rows.outputs(), step = rows.block_rows();
  Tensor gram = Tensor::zeros({width, width}, DType::f64, device), block({step, width}, DType::f64, device);
  for (std::int64_t begin = 0; begin < rows.rows(); begin += step) {
    const std::int64_t end = std::min(rows.rows(), begin + step);
    const View part = block.view().slice(0, 0, end - begin);
    rows.prepare(begin, end, part);
    kernels::gram(device, GramOf::columns, 1.0, part, begin == 0 ? 0.0 : 1.0, gram);
  }
  if (!kernels::all_finite(device, gram)) rows.report_not_finite("ridge");
  Tensor matrix({p, p}, DType::f64, device), solution({p, rows.outputs()}, DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::copy, gram.view().slice(0, 0, p).slice(1, 0, p), matrix);
  kernels::unary(device, kernels::UnaryOp::copy, gram.view().slice(0, p, width).slice(1, 0, p).permuted({1, 0}),
                 solution);
  condition = factorise(rows, penalty, matrix);
  kernels::cholesky_solve(device, matrix, solution);
  return solution;
}

/// W - C = X'(XX' + total)^-1 R.
Tensor dual(const RidgeRows& rows, double penalty, double& condition) {
  const Device& device = rows.device();
  const std::int64_t n = rows.rows();
  const Tensor all = rows.all_features(), targets = rows.all_targets();
  Tensor matrix = Tensor::zeros({n, n}, DType::f64, device), weights({n, rows.outputs()}, DType::f64, device);
  kernels::gram(device, GramOf::rows, 1.0, all, 0.0, matrix);
  if (!kernels::all_finite(device, matrix) || !kernels::all_finite(device, targets)) rows.report_not_finite("ridge");
  kernels::unary(device, kernels::UnaryOp::copy, targets.view().permuted({1, 0}), weights);
  condition = factorise(rows, penalty, matrix);
  kernels::cholesky_solve(device, matrix, weights);
  Tensor solution({rows.features(), rows.outputs()}, DType::f64, device);
  kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, all, weights, 0.0, solution);
  return solution;
}

}  // namespace

RidgeFit ridge(const Device& device, ConstView x, ConstView y, double penalty, const RidgeOptions& options) {
  arguments::check_penalties("ridge", {&penalty, 1});
  if (options.method == RidgeMethod::svd) {
    RidgeOptions plain = options;
    plain.leave_one_out = false;
    const RidgePath path(device, x, y, {&penalty, 1}, plain);
    return {path.coefficients(penalty), path.intercept(penalty), path.condition(penalty)};
  }
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
  RidgeFit fit;
  fit.coefficients = by_columns ? primal(rows, penalty, fit.condition) : dual(rows, penalty, fit.condition);
  if (rows.centre().given())
    kernels::binary(device, kernels::BinaryOp::add, rows.centre(), fit.coefficients, fit.coefficients);
  fit.intercept = Tensor::zeros({rows.outputs()}, DType::f64, device);
  if (!rows.has_intercept()) return fit;
  kernels::unary(device, kernels::UnaryOp::copy, rows.y_means(), fit.intercept);
  kernels::gemm(device, Transpose::no, Transpose::no, -1.0, rows.x_means().view().reshaped({1, rows.features()}),
                fit.coefficients, 1.0, fit.intercept.view().reshaped({1, rows.outputs()}));
  return fit;
}

}  // namespace rtl::solvers

// The primal form: p unknowns for each output.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "rtl/core/error.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "solvers/accurate_solution.hpp"

namespace rtl::solvers {
namespace {

using kernels::BinaryOp;
using kernels::Transpose;

/// X'(Y - X W) [p, k].
using DataGradient = std::function<Tensor(const Tensor& w)>;

View diagonal(const Tensor& matrix, std::int64_t count) {
  return {const_cast<void*>(matrix.view().data()), matrix.dtype(), Shape{count}, Strides{matrix.extent(1) + 1},
          matrix.view().context()};
}

std::vector<double> host_copy(const Device& device, ConstView view) {
  Tensor copy(view.shape(), DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::copy, view, copy);
  return copy.to_vector<double>();
}

/// The factor of D (gram + total) D, and D.
struct ScaledFactor {
  Tensor factor;  ///< [p, p]
  Tensor scales;  ///< [p, 1]
  double condition = 1;
};

std::optional<ScaledFactor> factorise(const Device& device, const Tensor& gram, std::int64_t p, double total) {
  std::vector<double> scales = host_copy(device, diagonal(gram, p));
  for (double& value : scales) {
    if (!(value + total > 0) || !std::isfinite(value)) return std::nullopt;
    value = std::scalbn(1.0, -static_cast<int>(std::lround(std::log2(value + total) / 2)));
  }
  ScaledFactor result{Tensor({p, p}, DType::f64, device), Tensor::from(scales, {p, 1}, device)};
  const View matrix = result.factor;
  const Tensor penalty = Tensor::from(std::vector<double>{total}, {1}, device);
  const View own = diagonal(result.factor, p);
  kernels::unary(device, kernels::UnaryOp::copy, gram.view().slice(0, 0, p).slice(1, 0, p), matrix);
  kernels::binary(device, BinaryOp::add, own, penalty, own);
  kernels::binary(device, BinaryOp::multiply, matrix, result.scales, matrix);
  kernels::binary(device, BinaryOp::multiply, matrix, result.scales.view().reshaped({1, p}), matrix);
  try {
    kernels::cholesky_factor(device, matrix);
  } catch (const ValueError&) {
    return std::nullopt;
  }
  const std::vector<double> pivots = host_copy(device, own);
  const auto [least, most] = std::minmax_element(pivots.begin(), pivots.end());
  result.condition = (*most / *least) * (*most / *least);
  if (!(result.condition < 1e15)) return std::nullopt;
  return result;
}

double norm_of(const Tensor& values) {
  double sum = 0;
  for (const double value : values.to_vector<double>()) sum += value * value;
  return std::sqrt(sum);
}

/// Newton's steps from 0; the first is the solution by the factor, each of the others takes off most of what rounding
/// errors are left.
std::optional<Tensor> refine(const Device& device, const ScaledFactor& scaled, double total, ConstView centre,
                             Tensor products, const DataGradient& data_gradient) {
  constexpr int most_steps = 8;
  constexpr double converging = 0.25, useful = 1e-2, enough = std::numeric_limits<double>::epsilon();
  Tensor w = Tensor::zeros(products.shape(), DType::f64, device);
  double first = 0, last = std::numeric_limits<double>::infinity();
  for (int step = 0; step < most_steps; ++step) {
    Tensor change = step == 0 ? std::move(products) : data_gradient(w);
    if (centre.given()) kernels::scale_add(device, total, centre, 1.0, change);
    kernels::scale_add(device, -total, w, 1.0, change);
    kernels::binary(device, BinaryOp::multiply, change, scaled.scales, change);
    kernels::cholesky_solve(device, scaled.factor, change);
    const double size = norm_of(change);
    if (step == 0) first = size;
    if (!std::isfinite(size) || (step == 1 && size > useful * first)) return std::nullopt;
    if (step > 1 && !(size < converging * last)) break;
    kernels::binary(device, BinaryOp::multiply, change, scaled.scales, change);
    kernels::scale_add(device, 1.0, change, 1.0, w);
    last = size;
    if (step > 0 && size <= enough * first) break;
  }
  return w;
}

/// The whole symmetric matrix of a lower triangle.
Tensor symmetric(const Device& device, const Tensor& lower, std::int64_t p) {
  const ConstView part = lower.view().slice(0, 0, p).slice(1, 0, p);
  std::vector<double> values = host_copy(device, part);
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t j = i + 1; j < p; ++j) {
      values[static_cast<std::size_t>(i * p + j)] = values[static_cast<std::size_t>(j * p + i)];
    }
  }
  return Tensor::from(values, {p, p}, device);
}

std::optional<ColumnSolution> solve(const Device& device, const Tensor& gram, std::int64_t outputs, double total,
                                    ConstView centre, const DataGradient& data_gradient) {
  const std::optional<ScaledFactor> scaled = factorise(device, gram, gram.extent(0) - outputs, total);
  if (!scaled) return std::nullopt;
  const std::int64_t width = gram.extent(0), p = width - outputs;
  Tensor products({p, outputs}, DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::copy, gram.view().slice(0, p, width).slice(1, 0, p).permuted({1, 0}),
                 products);
  std::optional<Tensor> w = refine(device, *scaled, total, centre, std::move(products), data_gradient);
  if (!w) return std::nullopt;
  return ColumnSolution{std::move(*w), scaled->condition};
}

}  // namespace

std::optional<ColumnSolution> solve_by_columns(std::string_view call, const RidgeRows& rows, double total,
                                               const Tensor* gram) {
  const Device& device = rows.device();
  const std::int64_t p = rows.features(), width = p + rows.outputs(), step = rows.block_rows();
  Tensor block({step, width}, DType::f64, device);
  const auto for_each_block = [&](const std::function<void(View part)>& use) {
    for (std::int64_t begin = 0; begin < rows.rows(); begin += step) {
      const std::int64_t end = std::min(rows.rows(), begin + step);
      const View part = block.view().slice(0, 0, end - begin);
      rows.prepare_plain(begin, end, part);
      use(part);
    }
  };
  Tensor own;
  if (gram == nullptr) {
    own = Tensor::zeros({width, width}, DType::f64, device);
    for_each_block([&](View part) { kernels::gram(device, kernels::GramOf::columns, 1.0, part, 1.0, own); });
    if (!kernels::all_finite(device, own)) rows.report_not_finite(call);
  }
  return solve(device, gram != nullptr ? *gram : own, rows.outputs(), total, rows.centre(), [&](const Tensor& w) {
    Tensor gradient = Tensor::zeros(w.shape(), DType::f64, device);
    for_each_block([&](View part) {
      const View x = part.slice(1, 0, p), y = part.slice(1, p, width);
      kernels::gemm(device, Transpose::no, Transpose::no, -1.0, x, w, 1.0, y);
      kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, x, y, 1.0, gradient);
    });
    return gradient;
  });
}

std::optional<ColumnSolution> solve_by_columns(const Device& device, const Tensor& gram, std::int64_t outputs,
                                               double total, ConstView centre) {
  const std::int64_t width = gram.extent(0), p = width - outputs;
  const Tensor inner = symmetric(device, gram, p);
  return solve(device, gram, outputs, total, centre, [&](const Tensor& w) {
    Tensor gradient(w.shape(), DType::f64, device);
    kernels::unary(device, kernels::UnaryOp::copy, gram.view().slice(0, p, width).slice(1, 0, p).permuted({1, 0}),
                   gradient);
    kernels::gemm(device, Transpose::no, Transpose::no, -1.0, inner, w, 1.0, gradient);
    return gradient;
  });
}

bool is_well_scaled(const Spectrum& spectrum, double total) {
  if (spectrum.components() == 0) return true;
  const bool from_columns = spectrum.form == SpectrumForm::gram;
  if (spectrum.right.defined() && !from_columns) return false;
  return is_well_scaled(spectrum.least(), spectrum.largest(), from_columns ? spectrum.column_spread : 1, total);
}

bool is_well_scaled(double least_eigenvalue, double largest_eigenvalue, double column_spread, double total) {
  // Relative errors of single coefficients are then below 1e-10.
  constexpr double most_condition = 1e3, most_spread = 1e4;
  return largest_eigenvalue + total <= most_condition * (least_eigenvalue + total) && column_spread <= most_spread;
}

}  // namespace rtl::solvers

#include "solvers/ridge_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "solvers/arguments.hpp"
#include "solvers/column_means.hpp"

namespace rtl::solvers {

using kernels::Transpose;

RidgeRows::RidgeRows(std::string_view call, const Device& device, ConstView x, ConstView y, const RidgeOptions& options)
    : device_(device),
      x_(arguments::matrix(call, device, "x", x)),
      y_(arguments::columns(call, device, "y", y)),
      arithmetic_(options.arithmetic == RidgeArithmetic::f32 ? DType::f32 : DType::f64),
      positive_(x_.extent(0)) {
  if (x_.extent(0) != y_.extent(0)) {
    throw ShapeError(fmt::format("{}: 'x' {} and 'y' {} have different numbers of rows", call, x.shape().to_string(),
                                 y.shape().to_string()));
  }
  if (x_.count() == 0 || y_.count() == 0) {
    throw ValueError(fmt::format("{}: 'x' {} and 'y' {} must have rows and columns", call, x.shape().to_string(),
                                 y.shape().to_string()));
  }
  if (options.centre.given()) {
    const ConstView centre = arguments::columns(call, device, "centre", options.centre);
    if (centre.shape() != Shape{features(), outputs()}) {
      throw ShapeError(
          fmt::format("{}: 'centre' is {}, but {} is needed: a row for each column of x, a column for each "
                      "output",
                      call, options.centre.shape().to_string(), Shape{features(), outputs()}.to_string()));
    }
    centre_ = Tensor(centre.shape(), DType::f64, device_);
    kernels::cast(device_, centre, centre_);
  }
  if (options.sample_weights.given()) take_weights(call, options.sample_weights);
  if (options.intercept) take_means();
}

void RidgeRows::take_weights(std::string_view call, ConstView weights) {
  weights_ = arguments::weights(call, device_, weights, rows());
  const double largest = *std::max_element(weights_.begin(), weights_.end());
  if (largest == 0) throw ValueError(fmt::format("{}: all sample_weights are 0", call));
  // Only ratios matter: a power of two brings the sum near 1, where it neither overflows nor underflows.
  const int exponent = std::ilogb(largest);
  for (double& weight : weights_) weight = std::scalbn(weight, -exponent);
  const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  positive_ = std::count_if(weights_.begin(), weights_.end(), [](double weight) { return weight > 0; });
  std::vector<double> roots(weights_.size());
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    weights_[i] *= static_cast<double>(rows()) / sum;
    roots[i] = std::sqrt(weights_[i]);
  }
  device_weights_ = Tensor::from(weights_, {rows()}, device_);
  root_weights_ = Tensor::from(roots, {rows()}, device_);
}

void RidgeRows::take_means() {
  const ConstView weights = device_weights_.defined() ? device_weights_.view() : ConstView();
  const auto total = static_cast<double>(rows());
  x_means_ = Tensor({features()}, DType::f64, device_);
  y_means_ = Tensor({outputs()}, DType::f64, device_);
  column_means(device_, x_, weights, total, x_means_);
  column_means(device_, y_, weights, total, y_means_);
}

std::int64_t RidgeRows::block_rows() const {
  // On the host f32 products want longer blocks, and each costs the Gram matrix a pass over what collects it in f64.
  const std::int64_t host = arithmetic() == DType::f32 ? 24 : 6;
  const std::int64_t bytes = (device_.is_cuda() ? 256 : host) * (std::int64_t{1} << 20);
  const std::int64_t wanted = bytes / (8 * (features() + outputs()));
  return std::min(rows(), std::clamp<std::int64_t>(wanted, 512, 1 << 16));
}

void RidgeRows::prepare_plain(std::int64_t begin, std::int64_t end, View block) const {
  const View features_part = block.slice(1, 0, features());
  const View targets_part = block.slice(1, features(), features() + outputs());
  const ConstView scale = root_weights_.defined() ? root_weights_.view().slice(0, begin, end) : ConstView();
  const auto shift = [](const Tensor& means) { return means.defined() ? means.view() : ConstView(); };
  kernels::center_rows(device_, x_.slice(0, begin, end), shift(x_means_), scale, features_part);
  kernels::center_rows(device_, y_.slice(0, begin, end), shift(y_means_), scale, targets_part);
}

void RidgeRows::prepare(std::int64_t begin, std::int64_t end, View block) const {
  prepare_plain(begin, end, block);
  if (!centre_.defined()) return;
  Tensor centre(centre_.shape(), block.dtype(), device_);
  kernels::cast(device_, centre_, centre);
  kernels::gemm(device_, Transpose::no, Transpose::no, -1.0, block.slice(1, 0, features()), centre, 1.0,
                block.slice(1, features(), features() + outputs()));
}

Tensor RidgeRows::all_features(std::int64_t extra) const {
  Tensor all = Tensor::zeros({rows(), features() + extra}, DType::f64, device_);
  const ConstView scale = root_weights_.defined() ? root_weights_.view() : ConstView();
  const ConstView shift = x_means_.defined() ? x_means_.view() : ConstView();
  kernels::center_rows(device_, x_, shift, scale, all.view().slice(1, 0, features()));
  return all;
}

Tensor RidgeRows::all_targets() const {
  Tensor targets({outputs(), rows()}, DType::f64, device_);
  const std::int64_t step = block_rows();
  for (std::int64_t begin = 0; begin < rows(); begin += step) {
    const std::int64_t end = std::min(rows(), begin + step);
    Tensor block({end - begin, features() + outputs()}, DType::f64, device_);
    prepare(begin, end, block);
    kernels::unary(device_, kernels::UnaryOp::copy,
                   block.view().slice(1, features(), features() + outputs()).permuted({1, 0}),
                   targets.view().slice(1, begin, end));
  }
  return targets;
}

std::vector<double> RidgeRows::negligible_squares() const {
  if (!has_intercept()) return std::vector<double>(static_cast<std::size_t>(outputs()));
  std::vector<double> squares = y_means_.to_vector<double>();
  for (double& value : squares) {
    value = std::pow(4 * std::numeric_limits<double>::epsilon() * value, 2) * static_cast<double>(rows());
  }
  return squares;
}

Tensor RidgeRows::intercept_direction() const {
  std::vector<double> direction(static_cast<std::size_t>(rows()));
  for (std::int64_t i = 0; i < rows(); ++i) {
    direction[static_cast<std::size_t>(i)] = std::sqrt(weight(i) / static_cast<double>(rows()));
  }
  return Tensor::from(direction, {rows()}, device_);
}

void RidgeRows::report_not_finite(std::string_view call) const {
  arguments::throw_if_not_finite(call, device_, "x", x_);
  arguments::throw_if_not_finite(call, device_, "y", y_);
  if (centre_.defined()) arguments::throw_if_not_finite(call, device_, "centre", centre_);
  throw ValueError(fmt::format("{}: products of entries overflow; scale the columns of x and y down", call));
}

}  // namespace rtl::solvers

#include "solvers/row_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "solvers/arguments.hpp"
#include "solvers/column_means.hpp"

namespace rtl::solvers {

RowBlock::RowBlock(std::string_view call, const Device& device, ConstView x, ConstView y, ConstView weights,
                   std::int64_t features, std::int64_t outputs)
    : call_(call),
      device_(device),
      x_(arguments::matrix(call, device, "x", x)),
      y_(arguments::columns(call, device, "y", y)),
      counted_rows_(x_.extent(0)),
      weight_(static_cast<double>(x_.extent(0))) {
  const auto expect = [&](const char* name, const ConstView& view, const Shape& wanted) {
    if (view.shape() == wanted) return;
    throw ShapeError(
        fmt::format("{}: '{}' is {}, but {} is needed", call, name, view.shape().to_string(), wanted.to_string()));
  };
  expect("x", x_, {x_.extent(0), features});
  expect("y", y_, {x_.extent(0), outputs});
  if (!weights.given()) return;
  weights_ = arguments::weights(call, device, weights, rows());
  weight_ = 0;
  counted_rows_ = 0;
  std::vector<double> roots;
  for (const double weight : weights_) {
    weight_ += weight;
    counted_rows_ += weight > 0 ? 1 : 0;
    roots.push_back(std::sqrt(weight));
  }
  device_weights_ = Tensor::from(weights_, {rows()}, device_);
  roots_ = Tensor::from(roots, {rows()}, device_);
}

std::int64_t RowBlock::piece_rows() const {
  const std::int64_t bytes = (device_.is_cuda() ? 256 : 6) * (std::int64_t{1} << 20);
  const std::int64_t wanted = bytes / (8 * (x_.extent(1) + y_.extent(1)));
  return std::min(rows(), std::clamp<std::int64_t>(wanted, 512, 1 << 16));
}

Tensor RowBlock::column_means() const {
  const std::int64_t features = x_.extent(1), width = features + y_.extent(1);
  Tensor means({width}, DType::f64, device_);
  const ConstView weights = device_weights_.defined() ? device_weights_.view() : ConstView();
  solvers::column_means(device_, x_, weights, weight_, means.view().slice(0, 0, features));
  solvers::column_means(device_, y_, weights, weight_, means.view().slice(0, features, width));
  return means;
}

void RowBlock::prepare(std::int64_t begin, std::int64_t end, ConstView means, View piece) const {
  const std::int64_t features = x_.extent(1), width = features + y_.extent(1);
  const ConstView roots = roots_.defined() ? roots_.view().slice(0, begin, end) : ConstView();
  const auto shift = [&](std::int64_t from, std::int64_t to) {
    return means.given() ? means.slice(0, from, to) : ConstView();
  };
  kernels::center_rows(device_, x_.slice(0, begin, end), shift(0, features), roots, piece.slice(1, 0, features));
  kernels::center_rows(device_, y_.slice(0, begin, end), shift(features, width), roots,
                       piece.slice(1, features, width));
}

void RowBlock::check_finite() const {
  arguments::throw_if_not_finite(call_, device_, "x", x_);
  arguments::throw_if_not_finite(call_, device_, "y", y_);
}

}  // namespace rtl::solvers

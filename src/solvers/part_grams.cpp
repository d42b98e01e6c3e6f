#include "solvers/part_grams.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "solvers/ridge_rows.hpp"

namespace rtl::solvers {

using kernels::GramOf;
using kernels::Transpose;

PartGrams::PartGrams(std::string_view call, const Device& device, ConstView x, ConstView y, ConstView weights,
                     std::span<const std::int64_t> sizes)
    : device_(device) {
  const RidgeRows rows(call, device, x, y, {.sample_weights = weights});
  if (std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) != rows.rows()) {
    throw ShapeError(fmt::format("{}: the parts do not sum to the {} rows", call, rows.rows()));
  }
  const std::int64_t width = rows.features() + rows.outputs(), step = rows.block_rows();
  means_ = rows.x_means().to_vector<double>();
  const std::vector<double> y_means = rows.y_means().to_vector<double>();
  means_.insert(means_.end(), y_means.begin(), y_means.end());
  if (weights.given()) {
    Tensor own({rows.rows()}, DType::f64, device);
    kernels::cast(device, weights, own);
    const std::vector<double> given = own.to_vector<double>();
    scale_ = static_cast<double>(rows.rows()) / std::accumulate(given.begin(), given.end(), 0.0);
  }
  // Rows times their weights' roots, times these roots again, over sqrt(n).
  const Tensor direction = rows.intercept_direction();
  Tensor block({step, width}, DType::f64, device);
  all_ = {Tensor::zeros({width, width}, DType::f64, device), std::vector<double>(means_.size()), 0, rows.rows()};
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    Sums part{Tensor::zeros({width, width}, DType::f64, device), {}, 0, size};
    Tensor sums = Tensor::zeros({1, width}, DType::f64, device);
    const std::int64_t end = begin + size;
    for (std::int64_t i = begin; i < end; ++i) part.weight += rows.weight(i);
    for (; begin < end; begin += std::min(step, end - begin)) {
      const std::int64_t last = std::min(end, begin + step);
      const View some = block.view().slice(0, 0, last - begin);
      rows.prepare(begin, last, some);
      kernels::gram(device, GramOf::columns, 1.0, some, 1.0, part.products);
      kernels::gemm(device, Transpose::no, Transpose::no, std::sqrt(static_cast<double>(rows.rows())),
                    direction.view().slice(0, begin, last).reshaped({1, last - begin}), some, 1.0, sums);
    }
    if (!kernels::all_finite(device, part.products)) rows.report_not_finite(call);
    part.sums = sums.to_vector<double>();
    kernels::scale_add(device, 1.0, part.products, 1.0, all_.products);
    for (std::size_t j = 0; j < part.sums.size(); ++j) all_.sums[j] += part.sums[j];
    all_.weight += part.weight;
    parts_.push_back(std::move(part));
  }
}

PartGrams::Rest PartGrams::without(std::size_t part) const {
  const Sums& left_out = parts_.at(part);
  const double weight = all_.weight - left_out.weight;
  const auto rows = static_cast<double>(all_.rows - left_out.rows);
  if (!(weight > 0) || !(rows > 0)) throw ValueError("PartGrams: the rows outside a part have no weight");
  Rest rest{all_.products.clone(), means_, scale_ * rows / weight};
  std::vector<double> sums(all_.sums);
  for (std::size_t j = 0; j < sums.size(); ++j) {
    sums[j] -= left_out.sums[j];
    rest.means[j] += sums[j] / weight;
  }
  kernels::scale_add(device_, -rows / weight, left_out.products, rows / weight, rest.gram);
  const auto width = static_cast<std::int64_t>(sums.size());
  kernels::gram(device_, GramOf::columns, -rows / (weight * weight), Tensor::from(sums, {1, width}, device_), 1.0,
                rest.gram);
  return rest;
}

}  // namespace rtl::solvers

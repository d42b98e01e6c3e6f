// Sums over blocks of rows, their merging, and their file.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/io/npy.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "rtl/solvers/gram_stream.hpp"
#include "solvers/arguments.hpp"
#include "solvers/row_block.hpp"

namespace rtl::solvers {

using kernels::GramOf;

GramAccumulator::GramAccumulator(const Device& device, std::int64_t features, std::int64_t outputs)
    : device_(device), features_(features), outputs_(outputs) {
  if (features < 1 || outputs < 1) {
    throw ValueError(
        fmt::format("GramAccumulator: {} features and {} outputs; both must be positive", features, outputs));
  }
  means_ = Tensor::zeros({features + outputs}, DType::f64, device);
  products_ = Tensor::zeros({features + outputs, features + outputs}, DType::f64, device);
}

void GramAccumulator::add(ConstView x, ConstView y, ConstView weights) {
  constexpr const char* call = "GramAccumulator::add";
  const RowBlock block(call, device_, x, y, weights, features_, outputs_);
  if (block.weight() == 0) {
    if (block.rows() > 0) block.check_finite();
    rows_ += block.rows();
    return;
  }
  const std::int64_t width = features_ + outputs_, step = block.piece_rows();
  Tensor means = block.column_means();
  Tensor products = Tensor::zeros(products_.shape(), DType::f64, device_), piece({step, width}, DType::f64, device_);
  for (std::int64_t begin = 0; begin < block.rows(); begin += step) {
    const std::int64_t end = std::min(block.rows(), begin + step);
    const View part = piece.view().slice(0, 0, end - begin);
    block.prepare(begin, end, means, part);
    kernels::gram(device_, GramOf::columns, 1.0, part, begin == 0 ? 0.0 : 1.0, products);
  }
  if (!kernels::all_finite(device_, products)) block.check_finite();
  join(call, block.rows(), block.counted_rows(), block.weight(), means, std::move(products));
}

void GramAccumulator::merge(const GramAccumulator& other) {
  if (other.features_ != features_ || other.outputs_ != outputs_) {
    throw ShapeError(fmt::format("GramAccumulator::merge: {} features and {} outputs here, {} and {} there", features_,
                                 outputs_, other.features_, other.outputs_));
  }
  if (!(other.device_ == device_)) {
    throw DeviceError(fmt::format("GramAccumulator::merge: sums on {} and on {}; load them on one device",
                                  device_.name(), other.device_.name()));
  }
  if (other.total_weight_ == 0) {
    rows_ += other.rows_;
    return;
  }
  join("GramAccumulator::merge", other.rows_, other.counted_rows_, other.total_weight_, other.means_,
       other.products_.clone());
}

void GramAccumulator::join(std::string_view call, std::int64_t rows, std::int64_t counted_rows, double weight,
                           const Tensor& means, Tensor products) {
  const double total = total_weight_ + weight;
  Tensor shift(means_.shape(), DType::f64, device_);
  kernels::binary(device_, kernels::BinaryOp::subtract, means, means_, shift);
  if (total_weight_ > 0) {
    kernels::gram(device_, GramOf::columns, total_weight_ * (weight / total),
                  shift.view().reshaped({1, features_ + outputs_}), 1.0, products);
  }
  kernels::scale_add(device_, 1.0, products_, 1.0, products);
  if (!std::isfinite(total) || !kernels::all_finite(device_, products)) {
    throw ValueError(fmt::format(
        "{}: weights, or products of entries, overflow; scale the columns of x and y, or the weights, down", call));
  }
  products_ = std::move(products);
  kernels::scale_add(device_, weight / total, shift, 1.0, means_);
  rows_ += rows;
  counted_rows_ += counted_rows;
  total_weight_ = total;
}

void GramAccumulator::save(const std::string& path) const {
  const Device host = device_.host();
  const Tensor counts =
      Tensor::from(std::vector<std::int64_t>{1, features_, outputs_, rows_, counted_rows_}, {5}, host);
  const Tensor weight = Tensor::from(std::vector<double>{total_weight_}, {1}, host);
  const Tensor means = means_.to(host), products = products_.to(host);
  io::write_npz(path,
                {{"rtl_gram_counts", counts}, {"total_weight", weight}, {"means", means}, {"products", products}});
}

GramAccumulator GramAccumulator::load(const std::string& path, const Device& device) {
  const io::NpzFile file(path);
  const Device host = device.host();
  const Tensor counts = file.load("rtl_gram_counts", host), weight = file.load("total_weight", host);
  Tensor means = file.load("means", device), products = file.load("products", device);
  const auto fail = [&](const char* fault) -> FormatError { return FormatError(path, fault); };
  if (counts.dtype() != DType::i64 || counts.shape() != Shape{5}) throw fail("rtl_gram_counts is not i64 [5]");
  const std::vector<std::int64_t> numbers = counts.to_vector<std::int64_t>();
  if (numbers[0] != 1) throw fail("a version of accumulated sums that this library does not know");
  const std::int64_t features = numbers[1], outputs = numbers[2];
  if (features < 1 || outputs < 1 || features > std::numeric_limits<std::int64_t>::max() - outputs ||
      numbers[3] < numbers[4] || numbers[4] < 0) {
    throw fail("impossible counts");
  }
  if (weight.dtype() != DType::f64 || weight.shape() != Shape{1} || !std::isfinite(weight.item<double>()) ||
      (numbers[4] > 0 ? weight.item<double>() <= 0 : weight.item<double>() != 0)) {
    throw fail("total_weight is not one finite number, positive if rows count and else 0");
  }
  const std::int64_t width = features + outputs;
  if (means.dtype() != DType::f64 || means.shape() != Shape{width} || products.dtype() != DType::f64 ||
      products.shape() != Shape{width, width}) {
    throw fail("means or products are not f64 of the extents that the counts say");
  }
  if (!kernels::all_finite(device, means) || !kernels::all_finite(device, products)) {
    throw fail("means or products are not finite");
  }
  const std::vector<double> entries = products.to_vector<double>();
  for (std::int64_t i = 0; i < width; ++i) {
    if (entries[static_cast<std::size_t>(i * width + i)] < 0) throw fail("a sum of squares in products is negative");
  }
  GramAccumulator sums(device, features, outputs);
  sums.rows_ = numbers[3];
  sums.counted_rows_ = numbers[4];
  sums.total_weight_ = weight.item<double>();
  sums.means_ = std::move(means);
  sums.products_ = std::move(products);
  return sums;
}

}  // namespace rtl::solvers

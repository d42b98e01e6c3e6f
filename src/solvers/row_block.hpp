// One block of a stream of rows: checked, weighted, and prepared piece by piece.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

class RowBlock {
 public:
  /// Throws ShapeError, DTypeError, DeviceError, ValueError (weights) naming `call`.
  RowBlock(std::string_view call, const Device& device, ConstView x, ConstView y, ConstView weights,
           std::int64_t features, std::int64_t outputs);

  std::int64_t rows() const { return x_.extent(0); }
  std::int64_t counted_rows() const { return counted_rows_; }
  double weight() const { return weight_; }
  const std::vector<double>& weights() const { return weights_; }  ///< empty: all 1
  double weight_of(std::int64_t row) const { return weights_.empty() ? 1.0 : weights_[static_cast<std::size_t>(row)]; }
  /// How many rows should be prepared at a time.
  std::int64_t piece_rows() const;
  /// Weighted means of the columns of x and y, f64 [p + k].
  Tensor column_means() const;
  /// Rows [begin, end) of x and y, less `means` (not given: 0), times the roots of their weights: [.., p + k], f64.
  void prepare(std::int64_t begin, std::int64_t end, ConstView means, View piece) const;
  /// Throws ValueError naming the first entry that is not finite.
  void check_finite() const;

 private:
  std::string call_;
  Device device_;
  ConstView x_, y_;
  std::vector<double> weights_;
  Tensor device_weights_, roots_;
  std::int64_t counted_rows_;
  double weight_;
};

}  // namespace rtl::solvers

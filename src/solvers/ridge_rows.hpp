// The rows of a ridge problem as the solvers want them: centred if there is an intercept, times the square root of
// their weight, targets less what the centre predicts; block by block, in the dtype of the arithmetic.
#pragma once

#include <string_view>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/solvers/ridge_path.hpp"

namespace rtl::solvers {

class RidgeRows {
 public:
  /// Checks shapes, dtypes, devices and weights (`call` begins the error texts) and takes the column means.
  RidgeRows(std::string_view call, const Device& device, ConstView x, ConstView y, const RidgeOptions& options);

  std::int64_t rows() const { return x_.extent(0); }
  std::int64_t features() const { return x_.extent(1); }
  std::int64_t outputs() const { return y_.extent(1); }
  const Device& device() const { return device_; }
  DType arithmetic() const { return arithmetic_; }
  bool has_intercept() const { return x_means_.defined(); }
  ConstView x() const { return x_; }
  ConstView y() const { return y_; }
  /// f64 [p, k]; not given: 0.
  ConstView centre() const { return centre_.defined() ? centre_.view() : ConstView(); }
  /// f64 [p] and [k], of the columns of x and y; not defined without an intercept.
  const Tensor& x_means() const { return x_means_; }
  const Tensor& y_means() const { return y_means_; }
  /// Scaled to sum to n; empty: all 1.
  const std::vector<double>& weights() const { return weights_; }
  double weight(std::int64_t row) const { return weights_.empty() ? 1.0 : weights_[static_cast<std::size_t>(row)]; }
  std::int64_t rows_of_positive_weight() const { return positive_; }

  /// How many rows a block should have: some megabytes of them on the host, more on a GPU.
  std::int64_t block_rows() const;
  /// Rows [begin, end): x in the first p columns of `block` [end - begin, p + k], targets in the last k. `block` has
  /// the dtype of the arithmetic, or f64.
  void prepare(std::int64_t begin, std::int64_t end, View block) const;
  /// The same, but targets keep what the centre predicts.
  void prepare_plain(std::int64_t begin, std::int64_t end, View block) const;
  /// x of all rows, f64 [n, p + extra]; the extra columns are 0.
  Tensor all_features(std::int64_t extra = 0) const;
  /// Targets of all rows as [k, n], f64.
  Tensor all_targets() const;
  /// [k]: sums of squares of the targets up to this are rounding errors of their means.
  std::vector<double> negligible_squares() const;
  /// The direction that the intercept takes: sqrt(w_i / n) of each row, f64 [n] on the device.
  Tensor intercept_direction() const;

  /// Throws ValueError naming the first entry of x, y, or the centre that is NaN or infinite, or, if there is none,
  /// saying that squares overflow.
  [[noreturn]] void report_not_finite(std::string_view call) const;

 private:
  void take_weights(std::string_view call, ConstView weights);
  void take_means();

  Device device_;
  ConstView x_, y_;
  DType arithmetic_;
  Tensor centre_, x_means_, y_means_;
  std::vector<double> weights_;
  Tensor device_weights_, root_weights_;
  std::int64_t positive_ = 0;
};

}  // namespace rtl::solvers

// Ridge paths of data that do not fit into memory: sums over blocks of rows, which can be merged and saved; then the
// path from the sums alone; and, if wanted, leave-one-out by reading the rows a second time.
//
//   GramAccumulator sums(device, features, outputs);
//   for (each block) sums.add(x, y);
//   StreamedRidgePath path(sums, penalties);            // GCV, coefficients
//   auto pass = path.leave_one_out(penalties);
//   for (each block) pass.add(x, y);
//   const RidgeScores scores = pass.scores();
//
// Penalties are per sample, as in ridge_path.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/solvers/ridge_path.hpp"

namespace rtl::solvers {

/// Weighted count, column means, and the centred products of all columns of x and y: of each block about its own means,
/// joined by the update of Chan, Golub and LeVeque (1979), so that large means cost no digits. (p + k)^2 f64 numbers
/// and a block of at most some megabytes, whatever the number of rows. The order of blocks and merges matters for
/// rounding errors only.
class GramAccumulator {
 public:
  /// Throws ValueError unless both numbers are positive.
  GramAccumulator(const Device& device, std::int64_t features, std::int64_t outputs);

  /// Rows x [m, p], y [m, k] or [m], f32 or f64, and weights [m], none negative (absent: all 1). No rows: nothing is
  /// added. m (p + k)^2 FLOP. Throws ShapeError, DTypeError, DeviceError; ValueError for entries that are not finite
  /// (it names the first, by its place in the block) or negative weights; the sums are then as before.
  void add(ConstView x, ConstView y, ConstView weights = {});
  /// Adds all that `other` has seen. Throws ShapeError if it has other extents, DeviceError if it is elsewhere.
  void merge(const GramAccumulator& other);

  const Device& device() const noexcept { return device_; }
  std::int64_t features() const noexcept { return features_; }
  std::int64_t outputs() const noexcept { return outputs_; }
  std::int64_t rows() const noexcept { return rows_; }
  /// Rows of positive weight.
  std::int64_t counted_rows() const noexcept { return counted_rows_; }
  double total_weight() const noexcept { return total_weight_; }
  /// f64 [p + k]: means of the columns of x, then of y.
  const Tensor& means() const noexcept { return means_; }
  /// f64 [p + k, p + k], lower triangle: sum of w (z - mean)(z - mean)' over rows z = (x, y).
  const Tensor& products() const noexcept { return products_; }

  /// Writes all into an .npz file, beside its target and renamed. Throws IoError.
  void save(const std::string& path) const;
  /// Throws IoError, and FormatError for a file that `save` has not written or that is damaged.
  static GramAccumulator load(const std::string& path, const Device& device);

 private:
  void join(std::string_view call, std::int64_t rows, std::int64_t counted_rows, double weight, const Tensor& means,
            Tensor products);

  Device device_;
  std::int64_t features_, outputs_;
  std::int64_t rows_ = 0, counted_rows_ = 0;
  double total_weight_ = 0;
  Tensor means_, products_;
};

struct StreamOptions {
  bool intercept = true;
  ConstView centre = {};  ///< C [p, k], f32 or f64, copied; absent: 0
};

/// The path from accumulated sums: the primal form of RidgePath, without rows.
class StreamedRidgePath {
 public:
  /// 9 p^3 FLOP. The accumulator is not needed afterwards. Throws ValueError for an accumulator that has seen no
  /// weight, and penalties as RidgePath does; one that the Gram matrix cannot resolve is refused, for there are no rows
  /// to take singular values of.
  StreamedRidgePath(const GramAccumulator& sums, std::span<const double> penalties, const StreamOptions& options = {});
  StreamedRidgePath(StreamedRidgePath&&) noexcept;
  StreamedRidgePath& operator=(StreamedRidgePath&&) noexcept;
  ~StreamedRidgePath();

  /// GCV, residuals and degrees of freedom; `best` is that of the smallest GCV, leave_one_out is empty.
  const RidgeScores& scores() const noexcept;
  double best_penalty() const { return scores().best_penalty(); }
  /// W [p, k] and b [k], f64. Every single coefficient is right, however differently the columns are scaled: to a few
  /// roundings times the squared condition of X with its columns scaled to one size. p^3 / 3 FLOP where eigenvalues or
  /// columns differ much; penalties are then resolved that are too small for the scores.
  Tensor coefficients(double penalty) const;
  Tensor intercept(double penalty) const;
  /// X W + b [m, k].
  Tensor predict(ConstView x, double penalty) const;
  /// Ascending, of the centred X'X if there is an intercept.
  const std::vector<double>& eigenvalues() const noexcept;
  double smallest_penalty() const noexcept;

  /// The second pass over the rows. Keeps a reference to the path.
  class LeaveOneOut {
   public:
    LeaveOneOut(LeaveOneOut&&) noexcept;
    ~LeaveOneOut();
    /// The blocks need not be those of the first pass, the rows must be. Errors as for GramAccumulator::add.
    void add(ConstView x, ConstView y, ConstView weights = {});
    /// Throws ValueError if the number of rows or their weight is not that of the first pass.
    RidgeScores scores() const;

   private:
    friend class StreamedRidgePath;
    struct State;
    explicit LeaveOneOut(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  LeaveOneOut leave_one_out(std::span<const double> penalties) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rtl::solvers

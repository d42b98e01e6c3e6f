// Sums of products of rows in several parts, for ridge regressions each of which leaves one part out: all of them
// together cost one Gram matrix of all rows, and not one each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

class PartGrams {
 public:
  /// x [n, p] and y [n, k], f32 or f64, the rows of a part following each other, and the parts too: `sizes`, which sum
  /// to n. `weights` [n] or not given. n (p + k)^2 FLOP; a Gram matrix for each part is kept. Throws as RidgePath.
  PartGrams(std::string_view call, const Device& device, ConstView x, ConstView y, ConstView weights,
            std::span<const std::int64_t> sizes);

  /// What ridge regression needs of the rows outside one part; weights are scaled to sum to the number of these rows.
  struct Rest {
    Tensor gram;                ///< [X Y]'[X Y], f64 [p + k, p + k], lower triangle, columns less their means
    std::vector<double> means;  ///< of the columns of x, then of y
    double weight_factor = 1;   ///< of the weights as they were given
  };
  /// Differences of sums about the means of all rows, so no part may outweigh all others by orders of magnitude. Throws
  /// ValueError where no weight is left.
  Rest without(std::size_t part) const;

 private:
  struct Sums {
    Tensor products;           ///< about the means of all rows
    std::vector<double> sums;  ///< the same, not squared
    double weight = 0;
    std::int64_t rows = 0;
  };
  Device device_;
  std::vector<double> means_;
  double scale_ = 1;  ///< of the weights as they were given, which then sum to n
  Sums all_;
  std::vector<Sums> parts_;
};

}  // namespace rtl::solvers

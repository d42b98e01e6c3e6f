#include "solvers/column_means.hpp"

#include <algorithm>

#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/ridge_path.hpp"

namespace rtl::solvers {

void column_means(const Device& device, ConstView x, ConstView weights, double total, View means) {
  kernels::weighted_column_sums(device, x, weights, means);
  kernels::scale_add(device, 1.0 / total, means, 0.0, means);
  // The mean of what is left is the rounding error of the first pass.
  const std::int64_t bytes = (device.is_cuda() ? 256 : 2) * (std::int64_t{1} << 20);
  const std::int64_t step =
      std::clamp<std::int64_t>(bytes / (8 * x.extent(1)), 1, std::max<std::int64_t>(1, x.extent(0)));
  Tensor rest = Tensor::zeros(means.shape(), DType::f64, device), part(means.shape(), DType::f64, device);
  Tensor block({step, x.extent(1)}, DType::f64, device);
  for (std::int64_t begin = 0; begin < x.extent(0); begin += step) {
    const std::int64_t end = std::min(x.extent(0), begin + step);
    const View rows = block.view().slice(0, 0, end - begin);
    kernels::center_rows(device, x.slice(0, begin, end), means, {}, rows);
    kernels::weighted_column_sums(device, rows, weights.given() ? weights.slice(0, begin, end) : ConstView(), part);
    kernels::scale_add(device, 1.0 / total, part, 1.0, rest);
  }
  kernels::scale_add(device, 1.0, rest, 1.0, means);
}

}  // namespace rtl::solvers

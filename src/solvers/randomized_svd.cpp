#include "rtl/solvers/randomized_svd.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "rtl/kernels/dropout.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/kernels/ridge_path.hpp"
#include "solvers/arguments.hpp"

namespace rtl::solvers {
namespace {

using kernels::Transpose;

constexpr const char* call = "randomized_svd";
constexpr std::int64_t probes = 10;

/// Products with a matrix whose rows are widened to f64 some at a time.
class WideMatrix {
 public:
  WideMatrix(const Device& device, ConstView x) : device_(device), x_(x) {}

  /// x b [n, q].
  Tensor times(const Tensor& b) const {
    Tensor result({x_.extent(0), b.extent(1)}, DType::f64, device_);
    for_each_block([&](std::int64_t begin, std::int64_t end, ConstView rows) {
      kernels::gemm(device_, Transpose::no, Transpose::no, 1.0, rows, b, 0.0, result.view().slice(0, begin, end));
    });
    return result;
  }

  /// x' b [p, q].
  Tensor turned_times(const Tensor& b) const {
    Tensor result = Tensor::zeros({x_.extent(1), b.extent(1)}, DType::f64, device_);
    for_each_block([&](std::int64_t begin, std::int64_t end, ConstView rows) {
      kernels::gemm(device_, Transpose::yes, Transpose::no, 1.0, rows, b.view().slice(0, begin, end), 1.0, result);
    });
    return result;
  }

  double squared_norm() const {
    double total = 0;
    for_each_block([&](std::int64_t, std::int64_t, ConstView rows) {
      Tensor squares(rows.shape(), DType::f64, device_), sum({1, 1}, DType::f64, device_);
      kernels::unary(device_, kernels::UnaryOp::square, rows, squares);
      kernels::reduce(device_, kernels::ReduceOp::sum, squares, sum);
      total += sum.item<double>();
    });
    return total;
  }

 private:
  template <typename F>
  void for_each_block(const F& use) const {
    if (x_.dtype() == DType::f64) return use(0, x_.extent(0), x_);
    const std::int64_t step = std::clamp<std::int64_t>((std::int64_t{64} << 20) / (8 * x_.extent(1)), 1, x_.extent(0));
    Tensor wide({step, x_.extent(1)}, DType::f64, device_);
    for (std::int64_t begin = 0; begin < x_.extent(0); begin += step) {
      const std::int64_t end = std::min(x_.extent(0), begin + step);
      const View rows = wide.view().slice(0, 0, end - begin);
      kernels::center_rows(device_, x_.slice(0, begin, end), {}, {}, rows);
      use(begin, end, rows);
    }
  }

  Device device_;
  ConstView x_;
};

Tensor orthonormal(const Device& device, Tensor columns) {
  Tensor r({columns.extent(1), columns.extent(1)}, DType::f64, device);
  kernels::qr(device, columns, r);
  return columns;
}

Tensor normal_numbers(const Device& device, const Shape& shape, std::uint64_t seed, std::uint64_t stream) {
  Tensor numbers(shape, DType::f64, device);
  kernels::normal(device, 0.0, 1.0, seed, stream, numbers);
  return numbers;
}

/// The bound of ||(I - QQ')A||_2 from its products with random vectors.
double range_error(const Device& device, const WideMatrix& matrix, const Tensor& q, std::int64_t columns,
                   std::uint64_t seed) {
  Tensor images = matrix.times(normal_numbers(device, {columns, probes}, seed, 2));
  Tensor inside({q.extent(1), probes}, DType::f64, device), lengths({1, probes}, DType::f64, device);
  kernels::gemm(device, Transpose::yes, Transpose::no, 1.0, q, images, 0.0, inside);
  kernels::gemm(device, Transpose::no, Transpose::no, -1.0, q, inside, 1.0, images);
  kernels::unary(device, kernels::UnaryOp::square, images, images);
  kernels::reduce(device, kernels::ReduceOp::sum, images, lengths);
  const std::vector<double> squares = lengths.to_vector<double>();
  const double largest = *std::max_element(squares.begin(), squares.end());
  return 10 * std::sqrt(2 / std::numbers::pi) * std::sqrt(largest);
}

void check(const ConstView& x, const RandomizedSvdOptions& options) {
  const std::int64_t most = std::min(x.extent(0), x.extent(1));
  if (options.rank < 1 || options.rank > most || options.oversampling < 0 || options.power_iterations < 0) {
    throw ValueError(
        fmt::format("{}: rank {} with oversampling {} and {} power iterations for x {}: a rank from 1 to {}, "
                    "and nothing negative, is needed",
                    call, options.rank, options.oversampling, options.power_iterations, x.shape().to_string(), most));
  }
}

}  // namespace

RandomizedSvd randomized_svd(const Device& device, ConstView x, const RandomizedSvdOptions& options) {
  x = arguments::matrix(call, device, "x", x);
  check(x, options);
  const std::int64_t n = x.extent(0), p = x.extent(1), rank = options.rank;
  const std::int64_t q = rank + std::min(options.oversampling, std::min(n, p) - rank);
  const WideMatrix matrix(device, x);
  const double norm = matrix.squared_norm();
  if (!std::isfinite(norm)) {
    arguments::throw_if_not_finite(call, device, "x", x);
    throw ValueError(fmt::format("{}: squares of entries overflow; scale x down", call));
  }
  Tensor basis = orthonormal(device, matrix.times(normal_numbers(device, {p, q}, options.seed, 1)));
  for (std::int64_t i = 0; i < options.power_iterations; ++i) {
    basis = orthonormal(device, matrix.times(orthonormal(device, matrix.turned_times(basis))));
  }
  // (Q'A)' = u1 diag(values) v1', so A ~ (Q v1) diag(values) u1'.
  Tensor turned = matrix.turned_times(basis);
  Tensor u({p, q}, DType::f64, device), values({q}, DType::f64, device), vt({q, q}, DType::f64, device);
  kernels::svd(device, turned, u, values, vt);
  RandomizedSvd result;
  result.left = Tensor({n, rank}, DType::f64, device);
  kernels::gemm(device, Transpose::no, Transpose::yes, 1.0, basis, vt.view().slice(0, 0, rank), 0.0, result.left);
  result.right = Tensor({rank, p}, DType::f64, device);
  kernels::unary(device, kernels::UnaryOp::copy, u.view().slice(1, 0, rank).permuted({1, 0}), result.right);
  result.values = Tensor({rank}, DType::f64, device);
  copy_bytes(values.view().slice(0, 0, rank), result.values);
  double kept = 0;
  for (const double value : result.values.to_vector<double>()) kept += value * value;
  result.frobenius_error = std::sqrt(std::max(0.0, norm - kept));
  result.range_error_bound = range_error(device, matrix, basis, p, options.seed);
  return result;
}

}  // namespace rtl::solvers

// Small dense matrices on the host, f64, row-major: the arithmetic of the featurization solvers in readable form.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "rtl/core/device.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl::solvers {

/// Its products, factors and eigenvectors are computed, and lie, on the host device that it was made with.
class Dense {
 public:
  /// Nothing, to be assigned to.
  Dense() = default;
  /// Zeros.
  Dense(std::int64_t rows, std::int64_t columns, const Device& host)
      : rows_(rows), columns_(columns), values_(static_cast<std::size_t>(rows * columns), 0.0), host_(host) {}

  const Device& host() const { return host_.value(); }

  std::int64_t rows() const noexcept { return rows_; }
  std::int64_t columns() const noexcept { return columns_; }
  double& operator()(std::int64_t i, std::int64_t j) { return values_[static_cast<std::size_t>(i * columns_ + j)]; }
  double operator()(std::int64_t i, std::int64_t j) const {
    return values_[static_cast<std::size_t>(i * columns_ + j)];
  }
  double* row(std::int64_t i) { return values_.data() + i * columns_; }
  const double* row(std::int64_t i) const { return values_.data() + i * columns_; }
  std::vector<double>& values() noexcept { return values_; }
  const std::vector<double>& values() const noexcept { return values_; }

  View view() { return {values_.data(), DType::f64, {rows_, columns_}, host()}; }
  ConstView view() const { return {values_.data(), DType::f64, {rows_, columns_}, host()}; }
  Tensor tensor() const { return Tensor::from(values_, {rows_, columns_}, host()); }

  double trace() const;
  void scale(double factor);
  void add_to_diagonal(double value);
  /// (A + A') / 2.
  void symmetrize();

  static Dense identity(std::int64_t size, const Device& host);

 private:
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  std::vector<double> values_;
  std::optional<Device> host_;
};

using kernels::Transpose;

/// f32 or f64, rank 2 (rank 1 becomes one column), on any device, widened to f64, on Device::host of that. Throws
/// DTypeError, ShapeError, ValueError for an entry that is not finite.
Dense dense_copy(std::string_view call, std::string_view name, ConstView view);
/// As above for [p, p] matrices of f64 that are symmetric within 1e-10 of their largest entry.
Dense symmetric_copy(std::string_view call, std::string_view name, ConstView view);

/// out = alpha op(a) op(b) + beta out.
void multiply_into(Dense& out, double alpha, const Dense& a, Transpose transpose_a, const Dense& b,
                   Transpose transpose_b, double beta);
Dense multiply(const Dense& a, const Dense& b);
Dense multiply_transposed(const Dense& a, const Dense& b);  ///< a b'
Dense transposed_multiply(const Dense& a, const Dense& b);  ///< a' b

/// The lower triangle of L with A = LL' in place of that of `a`; then b <- A^-1 b. Throw as kernels::cholesky_factor.
void factor_cholesky(Dense& a);
void solve_cholesky(const Dense& factor, Dense& b);

/// Eigenvalues, ascending, and eigenvectors in the rows.
struct Eigen {
  std::vector<double> values;
  Dense vectors;
};
Eigen eigen(Dense symmetric);
/// sum_i function(values_i) v_i v_i'.
Dense spectral(const Eigen& eigen, const std::function<double(double)>& function);
/// Negative eigenvalues beyond 1e-10 of the largest throw ValueError, smaller ones become 0.
void require_semidefinite(std::string_view call, std::string_view name, Eigen& eigen);

/// A covariance with its square roots, eigenvalues floored at `relative_floor` of their mean.
struct SquareRoots {
  Dense root;     // Sigma^(1/2)
  Dense inverse;  // Sigma^(-1/2)
};
SquareRoots square_roots(std::string_view call, ConstView sigma, double relative_floor);

}  // namespace rtl::solvers

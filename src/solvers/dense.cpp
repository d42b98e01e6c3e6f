#include "solvers/dense.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/kernels/linear_algebra.hpp"
#include "solvers/domain.hpp"

namespace rtl::solvers {
namespace {

/// Threads that share a small piece of work only wait for each other.
Device host_for(double operations, const Device& host) { return operations < 5e8 ? Device::cpu(1) : host; }

constexpr double tolerance = 1e-10;  // of the largest entry or eigenvalue, for asymmetry and negative eigenvalues

template <typename T>
void widen(ConstView view, Dense& out) {
  const auto count = static_cast<std::size_t>(view.count());
  std::vector<T> values(count);
  copy_bytes(view, View(values.data(), dtype_of<T>(), view.shape(), out.host()));
  std::copy(values.begin(), values.end(), out.values().begin());
}

}  // namespace

double Dense::trace() const {
  double sum = 0;
  for (std::int64_t i = 0; i < rows_; ++i) sum += (*this)(i, i);
  return sum;
}

void Dense::scale(double factor) {
  for (double& value : values_) value *= factor;
}

void Dense::add_to_diagonal(double value) {
  for (std::int64_t i = 0; i < rows_; ++i) (*this)(i, i) += value;
}

void Dense::symmetrize() {
  for (std::int64_t i = 0; i < rows_; ++i) {
    for (std::int64_t j = 0; j < i; ++j) {
      const double mean = ((*this)(i, j) + (*this)(j, i)) / 2;
      (*this)(i, j) = (*this)(j, i) = mean;
    }
  }
}

Dense Dense::identity(std::int64_t size, const Device& host) {
  Dense result(size, size, host);
  result.add_to_diagonal(1);
  return result;
}

Dense dense_copy(std::string_view call, std::string_view name, ConstView view) {
  if (!view.given() || view.rank() < 1 || view.rank() > 2 || view.count() == 0) {
    throw ShapeError(fmt::format("{}: {} is {}; it must be a matrix with rows and columns", call, name,
                                 view.given() ? view.shape().to_string() : "absent"));
  }
  if (!view.is_contiguous()) {
    throw ShapeError(fmt::format("{}: {} is strided; copy it into a contiguous tensor", call, name));
  }
  Dense result(view.extent(0), view.rank() == 2 ? view.extent(1) : 1, view.device().host());
  if (view.dtype() == DType::f32) {
    widen<float>(view, result);
  } else if (view.dtype() == DType::f64) {
    widen<double>(view, result);
  } else {
    throw DTypeError(fmt::format("{}: {} is {}; it must be f32 or f64", call, name, name_of(view.dtype())));
  }
  for (std::size_t i = 0; i < result.values().size(); ++i) {
    if (!std::isfinite(result.values()[i])) {
      throw ValueError(
          fmt::format("{}: {} has {} at position {}; it must be finite", call, name, result.values()[i], i));
    }
  }
  return result;
}

Dense symmetric_copy(std::string_view call, std::string_view name, ConstView view) {
  Dense result = dense_copy(call, name, view);
  if (view.rank() != 2 || result.rows() != result.columns()) {
    throw ShapeError(fmt::format("{}: {} is {}; it must be [p, p]", call, name, view.shape().to_string()));
  }
  view.data_as<double>();
  double largest = 0;
  for (const double value : result.values()) largest = std::max(largest, std::abs(value));
  for (std::int64_t i = 0; i < result.rows(); ++i) {
    for (std::int64_t j = 0; j < i; ++j) {
      if (std::abs(result(i, j) - result(j, i)) > tolerance * largest) {
        throw ValueError(fmt::format("{}: {}[{}, {}] is {}, {}[{}, {}] is {}; it must be symmetric", call, name, i, j,
                                     result(i, j), name, j, i, result(j, i)));
      }
    }
  }
  result.symmetrize();
  return result;
}

void multiply_into(Dense& out, double alpha, const Dense& a, Transpose transpose_a, const Dense& b,
                   Transpose transpose_b, double beta) {
  const double operations = 2.0 * static_cast<double>(a.rows() * a.columns()) * static_cast<double>(out.columns());
  kernels::gemm(host_for(operations, a.host()), transpose_a, transpose_b, alpha, a.view(), b.view(), beta, out.view());
}

Dense multiply(const Dense& a, const Dense& b) {
  Dense out(a.rows(), b.columns(), a.host());
  multiply_into(out, 1, a, Transpose::no, b, Transpose::no, 0);
  return out;
}

Dense multiply_transposed(const Dense& a, const Dense& b) {
  Dense out(a.rows(), b.rows(), a.host());
  multiply_into(out, 1, a, Transpose::no, b, Transpose::yes, 0);
  return out;
}

Dense transposed_multiply(const Dense& a, const Dense& b) {
  Dense out(a.columns(), b.columns(), a.host());
  multiply_into(out, 1, a, Transpose::yes, b, Transpose::no, 0);
  return out;
}

void factor_cholesky(Dense& a) {
  const auto n = static_cast<double>(a.rows());
  kernels::cholesky_factor(host_for(n * n * n / 3, a.host()), a.view());
}

void solve_cholesky(const Dense& factor, Dense& b) {
  const auto n = static_cast<double>(factor.rows());
  kernels::cholesky_solve(host_for(2 * n * n * static_cast<double>(b.columns()), factor.host()), factor.view(),
                          b.view());
}

Eigen eigen(Dense symmetric) {
  Eigen result;
  result.values.resize(static_cast<std::size_t>(symmetric.rows()));
  result.vectors = std::move(symmetric);
  const auto n = static_cast<double>(result.vectors.rows());
  const Device host = host_for(9 * n * n * n, result.vectors.host());
  kernels::symmetric_eigen(host, result.vectors.view(),
                           View(result.values.data(), DType::f64, {result.vectors.rows()}, host));
  return result;
}

Dense spectral(const Eigen& eigen, const std::function<double(double)>& function) {
  Dense scaled = eigen.vectors;
  for (std::int64_t i = 0; i < scaled.rows(); ++i) {
    const double factor = function(eigen.values[static_cast<std::size_t>(i)]);
    for (std::int64_t j = 0; j < scaled.columns(); ++j) scaled(i, j) *= factor;
  }
  Dense result = transposed_multiply(eigen.vectors, scaled);
  result.symmetrize();
  return result;
}

void require_semidefinite(std::string_view call, std::string_view name, Eigen& eigen) {
  const double largest = std::max(eigen.values.back(), 0.0);
  for (double& value : eigen.values) {
    if (value < -tolerance * largest || (largest == 0 && value < 0)) {
      throw ValueError(
          fmt::format("{}: {} has the eigenvalue {}; it must be positive semidefinite", call, name, value));
    }
    value = std::max(value, 0.0);
  }
}

SquareRoots square_roots(std::string_view call, ConstView sigma, double relative_floor) {
  domain::not_negative(call, "eigenvalue_floor", relative_floor);
  Eigen decomposed = eigen(symmetric_copy(call, "sigma", sigma));
  require_semidefinite(call, "sigma", decomposed);
  const double mean = std::accumulate(decomposed.values.begin(), decomposed.values.end(), 0.0) /
                      static_cast<double>(decomposed.values.size());
  const double floor = relative_floor * mean;
  if (!(mean > 0) || std::max(decomposed.values.front(), floor) == 0) {
    throw ValueError(
        fmt::format("{}: sigma is singular; give an eigenvalue_floor above 0, and a sigma that is not 0", call));
  }
  const auto floored = [floor](double value) { return std::max(value, floor); };
  return {spectral(decomposed, [&](double value) { return std::sqrt(floored(value)); }),
          spectral(decomposed, [&](double value) { return 1 / std::sqrt(floored(value)); })};
}

}  // namespace rtl::solvers

#include "theory/basis_change.hpp"

#include "rtl/kernels/gemm.hpp"

namespace rtl::theory {

std::vector<double> basis_change(const Covariance& from, const Covariance& to) {
  if (from.is_diagonal() && to.is_diagonal()) return {};
  const std::int64_t p = from.dimension();
  std::vector<double> change(static_cast<std::size_t>(p * p));
  if (from.is_diagonal()) {
    change.assign(to.eigenvectors().begin(), to.eigenvectors().end());
  } else if (to.is_diagonal()) {
    for (std::int64_t i = 0; i < p; ++i) {
      for (std::int64_t j = 0; j < p; ++j) change[i * p + j] = from.eigenvectors()[j * p + i];
    }
  } else {
    const Device cpu = Device::cpu();
    const auto rows = [&](std::span<const double> values) { return ConstView(values.data(), DType::f64, {p, p}, cpu); };
    kernels::gemm(cpu, kernels::Transpose::no, kernels::Transpose::yes, 1, rows(to.eigenvectors()),
                  rows(from.eigenvectors()), 0, View(change.data(), DType::f64, {p, p}, cpu));
  }
  return change;
}

std::vector<double> apply(const std::vector<double>& change, const std::vector<double>& vector) {
  if (change.empty()) return vector;
  const std::size_t p = vector.size();
  std::vector<double> result(p, 0.0);
  for (std::size_t i = 0; i < p; ++i) {
    for (std::size_t j = 0; j < p; ++j) result[i] += change[i * p + j] * vector[j];
  }
  return result;
}

std::vector<double> diagonal_after(const std::vector<double>& change, std::span<const double> values) {
  if (change.empty()) return {values.begin(), values.end()};
  const std::size_t p = values.size();
  std::vector<double> result(p, 0.0);
  for (std::size_t i = 0; i < p; ++i) {
    for (std::size_t j = 0; j < p; ++j) result[i] += change[i * p + j] * change[i * p + j] * values[j];
  }
  return result;
}

std::vector<double> diagonal_in(const Covariance& basis, const Covariance& matrix) {
  return diagonal_after(basis_change(matrix, basis), matrix.eigenvalues());
}

}  // namespace rtl::theory

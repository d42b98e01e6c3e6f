// From the eigenbasis of one covariance to that of another.
#pragma once

#include <vector>

#include "rtl/theory/covariance.hpp"

namespace rtl::theory {

/// Row-major [p, p]: eigenvectors of `to` times those of `from`; takes coordinates of `from` to those of `to`. Empty
/// stands for the identity.
std::vector<double> basis_change(const Covariance& from, const Covariance& to);

/// `change` times a vector.
std::vector<double> apply(const std::vector<double>& change, const std::vector<double>& vector);

/// out_i = sum_j change_ij^2 values_j: the diagonal of a matrix after the change, `values` being its eigenvalues.
std::vector<double> diagonal_after(const std::vector<double>& change, std::span<const double> values);

/// u_i' M u_i along the eigenvectors u_i of `basis`.
std::vector<double> diagonal_in(const Covariance& basis, const Covariance& matrix);

}  // namespace rtl::theory

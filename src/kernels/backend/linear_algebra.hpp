// Backend functions of "rtl/kernels/linear_algebra.hpp": same parameters as the public ones, which have checked them.
// Operands are batches: rank 3.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/linear_algebra.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void gram(const Device& device, GramOf of, double alpha, ConstView x, double beta, View g))
/// Number of matrices whose iteration did not converge.
RTL_DECLARE_BACKENDS(std::int64_t symmetric_eigen(const Device& device, View a, View values))
/// One matrix: rank 2.
RTL_DECLARE_BACKENDS(void queued_symmetric_eigen(const Device& device, View a, View values, View work))
/// 0, or the order of the first leading minor that is not positive.
RTL_DECLARE_BACKENDS(std::int64_t cholesky_factor(const Device& device, View a))
RTL_DECLARE_BACKENDS(void cholesky_solve(const Device& device, ConstView factor, View b))
RTL_DECLARE_BACKENDS(void qr(const Device& device, View a, View r))
/// False if the iteration did not converge.
RTL_DECLARE_BACKENDS(bool svd(const Device& device, View a, View u, View values, View vt))

}  // namespace rtl::kernels

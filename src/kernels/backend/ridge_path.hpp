// Backend functions of "rtl/kernels/ridge_path.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/ridge_path.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void weighted_column_sums(const Device& device, ConstView x, ConstView weights, View sums))
RTL_DECLARE_BACKENDS(void center_rows(const Device& device, ConstView x, ConstView shift, ConstView scale, View out))
RTL_DECLARE_BACKENDS(void ridge_path_errors(const Device& device, const RidgePathRows& rows, View left_out,
                                            View residual))

/// Margins up to so many unit roundoffs are no different from 0.
constexpr double margin_roundoffs = 64;

}  // namespace rtl::kernels

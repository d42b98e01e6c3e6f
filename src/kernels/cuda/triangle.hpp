// The upper triangle that a QR factorisation leaves.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::kernels::cuda {

/// r[i, j] = columns[j, i] where i <= j, else 0; columns [n, m] with m >= n, r [n, n]. f32, f64.
void upper_triangle(const Device& device, const ConstView& columns, const View& r);

}  // namespace rtl::kernels::cuda

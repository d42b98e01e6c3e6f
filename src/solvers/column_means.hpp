// Means of columns, exact to the last place.
#pragma once

#include "rtl/core/tensor.hpp"

namespace rtl::solvers {

/// means [p], f64: the weighted means of the columns of x [n, p], f32 or f64; weights [n] (not given: all 1) add up to
/// `total`. Two passes, so that a constant column less its mean is 0 and no mean, however large, hides what varies.
void column_means(const Device& device, ConstView x, ConstView weights, double total, View means);

}  // namespace rtl::solvers

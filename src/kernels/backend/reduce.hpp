// Backend functions of "rtl/kernels/reduce.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/reduce.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void reduce(const Device& device, ReduceOp op, ConstView x, View y))
RTL_DECLARE_BACKENDS(void reduce_batch(const Device& device, ReduceOp op, ConstView x, View y))
RTL_DECLARE_BACKENDS(void argmax_rows(const Device& device, ConstView x, View indices))
RTL_DECLARE_BACKENDS(bool all_finite(const Device& device, ConstView x))
RTL_DECLARE_BACKENDS(void column_moments(const Device& device, ConstView x, View mean, View variance))

}  // namespace rtl::kernels

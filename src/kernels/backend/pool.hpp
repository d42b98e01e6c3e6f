// Backend functions of "rtl/kernels/pool.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/pool.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void max_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y,
                                           View winners))
RTL_DECLARE_BACKENDS(void max_pool_backward(const Device& device, ConstView dy, ConstView winners,
                                            const PoolOptions& options, View dx))
RTL_DECLARE_BACKENDS(void max_pool_gather(const Device& device, ConstView x, ConstView winners,
                                          const PoolOptions& options, View y))
RTL_DECLARE_BACKENDS(void average_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y))
RTL_DECLARE_BACKENDS(void average_pool_backward(const Device& device, ConstView dy, const PoolOptions& options,
                                                View dx))
RTL_DECLARE_BACKENDS(void global_average_pool_forward(const Device& device, ConstView x, View y))
RTL_DECLARE_BACKENDS(void global_average_pool_backward(const Device& device, ConstView dy, View dx))
RTL_DECLARE_BACKENDS(void flatten_forward(const Device& device, ConstView x, View y))
RTL_DECLARE_BACKENDS(void flatten_backward(const Device& device, ConstView dy, View dx))
RTL_DECLARE_BACKENDS(void shortcut_a_forward(const Device& device, ConstView x, View y))
RTL_DECLARE_BACKENDS(void shortcut_a_backward(const Device& device, ConstView dy, View dx))

}  // namespace rtl::kernels

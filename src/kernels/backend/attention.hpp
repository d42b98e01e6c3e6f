// Backend functions of "rtl/kernels/attention.hpp": same parameters as the public ones, which have checked them.
// Results are not empty, and options.scale is the one to multiply with.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/attention.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void attention_forward(const Device& device, ConstView q, ConstView k, ConstView v,
                                            ConstView lengths, ConstView counters, const AttentionOptions& options,
                                            View out, View log_sum_exp))
RTL_DECLARE_BACKENDS(void attention_backward(const Device& device, ConstView q, ConstView k, ConstView v,
                                             ConstView lengths, ConstView counters, const AttentionOptions& options,
                                             ConstView out, ConstView log_sum_exp, ConstView dout, View dq, View dk,
                                             View dv))

}  // namespace rtl::kernels

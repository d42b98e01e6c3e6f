// Backend functions of "rtl/kernels/sequence.hpp": same parameters as the public ones, which have checked them. Results
// are not empty.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/sequence.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void sequence_lengths(const Device& device, ConstView ids, View lengths))
RTL_DECLARE_BACKENDS(void sequence_mean(const Device& device, ConstView x, ConstView lengths, View y))
RTL_DECLARE_BACKENDS(void sequence_mean_backward(const Device& device, ConstView dy, ConstView lengths, View dx))
RTL_DECLARE_BACKENDS(void rotate_positions(const Device& device, ConstView x, ConstView cosines, ConstView sines,
                                           RotaryPairs pairs, std::int64_t heads, bool back, View y))

}  // namespace rtl::kernels

// Backend functions of "rtl/kernels/dropout.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/dropout.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void dropout(const Device& device, ConstView x, double probability, std::uint64_t seed,
                                  std::uint64_t stream, View y))
RTL_DECLARE_BACKENDS(void dropout(const Device& device, ConstView x, double probability, std::uint64_t name,
                                  ConstView counters, View y))
RTL_DECLARE_BACKENDS(void uniform(const Device& device, double low, double high, std::uint64_t seed,
                                  std::uint64_t stream, View y))
RTL_DECLARE_BACKENDS(void normal(const Device& device, double mean, double deviation, std::uint64_t seed,
                                 std::uint64_t stream, View y))

}  // namespace rtl::kernels

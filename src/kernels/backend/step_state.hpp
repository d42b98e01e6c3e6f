// Backend functions of "rtl/kernels/step_state.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void advance(const Device& device, View counters, View losses, ConstView loss,
                                  std::int64_t batch_size))

}  // namespace rtl::kernels

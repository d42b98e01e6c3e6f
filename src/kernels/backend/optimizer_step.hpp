// Backend functions of "rtl/kernels/optimizer_step.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/optimizer_step.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void sgd_step(const Device& device, std::span<const OptimizerSlot> slots,
                                   const SgdOptions& options, bool first_step))
RTL_DECLARE_BACKENDS(void adam_step(const Device& device, std::span<const OptimizerSlot> slots,
                                    const AdamOptions& options, std::int64_t step))

}  // namespace rtl::kernels

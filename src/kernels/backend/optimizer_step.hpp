// Backend functions of "rtl/kernels/optimizer_step.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/optimizer_step.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdRule& rule,
                                   const OptimizerState& state))
RTL_DECLARE_BACKENDS(void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamRule& rule,
                                    const OptimizerState& state))
RTL_DECLARE_BACKENDS(void schedule_free_step(const Device& device, std::span<const OptimizerSlot> slots,
                                             const ScheduleFreeRule& rule, const OptimizerState& state))

}  // namespace rtl::kernels

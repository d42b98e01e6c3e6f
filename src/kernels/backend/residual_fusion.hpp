// Backend functions of "rtl/kernels/residual_fusion.hpp": same parameters as the public ones, which have checked them.
#pragma once

#include "kernels/backend/declare.hpp"
#include "rtl/kernels/residual_fusion.hpp"

namespace rtl::kernels {

RTL_DECLARE_BACKENDS(void residual_fusion_forward(const Device& device, std::span<const FusionBlock> blocks,
                                                  ConstView w, ConstView bias, View logits))
RTL_DECLARE_BACKENDS(void residual_fusion_backward(const Device& device, std::span<const FusionBlock> blocks,
                                                   ConstView w, ConstView dlogits, View dw, View dbias,
                                                   std::span<const View> dfeatures))

}  // namespace rtl::kernels

// Linear layers with packed weights on the host.
#pragma once

#include "rtl/kernels/prepared_linear.hpp"

namespace rtl::kernels::cpu {

/// w [out, in] of f32 as panels for inputs of f32 or bf16; nothing where products of the dtype are left to gemm.
Tensor linear_panels(const Device& device, ConstView w, DType inputs);
void linear_forward(const Device& device, ConstView x, ConstView panels, ConstView bias, View y,
                    LinearActivation activation);

}  // namespace rtl::kernels::cpu

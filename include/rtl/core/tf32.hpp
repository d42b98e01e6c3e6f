// TF32: products of f32 on the tensor cores of a GPU.
#pragma once

#include "rtl/core/device.hpp"

namespace rtl {

/// Whether matrix products and convolutions of f32 on a CUDA device may round their operands to TF32: 8 bits of
/// exponent and 10 of fraction, products added in f32. Off unless allowed. Holds for all handles of the context, from
/// the next call on; work that is queued, and captured plans, stay as they are. Device::separate() gives a context of
/// its own. Everything but gemm, gemm_batched and conv2d_* keeps full precision, and so does the host, where this
/// changes nothing.
void allow_tf32(const Device& device, bool allowed);
bool tf32_allowed(const Device& device);

}  // namespace rtl

// Convolution as matrix products with patches: for every output pixel the inputs that it looks at, side by side. Takes
// the place of the vendor's convolutions where the vendor has none that will do. Weights are [out, height, width, in].
// One group of channels only (others: grouped_convolution.hpp).
// f32, f64 or bf16; with bf16 w is bf16, dw f32.
// Deterministic; works through the images in pieces, so that the patches need at most 64 MiB (or one image's).
#pragma once

#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cuda {

void patch_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                   const View& y);
void patch_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                         const View& dx);
void patch_backward_weights(const Device& device, const ConstView& x, const ConstView& dy, const Conv2dOptions& options,
                            const View& dw);

}  // namespace rtl::kernels::cuda

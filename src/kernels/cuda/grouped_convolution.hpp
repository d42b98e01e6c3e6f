// Convolutions of groups of channels as plain sums, each result by one thread, or a column of a reduction for the
// weights: of depthwise convolutions, which only cost the reading of the images, and of other groups where the vendor
// has none that will do. Weights are [out, height, width, in / groups]. f32, f64 or bf16; with bf16 w is bf16, dw f32
// and the sums are f32. Deterministic.
#pragma once

#include "rtl/kernels/conv.hpp"

namespace rtl::kernels::cuda {

void grouped_forward(const Device& device, const ConstView& x, const ConstView& w, const Conv2dOptions& options,
                     const View& y);
void grouped_backward_data(const Device& device, const ConstView& dy, const ConstView& w, const Conv2dOptions& options,
                           const View& dx);
void grouped_backward_weights(const Device& device, const ConstView& x, const ConstView& dy,
                              const Conv2dOptions& options, const View& dw);

}  // namespace rtl::kernels::cuda

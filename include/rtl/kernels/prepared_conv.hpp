// A convolution whose weights stay the same over many calls, as in a frozen network: what can be computed from the
// weights alone is computed once.
#pragma once

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels {

/// Holds copies of the weights in the form that the device is fastest with. On the host, f32 convolutions of 3x3 with
/// stride 1 and padding 1 between multiples of 16 channels keep their Winograd transform, 4 times the weights' size.
/// The same result, bit for bit, as conv2d_forward with the same operands.
class PreparedConv2d {
 public:
  /// w [out, in, height, width], bias [out] or absent, f32 or f64. Throws ShapeError, DTypeError, DeviceError.
  PreparedConv2d(const Device& device, ConstView w, ConstView bias, const Conv2dOptions& options);

  /// y = [relu](conv(x, w) [+ bias] [+ residual]). On the host `device` may be another host device than that of the
  /// constructor (for example one for each thread) and residual may be y itself. Throws as conv2d_forward.
  void forward(const Device& device, ConstView x, View y, bool relu = false, ConstView residual = {}) const;

 private:
  Tensor w_, bias_, transformed_;
  Conv2dOptions options_;
};

}  // namespace rtl::kernels

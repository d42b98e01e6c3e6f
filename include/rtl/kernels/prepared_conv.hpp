// A convolution whose weights stay the same over many calls, as in a frozen network: what can be computed from the
// weights alone is computed once.
#pragma once

#include <memory>
#include <optional>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/conv.hpp"

namespace rtl::kernels {

namespace cpu {
class KeptWeights;
}

/// Holds copies of the weights in the forms that the device is fastest with. On the host, convolutions of 3x3 with
/// stride 1 and padding 1 between multiples of 16 channels keep their Winograd transform, 4 times the weights' size
/// (but for bf16 on processors with AMX); others of f32 and bf16 keep the weights in oneDNN's layout, packed by the
/// first call. On CUDA they are kept in the order and dtype in which they are multiplied. The same result, bit for bit,
/// as conv2d_forward with the same operands.
class PreparedConv2d {
 public:
  /// w [out, in / groups, height, width], bias [out] or absent, for images of a dtype, by default w's: f32 or f64, or
  /// bf16 with w and bias of f32. Throws ShapeError, DTypeError, DeviceError.
  PreparedConv2d(const Device& device, ConstView w, ConstView bias, const Conv2dOptions& options,
                 std::optional<DType> images = std::nullopt);

  /// y = activation(conv(x, w) [+ bias] [+ residual]). On the host `device` may be another host device than that of the
  /// constructor (for example one for each thread) and residual may be y itself. Throws as conv2d_forward, and
  /// DTypeError for images of another dtype than prepared for.
  void forward(const Device& device, ConstView x, View y, Activation activation = Activation::none,
               ConstView residual = {}) const;

 private:
  Tensor w_, bias_;  ///< on CUDA w packed
  Conv2dOptions options_;
  DType images_;
  std::shared_ptr<cpu::KeptWeights> kept_;
};

}  // namespace rtl::kernels

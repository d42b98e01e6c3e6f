// A linear layer whose weights stay the same over many calls, as in a frozen network: they are packed once.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {

/// Activations that a prepared linear layer takes behind it.
enum class LinearActivation : std::uint8_t { none, relu, relu6, gelu, gelu_tanh, silu };

/// "gelu"; empty for none.
std::string_view name_of(LinearActivation activation);
/// The one that an elementwise function is; absent for others.
std::optional<LinearActivation> linear_activation(UnaryOp op);

/// Holds copies of the weights. On the host those of f32, and of bf16 where the processor multiplies it, lie in the
/// panels that its products read, so that a call packs and rounds nothing; a row's result has the same bits whatever
/// rows stand beside it. Elsewhere the product is gemm's.
class PreparedLinear {
 public:
  /// w [out, in], bias [out] or absent, for inputs of a dtype: f32 or f64 as w, or bf16 with w and bias of f32. Throws
  /// ShapeError, DTypeError, DeviceError.
  PreparedLinear(const Device& device, ConstView w, ConstView bias, DType inputs);

  /// y = activation(x w^T [+ bias]), x [N, in] and y [N, out] of the inputs' dtype; bf16 is rounded before an
  /// activation other than ReLU and ReLU6, and behind it. On the host `device` may be another host device than that of
  /// the constructor. Deterministic for any number of threads. 2 N in out FLOP. Throws ShapeError, DTypeError,
  /// DeviceError.
  void forward(const Device& device, ConstView x, View y, LinearActivation activation = LinearActivation::none) const;

 private:
  Tensor w_, bias_, panels_;
  DType inputs_;
};

}  // namespace rtl::kernels

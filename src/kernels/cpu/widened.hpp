// Products and convolutions of bf16 where the processor has none: in f32, on copies.
#pragma once

#include "kernels/backend/pointwise.hpp"
#include "kernels/cpu/workspace.hpp"
#include "rtl/core/tensor.hpp"

namespace rtl::kernels::cpu {

/// A contiguous f32 copy, for the length of a call, of values of bf16, or of values of f32 rounded to bf16.
class Widened {
 public:
  /// Contents are undefined.
  Widened(const Device& device, const Shape& shape)
      : device_(device), memory_(device, shape.count()), view_(memory_.data(), DType::f32, shape, device) {}
  Widened(const Device& device, ConstView values) : Widened(device, values.shape()) {
    if (values.dtype() == DType::bf16) {
      cpu::cast(device, values, view_);
      return;
    }
    const Scratch<bfloat16> rounded(device, values.count());
    const View halves(rounded.data(), DType::bf16, values.shape(), device);
    cpu::cast(device, values, halves);
    cpu::cast(device, halves, view_);
  }

  const View& view() const { return view_; }
  float* data() const { return memory_.data(); }
  void round_to(const View& values) const { cpu::cast(device_, view_, values); }

 private:
  const Device& device_;
  Scratch<float> memory_;
  View view_;
};

}  // namespace rtl::kernels::cpu

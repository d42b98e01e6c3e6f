// Views of emulated device memory as the host memory that it is, and what the stand-ins of libraries multiply.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace emulation {

template <typename V>
V on_host(const V& view, const rtl::Device& host) {
  return view.given() ? V(view.data(), view.dtype(), view.shape(), view.strides(), &host.context()) : V();
}

/// To 10 bits of fraction, to nearest even; infinities and NaN stay.
inline float rounded_to_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7f800000u) == 0x7f800000u) return value;
  return std::bit_cast<float>((bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu);
}

/// What is multiplied for an operand of device memory: bf16 as f32, which is exact; f32 rounded to TF32, where that is
/// asked for; else the operand itself.
class Factors {
 public:
  Factors(const rtl::ConstView& operand, bool tf32, const rtl::Device& host) : view_(on_host(operand, host)) {
    const bool rounds = tf32 && operand.dtype() == rtl::DType::f32;
    if (operand.dtype() != rtl::DType::bf16 && !rounds) return;
    copy_ = rtl::Tensor(operand.shape(), rtl::DType::f32, host);
    rtl::kernels::cast(host, view_, copy_);
    view_ = copy_.view();
    if (!rounds) return;
    for (float& value : std::span(copy_.view().data_as<float>(), static_cast<std::size_t>(copy_.count()))) {
      value = rounded_to_tf32(value);
    }
  }
  const rtl::ConstView& view() const { return view_; }

 private:
  rtl::Tensor copy_;
  rtl::ConstView view_;
};

/// Where a stand-in writes a result of device memory: bf16 in f32 first, and rounded once by store(); else the result.
class Product {
 public:
  Product(const rtl::View& result, const rtl::Device& host) : host_(host), result_(on_host(result, host)) {
    if (result.dtype() == rtl::DType::bf16) wide_ = rtl::Tensor(result.shape(), rtl::DType::f32, host);
  }
  /// What the result holds, for a product that is added to it.
  void load() {
    if (wide_.defined()) rtl::kernels::cast(host_, result_, wide_);
  }
  void store() {
    if (wide_.defined()) rtl::kernels::cast(host_, wide_, result_);
  }
  rtl::View view() { return wide_.defined() ? wide_.view() : result_; }

 private:
  rtl::Device host_;
  rtl::View result_;
  rtl::Tensor wide_;
};

}  // namespace emulation

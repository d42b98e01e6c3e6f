#include "rtl/kernels/prepared_conv.hpp"

#include <array>

#include "kernels/backend/conv.hpp"
#include "kernels/check.hpp"
#include "kernels/cpu/prepared_conv.hpp"
#include "rtl/kernels/packed_conv.hpp"

namespace rtl::kernels {
namespace {

Tensor copy_of(ConstView view, const Device& device) {
  if (!view.given()) return {};
  Tensor copy(view.shape(), view.dtype(), device);
  copy_bytes(view, copy);
  return copy;
}

}  // namespace

PreparedConv2d::PreparedConv2d(const Device& device, ConstView w, ConstView bias, const Conv2dOptions& options,
                               std::optional<DType> images)
    : options_(options), images_(images.value_or(w.dtype())) {
  constexpr auto call = "PreparedConv2d";
  check::on_device(call, device, {{"w", w}, {"bias", bias, check::optional}});
  check::contiguous(call, {{"w", w}, {"bias", bias}});
  if (images_ != DType::f32 && images_ != DType::f64 && images_ != DType::bf16) {
    throw DTypeError(fmt::format("{}: images of {}; f32, f64 or bf16 is needed", call, name_of(images_)));
  }
  check::dtype(call, {"w", w}, parameter_dtype(images_));
  check::dtype(call, {"bias", bias}, parameter_dtype(images_));
  check::rank(call, {"w", w}, 4);
  check::shape(call, {"bias", bias}, {w.extent(0)});
  bias_ = copy_of(bias, device);
  if (device.is_cuda()) {
    w_ = Tensor({w.extent(0), w.extent(2), w.extent(3), w.extent(1)}, images_, device);
    PackedConv2d::pack(device, {&w, 1}, std::array{w_.view()});
  } else {
    w_ = copy_of(w, device);
    if (images_ != DType::f64) kept_ = cpu::keep_weights(device, w_, options, images_);
  }
}

void PreparedConv2d::forward(const Device& device, ConstView x, View y, Activation activation,
                             ConstView residual) const {
  constexpr auto call = "PreparedConv2d::forward";
  const ConstView bias = bias_.defined() ? ConstView(bias_) : ConstView();
  check::on_device(call, device, {{"x", x}});
  check::dtype(call, {"x", x}, images_);
  if (device.is_cuda()) return PackedConv2d::forward(device, x, w_, bias, options_, y, activation, residual);
  if (kept_ == nullptr) return conv2d_forward(device, x, w_, bias, options_, y, activation, residual);
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}, {"residual", residual, check::optional}}, {{"w", w_}});
  check::shapes(call, {{"y", y}, {"residual", residual}}, conv2d_output(call, x.shape(), w_, options_));
  cpu::conv2d_forward_kept(device, x, w_, bias, options_, y, activation, residual, *kept_);
}

}  // namespace rtl::kernels

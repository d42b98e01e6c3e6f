#include "rtl/kernels/prepared_conv.hpp"

#include "kernels/check.hpp"
#include "kernels/cpu/threads.hpp"
#include "kernels/cpu/winograd.hpp"

namespace rtl::kernels {
namespace {

Tensor copy_of(ConstView view, const Device& device) {
  if (!view.given()) return {};
  Tensor copy(view.shape(), view.dtype(), device);
  copy_bytes(view, copy);
  return copy;
}

}  // namespace

PreparedConv2d::PreparedConv2d(const Device& device, ConstView w, ConstView bias, const Conv2dOptions& options)
    : options_(options) {
  constexpr auto call = "PreparedConv2d";
  check::dense_operands(call, device, {{"w", w}, {"bias", bias, check::optional}});
  check::rank(call, {"w", w}, 4);
  check::shape(call, {"bias", bias}, {w.extent(0)});
  w_ = copy_of(w, device);
  bias_ = copy_of(bias, device);
  const bool plain = w.extent(2) == 3 && w.extent(3) == 3 && options.stride == 1 && options.padding == 1;
  if (device.is_cuda() || w.dtype() != DType::f32 || !plain || !cpu::winograd_fits(w.extent(1), w.extent(0))) return;
  transformed_ = Tensor({cpu::winograd_weight_count(w.extent(1), w.extent(0))}, DType::f32, device);
  const cpu::ThreadScope threads(device);
  cpu::winograd_transform_weights(w.extent(1), w.extent(0), w_.data_as<float>(), false, transformed_.data_as<float>());
}

void PreparedConv2d::forward(const Device& device, ConstView x, View y, bool relu, ConstView residual) const {
  constexpr auto call = "PreparedConv2d::forward";
  const Shape& w = w_.shape();
  const bool prepared = transformed_.defined() && x.rank() == 4 && y.rank() == 4 && x.extent(3) == w[1] &&
                        cpu::winograd_pays(x.extent(1), x.extent(2));
  if (!prepared) {
    conv2d_forward(device, x, w_, bias_.defined() ? ConstView(bias_) : ConstView(), options_, y, relu, residual);
    return;
  }
  check::dense_operands(call, device, {{"x", x}, {"y", y}, {"w", w_}, {"residual", residual, check::optional}});
  check::shapes(call, {{"y", y}, {"residual", residual}}, x.shape().with(3, w[0]));
  if (y.count() == 0) return;
  const cpu::ThreadScope threads(device);
  cpu::winograd_forward(device, {x.extent(0), x.extent(1), x.extent(2), x.extent(3), w[0]}, x.data_as<float>(),
                        transformed_.data_as<float>(),
                        {.bias = bias_.defined() ? bias_.data_as<float>() : nullptr,
                         .residual = residual.given() ? residual.data_as<float>() : nullptr,
                         .relu = relu},
                        y.data_as<float>());
}

}  // namespace rtl::kernels

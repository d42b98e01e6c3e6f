#include "rtl/kernels/conv.hpp"

#include "kernels/backend/conv.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {

Shape conv2d_output(const char* call, const Shape& images, ConstView w, const Conv2dOptions& options) {
  check::rank(call, {"w", w}, 4);
  if (images.rank() != 4 || w.count() == 0 || images[3] != w.extent(1)) {
    throw ShapeError(fmt::format("{}: images {} and weights {} do not fit; [N, H, W, in] and [out, in, height, width]",
                                 call, images.to_string(), w.shape().to_string()));
  }
  return {images[0], conv2d_extent(images[1], w.extent(2), options), conv2d_extent(images[2], w.extent(3), options),
          w.extent(0)};
}

std::int64_t conv2d_extent(std::int64_t extent, std::int64_t kernel, const Conv2dOptions& options) {
  check::value(options.stride > 0 && options.padding >= 0, "conv2d",
               "the stride must be positive and the padding not negative");
  const std::int64_t padded = extent + 2 * std::int64_t{options.padding};
  if (kernel <= 0 || padded < kernel) {
    throw ShapeError(fmt::format("conv2d: a kernel of extent {} does not fit into {} positions with padding {}", kernel,
                                 extent, options.padding));
  }
  return (padded - kernel) / options.stride + 1;
}

void conv2d_forward(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                    View y, bool relu, ConstView residual) {
  constexpr auto call = "conv2d_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}, {"residual", residual, check::optional}},
                              {{"w", w}, {"bias", bias, check::optional}});
  const Shape output = conv2d_output(call, x.shape(), w, options);
  check::shapes(call, {{"y", y}, {"residual", residual}}, output);
  check::shape(call, {"bias", bias}, {w.extent(0)});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, conv2d_forward(device, x, w, bias, options, y, relu, residual));
}

void conv2d_backward_data(const Device& device, ConstView dy, ConstView w, const Conv2dOptions& options, View dx) {
  constexpr auto call = "conv2d_backward_data";
  check::dense_layer_operands(call, device, {{"dy", dy}, {"dx", dx}}, {{"w", w}});
  check::shape(call, {"dy", dy}, conv2d_output(call, dx.shape(), w, options));
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, conv2d_backward_data(device, dy, w, options, dx));
}

void conv2d_backward_weights(const Device& device, ConstView x, ConstView dy, const Conv2dOptions& options, View dw,
                             View dbias) {
  constexpr auto call = "conv2d_backward_weights";
  check::dense_layer_operands(call, device, {{"x", x}, {"dy", dy}}, {{"dw", dw}, {"dbias", dbias, check::optional}});
  check::shape(call, {"dy", dy}, conv2d_output(call, x.shape(), dw, options));
  check::shape(call, {"dbias", dbias}, {dw.extent(0)});
  if (x.extent(0) == 0) {
    fill(device, 0.0, dw);
    if (dbias.given()) fill(device, 0.0, dbias);
    return;
  }
  RTL_DISPATCH(device, conv2d_backward_weights(device, x, dy, options, dw, dbias));
}

}  // namespace rtl::kernels

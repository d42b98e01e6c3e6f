#include "rtl/kernels/conv.hpp"

#include <algorithm>
#include <string>

#include "kernels/backend/conv.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

/// Positions that a filter spans.
std::int64_t covered_by(std::int64_t kernel, const Conv2dOptions& options) {
  return (kernel - 1) * options.dilation + 1;
}

}  // namespace

Shape conv2d_output(const char* call, const Shape& images, ConstView w, const Conv2dOptions& options) {
  check::rank(call, {"w", w}, 4);
  check::value(options.groups > 0, call, "the number of groups must be positive");
  if (images.rank() != 4 || w.count() == 0 || images[3] != w.extent(1) * options.groups ||
      w.extent(0) % options.groups != 0) {
    throw ShapeError(fmt::format(
        "{}: images {} and weights {} do not fit; [N, H, W, in] and [out, in{}, height, width]{}", call,
        images.to_string(), w.shape().to_string(), options.groups == 1 ? "" : fmt::format(" / {}", options.groups),
        options.groups == 1 ? "" : fmt::format(", both divisible by the {} groups", options.groups)));
  }
  return {images[0], conv2d_extent(images[1], w.extent(2), options), conv2d_extent(images[2], w.extent(3), options),
          w.extent(0)};
}

std::int64_t conv2d_extent(std::int64_t extent, std::int64_t kernel, const Conv2dOptions& options) {
  check::value(options.stride > 0 && options.padding >= 0 && options.dilation > 0, "conv2d",
               "stride and dilation must be positive and the padding not negative");
  check::value(!options.same || options.padding == 0, "conv2d", "with padding \"same\" there is no other padding");
  const std::int64_t padded = extent + 2 * std::int64_t{options.padding}, covered = covered_by(kernel, options);
  if (kernel <= 0 || (options.same ? extent < 1 : padded < covered)) {
    throw ShapeError(fmt::format("conv2d: a kernel of extent {}{} does not fit into {} positions with padding {}",
                                 kernel, options.dilation == 1 ? "" : fmt::format(" and dilation {}", options.dilation),
                                 extent, options.same ? "\"same\"" : std::to_string(options.padding)));
  }
  return options.same ? (extent - 1) / options.stride + 1 : (padded - covered) / options.stride + 1;
}

std::int64_t conv2d_padding(std::int64_t extent, std::int64_t kernel, const Conv2dOptions& options) {
  if (!options.same) return options.padding;
  const std::int64_t last = (conv2d_extent(extent, kernel, options) - 1) * options.stride;
  return std::max<std::int64_t>(0, last + covered_by(kernel, options) - extent) / 2;
}

void conv2d_forward(const Device& device, ConstView x, ConstView w, ConstView bias, const Conv2dOptions& options,
                    View y, Activation activation, ConstView residual) {
  constexpr auto call = "conv2d_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}, {"residual", residual, check::optional}},
                              {{"w", w}, {"bias", bias, check::optional}});
  const Shape output = conv2d_output(call, x.shape(), w, options);
  check::shapes(call, {{"y", y}, {"residual", residual}}, output);
  check::shape(call, {"bias", bias}, {w.extent(0)});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, conv2d_forward(device, x, w, bias, options, y, activation, residual));
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

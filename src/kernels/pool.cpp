#include "rtl/kernels/pool.hpp"

#include <algorithm>

#include "kernels/backend/pool.hpp"
#include "kernels/check.hpp"
#include "kernels/dispatch.hpp"

namespace rtl::kernels {
namespace {

void check_images(const char* call, const check::Named& images) { check::rank(call, images, 4); }

/// Shape of the pooled images.
Shape pooled_shape(const char* call, const check::Named& images, const PoolOptions& options) {
  check_images(call, images);
  check::value(options.window > 0 && options.stride > 0, call, "window and stride must be positive");
  check::value(options.padding >= 0 && 2 * options.padding <= options.window, call,
               "the padding must be between 0 and half of the window");
  const Shape& shape = images.view.shape();
  const std::int64_t height = shape[1] + 2 * options.padding, width = shape[2] + 2 * options.padding;
  if (std::min(shape[1], shape[2]) < 1 || height < options.window || width < options.window) {
    throw ShapeError(fmt::format("{}: a window of {} does not fit into '{}' {}", call, options.window, images.name,
                                 shape.to_string()));
  }
  return {shape[0], (height - options.window) / options.stride + 1, (width - options.window) / options.stride + 1,
          shape[3]};
}

void check_no_padding(const char* call, const PoolOptions& options) {
  check::value(options.padding == 0, call, "means are taken without padding");
}

void check_winners(const char* call, const Device& device, ConstView winners, const Shape& pooled) {
  check::on_device(call, device, {{"winners", winners}});
  check::dtype(call, {"winners", winners}, DType::i32);
  check::contiguous(call, {{"winners", winners}});
  check::shape(call, {"winners", winners}, pooled);
}

void check_global(const char* call, const Device& device, const check::Named& images, const check::Named& means) {
  if (means.view.given() && means.view.dtype() == parameter_dtype(images.view.dtype())) {
    check::dense_layer_operands(call, device, {images}, {means});
  } else {
    check::dense_layer_operands(call, device, {images, means});
  }
  check_images(call, images);
  const Shape& shape = images.view.shape();
  check::shape(call, means, {shape[0], shape[3]});
  check::value(shape[1] * shape[2] > 0 || means.view.count() == 0, call, "the images have no positions to average");
}

void check_flatten(const char* call, const Device& device, const check::Named& images, const check::Named& rows) {
  check::dense_layer_operands(call, device, {images, rows});
  check_images(call, images);
  const Shape& shape = images.view.shape();
  check::shape(call, rows, {shape[0], shape[1] * shape[2] * shape[3]});
}

void check_shortcut(const char* call, const Device& device, const check::Named& images, const check::Named& halved) {
  check::dense_layer_operands(call, device, {images, halved});
  check_images(call, images);
  check_images(call, halved);
  const Shape& shape = images.view.shape();
  check::shape(call, halved, {shape[0], (shape[1] + 1) / 2, (shape[2] + 1) / 2, halved.view.extent(3)});
  if (halved.view.extent(3) < shape[3]) {
    throw ShapeError(
        fmt::format("{}: '{}' has {} channels, fewer than the {} of '{}'; this shortcut only adds channels", call,
                    halved.name, halved.view.extent(3), shape[3], images.name));
  }
}

}  // namespace

void max_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y, View winners) {
  constexpr auto call = "max_pool_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}});
  const Shape pooled = pooled_shape(call, {"x", x}, options);
  check::shape(call, {"y", y}, pooled);
  check_winners(call, device, winners, pooled);
  if (y.count() == 0) return;
  RTL_DISPATCH(device, max_pool_forward(device, x, options, y, winners));
}

void max_pool_backward(const Device& device, ConstView dy, ConstView winners, const PoolOptions& options, View dx) {
  constexpr auto call = "max_pool_backward";
  check::dense_layer_operands(call, device, {{"dy", dy}, {"dx", dx}});
  const Shape pooled = pooled_shape(call, {"dx", dx}, options);
  check::shape(call, {"dy", dy}, pooled);
  check_winners(call, device, winners, pooled);
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, max_pool_backward(device, dy, winners, options, dx));
}

void max_pool_gather(const Device& device, ConstView x, ConstView winners, const PoolOptions& options, View y) {
  constexpr auto call = "max_pool_gather";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}});
  const Shape pooled = pooled_shape(call, {"x", x}, options);
  check::shape(call, {"y", y}, pooled);
  check_winners(call, device, winners, pooled);
  if (y.count() == 0) return;
  RTL_DISPATCH(device, max_pool_gather(device, x, winners, options, y));
}

void average_pool_forward(const Device& device, ConstView x, const PoolOptions& options, View y) {
  constexpr auto call = "average_pool_forward";
  check::dense_layer_operands(call, device, {{"x", x}, {"y", y}});
  check_no_padding(call, options);
  check::shape(call, {"y", y}, pooled_shape(call, {"x", x}, options));
  if (y.count() == 0) return;
  RTL_DISPATCH(device, average_pool_forward(device, x, options, y));
}

void average_pool_backward(const Device& device, ConstView dy, const PoolOptions& options, View dx) {
  constexpr auto call = "average_pool_backward";
  check::dense_layer_operands(call, device, {{"dy", dy}, {"dx", dx}});
  check_no_padding(call, options);
  check::shape(call, {"dy", dy}, pooled_shape(call, {"dx", dx}, options));
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, average_pool_backward(device, dy, options, dx));
}

void global_average_pool_forward(const Device& device, ConstView x, View y) {
  check_global("global_average_pool_forward", device, {"x", x}, {"y", y});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, global_average_pool_forward(device, x, y));
}

void global_average_pool_backward(const Device& device, ConstView dy, View dx) {
  check_global("global_average_pool_backward", device, {"dx", dx}, {"dy", dy});
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, global_average_pool_backward(device, dy, dx));
}

void flatten_forward(const Device& device, ConstView x, View y) {
  check_flatten("flatten_forward", device, {"x", x}, {"y", y});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, flatten_forward(device, x, y));
}

void flatten_backward(const Device& device, ConstView dy, View dx) {
  check_flatten("flatten_backward", device, {"dx", dx}, {"dy", dy});
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, flatten_backward(device, dy, dx));
}

void shortcut_a_forward(const Device& device, ConstView x, View y) {
  check_shortcut("shortcut_a_forward", device, {"x", x}, {"y", y});
  if (y.count() == 0) return;
  RTL_DISPATCH(device, shortcut_a_forward(device, x, y));
}

void shortcut_a_backward(const Device& device, ConstView dy, View dx) {
  check_shortcut("shortcut_a_backward", device, {"dx", dx}, {"dy", dy});
  if (dx.count() == 0) return;
  RTL_DISPATCH(device, shortcut_a_backward(device, dy, dx));
}

}  // namespace rtl::kernels

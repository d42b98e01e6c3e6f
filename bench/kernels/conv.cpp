// The convolutions of ResNet-20, and depthwise ones of EfficientNet-Lite0 at 96 pixels; a batch of 32. FLOP are those
// of the direct form, so Winograd can exceed the roofline.
#include "rtl/kernels/conv.hpp"

#include <fmt/format.h>

#include "kernels.hpp"
#include "rtl/kernels/prepared_conv.hpp"

namespace rtl::bench {
namespace {

void add_conv(const Device& device, KernelCases& cases, DType dtype, std::int64_t extent, std::int64_t in,
              std::int64_t out, std::int64_t kernel, const kernels::Conv2dOptions& options) {
  constexpr std::int64_t images = 32;
  constexpr auto relu = kernels::Activation::relu;
  const std::int64_t out_extent = kernels::conv2d_extent(extent, kernel, options);
  const std::int64_t inputs = in / options.groups;
  const Shared x = shared_values({images, extent, extent, in}, dtype, device);
  const Shared w = shared_values({out, inputs, kernel, kernel}, device);
  const Shared y = shared_values({images, out_extent, out_extent, out}, dtype, device);
  const Shared dw = shared_zeros(w->shape(), DType::f32, device);
  const auto prepared = std::make_shared<kernels::PreparedConv2d>(device, *w, ConstView(), options, dtype);
  const std::string sizes =
      fmt::format("{0}x{1}x{1} {2}->{3} {4}x{4}/{5}{6}{7}", images, extent, in, out, kernel, options.stride,
                  options.groups > 1 ? " depthwise" : "", dtype == DType::bf16 ? " bf16" : "");
  const double flop = 2.0 * static_cast<double>(y->count()) * static_cast<double>(inputs * kernel * kernel);
  const auto bytes = static_cast<double>(x->bytes() + w->bytes() + y->bytes());
  cases.push_back(
      {"conv2d_forward", sizes, flop, bytes, [=] { kernels::conv2d_forward(device, *x, *w, {}, options, *y, relu); }});
  cases.push_back({"PreparedConv2d", sizes, flop, bytes, [=] { prepared->forward(device, *x, *y, relu); }});
  cases.push_back({"conv2d_backward_data", sizes, flop, bytes,
                   [=] { kernels::conv2d_backward_data(device, *y, *w, options, *x); }});
  cases.push_back({"conv2d_backward_weights", sizes, flop, bytes,
                   [=] { kernels::conv2d_backward_weights(device, *x, *y, options, *dw); }});
}

}  // namespace

void add_conv_kernels(const Device& device, KernelCases& cases) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add_conv(device, cases, dtype, 32, 3, 16, 3, {.stride = 1, .padding = 1});
    add_conv(device, cases, dtype, 32, 16, 16, 3, {.stride = 1, .padding = 1});
    add_conv(device, cases, dtype, 32, 16, 32, 3, {.stride = 2, .padding = 1});
    add_conv(device, cases, dtype, 16, 32, 32, 3, {.stride = 1, .padding = 1});
    add_conv(device, cases, dtype, 16, 32, 64, 3, {.stride = 2, .padding = 1});
    add_conv(device, cases, dtype, 8, 64, 64, 3, {.stride = 1, .padding = 1});
    add_conv(device, cases, dtype, 48, 96, 96, 3, {.stride = 2, .groups = 96, .same = true});
    add_conv(device, cases, dtype, 24, 144, 144, 3, {.groups = 144, .same = true});
    add_conv(device, cases, dtype, 12, 240, 240, 5, {.groups = 240, .same = true});
    add_conv(device, cases, dtype, 6, 672, 672, 5, {.stride = 2, .groups = 672, .same = true});
  }
}

}  // namespace rtl::bench

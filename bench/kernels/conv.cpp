// The convolutions of ResNet-20, a batch of 32. FLOP are those of the direct form, so Winograd can exceed the roofline.
#include "rtl/kernels/conv.hpp"

#include <fmt/format.h>

#include "kernels.hpp"
#include "rtl/kernels/prepared_conv.hpp"

namespace rtl::bench {
namespace {

void add_conv(const Device& device, KernelCases& cases, DType dtype, std::int64_t extent, std::int64_t in,
              std::int64_t out, int stride) {
  constexpr std::int64_t images = 32;
  const kernels::Conv2dOptions options{.stride = stride, .padding = 1};
  const std::int64_t out_extent = kernels::conv2d_extent(extent, 3, options);
  const Shared x = shared_values({images, extent, extent, in}, dtype, device);
  const Shared w = shared_values({out, in, 3, 3}, device);
  const Shared y = shared_values({images, out_extent, out_extent, out}, dtype, device);
  const Shared dw = shared_zeros(w->shape(), DType::f32, device);
  const auto prepared = std::make_shared<kernels::PreparedConv2d>(device, *w, ConstView(), options, dtype);
  const std::string sizes = fmt::format("{0}x{1}x{1} {2}->{3} 3x3/{4}{5}", images, extent, in, out, stride,
                                        dtype == DType::bf16 ? " bf16" : "");
  const double flop = 2.0 * static_cast<double>(y->count()) * static_cast<double>(in * 9);
  const auto bytes = static_cast<double>(x->bytes() + w->bytes() + y->bytes());
  cases.push_back(
      {"conv2d_forward", sizes, flop, bytes, [=] { kernels::conv2d_forward(device, *x, *w, {}, options, *y, true); }});
  cases.push_back({"PreparedConv2d", sizes, flop, bytes, [=] { prepared->forward(device, *x, *y, true); }});
  cases.push_back({"conv2d_backward_data", sizes, flop, bytes,
                   [=] { kernels::conv2d_backward_data(device, *y, *w, options, *x); }});
  cases.push_back({"conv2d_backward_weights", sizes, flop, bytes,
                   [=] { kernels::conv2d_backward_weights(device, *x, *y, options, *dw); }});
}

}  // namespace

void add_conv_kernels(const Device& device, KernelCases& cases) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add_conv(device, cases, dtype, 32, 3, 16, 1);
    add_conv(device, cases, dtype, 32, 16, 16, 1);
    add_conv(device, cases, dtype, 32, 16, 32, 2);
    add_conv(device, cases, dtype, 16, 32, 32, 1);
    add_conv(device, cases, dtype, 16, 32, 64, 2);
    add_conv(device, cases, dtype, 8, 64, 64, 1);
  }
}

}  // namespace rtl::bench

// The convolutions that stand in for cuDNN's where it has none, whatever the stand-in of cuDNN takes.
#include "kernels/cuda/patch_convolution.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/backend/conv.hpp"
#include "rtl/kernels/dropout.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::kernels {
namespace {

struct Case {
  Shape images;   // [N, H, W, in]
  Shape weights;  // [out, in, height, width]
  Conv2dOptions options;
};

const std::vector<Case> cases = {
    {{2, 8, 8, 16}, {16, 16, 3, 3}, {1, 1}}, {{3, 9, 7, 3}, {5, 3, 3, 3}, {2, 1}},
    {{1, 5, 6, 4}, {8, 4, 1, 1}, {2, 0}},    {{2, 7, 7, 5}, {3, 5, 5, 3}, {3, 2}},
    {{1, 33, 31, 1}, {2, 1, 5, 5}, {1, 0}},  {{4, 4, 4, 8}, {4, 8, 4, 4}, {1, 0}},
};

std::uint64_t next_stream = 0;

Tensor random(const Shape& shape, const Device& device) {
  Tensor made(shape, DType::f64, device);
  uniform(device, -1.0, 1.0, 20240501, next_stream++, made);
  return made;
}

/// Weights as the patch convolution takes them.
Tensor packed(const Tensor& w, const Device& device) {
  const ConstView order = w.view().permuted({0, 2, 3, 1});
  Tensor made(order.shape(), w.dtype(), device);
  unary(device, UnaryOp::copy, order, made);
  return made;
}

void expect_close(const Tensor& measured, const Tensor& expected) {
  const auto a = measured.to_vector<double>(), b = expected.to_vector<double>();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-12) << "element " << i;
}

TEST(PatchConvolution, AgreesWithTheHost) {
  const Device device = Device::cuda(0), host = Device::cpu(1);
  for (const Case& c : cases) {
    const Tensor x = random(c.images, device), w = random(c.weights, device);
    const Tensor weights = packed(w, device);
    const Shape out{c.images[0], conv2d_extent(c.images[1], c.weights[2], c.options),
                    conv2d_extent(c.images[2], c.weights[3], c.options), c.weights[0]};
    const Tensor dy = random(out, device);
    const Tensor host_x = x.to(host), host_w = w.to(host), host_dy = dy.to(host);

    Tensor y(out, DType::f64, device), expected_y(out, DType::f64, host);
    cuda::patch_forward(device, x, weights, c.options, y);
    cpu::conv2d_forward(host, host_x, host_w, {}, c.options, expected_y, Activation::none, {});
    expect_close(y, expected_y);

    Tensor dx(c.images, DType::f64, device), expected_dx(c.images, DType::f64, host);
    cuda::patch_backward_data(device, dy, weights, c.options, dx);
    cpu::conv2d_backward_data(host, host_dy, host_w, c.options, expected_dx);
    expect_close(dx, expected_dx);

    Tensor dw(weights.shape(), DType::f64, device), expected_dw(c.weights, DType::f64, host);
    cuda::patch_backward_weights(device, x, dy, c.options, dw);
    cpu::conv2d_backward_weights(host, host_x, host_dy, c.options, expected_dw, {});
    expect_close(dw, packed(expected_dw, host));
  }
}

Tensor as(const ConstView& x, DType dtype, const Device& device) {
  Tensor made(x.shape(), dtype, device);
  cast(device, x, made);
  return made;
}

/// Products of bf16 are exact in f64, so what is left is the additions in f32, and one rounding of images to bf16.
/// `magnitudes` are sums of the absolute values of `terms` terms.
void expect_rounded(const Tensor& measured, const Tensor& expected, const Tensor& magnitudes, double terms) {
  const bool rounded = measured.dtype() == DType::bf16;
  const auto a = as(measured, DType::f64, measured.device()).to_vector<double>();
  const auto b = expected.to_vector<double>(), scale = magnitudes.to_vector<double>();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double added = (terms + 1) * 0x1p-24 * scale[i];
    ASSERT_NEAR(a[i], b[i], added + (rounded ? 0x1p-8 * (std::abs(b[i]) + added) : 0)) << "element " << i;
  }
}

TEST(PatchConvolution, RoundsBf16Once) {
  const Device device = Device::cuda(0), host = Device::cpu(1);
  const auto absolute = [&](const Tensor& x) {
    Tensor made(x.shape(), x.dtype(), host);
    unary(host, UnaryOp::absolute, x, made);
    return made;
  };
  for (const Case& c : cases) {
    const Shape out{c.images[0], conv2d_extent(c.images[1], c.weights[2], c.options),
                    conv2d_extent(c.images[2], c.weights[3], c.options), c.weights[0]};
    const Tensor x = as(random(c.images, device), DType::bf16, device),
                 dy = as(random(out, device), DType::bf16, device);
    const Tensor w = as(random(c.weights, device), DType::bf16, device);
    const Tensor weights = as(w.view().permuted({0, 2, 3, 1}), DType::bf16, device);
    const Tensor host_x = as(x.to(host), DType::f64, host), host_w = as(w.to(host), DType::f64, host);
    const Tensor host_dy = as(dy.to(host), DType::f64, host);
    const Tensor large_x = absolute(host_x), large_w = absolute(host_w), large_dy = absolute(host_dy);
    const auto taps = static_cast<double>(c.weights[2] * c.weights[3]);

    Tensor y(out, DType::bf16, device), expected_y(out, DType::f64, host), y_scale(out, DType::f64, host);
    cuda::patch_forward(device, x, weights, c.options, y);
    cpu::conv2d_forward(host, host_x, host_w, {}, c.options, expected_y, Activation::none, {});
    cpu::conv2d_forward(host, large_x, large_w, {}, c.options, y_scale, Activation::none, {});
    expect_rounded(y, expected_y, y_scale, taps * static_cast<double>(c.weights[1]));

    Tensor dx(c.images, DType::bf16, device), expected_dx(c.images, DType::f64, host),
        scale(c.images, DType::f64, host);
    cuda::patch_backward_data(device, dy, weights, c.options, dx);
    cpu::conv2d_backward_data(host, host_dy, host_w, c.options, expected_dx);
    cpu::conv2d_backward_data(host, large_dy, large_w, c.options, scale);
    expect_rounded(dx, expected_dx, scale, taps * static_cast<double>(c.weights[0]));

    Tensor dw(weights.shape(), DType::f32, device), expected_dw(c.weights, DType::f64, host);
    Tensor dw_scale(c.weights, DType::f64, host);
    cuda::patch_backward_weights(device, x, dy, c.options, dw);
    cpu::conv2d_backward_weights(host, host_x, host_dy, c.options, expected_dw, {});
    cpu::conv2d_backward_weights(host, large_x, large_dy, c.options, dw_scale, {});
    expect_rounded(dw, packed(expected_dw, host), packed(dw_scale, host),
                   static_cast<double>(out[0] * out[1] * out[2]));
  }
}

}  // namespace
}  // namespace rtl::kernels

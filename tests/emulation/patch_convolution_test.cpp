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
    cpu::conv2d_forward(host, host_x, host_w, {}, c.options, expected_y, false, {});
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

}  // namespace
}  // namespace rtl::kernels

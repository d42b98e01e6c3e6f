// Packed convolutions have the bits of the plain ones.
#include "rtl/kernels/packed_conv.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/prepared_conv.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::test {
namespace {

using kernels::Conv2dOptions;
using kernels::PackedConv2d;

struct Case {
  Shape images;   // [N, H, W, in]
  Shape weights;  // [out, in, height, width]
  Conv2dOptions options;
};

const std::vector<Case> cases = {
    {{2, 8, 8, 16}, {16, 16, 3, 3}, {1, 1}},
    {{3, 9, 7, 3}, {5, 3, 3, 3}, {2, 1}},
    {{1, 5, 6, 4}, {8, 4, 1, 1}, {2, 0}},
    {{2, 7, 7, 5}, {3, 5, 5, 3}, {3, 2}},
    {{0, 4, 4, 2}, {3, 2, 3, 3}, {1, 1}},
    {{2, 8, 7, 6}, {6, 1, 3, 3}, {.stride = 2, .groups = 6, .same = true}},
    {{2, 8, 7, 6}, {9, 2, 3, 3}, {.stride = 1, .padding = 2, .dilation = 2, .groups = 3}},
};

Shape packed_shape(const Shape& w) { return {w[0], w[2], w[3], w[1]}; }

Tensor random_tensor(const Shape& shape, DType dtype, const Device& device, Random& random) {
  const Reals values = random.normal(shape, 0, 1);
  const Tensor wide = Tensor::from(std::vector<double>(values.begin(), values.end()), shape, device);
  Tensor made(shape, dtype, device);
  kernels::cast(device, wide, made);
  return made;
}

std::vector<double> values_of(const Tensor& x) {
  Tensor wide(x.shape(), DType::f64, x.device());
  kernels::cast(x.device(), x, wide);
  return wide.to_vector<double>();
}

/// Every combination of what may follow, also with weights that were prepared.
void check_forward(const Case& c, const Device& device, const Tensor& x, const Tensor& w, const Tensor& bias,
                   const Tensor& packed) {
  Random random(12);
  const Shape out{c.images[0], kernels::conv2d_extent(c.images[1], c.weights[2], c.options),
                  kernels::conv2d_extent(c.images[2], c.weights[3], c.options), c.weights[0]};
  const Tensor residual = random_tensor(out, x.dtype(), device, random);
  Tensor y(out, x.dtype(), device), prepared_y(out, x.dtype(), device), plain_y(out, x.dtype(), device);
  for (const ConstView& offset : {ConstView(), ConstView(bias)}) {
    const kernels::PreparedConv2d prepared(device, w, offset, c.options, x.dtype());
    for (const ConstView& added : {ConstView(), ConstView(residual)}) {
      for (const auto activation : {kernels::Activation::none, kernels::Activation::relu, kernels::Activation::relu6}) {
        PackedConv2d::forward(device, x, packed, offset, c.options, y, activation, added);
        prepared.forward(device, x, prepared_y, activation, added);
        kernels::conv2d_forward(device, x, w, offset, c.options, plain_y, activation, added);
        EXPECT_EQ(values_of(y), values_of(plain_y));
        EXPECT_EQ(values_of(prepared_y), values_of(plain_y));
      }
    }
  }
}

void check_case(const Case& c, DType dtype, const Device& device) {
  Random random(11);
  const DType parameters = parameter_dtype(dtype);
  const Shape out{c.images[0], kernels::conv2d_extent(c.images[1], c.weights[2], c.options),
                  kernels::conv2d_extent(c.images[2], c.weights[3], c.options), c.weights[0]};
  const Tensor x = random_tensor(c.images, dtype, device, random), dy = random_tensor(out, dtype, device, random);
  const Tensor w = random_tensor(c.weights, parameters, device, random);
  const Tensor bias = random_tensor({c.weights[0]}, parameters, device, random);
  Tensor packed(packed_shape(c.weights), dtype, device);
  PackedConv2d::pack(device, std::array{w.view()}, std::array{packed.view()});

  check_forward(c, device, x, w, bias, packed);

  Tensor dx(c.images, dtype, device), plain_dx(c.images, dtype, device);
  PackedConv2d::backward_data(device, dy, packed, c.options, dx);
  kernels::conv2d_backward_data(device, dy, w, c.options, plain_dx);
  EXPECT_EQ(values_of(dx), values_of(plain_dx));
  // With a gradient from elsewhere, which may lie where the sum goes; in bf16 it may be rounded once.
  const Tensor added = random_tensor(c.images, dtype, device, random);
  Tensor sum(c.images, dtype, device), there = added.clone(), plain_sum(c.images, dtype, device);
  PackedConv2d::backward_data(device, dy, packed, c.options, sum, added);
  PackedConv2d::backward_data(device, dy, packed, c.options, there, there);
  kernels::binary(device, kernels::BinaryOp::add, plain_dx, added, plain_sum);
  EXPECT_EQ(values_of(sum), values_of(there));
  const std::vector<double> once = values_of(sum), twice = values_of(plain_sum), terms = values_of(plain_dx);
  for (std::size_t i = 0; i < once.size(); ++i) {
    const double size = dtype == DType::bf16 ? std::max(std::fabs(terms[i]), std::fabs(twice[i])) / 128 : 0;
    ASSERT_NEAR(once[i], twice[i], size) << i;
  }

  Tensor packed_dw(packed_shape(c.weights), dtype, device), dw(c.weights, parameters, device);
  Tensor plain_dw(c.weights, parameters, device);
  Tensor dbias({c.weights[0]}, parameters, device), plain_dbias({c.weights[0]}, parameters, device);
  PackedConv2d::backward_weights(device, x, dy, c.options, packed_dw, dbias);
  PackedConv2d::unpack(device, std::array{ConstView(packed_dw)}, std::array{dw.view()});
  kernels::conv2d_backward_weights(device, x, dy, c.options, plain_dw, plain_dbias);
  Tensor rounded(c.weights, dtype, device);
  kernels::cast(device, plain_dw, rounded);
  EXPECT_EQ(values_of(dw), values_of(rounded));
  if (device.is_cuda()) {
    EXPECT_EQ(values_of(dw), values_of(plain_dw));
  }
  EXPECT_EQ(values_of(dbias), values_of(plain_dbias));
}

TEST(PackedConv2d, HasTheBitsOfPlainConvolutions) {
  for (const Device& device : devices()) {
    for (const Case& c : cases) {
      for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
        SCOPED_TRACE(name_of(device) + " " + c.images.to_string() + " " + std::string(rtl::name_of(dtype)));
        check_case(c, dtype, device);
      }
    }
  }
}

/// A network that diverges must not look sound behind its next ReLU. (The host's convolutions may lose NaN there.)
TEST(PackedConv2d, PassesNanThroughReluOnCuda) {
  for (const Device& device : devices()) {
    if (!device.is_cuda()) continue;
    std::vector<float> values(std::size_t{8} * 8 * 16, 1);
    values[0] = std::nanf("");
    const Tensor x = Tensor::from(values, {1, 8, 8, 16}, device);
    Random random(13);
    const Tensor packed = random_tensor({16, 3, 3, 16}, DType::f32, device, random);
    const Tensor bias = random_tensor({16}, DType::f32, device, random);
    Tensor y({1, 8, 8, 16}, DType::f32, device);
    PackedConv2d::forward(device, x, packed, bias, {.padding = 1}, y, kernels::Activation::relu);
    EXPECT_TRUE(std::isnan(y.to_vector<float>()[0])) << name_of(device);
  }
}

TEST(PackedConv2d, TurnsManyWeightsAndBack) {
  for (const Device& device : devices()) {
    Random random(12);
    std::vector<Tensor> weights, packed, back;
    std::vector<ConstView> weight_views, packed_in;
    std::vector<View> packed_views, back_views;
    for (std::int64_t i = 0; i < 70; ++i) {
      const Shape shape{1 + i % 5, 1 + i % 7, 1 + i % 3, 1 + i % 4};
      weights.push_back(random_tensor(shape, DType::f32, device, random));
      packed.emplace_back(packed_shape(shape), DType::bf16, device);
      back.emplace_back(shape, DType::f32, device);
    }
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weight_views.push_back(weights[i]);
      packed_views.push_back(packed[i]);
      packed_in.push_back(packed[i]);
      back_views.push_back(back[i]);
    }
    PackedConv2d::pack(device, weight_views, packed_views);
    PackedConv2d::unpack(device, packed_in, back_views);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      Tensor rounded(weights[i].shape(), DType::bf16, device);
      kernels::cast(device, weights[i], rounded);
      EXPECT_EQ(values_of(back[i]), values_of(rounded));
    }
  }
}

TEST(PackedConv2d, RefusesWhatDoesNotFit) {
  const Device device = Device::cpu(1);
  const Tensor w = Tensor::zeros({4, 2, 3, 3}, DType::f32, device);
  Tensor plain({4, 2, 3, 3}, DType::f32, device), wide({4, 3, 3, 2}, DType::f64, device);
  EXPECT_THROW(PackedConv2d::pack(device, std::array{w.view()}, std::array{plain.view()}), ShapeError);
  EXPECT_THROW(PackedConv2d::pack(device, std::array{w.view()}, std::array{wide.view()}), DTypeError);
  EXPECT_THROW(PackedConv2d::pack(device, std::array{w.view()}, std::span<const View>()), ValueError);
  const Tensor x = Tensor::zeros({1, 4, 4, 3}, DType::f32, device),
               packed = Tensor::zeros({4, 3, 3, 2}, DType::f32, device);
  Tensor y({1, 2, 2, 4}, DType::f32, device);
  EXPECT_THROW(PackedConv2d::forward(device, x, packed, {}, {}, y), ShapeError);
}

}  // namespace
}  // namespace rtl::test

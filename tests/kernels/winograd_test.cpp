// Winograd's convolution and convolutions with prepared weights, against a plain reference in double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/prepared_conv.hpp"
#include "support/devices.hpp"
#include "support/guarded.hpp"
#include "support/random_tensor.hpp"

namespace rtl::kernels {
namespace {

struct Case {
  std::int64_t images, height, width, in, out;
  int kernel = 3;
  Conv2dOptions options = {.stride = 1, .padding = 1};
};

/// Tiles of 4x4 that fit and that do not, more tiles than a block and fewer than a panel, every width of panel; and
/// convolutions that are none of Winograd's.
const std::vector<Case> cases = {{3, 32, 32, 16, 16},
                                 {2, 16, 16, 32, 32},
                                 {5, 8, 8, 64, 64},
                                 {1, 5, 5, 16, 16},
                                 {2, 7, 9, 16, 48},
                                 {1, 33, 31, 32, 80},
                                 {1, 6, 13, 48, 112},
                                 {1, 5, 6, 96, 256},
                                 {9, 5, 5, 16, 32},
                                 {0, 8, 8, 16, 16},
                                 {2, 4, 9, 16, 16},
                                 {2, 9, 9, 3, 16},
                                 {2, 9, 9, 8, 24},
                                 {2, 9, 9, 16, 32, 3, {2, 1}},
                                 {2, 6, 6, 16, 16, 1, {1, 0}}};

Tensor in_bf16(const Tensor& values, const Device& device) {
  Tensor rounded(values.shape(), DType::bf16, device);
  cast(device, values, rounded);
  return rounded;
}

Tensor in_f32(const Tensor& values, const Device& device) {
  Tensor wide(values.shape(), DType::f32, device);
  cast(device, values, wide);
  return wide;
}

struct Reference {
  std::vector<double> value, scale;  ///< scale: the sum of the terms' magnitudes
  std::vector<double> products;      ///< the sum of the products alone
};

Reference reference(const Case& c, const std::vector<float>& x, const std::vector<float>& w,
                    const std::vector<float>& bias, const std::vector<float>& residual) {
  const std::int64_t height = conv2d_extent(c.height, c.kernel, c.options);
  const std::int64_t width = conv2d_extent(c.width, c.kernel, c.options);
  Reference y;
  for (std::int64_t at = 0; at < c.images * height * width * c.out; ++at) {
    const std::int64_t o = at % c.out, column = at / c.out % width, row = at / c.out / width % height;
    const std::int64_t image = at / c.out / width / height;
    const double added = static_cast<double>(bias[o]) + residual[at];
    double sum = added, scale = std::abs(static_cast<double>(bias[o])) + std::abs(residual[at]);
    for (std::int64_t i = 0; i < c.kernel; ++i) {
      for (std::int64_t j = 0; j < c.kernel; ++j) {
        const std::int64_t r = row * c.options.stride + i - c.options.padding;
        const std::int64_t s = column * c.options.stride + j - c.options.padding;
        if (r < 0 || r >= c.height || s < 0 || s >= c.width) continue;
        for (std::int64_t k = 0; k < c.in; ++k) {
          const double term = static_cast<double>(x[((image * c.height + r) * c.width + s) * c.in + k]) *
                              w[((o * c.in + k) * c.kernel + i) * c.kernel + j];
          sum += term;
          scale += std::abs(term);
        }
      }
    }
    y.value.push_back(std::max(0.0, sum));
    y.scale.push_back(scale);
    y.products.push_back(sum - added);
  }
  return y;
}

class PreparedConvolution : public testing::TestWithParam<Case> {};

/// Of images in f32 or bf16.
void check_prepared(const Case& c, DType images) {
  const bool half = images == DType::bf16;
  test::RandomTensors random(test::fresh_seed());
  const Device host = Device::cpu();
  const std::int64_t height = conv2d_extent(c.height, c.kernel, c.options);
  const std::int64_t width = conv2d_extent(c.width, c.kernel, c.options);
  const Shape result{c.images, height, width, c.out};
  const auto as_stored = [&](Tensor values) { return half ? in_bf16(values, host) : std::move(values); };
  const auto as_read = [&](const Tensor& values) {
    return half ? in_f32(in_bf16(values, host), host).to_vector<float>() : values.to_vector<float>();
  };
  const Tensor exact_x = random.f32({c.images, c.height, c.width, c.in}, host);
  const Tensor w = random.f32({c.out, c.in, c.kernel, c.kernel}, host);
  const Tensor bias = random.f32({c.out}, host);
  const Tensor exact_residual = random.f32(result, host);
  const Reference expected =
      reference(c, as_read(exact_x), as_read(w), bias.to_vector<float>(), as_read(exact_residual));
  const Tensor x = as_stored(exact_x.clone()), residual = as_stored(exact_residual.clone());
  std::vector<std::byte> first;
  for (const Device& device : test::devices_and_threads()) {
    SCOPED_TRACE(test::name_of(device));
    const Tensor device_x = x.to(device), device_w = w.to(device), device_bias = bias.to(device);
    const Tensor device_residual = residual.to(device);
    const PreparedConv2d prepared(device, device_w, device_bias, c.options, images);
    test::Guarded y(result, images, device, 1);
    prepared.forward(device, device_x, y.view(), Activation::relu, device_residual);
    ASSERT_TRUE(y.intact());
    const test::Reals values = y.read();
    for (std::size_t i = 0; i < values.size(); ++i) {
      // Unit roundoffs of the sum of magnitudes: the direct form shows 3 on these sizes, F(4x4, 3x3) 10. In bf16 the
      // rounding of the result comes to it, and on CUDA that of the products' sum, before bias and residual.
      const double sum = 32 * 0x1p-24 * expected.scale[i] + 1e-30;
      const double before = device.is_cuda() ? std::abs(expected.products[i]) + sum : 0;
      const double rounding = half ? 0x1p-8 * (std::abs(expected.value[i]) + sum + before) : 0;
      ASSERT_NEAR(static_cast<double>(values[i]), expected.value[i], sum + rounding) << i;
    }
    test::Guarded plain(result, images, device, 1);  // as y: CUDA's way depends on the alignment
    conv2d_forward(device, device_x, device_w, device_bias, c.options, plain.view(), Activation::relu, device_residual);
    EXPECT_EQ(y.raw(), plain.raw()) << "prepared weights must not change a bit";
    if (device.is_cuda()) continue;
    if (first.empty()) first = y.raw();
    EXPECT_EQ(y.raw(), first) << "the number of threads must not change a bit";
    Tensor in_place = device_residual.clone();
    prepared.forward(device, device_x, in_place, Activation::relu, in_place);
    test::Guarded copy(result, images, device);
    copy_bytes(in_place, copy.view());
    EXPECT_EQ(copy.raw(), first) << "the residual may be the result";
    prepared.forward(device, device_x, plain.view(), Activation::relu, device_residual);
    EXPECT_EQ(plain.raw(), first) << "a later call uses what the first one kept";
  }
}

TEST_P(PreparedConvolution, AgreesWithTheReferenceAndWithConv2dForward) { check_prepared(GetParam(), DType::f32); }

TEST_P(PreparedConvolution, OfBf16RoundsWeightsAndResult) { check_prepared(GetParam(), DType::bf16); }

INSTANTIATE_TEST_SUITE_P(Shapes, PreparedConvolution, testing::ValuesIn(cases), [](const auto& info) {
  const Case& c = info.param;
  return std::to_string(c.images) + "x" + std::to_string(c.height) + "x" + std::to_string(c.width) + "_" +
         std::to_string(c.in) + "to" + std::to_string(c.out) + "_k" + std::to_string(c.kernel) + "s" +
         std::to_string(c.options.stride);
});

TEST(PreparedConv2d, RefusesWhatDoesNotFit) {
  const Device device = Device::cpu(1);
  const Tensor w = Tensor::zeros({16, 16, 3, 3}, DType::f32, device);
  const Tensor short_bias = Tensor::zeros({15}, DType::f32, device);
  EXPECT_THROW(PreparedConv2d(device, w, short_bias, {.padding = 1}), ShapeError);
  const PreparedConv2d prepared(device, w, {}, {.padding = 1});
  const Tensor x = Tensor::zeros({1, 8, 8, 16}, DType::f32, device);
  const Tensor narrow = Tensor::zeros({1, 8, 8, 8}, DType::f32, device);
  Tensor y({1, 8, 8, 16}, DType::f32, device);
  Tensor small({1, 7, 8, 16}, DType::f32, device);
  EXPECT_THROW(prepared.forward(device, x, small), ShapeError);
  EXPECT_THROW(prepared.forward(device, narrow, y), ShapeError);
  Tensor doubles({1, 8, 8, 16}, DType::f64, device);
  EXPECT_THROW(prepared.forward(device, x, doubles), DTypeError);
  const PreparedConv2d half(device, w, {}, {.padding = 1}, DType::bf16);
  EXPECT_THROW(half.forward(device, x, y), DTypeError);
  EXPECT_THROW(half.forward(device, in_bf16(x, device), y), DTypeError);
  EXPECT_THROW(prepared.forward(device, in_bf16(x, device), y), DTypeError);
  EXPECT_THROW(PreparedConv2d(device, in_bf16(w, device), {}, {.padding = 1}), DTypeError);
  EXPECT_THROW(PreparedConv2d(device, w, {}, {.padding = 1}, DType::f64), DTypeError);
  EXPECT_THROW(PreparedConv2d(device, w, {}, {.padding = 1}, DType::f16), DTypeError);
}

TEST(PreparedConv2d, PassesNanThroughRelu) {
  const Device device = Device::cpu(1);
  std::vector<float> values(8 * 8 * 16, 1.0F);
  values[0] = std::nanf("");
  const Tensor x = Tensor::from(values, {1, 8, 8, 16}, device);
  test::RandomTensors random(test::fresh_seed());
  const PreparedConv2d prepared(device, random.f32({16, 16, 3, 3}, device), {}, {.padding = 1});
  Tensor y({1, 8, 8, 16}, DType::f32, device);
  prepared.forward(device, x, y, Activation::relu);
  EXPECT_TRUE(std::isnan(y.to_vector<float>()[0]));
}

TEST(PreparedConv2d, KeepsNanWhenItRoundsToBf16) {
  const Device device = Device::cpu(1);
  std::vector<float> values(8 * 8 * 32, 1.0F);
  values[0] = std::bit_cast<float>(0x7fffffffU);  // which adding half a unit would carry into the sign
  const Tensor x = Tensor::from(values, {1, 8, 8, 32}, device);
  test::RandomTensors random(test::fresh_seed());
  const PreparedConv2d prepared(device, random.f32({32, 32, 3, 3}, device), {}, {.padding = 1}, DType::bf16);
  Tensor y({1, 8, 8, 32}, DType::bf16, device);
  prepared.forward(device, in_bf16(x, device), y);
  EXPECT_TRUE(std::isnan(in_f32(y, device).to_vector<float>()[0]));
}

}  // namespace
}  // namespace rtl::kernels

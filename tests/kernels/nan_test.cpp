// What is not a number stays so through products and convolutions, whichever vector extension the processor has.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl::kernels {
namespace {

/// Makes the kernels believe that the processor has the extensions up to this one only; 0: all that it has.
void choose(std::int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().DeInit();
}

class OfEachExtension : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }

  const Device device = Device::cpu(1);
};

std::int64_t nan_count(const Tensor& values) {
  std::int64_t count = 0;
  for (const float value : values.to_vector<float>()) count += std::isnan(value) ? 1 : 0;
  return count;
}

TEST_P(OfEachExtension, Gemm) {
  constexpr std::int64_t m = 67, n = 70, k = 131;
  std::vector<float> values(m * k, 1);
  values[5 * k + 3] = NAN;
  const Tensor a = Tensor::from(values, {m, k}, device);
  const Tensor b = Tensor::from(std::vector<float>(k * n, 1), {k, n}, device);
  for (const Epilogue epilogue : {Epilogue::none, Epilogue::relu}) {
    Tensor c({m, n}, DType::f32, device);
    gemm(device, Transpose::no, Transpose::no, 1, a, b, 0, c, epilogue);
    EXPECT_EQ(nan_count(c), n);
  }
}

/// `inputs` channels, of which each of `groups` sees as many, to 32.
void expect_nan_of_bias(const Device& device, std::int64_t inputs, int groups) {
  constexpr std::int64_t side = 9, outputs = 32;
  const Tensor x = Tensor::from(std::vector<float>(side * side * inputs, 1), {1, side, side, inputs}, device);
  const std::int64_t seen = inputs / groups;
  const Tensor w = Tensor::from(std::vector<float>(outputs * seen * 9, 1), {outputs, seen, 3, 3}, device);
  std::vector<float> shift(outputs, 1);
  shift[7] = NAN;
  const Tensor bias = Tensor::from(shift, {outputs}, device);
  for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
    Tensor y({1, side, side, outputs}, DType::f32, device);
    conv2d_forward(device, x, w, bias, {.stride = 1, .padding = 1, .groups = groups}, y, activation);
    EXPECT_EQ(nan_count(y), side * side) << static_cast<int>(activation);
  }
}

TEST_P(OfEachExtension, WinogradsConvolution) { expect_nan_of_bias(device, 32, 1); }
TEST_P(OfEachExtension, DepthwiseConvolution) { expect_nan_of_bias(device, 32, 32); }
TEST_P(OfEachExtension, ConvolutionOfFewChannels) { expect_nan_of_bias(device, 3, 1); }

INSTANTIATE_TEST_SUITE_P(Nan, OfEachExtension, testing::Values(std::int64_t{0}, std::int64_t{HWY_STATIC_TARGET}));

}  // namespace
}  // namespace rtl::kernels

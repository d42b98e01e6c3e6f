// TF32 is used where it is allowed, and nowhere else. The stand-ins round operands as the tensor cores do.
#include "rtl/core/tf32.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "host_view.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl::kernels {
namespace {

/// 1 + 2^-11, which TF32 rounds to 1 and f32 holds.
constexpr float between = 1.00048828125f;

/// Products of `between` with 1, by every function that may use TF32.
std::vector<float> products(const Device& device) {
  const Tensor a = Tensor::from(std::vector<float>{between}, {1, 1}, device);
  const Tensor one = Tensor::from(std::vector<float>{1}, {1, 1}, device);
  const ConstView image = a.view().reshaped({1, 1, 1, 1}), weight = one.view().reshaped({1, 1, 1, 1});
  std::vector<float> found;
  const auto add = [&](const auto& f) {
    Tensor result({1, 1, 1, 1}, DType::f32, device);
    f(result.view());
    found.push_back(result.to_vector<float>().at(0));
  };
  add([&](const View& c) { gemm(device, Transpose::no, Transpose::no, 1, a, one, 0, c.reshaped({1, 1})); });
  add([&](const View& c) {
    gemm_batched(device, Transpose::no, Transpose::no, 1, a.view().reshaped({1, 1, 1}), one.view().reshaped({1, 1, 1}),
                 0, c.reshaped({1, 1, 1}));
  });
  add([&](const View& y) { conv2d_forward(device, image, weight, {}, {}, y); });
  add([&](const View& dx) { conv2d_backward_data(device, image, weight, {}, dx); });
  add([&](const View& dw) { conv2d_backward_weights(device, image, weight, {}, dw); });
  return found;
}

const std::vector<float> exact(5, between), rounded(5, 1.0f);

TEST(Tf32, OnlyWhereAllowed) {
  const Device device = Device::cuda(0).separate(), other = device.separate();
  EXPECT_FALSE(tf32_allowed(device));
  EXPECT_EQ(products(device), exact);
  allow_tf32(device, true);
  EXPECT_TRUE(tf32_allowed(device));
  EXPECT_EQ(products(device), rounded);
  EXPECT_FALSE(tf32_allowed(other));
  EXPECT_EQ(products(other), exact);
  allow_tf32(device, false);
  EXPECT_EQ(products(device), exact);
}

TEST(Tf32, ChangesNothingOnTheHostAndInF64) {
  const Device host = Device::cpu(1).separate(), device = Device::cuda(0).separate();
  allow_tf32(host, true);
  EXPECT_FALSE(tf32_allowed(host));
  EXPECT_EQ(products(host), exact);
  allow_tf32(device, true);
  const double precise = 1 + 0x1p-40;
  const Tensor a = Tensor::from(std::vector<double>{precise}, {1, 1}, device);
  const Tensor one = Tensor::from(std::vector<double>{1}, {1, 1}, device);
  Tensor c({1, 1}, DType::f64, device);
  gemm(device, Transpose::no, Transpose::no, 1, a, one, 0, c);
  EXPECT_EQ(c.to_vector<double>().at(0), precise);
}

TEST(Tf32, RoundsToNearestEven) {
  using emulation::rounded_to_tf32;
  EXPECT_EQ(rounded_to_tf32(1 + 0x1p-11f), 1.0f);
  EXPECT_EQ(rounded_to_tf32(1 + 0x3p-11f), 1 + 0x1p-9f);
  EXPECT_EQ(rounded_to_tf32(1 + 0x1.8p-11f), 1 + 0x1p-10f);
  EXPECT_EQ(rounded_to_tf32(-1 - 0x1p-12f), -1.0f);
  EXPECT_EQ(rounded_to_tf32(0.0f), 0.0f);
  EXPECT_TRUE(std::isnan(rounded_to_tf32(NAN)));
  EXPECT_TRUE(std::isinf(rounded_to_tf32(-INFINITY)));
}

}  // namespace
}  // namespace rtl::kernels

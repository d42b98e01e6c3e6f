// A program built with CUDA starts, and works on the host, where there is no driver or no GPU. Run with
// CUDA_VISIBLE_DEVICES empty, so that it means the same on a machine with a GPU.
#include <gtest/gtest.h>

#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl {
namespace {

TEST(NoDevice, NoneIsCountedAndTheHostIsPreferred) {
  EXPECT_EQ(Device::cuda_count(), 0);
  EXPECT_FALSE(Device::preferred().is_cuda());
}

TEST(NoDevice, AskingForOneSaysWhatToDo) {
  try {
    Device::cuda(0);
    FAIL() << "no exception";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("driver"), std::string::npos) << error.what();
  }
}

TEST(NoDevice, TheHostComputes) {
  const Device device = Device::preferred();
  const Tensor a = Tensor::from<float>({1, 2, 3, 4}, {2, 2}, device);
  Tensor c({2, 2}, DType::f32, device);
  kernels::gemm(device, kernels::Transpose::no, kernels::Transpose::yes, 1.0, a, a, 0.0, c);
  EXPECT_EQ(c.to_vector<float>(), (std::vector<float>{5, 11, 11, 25}));
}

}  // namespace
}  // namespace rtl

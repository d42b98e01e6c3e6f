#include "rtl/core/tensor.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "rtl/core/memory.hpp"

namespace rtl {
namespace {

std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu()};
  if (Device::cuda_count() > 0) all.push_back(Device::cuda(0));
  return all;
}

TEST(Tensor, KeepsValuesThroughMovesCopiesAndDevices) {
  std::vector<float> values(33);
  std::iota(values.begin(), values.end(), 0.5f);
  for (const Device& device : devices()) {
    Tensor tensor = Tensor::from(values, {3, 11}, device);
    const Tensor copy = tensor.clone();
    Tensor moved = std::move(tensor);
    EXPECT_FALSE(tensor.defined());  // NOLINT(bugprone-use-after-move): the state after a move is documented
    EXPECT_EQ(moved.to_vector<float>(), values);
    EXPECT_EQ(copy.to_vector<float>(), values);
    EXPECT_EQ(copy.to(Device::cpu()).to_vector<float>(), values);
    const Tensor flat = std::move(moved).reshaped({33});
    EXPECT_EQ(flat.shape(), (Shape{33}));
    EXPECT_EQ(Tensor::zeros({5}, DType::i64, device).to_vector<std::int64_t>(), std::vector<std::int64_t>(5, 0));
  }
}

TEST(Tensor, EmptyAndUndefinedTensorsAreHarmless) {
  Tensor empty({0, 7}, DType::f32, Device::cpu());
  EXPECT_EQ(empty.count(), 0);
  EXPECT_TRUE(empty.to_vector<float>().empty());
  EXPECT_FALSE(Tensor().defined());
  EXPECT_FALSE(Tensor().view().given());
  EXPECT_THROW((void)Tensor().device(), DeviceError);
}

TEST(Tensor, ReportsMisuse) {
  const Device cpu = Device::cpu();
  EXPECT_THROW(Tensor::from(std::vector<float>(4), {5}, cpu), ShapeError);
  EXPECT_THROW((void)Tensor::zeros({2}, DType::f32, cpu).item<float>(), ShapeError);
  EXPECT_THROW((void)Tensor::zeros({1}, DType::f32, cpu).item<double>(), DTypeError);
  EXPECT_THROW(Tensor::zeros({6}, DType::f32, cpu).reshaped({4}), ShapeError);
}

TEST(Tensor, SizesNeverWrap) {
  const auto text_of = [](const auto& attempt) -> std::string {
    try {
      attempt();
    } catch (const OutOfMemory& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  for (const DType dtype : {DType::u8, DType::f16, DType::f32, DType::f64}) {
    for (const Shape& shape : {Shape{std::int64_t{1} << 61}, Shape{std::int64_t{1} << 62}, Shape{INT64_MAX},
                               Shape{std::int64_t{1} << 31, std::int64_t{1} << 30}}) {
      const std::string text = text_of([&] { const Tensor tensor(shape, dtype, Device::cpu()); });
      EXPECT_NE(text.find(shape.to_string()), std::string::npos) << text;
      EXPECT_NE(text.find(name_of(dtype)), std::string::npos) << text;
    }
  }
  EXPECT_EQ(checked_bytes(Shape{3, 0, std::int64_t{1} << 60}, DType::f64), 0u);
  EXPECT_EQ(checked_bytes(std::int64_t{5}, 8), 40u);
  EXPECT_THROW((void)checked_bytes(std::int64_t{1} << 61, 8), OutOfMemory);
  EXPECT_THROW((void)checked_bytes(std::int64_t{-1}, 8), OutOfMemory);
  EXPECT_NE(text_of([] { with_memory_for("rows.csv", [] { throw std::bad_alloc(); }); }).find("rows.csv"),
            std::string::npos);
}

TEST(Tensor, ZerosTakeNoSecondCopy) {
  for (const Device& shared : devices()) {
    const Device device = shared.separate();
    { const Tensor block = Tensor::from(std::vector<double>(5000, 1.5), {5000}, device); }
    const Tensor zeros = Tensor::zeros({5000}, DType::f64, device);
    EXPECT_EQ(device.memory().allocations, 1u);  // the block that held other values
    EXPECT_EQ(zeros.to_vector<double>(), std::vector<double>(5000, 0.0));
  }
}

TEST(View, BytesOfRepeatedElementsAreChecked) {
  const float one = 1;
  const Device cpu = Device::cpu(1);
  const ConstView repeated = ConstView(&one, DType::f32, {1}, cpu).broadcast_to({std::int64_t{1} << 62});
  EXPECT_THROW((void)repeated.bytes(), OutOfMemory);
}

TEST(View, KnowsItsDevice) {
  const Device device = Device::cpu(3).separate();
  const Tensor tensor = Tensor::zeros({2}, DType::f32, device);
  EXPECT_EQ(&tensor.view().device().context(), &device.context());
  EXPECT_EQ(tensor.view().device().threads(), 3);
  EXPECT_THROW((void)ConstView().device(), DeviceError);
}

TEST(View, SlicesPermutesAndBroadcasts) {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.0f);
  const Tensor tensor = Tensor::from(values, {2, 3, 4}, Device::cpu());
  const ConstView row = tensor.view().slice(1, 1, 2);
  EXPECT_EQ(row.shape(), (Shape{2, 1, 4}));
  EXPECT_EQ(*row.data_as<float>(), 4.0f);
  EXPECT_FALSE(row.is_contiguous());
  const ConstView turned = tensor.view().permuted({2, 0, 1});
  EXPECT_EQ(turned.shape(), (Shape{4, 2, 3}));
  EXPECT_EQ(turned.strides()[0], 1);
  EXPECT_EQ(turned.strides()[1], 12);
  const ConstView wide = tensor.view().slice(0, 0, 1).broadcast_to({5, 3, 4});
  EXPECT_EQ(wide.strides()[0], 0);
  EXPECT_THROW((void)tensor.view().broadcast_to({2, 3, 5}), ShapeError);
  EXPECT_THROW((void)tensor.view().slice(0, 1, 3), ShapeError);
  EXPECT_THROW((void)tensor.view().permuted({0, 0, 1}), ShapeError);
  EXPECT_THROW((void)tensor.view().permuted({0, 1}), ShapeError);
  EXPECT_THROW((void)turned.reshaped({24}), ShapeError);
}

TEST(CopyBytes, WantsEqualShapes) {
  const Device cpu = Device::cpu();
  const Tensor from = Tensor::zeros({4}, DType::f32, cpu);
  Tensor shorter({3}, DType::f32, cpu);
  EXPECT_THROW(copy_bytes(from, shorter), ShapeError);
  EXPECT_THROW(copy_bytes(from, View()), DeviceError);
}

}  // namespace
}  // namespace rtl

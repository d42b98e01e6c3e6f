// The published CIFAR-10 ResNets on real images: logits against an independent implementation, and the number of
// images of cifar10_test_2000 that each classifies correctly.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/kernels/reduce.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/layers/frozen_network.hpp"
#include "support/devices.hpp"
#include "support/real_data.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

std::string model(int depth) { return "models/resnet" + std::to_string(depth) + "_cifar10.safetensors"; }

class RealDataResnet : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    RTL_NEEDS_REAL_DATA(model(GetParam()));
    RTL_NEEDS_REAL_DATA("images/cifar10/cifar10_test_2000.bin.gz");
  }

  /// Images [begin, begin + count) of the test set, as the networks want them.
  Tensor images(std::int64_t begin, std::int64_t count, const Device& device) {
    if (!test_.inputs.defined()) {
      const data::TrainTest loaded =
          data::load("cifar10:" + test::real_data("images/cifar10") + "?split=test", Device::cpu());
      test_ = loaded.test.clone();
    }
    std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = begin + static_cast<std::int64_t>(i);
    const Device host = Device::cpu();
    Tensor x({count, 32, 32, 3}, DType::f32, host);
    data::gather_inputs(test_, Tensor::from(rows, {count}, host),
                        data::channel_scaling(data::Normalization::imagenet, 3, host), x);
    return x.to(device);
  }
  std::unique_ptr<Network> load(const Device& device) {
    return load_network(test::real_data(model(GetParam())), device).network;
  }
  /// Largest difference to the golden logits of the first images.
  static double largest_difference(const Tensor& logits, const std::vector<float>& golden) {
    const std::vector<float> values = logits.to_vector<float>();
    double largest = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(values[i]) - golden[i]));
    }
    return largest;
  }

  data::Dataset test_;
};

TEST_P(RealDataResnet, GivesTheGoldenLogits) {
  const std::string name = "golden/resnet" + std::to_string(GetParam()) + "_cifar10_logits_first256.npy";
  RTL_NEEDS_REAL_DATA(name);
  const std::vector<float> golden = io::read_npy(test::real_data(name), Device::cpu()).to_vector<float>();
  for (const Device& device : test::devices()) {
    // The emulator runs a few images only, for time's sake.
    const bool emulated = device.is_cuda() && std::string(RTL_CUDA_MODE) == "EMULATED";
    const std::int64_t count = emulated ? 8 : 256;
    const std::unique_ptr<Network> network = load(device);
    EXPECT_EQ(network->architecture(), (Architecture{"resnet_cifar", std::to_string(GetParam()), {32, 32, 3}, 10}));
    const Tensor x = images(0, count, device);
    Tensor frozen({count, 10}, DType::f32, device);
    FrozenNetwork(*network).logits(x, frozen);
    const Tensor logits = test::forward(*network, x);
    ASSERT_EQ(logits.shape(), frozen.shape());
    EXPECT_LT(largest_difference(logits, golden), 1e-4) << device.name();
    EXPECT_LT(largest_difference(frozen, golden), 1e-4) << device.name() << ", folded";
  }
}

using RealDataAccuracy = RealDataResnet;

TEST_P(RealDataAccuracy, ClassifiesAsManyTestImagesAsPublished) {
  const std::map<int, int> published = {{20, 1836}, {32, 1860}, {44, 1869}, {56, 1861}};
  const Device device = Device::cpu();
  FrozenNetwork network(*load(device));
  constexpr std::int64_t batch = 250;
  int correct = 0;
  for (std::int64_t begin = 0; begin < 2000; begin += batch) {
    Tensor logits({batch, 10}, DType::f32, device);
    network.logits(images(begin, batch, device), logits);
    Tensor predicted({batch}, DType::i32, device);
    kernels::argmax_rows(device, logits, predicted);
    const std::vector<std::int32_t> classes = predicted.to_vector<std::int32_t>();
    const std::vector<std::int32_t> labels = test_.labels.to_vector<std::int32_t>();
    for (std::int64_t i = 0; i < batch; ++i) {
      correct += classes[static_cast<std::size_t>(i)] == labels[static_cast<std::size_t>(begin + i)] ? 1 : 0;
    }
  }
  RecordProperty("correct", correct);
  EXPECT_LE(std::abs(correct - published.at(GetParam())), 1) << correct;
}

std::string name_of(const testing::TestParamInfo<int>& info) { return std::to_string(info.param); }

INSTANTIATE_TEST_SUITE_P(Depth, RealDataResnet, testing::Values(20, 32, 44, 56), name_of);

// The deeper networks run the same code on the same 2000 images: too slow to do again under sanitizers.
#ifdef __SANITIZE_ADDRESS__
INSTANTIATE_TEST_SUITE_P(Depth, RealDataAccuracy, testing::Values(20), name_of);
#else
INSTANTIATE_TEST_SUITE_P(Depth, RealDataAccuracy, testing::Values(20, 32, 44, 56), name_of);
#endif

}  // namespace
}  // namespace rtl::layers

#include "rtl/data/dataset.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "rtl/core/random.hpp"
#include "support/devices.hpp"

namespace rtl::data {
namespace {

Dataset images(const Device& device, std::int64_t count = 5, std::int64_t channels = 3) {
  RandomSequence random(3);
  const Shape shape{count, 3, 2, channels};
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.count()));
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random.bits());
  std::vector<std::int32_t> labels;
  for (std::int32_t i = 0; i < count; ++i) labels.push_back(i % 2);
  return {
      Tensor::from(pixels, shape, device), Tensor::from(labels, {count}, device), 2, {"even", "odd"}, "test images"};
}

Dataset vectors(const std::vector<float>& values, const std::vector<std::int32_t>& labels, std::int64_t classes) {
  const auto count = static_cast<std::int64_t>(labels.size());
  const auto width = static_cast<std::int64_t>(values.size()) / count;
  return {Tensor::from(values, {count, width}, Device::cpu()),
          Tensor::from(labels, {count}, Device::cpu()),
          classes,
          {},
          "features.npy"};
}

template <typename T>
void check_gather(const Device& device, Normalization normalization, double mean, double deviation) {
  const Dataset dataset = images(device);
  const std::vector<std::int64_t> rows = {4, 0, 0, 2};
  const Tensor row_tensor = Tensor::from(rows, {4}, device);
  Tensor out({4, 3, 2, 3}, dtype_of<T>(), device);
  gather_inputs(dataset, row_tensor, channel_scaling(normalization, 3, device, dtype_of<T>()), out);
  const std::vector<T> values = out.to_vector<T>();
  const std::vector<std::uint8_t> pixels = dataset.inputs.to_vector<std::uint8_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t from = static_cast<std::size_t>(rows[i / 18]) * 18 + i % 18;
    if (i % 3 != 1 && normalization != Normalization::half) continue;  // mean and deviation are channel 1's
    EXPECT_NEAR(values[i], (pixels[from] / 255.0 - mean) / deviation,
                4 * std::numeric_limits<T>::epsilon() / deviation);
  }
}

TEST(Dataset, GathersAndNormalizesImages) {
  for (const Device& device : test::devices()) {
    check_gather<float>(device, Normalization::none, 0, 1);
    check_gather<float>(device, Normalization::half, 0.5, 0.5);
    check_gather<float>(device, Normalization::imagenet, 0.456, 0.224);
    check_gather<float>(device, Normalization::cifar, 0.4822, 0.2435);
    check_gather<double>(device, Normalization::imagenet, 0.456, 0.224);
  }
}

TEST(Dataset, GathersVectors) {
  const Dataset dataset = vectors({1, 2, 3, 4, 5, 6}, {0, 1, 0}, 2);
  const Tensor rows = Tensor::from(std::vector<std::int64_t>{2, 0}, {2}, Device::cpu());
  Tensor out({2, 2}, DType::f64, Device::cpu());
  gather_inputs(dataset, rows, {}, out);
  EXPECT_EQ(out.to_vector<double>(), (std::vector<double>{5, 6, 1, 2}));
}

TEST(ChannelScaling, TakesTheMeanForGreyImages) {
  const ChannelScaling scaling = channel_scaling(Normalization::imagenet, 1, Device::cpu(), DType::f64);
  const double mean = (0.485 + 0.456 + 0.406) / 3, deviation = (0.229 + 0.224 + 0.225) / 3;
  EXPECT_DOUBLE_EQ(scaling.scale.item<double>(), 1 / (255 * deviation));
  EXPECT_DOUBLE_EQ(scaling.shift.item<double>(), -mean / deviation);
  EXPECT_EQ(channel_scaling(Normalization::half, 4, Device::cpu()).scale.shape(), Shape{4});
  EXPECT_THROW(channel_scaling(Normalization::cifar, 2, Device::cpu()), ValueError);
  EXPECT_THROW(channel_scaling(Normalization::none, 0, Device::cpu()), ValueError);
  EXPECT_THROW(channel_scaling(Normalization::standardize, 3, Device::cpu()), ValueError);
  EXPECT_THROW(channel_scaling(Normalization::automatic, 3, Device::cpu()), ValueError);
  EXPECT_THROW(channel_scaling(Normalization::none, 3, Device::cpu(), DType::u8), DTypeError);
}

TEST(Normalization, NamesAreParsedBack) {
  for (const auto value : {Normalization::none, Normalization::half, Normalization::imagenet, Normalization::cifar,
                           Normalization::standardize, Normalization::automatic}) {
    EXPECT_EQ(parse_normalization(to_string(value)), value);
  }
  EXPECT_THROW(parse_normalization("Half"), ValueError);
}

TEST(Dataset, SubsetTakesRowsInTheGivenOrder) {
  for (const Device& device : test::devices()) {
    const Dataset dataset = images(device);
    const std::vector<std::int64_t> rows = {3, 3, 0};
    const Dataset part = dataset.subset(rows);
    EXPECT_EQ(part.size(), 3);
    EXPECT_EQ(part.labels.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1, 1, 0}));
    const auto whole_pixels = dataset.inputs.to_vector<std::uint8_t>(), pixels = part.inputs.to_vector<std::uint8_t>();
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      EXPECT_EQ(pixels[i], whole_pixels[static_cast<std::size_t>(rows[i / 18]) * 18 + i % 18]);
    }
    EXPECT_EQ(part.class_names, dataset.class_names);
    EXPECT_EQ(dataset.subset({}).size(), 0);
    EXPECT_THROW((void)dataset.subset(std::vector<std::int64_t>{5}), ValueError);
    EXPECT_THROW((void)dataset.subset(std::vector<std::int64_t>{-1}), ValueError);
  }
}

TEST(Dataset, InputHashSeesBytesAndShapeButNotLabels) {
  for (const Device& device : test::devices()) {
    const Dataset dataset = images(device);
    Dataset same = dataset.clone();
    same.labels = Tensor::zeros({5}, DType::i32, device);
    same.name = "other";
    EXPECT_EQ(same.input_hash(), dataset.input_hash());
    EXPECT_EQ(images(Device::cpu()).input_hash(), dataset.input_hash());
    EXPECT_NE(dataset.subset(std::vector<std::int64_t>{0, 1, 2, 4, 3}).input_hash(), dataset.input_hash());
    Dataset reshaped = dataset.clone();
    reshaped.inputs = std::move(reshaped.inputs).reshaped({5, 2, 3, 3});
    EXPECT_NE(reshaped.input_hash(), dataset.input_hash());
  }
}

std::string fault_of(const Dataset& dataset, bool for_training) {
  try {
    dataset.validate(for_training);
  } catch (const ValueError& error) {
    return error.what();
  }
  return {};
}

TEST(Dataset, ValidateNamesTheFault) {
  EXPECT_EQ(fault_of(images(Device::cpu()), true), "");
  EXPECT_EQ(fault_of(vectors({1, 2, 3}, {0, 1, 0}, 2), true), "");
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const std::pair<Dataset, const char*> cases[] = {
      {vectors({1, 2, nan, 4}, {0, 1}, 2), "sample 1, feature 0 is nan"},
      {vectors({1, infinity, 3, 4}, {0, 1}, 2), "sample 0, feature 1 is inf"},
      {vectors({1, 2}, {0, 2}, 2), "sample 1: label 2 out of range [0, 2)"},
      {vectors({1, 2}, {-1, 0}, 2), "sample 0: label -1 out of range"},
      {vectors({1, 2}, {0, 1}, 3), "2 samples are fewer than the 3 classes"},
      {vectors({1, 2, 3}, {1, 1, 1}, 2), "one class"},
  };
  for (const auto& [dataset, fault] : cases) {
    const std::string text = fault_of(dataset, true);
    EXPECT_NE(text.find(fault), std::string::npos) << fault << "\n" << text;
    EXPECT_NE(text.find("features.npy"), std::string::npos) << text;
  }
  EXPECT_EQ(fault_of(vectors({1, 2}, {0, 1}, 3), false), "") << "evaluation needs no sample of every class";
  EXPECT_EQ(fault_of(vectors({1, 2}, {1, 1}, 2), false), "");
  EXPECT_NE(fault_of(Dataset{}, false).find("no sample"), std::string::npos);
  Dataset mismatched = images(Device::cpu());
  mismatched.labels = Tensor::zeros({4}, DType::i32, Device::cpu());
  EXPECT_NE(fault_of(mismatched, false).find("the labels are i32"), std::string::npos);
  Dataset bytes = images(Device::cpu());
  bytes.inputs = std::move(bytes.inputs).reshaped({5, 18});
  EXPECT_NE(fault_of(bytes, false).find("u8 images"), std::string::npos);
}

TEST(Dataset, NeedsNoLabelsWhereNoneAreUsed) {
  for (const Device& device : test::devices()) {
    Dataset plain = images(device);
    plain.labels = Tensor();
    EXPECT_EQ(plain.size(), 5);
    EXPECT_NO_THROW(plain.check());
    const Dataset part = plain.subset(std::vector<std::int64_t>{3, 1});
    EXPECT_EQ(part.size(), 2);
    EXPECT_FALSE(part.has_labels());
    EXPECT_FALSE(plain.clone().has_labels());
    EXPECT_EQ(plain.input_hash(), images(device).input_hash());
    EXPECT_THROW(plain.validate(false), ValueError);
  }
}

TEST(Dataset, IsCheckedWhereItEnters) {
  const Device device = Device::cpu();
  const auto wrong = [&](Tensor inputs, Tensor labels) {
    return Dataset{std::move(inputs), std::move(labels), 2, {}, "wrong"};
  };
  const auto rows = [&](std::int64_t count, DType dtype = DType::f32) {
    return Tensor::zeros({count, 3}, dtype, device);
  };
  const auto labels = [&](const Shape& shape, DType dtype = DType::i32) { return Tensor::zeros(shape, dtype, device); };
  std::vector<Dataset> faults;
  faults.push_back(wrong(Tensor(), labels({2})));
  faults.push_back(wrong(rows(0), labels({0})));
  faults.push_back(wrong(rows(2), labels({1})));
  faults.push_back(wrong(rows(2), labels({10})));
  faults.push_back(wrong(rows(2), labels({2, 1})));
  faults.push_back(wrong(rows(2), labels({2}, DType::i64)));
  faults.push_back(wrong(rows(2, DType::f64), labels({2})));
  faults.push_back(wrong(Tensor::zeros({2, 3, 3}, DType::u8, device), labels({2})));
  faults.push_back(wrong(Tensor::zeros({2, 0}, DType::f32, device), labels({2})));
  const Tensor row = Tensor::zeros({1}, DType::i64, device);
  for (const Dataset& fault : faults) {
    SCOPED_TRACE(fault.inputs.shape().to_string() + " " + fault.labels.shape().to_string());
    EXPECT_THROW(fault.check(), ValueError);
    EXPECT_THROW(fault.validate(false), ValueError);
    EXPECT_THROW((void)fault.subset(std::vector<std::int64_t>{0}), ValueError);
    Tensor out = Tensor::zeros({1, 3}, DType::f32, device);
    EXPECT_THROW(gather_inputs(fault, row, {}, out), ValueError);
  }
}

}  // namespace
}  // namespace rtl::data

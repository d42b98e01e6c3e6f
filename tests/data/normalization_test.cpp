// The numbers that columns are standardised by, and what applying them gives.
#include "rtl/data/normalization.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/dataset.hpp"
#include "support/devices.hpp"

namespace rtl::data {
namespace {

/// Column-major values to a data set of vectors.
Dataset table(const std::vector<std::vector<float>>& columns, const Device& device) {
  const std::size_t rows = columns.front().size();
  std::vector<float> values;
  for (std::size_t row = 0; row < rows; ++row) {
    for (const auto& column : columns) values.push_back(column[row]);
  }
  const auto count = static_cast<std::int64_t>(rows);
  return {Tensor::from(values, {count, static_cast<std::int64_t>(columns.size())}, device),
          Tensor::from(std::vector<std::int32_t>(rows), {count}, device),
          1,
          {},
          "table"};
}

/// Mean and population deviation in long double, the mean taken off first.
std::pair<double, double> reference(const std::vector<float>& column) {
  long double mean = 0, squares = 0;
  for (const float value : column) mean += value;
  mean /= static_cast<long double>(column.size());
  for (const float value : column) squares += (value - mean) * (value - mean);
  return {static_cast<double>(mean), static_cast<double>(std::sqrt(squares / static_cast<long double>(column.size())))};
}

/// Scales from 1e-6 to 1e6, offsets up to 1e9 with little on top, zeros and ones, few ones, a huge range.
std::vector<std::vector<float>> odd_columns(std::size_t rows) {
  RandomSequence random(31, rows);
  std::vector<std::vector<float>> columns(8);
  for (std::size_t row = 0; row < rows; ++row) {
    const double z = random.normal();
    columns[0].push_back(static_cast<float>(1e-6 * z));
    columns[1].push_back(static_cast<float>(1e6 * z - 3e6));
    columns[2].push_back(static_cast<float>(1e9 + 200 * random.normal()));
    columns[3].push_back(static_cast<float>(random.below(2)));
    columns[4].push_back(row == rows / 2 ? 1.0F : 0.0F);
    columns[5].push_back(static_cast<float>(std::exp(20 * z)));
    columns[6].push_back(static_cast<float>(1e-38 * z));
    columns[7].push_back(static_cast<float>(3e38 * (row % 2 == 0 ? 1 : -1)));
  }
  return columns;
}

TEST(StandardizedColumns, HaveTheMeanAndDeviationOfTheirRows) {
  for (const std::size_t rows : {2U, 3U, 97U, 1000U}) {
    const auto columns = odd_columns(rows);
    for (const Device& device : test::devices()) {
      const InputNormalization fitted = fit_normalization(table(columns, device));
      EXPECT_EQ(fitted.kind, Normalization::standardize);
      ASSERT_EQ(fitted.mean.size(), columns.size());
      for (std::size_t column = 0; column < columns.size(); ++column) {
        SCOPED_TRACE(column);
        const auto [mean, deviation] = reference(columns[column]);
        const bool constant = deviation == 0;
        EXPECT_NEAR(fitted.mean[column], mean, 1e-14 * std::fabs(mean) + 1e-14 * deviation);
        EXPECT_NEAR(fitted.deviation[column], constant ? 1 : deviation, 1e-12 * deviation);
      }
    }
  }
}

TEST(StandardizedColumns, AreEqualOnEveryDeviceAtAnyNumberOfThreads) {
  const auto columns = odd_columns(301);
  const InputNormalization one = fit_normalization(table(columns, Device::cpu(1)));
  const Tensor expected = standardized(table(columns, Device::cpu(1)).inputs, one, DType::f32, Device::cpu(1));
  std::vector<Device> devices = test::devices();
  devices.push_back(Device::cpu(3).separate());
  for (const Device& device : devices) {
    const Dataset data = table(columns, device);
    const InputNormalization again = fit_normalization(data, Normalization::standardize);
    EXPECT_EQ(again, one);
    EXPECT_EQ(again.hash(), one.hash());
    const Tensor values = standardized(data.inputs, again, DType::f32, device);
    EXPECT_EQ(values.to_vector<float>(), expected.to_vector<float>());
  }
}

TEST(StandardizedColumns, AreRoundedOnceFromDouble) {
  const auto columns = odd_columns(50);
  const Dataset data = table(columns, Device::cpu(1));
  const InputNormalization fitted = fit_normalization(data);
  const auto narrow = standardized(data.inputs, fitted, DType::f32, Device::cpu(1)).to_vector<float>();
  const auto wide = standardized(data.inputs, fitted, DType::f64, Device::cpu(1)).to_vector<double>();
  std::vector<double> sums(columns.size()), squares(columns.size());
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    const std::size_t column = i % columns.size();
    const double expected =
        (static_cast<double>(columns[column][i / columns.size()]) - fitted.mean[column]) / fitted.deviation[column];
    EXPECT_EQ(wide[i], expected);
    EXPECT_EQ(narrow[i], static_cast<float>(expected));
    sums[column] += wide[i];
    squares[column] += wide[i] * wide[i];
  }
  for (std::size_t column = 0; column < columns.size(); ++column) {
    EXPECT_NEAR(sums[column] / 50, 0, 1e-9) << column;
    EXPECT_NEAR(squares[column] / 50, 1, 1e-9) << column;
  }
}

TEST(StandardizedColumns, ConstantOnesAreCentredAndNamed) {
  const float tenth = 0.1F;  // the mean of many is no f32 number if it is summed up
  const Dataset data = table({std::vector<float>(1001, tenth), std::vector<float>(1001, 1e30F)}, Device::cpu(1));
  const InputNormalization fitted = fit_normalization(data);
  EXPECT_EQ(fitted.constant_columns, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(fitted.mean, (std::vector<double>{static_cast<double>(tenth), static_cast<double>(1e30F)}));
  EXPECT_EQ(fitted.deviation, (std::vector<double>{1, 1}));
  for (const float value : standardized(data.inputs, fitted, DType::f32, Device::cpu(1)).to_vector<float>()) {
    EXPECT_EQ(value, 0);
  }
  EXPECT_EQ(fit_normalization(table({{5}, {-2}}, Device::cpu(1))).deviation, (std::vector<double>{1, 1}));
}

TEST(StandardizedColumns, WhatCannotBeStandardisedIsNamed) {
  const Dataset data = table({{1, 2, 3}, {4, NAN, 6}}, Device::cpu(1));
  EXPECT_THROW(fit_normalization(data), ValueError);
  EXPECT_NO_THROW(fit_normalization(data, Normalization::none));
  EXPECT_THROW(fit_normalization(data, Normalization::half), ValueError);
  EXPECT_THROW(fit_normalization(data, Normalization::imagenet), ValueError);
  Dataset nothing = data.subset(std::vector<std::int64_t>{});
  EXPECT_THROW(fit_normalization(nothing), ValueError);
  Dataset images = data.clone();
  images.inputs = Tensor::zeros({3, 4, 4, 3}, DType::u8, Device::cpu(1));
  EXPECT_EQ(fit_normalization(images), Normalization::half);
  EXPECT_EQ(fit_normalization(images, Normalization::cifar), Normalization::cifar);
  EXPECT_THROW(fit_normalization(images, Normalization::standardize), ValueError);
  const InputNormalization tiny({0, 0}, {1e-44, 1});
  try {
    standardized(table({{0, 1, 1e5F}, {4, 5, 6}}, Device::cpu(1)).inputs, tiny, DType::f32, Device::cpu(1));
    ADD_FAILURE() << "infinity was given out";
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("sample 1, feature 0"), std::string::npos) << error.what();
  }
  EXPECT_THROW(standardized(data.inputs, InputNormalization({0}, {1}), DType::f32, Device::cpu(1)), ShapeError);
  EXPECT_THROW(standardized(data.inputs, tiny, DType::bf16, Device::cpu(1)), DTypeError);
}

TEST(StandardizedColumns, NumbersAreChecked) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  using Numbers = std::vector<double>;
  EXPECT_THROW(InputNormalization(Numbers{}, Numbers{}), ValueError);
  EXPECT_THROW(InputNormalization(Numbers{1, 2}, Numbers{1}), ValueError);
  EXPECT_THROW(InputNormalization(Numbers{nan}, Numbers{1}), ValueError);
  for (const double deviation : {0.0, -1.0, nan, infinity}) {
    EXPECT_THROW(InputNormalization(Numbers{1}, Numbers{deviation}), ValueError);
  }
  EXPECT_NE(InputNormalization(Numbers{1}, Numbers{2}).hash(), InputNormalization(Numbers{2}, Numbers{2}).hash());
  EXPECT_NE(InputNormalization(Numbers{1}, Numbers{2}).hash(), InputNormalization(Numbers{1}, Numbers{1}).hash());
}

}  // namespace
}  // namespace rtl::data

// The loaders on real files.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "rtl/core/error.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/svmlight.hpp"
#include "rtl/io/npy.hpp"
#include "support/devices.hpp"
#include "support/real_data.hpp"

namespace rtl::data {
namespace {

std::vector<std::int64_t> counts(const Dataset& dataset) {
  std::vector<std::int64_t> found(static_cast<std::size_t>(dataset.classes));
  for (const std::int32_t label : dataset.labels.to_vector<std::int32_t>()) ++found[static_cast<std::size_t>(label)];
  return found;
}

std::vector<std::int64_t> equally(std::size_t classes, std::int64_t each) {
  return std::vector<std::int64_t>(classes, each);
}

TEST(RealData, Cifar10) {
  RTL_NEEDS_REAL_DATA("images/cifar10");
  const TrainTest parts = load("cifar10:" + test::real_data("images/cifar10"), Device::cpu());
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{6000, 32, 32, 3}));
  EXPECT_EQ(counts(parts.train), equally(10, 600));
  EXPECT_EQ(counts(parts.test), equally(10, 200));
  const std::vector<std::int32_t> labels = parts.train.labels.to_vector<std::int32_t>();
  EXPECT_EQ(std::vector<std::int32_t>(labels.begin(), labels.begin() + 8),
            (std::vector<std::int32_t>{2, 3, 5, 8, 8, 3, 7, 6}));
  ASSERT_EQ(parts.train.class_names.size(), 10u);
  EXPECT_EQ(parts.train.class_names[0], "airplane");
  parts.train.validate(true);
}

TEST(RealData, Cifar100) {
  RTL_NEEDS_REAL_DATA("images/cifar100");
  const std::string spec = "cifar100:" + test::real_data("images/cifar100");
  const TrainTest fine = load(spec, Device::cpu());
  EXPECT_EQ(counts(fine.train), equally(100, 60));
  EXPECT_EQ(counts(fine.test), equally(100, 20));
  EXPECT_EQ(fine.train.class_names.size(), 100u);
  const TrainTest coarse = load(spec + "?labels=coarse", Device::cpu());
  EXPECT_EQ(counts(coarse.train), equally(20, 300));
  EXPECT_EQ(coarse.train.class_names.size(), 20u);
  EXPECT_EQ(coarse.train.input_hash(), fine.train.input_hash());
  const TrainTest part = load(spec + "?offset=1000&limit=4000", Device::cpu());
  const std::vector<std::int64_t> first = {1000};
  EXPECT_EQ(part.train.size(), 4000);
  EXPECT_EQ(part.train.subset(std::vector<std::int64_t>{0}).input_hash(), fine.train.subset(first).input_hash());
}

TEST(RealData, Cifar10BecomesTheGoldenNetworkInput) {
  RTL_NEEDS_REAL_DATA("images/cifar10");
  RTL_NEEDS_REAL_DATA("golden/cifar10_preprocessed_first4.npy");
  const std::vector<float> golden =
      io::read_npy(test::real_data("golden/cifar10_preprocessed_first4.npy"), Device::cpu()).to_vector<float>();
  for (const Device& device : test::devices()) {
    const TrainTest parts = load("cifar10:" + test::real_data("images/cifar10") + "?split=test&limit=4", device);
    const Tensor rows = Tensor::from(std::vector<std::int64_t>{0, 1, 2, 3}, {4}, device);
    Tensor inputs({4, 32, 32, 3}, DType::f32, device);
    gather_inputs(parts.test, rows, channel_scaling(Normalization::imagenet, 3, device), inputs);
    const std::vector<float> values = inputs.to_vector<float>();
    for (std::size_t n = 0; n < 4; ++n) {
      for (std::size_t c = 0; c < 3; ++c) {
        for (std::size_t pixel = 0; pixel < 1024; ++pixel) {
          ASSERT_NEAR(values[(n * 1024 + pixel) * 3 + c], golden[(n * 3 + c) * 1024 + pixel], 1e-6);
        }
      }
    }
  }
}

TEST(RealData, Idx) {
  for (const char* folder : {"images/mnist", "images/fashion-mnist"}) {
    RTL_NEEDS_REAL_DATA(folder);
    const TrainTest parts = load("idx:" + test::real_data(folder), Device::cpu());
    EXPECT_EQ(parts.train.inputs.shape(), (Shape{60000, 28, 28, 1}));
    EXPECT_EQ(parts.test.inputs.shape(), (Shape{10000, 28, 28, 1}));
    EXPECT_EQ(parts.train.classes, 10);
    if (std::string(folder) == "images/fashion-mnist") {
      EXPECT_EQ(counts(parts.train), equally(10, 6000));
      EXPECT_EQ(counts(parts.test), equally(10, 1000));
    } else {
      EXPECT_EQ(counts(parts.train),
                (std::vector<std::int64_t>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}));
    }
  }
  RTL_NEEDS_REAL_DATA("images/usps");
  const TrainTest usps = load("idx:" + test::real_data("images/usps"), Device::cpu());
  EXPECT_EQ(usps.train.inputs.shape(), (Shape{7291, 16, 16, 1}));
  EXPECT_EQ(usps.test.size(), 2007);
  EXPECT_EQ(counts(usps.train), (std::vector<std::int64_t>{1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644}));
}

TEST(RealData, Wine) {
  RTL_NEEDS_REAL_DATA("tabular/wine_quality");
  const CsvTable red = read_csv(test::real_data("tabular/wine_quality/winequality-red.csv"));
  const CsvTable white = read_csv(test::real_data("tabular/wine_quality/winequality-white.csv"));
  EXPECT_EQ(red.values.shape(), (Shape{1599, 12}));
  EXPECT_EQ(white.values.shape(), (Shape{4898, 12}));
  EXPECT_EQ(red.delimiter, ';');
  EXPECT_EQ(red.columns, white.columns);
  EXPECT_EQ(red.columns[0], "fixed acidity");
  EXPECT_EQ(red.column("quality"), 11);
  double sum = 0;
  for (std::int64_t row = 0; row < red.rows(); ++row) sum += red.values.data_as<double>()[row * 12 + 11];
  EXPECT_EQ(sum, 9012) << "all qualities";
  const std::string spec = "csv:" + test::real_data("tabular/wine_quality/winequality-red.csv") + "?label=quality";
  EXPECT_EQ(load(spec, Device::cpu()).train.class_names, (std::vector<std::string>{"3", "4", "5", "6", "7", "8"}));
  EXPECT_EQ(load(spec + "&classes=3,4,5,6,7,8,9", Device::cpu()).train.classes, 7);
}

TEST(RealData, HeartDisease) {
  struct Site {
    const char* name;
    std::int64_t rows;
    std::int64_t complete;
  };
  for (const Site site :
       {Site{"cleveland", 303, 297}, {"hungarian", 294, 1}, {"switzerland", 123, 0}, {"va", 200, 1}}) {
    const std::string name = fmt::format("tabular/heart_disease/processed.{}.data", site.name);
    RTL_NEEDS_REAL_DATA(name);
    const CsvTable table = read_csv(test::real_data(name), {.label = "14"});
    EXPECT_FALSE(table.header);
    EXPECT_EQ(table.values.shape(), (Shape{site.rows, 13}));
    const std::vector<double> values = table.values.to_vector<double>();
    std::int64_t complete = 0;
    for (auto row = values.begin(); row != values.end(); row += 13) {
      if (std::none_of(row, row + 13, [](double value) { return std::isnan(value); })) ++complete;
    }
    EXPECT_EQ(complete, site.complete) << site.name;
  }
}

TEST(RealData, Housing) {
  RTL_NEEDS_REAL_DATA("tabular/california_housing");
  const std::string file = test::real_data("tabular/california_housing/housing.csv.gz");
  EXPECT_THROW(read_csv(file), FormatError) << "a column of text";
  const CsvTable table = read_csv(file, {.label = "ocean_proximity"});
  EXPECT_EQ(table.values.shape(), (Shape{20640, 9}));
  EXPECT_EQ(table.classes, (std::vector<std::string>{"<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"}));
  const std::vector<double> values = table.values.to_vector<double>();
  EXPECT_EQ(std::count_if(values.begin(), values.end(), [](double value) { return std::isnan(value); }), 207);
  const TrainTest parts = load("csv:" + file + "?label=ocean_proximity&missing=drop", Device::cpu());
  EXPECT_EQ(parts.train.size() + parts.test.size(), 20433);
}

TEST(RealData, AmazonReviews) {
  for (const char* domain : {"books", "dvd", "electronics", "kitchen"}) {
    const std::string name = fmt::format("text/amazon_reviews/{}", domain);
    RTL_NEEDS_REAL_DATA(name + "_train.svmlight.gz");
    const std::string train = test::real_data(name + "_train.svmlight.gz");
    const std::string test = test::real_data(name + "_test2000.svmlight.gz");
    EXPECT_THROW(read_svmlight(train), FormatError) << "counts from 0";
    const TrainTest parts = load("svmlight:" + train + "?first_index=0&features=5000&test=" + test, Device::cpu());
    EXPECT_EQ(parts.train.inputs.shape(), (Shape{2000, 5000}));
    EXPECT_EQ(parts.test.size(), 2000);
    EXPECT_EQ(counts(parts.train), equally(2, 1000));
    parts.train.validate(true);
  }
}

}  // namespace
}  // namespace rtl::data

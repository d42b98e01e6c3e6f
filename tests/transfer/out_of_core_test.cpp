// What is trained and predicted of data in files has the bits of what is of data in memory.
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "rtl/data/normalization.hpp"
#include "rtl/transfer/compare.hpp"
#include "support/out_of_core.hpp"
#include "support/temporary_folder.hpp"
#include "transfer/fit_group.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using test::OwnMemoryLimit;
using test::Setting;
using testing::Folder;

const Device& host() {
  static const Device device = Device::cpu(1);
  return device;
}

/// The same samples in a file.
data::Dataset in_file(const data::Dataset& dataset) {
  const Setting limit("RTL_OUT_OF_CORE", "0");
  std::vector<std::int64_t> rows(static_cast<std::size_t>(dataset.size()));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return dataset.subset(rows);
}

data::TrainTest in_file(const data::TrainTest& parts) { return {in_file(parts.train), in_file(parts.test)}; }

void expect_same_fits(const data::TrainTest& memory, const FrozenSource& source, const CompareOptions& options) {
  ASSERT_TRUE(in_file(memory).train.inputs.in_file());
  const Folder one, two;
  CompareOptions asked = options;
  asked.fitted_folder = one.path();
  const Comparison in_memory = compare({source}, memory, asked);
  asked.fitted_folder = two.path();
  const Setting limit("RTL_OUT_OF_CORE", "0");
  const Comparison from_file = compare({source}, in_file(memory), asked);
  ASSERT_EQ(from_file.strategies.size(), in_memory.strategies.size());
  for (std::size_t i = 0; i < in_memory.strategies.size(); ++i) {
    const StrategyResult &a = in_memory.strategies[i], &b = from_file.strategies[i];
    EXPECT_EQ(a.accuracy.values, b.accuracy.values) << a.name;
    EXPECT_EQ(a.losses, b.losses) << a.name;
  }
  ASSERT_EQ(one.files(), two.files());
  EXPECT_GT(one.files(), 0U);
  for (const auto& entry : std::filesystem::directory_iterator(one.path())) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(test::content_of(one / name), test::content_of(two / name)) << name;
  }
}

TEST(OutOfCore, EveryStrategyFitsTheSameToVectors) {
  const data::TrainTest parts{testing::make_vectors(1, 60, 6, 3, 2.0, host()),
                              testing::make_vectors(2, 31, 6, 3, 2.0, host())};
  const FrozenSource source(testing::make("mlp", "5", {6}, 3, 3, host()), {}, "tutor");
  CompareOptions options;
  options.seeds = 2;
  options.training = testing::quick(2);
  options.training.batch_size = 7;
  options.strategy.model = "mlp:4";
  expect_same_fits(parts, source, options);
  options.strategies = {"probe"};
  options.train_samples = 40;
  options.training.mixup = 0.4;
  expect_same_fits(parts, source, options);
}

TEST(OutOfCore, StrategiesFitTheSameToImages) {
  const data::TrainTest parts{testing::make_images(1, 50, 4, 8, host()), testing::make_images(2, 21, 4, 8, host())};
  const FrozenSource source(testing::make("paper_cnn", "2-2-4-6", {8, 8, 3}, 4, 3, host()), {}, "tutor");
  CompareOptions options;
  options.strategies = {"probe", "fine-tune", "refine", "distill", "safe"};
  options.seeds = 2;
  options.training = testing::quick(2);
  options.strategy.model = "paper_cnn:2-2-2-4";
  expect_same_fits(parts, source, options);
}

TEST(OutOfCore, FeaturesAndPredictionsAreTheSame) {
  const Setting limit("RTL_OUT_OF_CORE", "0");
  const data::Dataset images = testing::make_images(1, 37, 4, 8, host());
  const FrozenSource source(testing::make("paper_cnn", "2-2-4-6", {8, 8, 3}, 4, 3, host()), {}, "tutor");
  const Tensor features = source.features(in_file(images), 5);
  EXPECT_TRUE(features.in_file());
  EXPECT_EQ(features.to_vector<float>(), source.features(images, 5).to_vector<float>());
  const data::Dataset vectors = testing::make_vectors(1, 37, 6, 3, 2.0, host());
  const data::InputNormalization fitted = data::fit_normalization(vectors);
  const auto network = testing::make("mlp", "5", {6}, 3, 3, host());
  EXPECT_EQ(predict(*network, in_file(vectors), fitted, 5).to_vector<float>(),
            predict(*network, vectors, fitted, 5).to_vector<float>());
}

TEST(OutOfCore, AValueThatIsTooLargeIsNamedByItsSample) {
  data::Dataset vectors = testing::make_vectors(1, 37, 6, 3, 2.0, host());
  vectors.inputs.data_as<float>()[6 * 33 + 4] = 3e38F;
  const data::InputNormalization narrow(std::vector<double>(6, 0.0), std::vector<double>(6, 1e-3));
  const auto network = testing::make("mlp", "5", {6}, 3, 3, host());
  const auto text = [&](const data::Dataset& samples) {
    try {
      predict(*network, samples, narrow, 5);
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(text(vectors).find("sample 33, feature 4"), std::string::npos) << text(vectors);
  EXPECT_EQ(text(in_file(vectors)), text(vectors));
}

TEST(OutOfCore, ReplicasOfDataInDifferentFilesAreTrainedOneByOne) {
  const data::Dataset one = in_file(testing::make_vectors(1, 20, 6, 3, 2.0, host()));
  const data::Dataset other = in_file(testing::make_vectors(2, 20, 6, 3, 2.0, host()));
  const auto network = testing::make("mlp", "5", {6}, 3, 3, host());
  WholeNetwork model(*network);
  const auto of = [&](const data::Dataset& dataset) {
    return Replica{&model, {&dataset, data::Normalization::none, {}}, testing::quick(1)};
  };
  EXPECT_EQ(detail::difference_of_replicas(of(one), of(one)), "");
  EXPECT_EQ(detail::difference_of_replicas(of(one), of(other)), "inputs that memory does not hold");
}

TEST(OutOfCore, TrainingNeedsNoMemoryForTheData) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have memory of their own";
#endif
  constexpr std::int64_t rows = 1024, columns = std::int64_t{1} << 16;  // 256 MiB
  constexpr std::size_t granted = std::size_t{160} << 20;
  const auto network = testing::make("mlp", "2", {columns}, 2, 3, host());
  const Setting limit("RTL_OUT_OF_CORE", "64M");
  data::Dataset samples;
  samples.inputs = Tensor::out_of_core({rows, columns}, DType::f32, host());
  ASSERT_TRUE(samples.inputs.in_file());
  samples.inputs.data_as<float>()[0] = 1;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < rows; ++i) labels.push_back(static_cast<std::int32_t>(i % 2));
  samples.labels = Tensor::from(labels, {rows}, host());
  samples.classes = 2;
  TrainingOptions options = testing::quick(1);
  options.batch_size = 64;
  host().trim();
  const OwnMemoryLimit memory(granted);
  EXPECT_THROW(Tensor({rows, columns}, DType::f32, host()), OutOfMemory) << "memory would break the limit";
  EXPECT_EQ(train(*network, samples, data::Normalization::none, options).steps, 16);
  EXPECT_EQ(predict(*network, samples, data::Normalization::none, 64).extent(0), rows);
}

}  // namespace
}  // namespace rtl::transfer

// Data sets of sparse rows through all of transfer: the bytes of the dense ones, in memory that goes with what is not
// zero.
#include <gtest/gtest.h>

#include <deque>

#include "rtl/transfer/compare.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/strategies.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

/// Vectors of which most elements are zero; the first columns tell the class.
data::Dataset thinned(std::uint64_t seed, std::int64_t count, std::int64_t width, const Device& device) {
  data::Dataset dataset = testing::make_vectors(seed, count, width, 3, 2.0, Device::cpu(1));
  std::vector<float> values = dataset.inputs.to_vector<float>();
  RandomSequence random(seed, 9);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (static_cast<std::int64_t>(i) % width >= 3 && random.below(5) != 0) values[i] = 0;
  }
  dataset.inputs = Tensor::from(values, {count, width}, Device::cpu(1));
  return dataset.to(device);
}

data::Dataset sparse_of(const data::Dataset& dense) {
  data::Dataset sparse = dense.clone();
  sparse.sparse = data::SparseRows::of(dense.inputs);
  sparse.inputs = {};
  return sparse;
}

struct Trained {
  std::vector<float> weights;
  std::vector<double> losses;
  std::vector<float> predictions;
};

Trained trained(const data::Dataset& train_set, const data::Dataset& test_set,
                const data::InputNormalization& normalization, const TrainingOptions& options, const Device& device) {
  const auto network = testing::make("mlp", "8", train_set.sample_shape(), 3, 4, device);
  const TrainingRecord record = train(*network, train_set, normalization, options);
  return {testing::values_of(network->state()), record.losses,
          predict(*network, test_set, normalization, 7).to_vector<float>()};
}

TEST(Sparse, TrainsToTheBytesOfTheDenseRows) {
  for (const Device& device : test::devices_and_threads()) {
    SCOPED_TRACE(test::name_of(device));
    const data::Dataset dense = thinned(1, 53, 31, device), test_dense = thinned(2, 20, 31, device);
    const data::Dataset sparse = sparse_of(dense), test_sparse = sparse_of(test_dense);
    for (const auto kind : {data::Normalization::none, data::Normalization::standardize}) {
      const data::InputNormalization normalization = data::fit_normalization(dense, kind);
      for (const Precision precision : {Precision::f32, Precision::bf16}) {
        TrainingOptions options = quick(2);
        options.precision = precision;
        options.mixup = kind == data::Normalization::none ? 0.2 : 0;
        const Trained wanted = trained(dense, test_dense, normalization, options, device);
        const Trained got = trained(sparse, test_sparse, normalization, options, device);
        EXPECT_TRUE(testing::same_bytes(got.weights, wanted.weights));
        EXPECT_EQ(got.losses, wanted.losses);
        EXPECT_TRUE(testing::same_bytes(got.predictions, wanted.predictions));
      }
    }
  }
}

/// Those of the host, too, which are copied.
TEST(Sparse, GivesTheFeaturesOfTheDenseRows) {
  for (const Device& device : testing::devices()) {
    const data::Dataset dense = thinned(1, 40, 31, Device::cpu(1)), sparse = sparse_of(dense);
    const auto normalization = data::fit_normalization(dense, data::Normalization::standardize);
    const FrozenSource source(testing::make("mlp", "8", {31}, 3, 4, device), normalization, "source");
    EXPECT_TRUE(testing::same_bytes(source.features(sparse, 16).to_vector<float>(),
                                    source.features(dense, 16).to_vector<float>()));
    const data::Dataset other = sparse_of(thinned(1, 40, 30, Device::cpu(1)));
    EXPECT_THROW(source.features(other), ShapeError);
  }
}

struct Results {
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<double>> losses;
};

/// Trains a network on each of the data sets, at once or one after the other.
Results replicas(const std::deque<data::Dataset>& data, bool at_once, data::Normalization kind, const Device& device) {
  std::vector<std::unique_ptr<layers::Network>> networks;
  std::deque<WholeNetwork> models;
  std::vector<Replica> all;
  for (std::size_t r = 0; r < 3; ++r) {
    const data::Dataset& own = data[std::min(r, data.size() - 1)];
    networks.push_back(testing::make("mlp", "6", own.sample_shape(), 3, 30 + r, device));
    all.push_back(
        {&models.emplace_back(*networks.back()), {&own, data::fit_normalization(own, kind), {}}, quick(3, r)});
  }
  Results results;
  std::vector<ReplicaTraining> outcomes;
  if (at_once) outcomes = train_replicas(all);
  for (std::size_t r = 0; r < 3; ++r) {
    if (!at_once) outcomes.push_back(train_replicas(std::span(all).subspan(r, 1)).front());
    results.weights.push_back(testing::values_of(networks[r]->state()));
    results.losses.push_back(outcomes[r].record.losses);
  }
  return results;
}

TEST(Sparse, ReplicasAreSeparateTrainings) {
  for (const Device& device : testing::devices()) {
    for (const auto kind : {data::Normalization::none, data::Normalization::standardize}) {
      std::deque<data::Dataset> data;
      data.push_back(sparse_of(thinned(1, 37, 23, device)));
      const auto compare_both = [&] {
        const Results together = replicas(data, true, kind, device), apart = replicas(data, false, kind, device);
        EXPECT_EQ(together.losses, apart.losses);
        for (std::size_t r = 0; r < 3; ++r) {
          EXPECT_TRUE(testing::same_bytes(together.weights[r], apart.weights[r])) << r;
        }
      };
      compare_both();
      // Rows of their own, with other numbers of entries.
      data.push_back(sparse_of(thinned(2, 37, 23, device)));
      data.push_back(sparse_of(thinned(3, 37, 23, device)));
      ASSERT_NE(data[1].sparse.entries(), data[2].sparse.entries());
      compare_both();
      data.pop_back();
      data.push_back(thinned(3, 37, 23, device));
      EXPECT_THROW(replicas(data, true, kind, device), ValueError) << "sparse and dense";
    }
  }
}

TEST(Sparse, RowsWithoutAnyEntryTrainToo) {
  for (const Device& device : testing::devices()) {
    data::Dataset empty = thinned(1, 20, 9, device);
    empty.inputs = {};
    empty.sparse =
        data::SparseRows(9, std::vector<std::int64_t>(21), std::vector<std::int32_t>(), std::vector<float>(), device);
    const Trained got = trained(empty, empty, data::fit_normalization(empty), quick(1), device);
    EXPECT_EQ(got.losses.size(), 1U);
  }
}

/// Every strategy, on the dense rows and on the same without their zeros.
TEST(Sparse, ComparisonsComeOutAlike) {
  const Device device = testing::devices().back();
  const data::TrainTest dense{thinned(1, 45, 24, device), thinned(2, 60, 24, device)};
  const data::TrainTest sparse{sparse_of(dense.train), sparse_of(dense.test)};
  auto network = testing::make("mlp", "8", {24}, 3, 3, device);
  train(*network, thinned(5, 90, 24, device), data::Normalization::none, quick(4));
  const FrozenSource source(std::move(network), {}, "source");
  const data::Dataset dense_source = thinned(6, 50, 24, device), sparse_source = sparse_of(dense_source);
  CompareOptions options;
  options.seeds = 2;
  options.training = quick(2);
  options.strategy.model = "mlp:6";
  options.strategy.normalization = data::Normalization::none;
  options.train_samples = 30;
  const auto run = [&](const data::TrainTest& target, const data::Dataset& source_data) {
    options.strategy.source_data = &source_data;
    return compare({source}, target, options);
  };
  const Comparison wanted = run(dense, dense_source), got = run(sparse, sparse_source);
  ASSERT_EQ(got.strategies.size(), wanted.strategies.size());
  EXPECT_GT(got.strategies.size(), 15U);
  for (std::size_t i = 0; i < got.strategies.size(); ++i) {
    SCOPED_TRACE(got.strategies[i].name);
    EXPECT_EQ(got.strategies[i].accuracy.values, wanted.strategies[i].accuracy.values);
    EXPECT_EQ(got.strategies[i].losses, wanted.strategies[i].losses);
  }
}

TEST(Sparse, FittedModelsTakeEitherForm) {
  const Device device = Device::cpu(1);
  const Folder folder;
  const data::Dataset dense = thinned(1, 40, 24, device), sparse = sparse_of(dense);
  StrategyOptions options;
  options.model = "mlp:6";
  fit("scratch", {}, sparse, quick(2), options).save(folder / "model.safetensors");
  const Fitted loaded = Fitted::load(folder / "model.safetensors", device);
  EXPECT_TRUE(testing::same_bytes(loaded.outputs(sparse).to_vector<float>(), loaded.outputs(dense).to_vector<float>()));
}

/// 2,000 rows of 100,000 columns would take 763 MiB dense.
TEST(Sparse, MemoryGoesWithWhatIsNotZero) {
  const Device device = Device::cpu(1).separate();
  constexpr std::int64_t rows = 2000, width = 100000, each = 20;
  RandomSequence random(test::seed(), 11);
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> columns, labels;
  std::vector<float> values;
  for (std::int64_t row = 0; row < rows; ++row) {
    labels.push_back(static_cast<std::int32_t>(row % 3));
    for (std::int64_t k = 0; k < each; ++k) {
      const std::uint64_t place = k == 0 ? static_cast<std::uint64_t>(row % 3) : random.below(width / each);
      columns.push_back(static_cast<std::int32_t>(k * (width / each) + static_cast<std::int64_t>(place)));
      values.push_back(1);
    }
    offsets.push_back(offsets.back() + each);
  }
  data::Dataset wide;
  wide.sparse = data::SparseRows(width, offsets, columns, values, device);
  wide.labels = Tensor::from(labels, {rows}, device);
  wide.classes = 3;
  wide.name = "wide";
  device.restart_high_water();
  const std::size_t before = device.memory().in_use;
  // Standardised, the columns that have one entry would drown those that tell the class; memory is wanted for both.
  const data::InputNormalization normalization = data::Normalization::none;
  EXPECT_EQ(data::fit_normalization(wide).mean.size(), static_cast<std::size_t>(width));
  const auto network = testing::make("mlp", "16", {width}, 3, 4, device);
  TrainingOptions options = quick(1);
  options.optimizer = OptimizerKind::adam;
  options.learning_rate = 0.01;
  options.batch_size = 64;
  train(*network, wide, normalization, options);
  const Tensor logits = predict(*network, wide, normalization);
  EXPECT_GT(score(logits, wide).accuracy, 0.95);
  EXPECT_LT(device.memory().high_water - before, std::size_t{200} << 20);
}

}  // namespace
}  // namespace rtl::transfer

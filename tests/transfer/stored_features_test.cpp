// Training on features in the form in which they are stored: as on an f32 copy of them that was made before.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "core/upload.hpp"
#include "rtl/core/error.hpp"
#include "rtl/transfer/feature_cache.hpp"
#include "rtl/transfer/predictors.hpp"
#include "transfer/column_moments.hpp"
#include "transfer/place.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

constexpr std::int64_t table_rows = 90, samples = 60, columns = 9;
constexpr DType storages[] = {DType::f32, DType::bf16, DType::f16, DType::u8};

Tensor drawn(const Shape& shape, std::uint64_t seed, double mean, double deviation, const Device& device) {
  RandomSequence random(seed, 5);
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = static_cast<float>(mean + deviation * random.normal());
  return Tensor::from(values, shape, device);
}

/// Sixty samples, whose features are some rows of a table, and heads on them.
class StoredFeatures : public ::testing::Test {
 protected:
  struct Prepared {
    std::unique_ptr<FeatureTable> table;
    Tensor places, transform;
    kernels::StoredFeatures features;
  };

  /// Of the rows that `seed` draws, standardised in some way of its own and clipped.
  static Prepared prepare(const Device& device, DType storage, std::uint64_t seed) {
    auto table = std::make_unique<FeatureTable>(
        FeatureTable::stored_as(drawn({table_rows, columns}, 1, 3, 2, Device::cpu(1)), storage));
    RandomSequence random(seed, 6);
    std::vector<std::int64_t> rows(samples);
    for (std::int64_t& row : rows) row = static_cast<std::int64_t>(random.below(table_rows));
    Tensor places = Tensor::from(rows, {samples}, device);
    Tensor transform =
        table->transform(drawn({columns}, seed, 3, 0.1, device), drawn({columns}, seed + 1, 0.5, 0.1, device), device);
    kernels::StoredFeatures features(table->view_on(device), places, transform, 1.25F);
    return {std::move(table), std::move(places), std::move(transform), features};
  }

  static data::Dataset labels(const Device& device) {
    return testing::make_vectors(2, samples, columns, 3, 2.0, device);
  }

  static std::unique_ptr<FusedHead> head(const Device& device, std::uint64_t seed) {
    const FrozenSource source(testing::make("mlp", "9", {columns}, 3, 5, device));
    std::vector<FrozenBlock> blocks;
    blocks.push_back({source});
    return std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(blocks), 3, device, seed);
  }

  static std::vector<float> trained(const data::Dataset& data, const kernels::StoredFeatures& features,
                                    const TrainingOptions& options, const Device& device) {
    const auto model = head(device, options.seed);
    train(*model, TrainingData{&data, {}, {features}}, options);
    return testing::values_of(model->state());
  }
};

TEST_F(StoredFeatures, TrainAsACopyOfThemDoes) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = labels(device);
    for (const DType storage : storages) {
      const Prepared own = prepare(device, storage, 11);
      const Tensor copy = detail::gathered(own.features, device);
      for (const Precision precision : {Precision::f32, Precision::bf16}) {
        for (const double mixup : {0.0, 0.4}) {
          SCOPED_TRACE(fmt::format("{} {} {}", device.name(), name_of(storage), to_string(precision)));
          TrainingOptions options = testing::quick();
          options.precision = precision;
          options.mixup = mixup;
          EXPECT_TRUE(
              testing::same_bytes(trained(data, own.features, options, device), trained(data, copy, options, device)));
        }
      }
    }
  }
}

TEST_F(StoredFeatures, AreWithinTheBoundOfTheirStorage) {
  for (const Device& device : testing::devices()) {
    const std::vector<float> exact =
        detail::gathered(prepare(device, DType::f32, 11).features, device).to_vector<float>();
    EXPECT_GT(*std::max_element(exact.begin(), exact.end()), 1.2F) << "some are clipped";
    for (const DType storage : storages) {
      const std::vector<float> found =
          detail::gathered(prepare(device, storage, 11).features, device).to_vector<float>();
      // Of values up to 10 in a range of at most 12, times a factor below 1.
      const double bound = storage == DType::f32    ? 0
                           : storage == DType::bf16 ? 0.04
                           : storage == DType::f16  ? 0.005
                                                    : 0.024;
      for (std::size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(found[i], exact[i], bound) << name_of(storage);
    }
  }
}

TEST_F(StoredFeatures, ReplicasMayHaveRowsAndScalingsOfTheirOwn) {
  for (const Device& device : testing::devices()) {
    const data::Dataset data = labels(device);
    for (const DType storage : storages) {
      SCOPED_TRACE(fmt::format("{} {}", device.name(), name_of(storage)));
      std::vector<Prepared> own;
      std::vector<std::unique_ptr<FusedHead>> heads;
      std::vector<Replica> replicas;
      for (std::uint64_t r = 0; r < 3; ++r) {
        own.push_back(prepare(device, storage, 20 + r));
        // All three read one table.
        own.back().features.table = own.front().features.table;
        heads.push_back(head(device, 40 + r));
        replicas.push_back({heads.back().get(), {&data, {}, {own.back().features}}, testing::quick(3, 40 + r)});
      }
      for (const ReplicaTraining& training : train_replicas(replicas)) EXPECT_FALSE(training.divergence);
      for (std::size_t r = 0; r < 3; ++r) {
        EXPECT_TRUE(testing::same_bytes(testing::values_of(heads[r]->state()),
                                        trained(data, own[r].features, testing::quick(3, 40 + r), device)));
      }
    }
  }
}

TEST_F(StoredFeatures, OfOtherFormsAreNoReplicas) {
  const Device device = Device::cpu(1);
  const data::Dataset data = labels(device);
  const Prepared f32 = prepare(device, DType::f32, 11), bf16 = prepare(device, DType::bf16, 11);
  kernels::StoredFeatures unclipped = f32.features, unplaced = f32.features;
  unclipped.bound = 2;
  unplaced.places = {};
  unplaced.table = unplaced.table.slice(0, 0, samples);
  for (const kernels::StoredFeatures& other : {bf16.features, unclipped, unplaced}) {
    const auto first = head(device, 1), second = head(device, 2);
    const Replica replicas[] = {{first.get(), {&data, {}, {f32.features}}, testing::quick()},
                                {second.get(), {&data, {}, {other}}, testing::quick()}};
    EXPECT_THROW(train_replicas(replicas), ValueError);
    EXPECT_NO_THROW(train_replicas(std::span(replicas).subspan(1)));
  }
  kernels::StoredFeatures short_of = f32.features;
  short_of.places = short_of.places.slice(0, 0, samples - 1);
  EXPECT_THROW(trained(data, short_of, testing::quick(), device), ShapeError);
}

TEST_F(StoredFeatures, NeedNoRoomOnTheDevice) {
  if (Device::cuda_count() == 0) GTEST_SKIP() << "no CUDA device: the host has all";
  constexpr std::int64_t many = 6000, width = 400;
  const Tensor values = drawn({many, width}, 3, 0, 1, Device::cpu(1));
  for (const DType storage : {DType::f32, DType::u8}) {
    const FeatureTable table = FeatureTable::stored_as(values.clone(), storage);
    ASSERT_EQ(setenv("RTL_EMULATED_MEMORY", std::to_string(table.bytes().size() * 9 / 10).c_str(), 1), 0);
    const Device small = Device::cuda(0).separate();
    unsetenv("RTL_EMULATED_MEMORY");
    const data::Dataset data = testing::make_vectors(2, many, 2, 3, 2.0, small);
    const auto weights = [&](const Device& device, const data::Dataset& dataset) {
      const FrozenSource source(testing::make("mlp", std::to_string(width), {2}, 3, 5, device));
      const Tensor transform = table.transform({}, {}, device);
      std::vector<FrozenBlock> blocks;
      blocks.push_back({source});
      FusedHead model(nullptr, data::InputNormalization(), std::move(blocks), 3, device, 4);
      TrainingOptions options = testing::quick(1);
      options.batch_size = 128;
      train(model, TrainingData{&dataset, {}, {model.blocks().front().stored(table.view_on(device), transform)}},
            options);
      return testing::values_of(model.state());
    };
    const Device large = Device::cuda(0).separate();
    EXPECT_TRUE(testing::same_bytes(weights(small, data), weights(large, data.to(large)))) << name_of(storage);
    EXPECT_TRUE(rtl::detail::lies_on_host(small, table.view_on(small).data()));
    EXPECT_FALSE(rtl::detail::lies_on_host(large, table.view_on(large).data()));
  }
}

TEST(ColumnMoments, OfPiecesAreThoseOfTheWhole) {
  const Tensor values = drawn({501, 7}, 3, 50, 0.5, Device::cpu(1));
  const FeatureTable table(values.clone());
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < 301; ++i) rows.push_back((i * 13) % 501);
  for (const Device& device : testing::devices()) {
    for (const std::vector<std::int64_t>* chosen : {static_cast<std::vector<std::int64_t>*>(nullptr), &rows}) {
      const detail::ColumnMoments whole = detail::column_moments(table, chosen, device);
      const detail::ColumnMoments parts = detail::column_moments(table, chosen, device, 40 * 7 * sizeof(float));
      for (std::size_t c = 0; c < 7; ++c) {
        EXPECT_NEAR(parts.means[c], whole.means[c], 1e-12 * std::abs(whole.means[c]));
        EXPECT_NEAR(parts.variances[c], whole.variances[c], 1e-10 * whole.variances[c]);
      }
    }
  }
}

}  // namespace
}  // namespace rtl::transfer

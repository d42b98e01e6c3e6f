// Features that a CUDA device reads from the host: steps that fetch them ahead give the bits of steps that find them on
// the device.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/upload.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/transfer/feature_cache.hpp"
#include "support/emulation_order.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

constexpr std::int64_t table_rows = 70, columns = 12, classes = 3;
constexpr std::size_t blocks = 2;

Tensor drawn(const Shape& shape, std::uint64_t seed, double mean, double deviation, const Device& device) {
  RandomSequence random(seed, 8);
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = static_cast<float>(mean + deviation * random.normal());
  return Tensor::from(values, shape, device);
}

Tensor drawn_places(std::int64_t samples, std::uint64_t seed, const Device& device) {
  RandomSequence random(seed, 9);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(samples));
  for (std::int64_t& row : rows) row = static_cast<std::int64_t>(random.below(table_rows));
  return Tensor::from(rows, {samples}, device);
}

/// A table, and what of it samples see.
struct Block {
  std::unique_ptr<FeatureTable> table;
  std::shared_ptr<std::byte> locked;  ///< a copy of it on the host
  Tensor places, transform;

  Block(const Device& device, DType storage, std::int64_t samples, std::uint64_t seed)
      : table(std::make_unique<FeatureTable>(
            FeatureTable::stored_as(drawn({table_rows, columns}, seed, 3, 2, Device::cpu(1)), storage))),
        locked(rtl::detail::page_locked(device, table->view().bytes())),
        places(drawn_places(samples, seed, device)),
        transform(table->transform(drawn({columns}, seed, 3, 0.1, device), drawn({columns}, seed + 1, 0.5, 0.1, device),
                                   device)) {
    std::memcpy(locked.get(), table->view().data(), table->view().bytes());
  }
  kernels::StoredFeatures features(bool on_host, const Device& device) const {
    const ConstView there(locked.get(), table->storage(), table->view().shape(), device);
    return {on_host ? there : table->view_on(device), places, transform, 1.25F};
  }
};

/// A linear head on each block; a second data set is to have outputs near zero. With a buffer the last batch of one
/// sample joins the one before.
class Heads final : public Trainable {
 public:
  Heads(const Device& device, std::uint64_t seed, bool buffered) : buffered_(buffered) {
    for (std::size_t k = 0; k < blocks; ++k) {
      weights_[k] = {.name = fmt::format("weight {}", k),
                     .storage = graph::Storage(drawn({classes, columns}, seed + k, 0, 0.3, device))};
    }
    buffer_ = {.name = "buffer", .storage = graph::Storage(Tensor::zeros({1}, DType::f32, device))};
  }
  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    graph::Graph& graph = batch.features.front().graph();
    graph::Value sum;
    for (std::size_t k = 0; k < blocks; ++k) {
      const graph::Value own = graph::linear(batch.features.at(k), context.read(graph, weights_[k]), {});
      sum = sum.defined() ? graph::add(sum, own) : own;
    }
    return sum;
  }
  std::vector<graph::Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    const graph::Value loss = batch.targets.loss(outputs(batch, context));
    if (!batch.source) return {loss};
    const graph::Value other = graph::cast(graph::mean(graph::square(outputs(*batch.source, context))), loss.dtype());
    return {graph::add(loss, graph::reshape(other, loss.shape()))};
  }
  layers::ModuleState state() override {
    layers::ModuleState state;
    for (layers::Parameter& weight : weights_) state.parameters.push_back({weight.name, &weight});
    if (buffered_) state.buffers.push_back({buffer_.name, &buffer_});
    return state;
  }
  bool wants_inputs() const override { return false; }

 private:
  layers::Parameter weights_[blocks], buffer_;
  bool buffered_;
};

struct Setting {
  DType storage = DType::f32;
  std::int64_t samples = 60;  ///< in batches of 16
  std::int64_t replicas = 1;
  Precision precision = Precision::f32;
  double mixup = 0;
  bool source = false;
  bool buffered = false;

  std::string name() const {
    return fmt::format("{} {} samples {} replicas {} mixup {}{}{}", name_of(storage), samples, replicas,
                       to_string(precision), mixup, source ? " source" : "", buffered ? " buffered" : "");
  }
};

struct Outcome {
  std::vector<float> weights;  ///< of all replicas
  std::vector<double> losses;
};

/// Everything that trainings of a setting read.
class Data {
 public:
  Data(const Setting& setting, const Device& device)
      : setting_(setting),
        device_(device),
        labels_(testing::make_vectors(2, setting.samples, 2, classes, 2.0, device)),
        other_(testing::make_vectors(3, 40, 2, classes, 2.0, device)) {
    for (std::size_t k = 0; k < blocks; ++k) {
      blocks_.emplace_back(device, setting.storage, setting.samples, 20 + k);
      others_.emplace_back(device, setting.storage, 40, 30 + k);
    }
    // Replicas read the same tables in rows of their own.
    for (std::int64_t r = 1; r < setting.replicas; ++r) {
      places_.push_back(drawn_places(setting.samples, 50 + static_cast<std::uint64_t>(r), device));
    }
  }

  TrainingOptions options(std::int64_t replica) const {
    TrainingOptions options = testing::quick(3, 40 + static_cast<std::uint64_t>(replica));
    options.precision = setting_.precision;
    options.mixup = setting_.mixup;
    options.learning_rate = 0.05;
    return options;
  }
  std::unique_ptr<Heads> model(std::int64_t replica) const {
    return std::make_unique<Heads>(device_, 60 + static_cast<std::uint64_t>(replica), setting_.buffered);
  }
  TrainingData of_replica(std::int64_t replica, bool on_host, TrainingData& source) const {
    TrainingData data{&labels_, {}, {}};
    for (const Block& block : blocks_) {
      data.features.push_back(block.features(on_host, device_));
      if (replica > 0) data.features.back().places = places_[static_cast<std::size_t>(replica) - 1];
    }
    if (!setting_.source) return data;
    source = {&other_, {}, {}};
    for (const Block& block : others_) source.features.push_back(block.features(on_host, device_));
    data.source = &source;
    return data;
  }

 private:
  Setting setting_;
  Device device_;
  data::Dataset labels_, other_;
  std::vector<Block> blocks_, others_;
  std::vector<Tensor> places_;  ///< of the second replica and those behind it
};

Outcome trained(const Setting& setting, const Data& data, bool on_host) {
  std::vector<std::unique_ptr<Heads>> models;
  std::vector<TrainingData> sources(static_cast<std::size_t>(setting.replicas));
  std::vector<Replica> replicas;
  for (std::int64_t r = 0; r < setting.replicas; ++r) {
    models.push_back(data.model(r));
    replicas.push_back(
        {models.back().get(), data.of_replica(r, on_host, sources[static_cast<std::size_t>(r)]), data.options(r)});
  }
  Outcome outcome;
  const std::vector<ReplicaTraining> trainings = train_replicas(replicas);
  for (std::size_t r = 0; r < replicas.size(); ++r) {
    EXPECT_FALSE(trainings[r].divergence);
    const std::vector<float> weights = testing::values_of(models[r]->state());
    outcome.weights.insert(outcome.weights.end(), weights.begin(), weights.end());
    const std::vector<double>& losses = trainings[r].record.losses;
    outcome.losses.insert(outcome.losses.end(), losses.begin(), losses.end());
  }
  return outcome;
}

class Prefetch : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Device::cuda_count() == 0) GTEST_SKIP() << "no CUDA device: the host has all";
  }

  static void expect_same(const Setting& setting) {
    const Device device = Device::cuda(0);
    const Data data(setting, device);
    const Outcome resident = trained(setting, data, false);
    for (const std::string& order : test::emulation_orders) {
      SCOPED_TRACE(setting.name() + " " + order);
      const test::EmulationOrder scope(order);
      const Outcome fetched = trained(setting, data, true);
      EXPECT_TRUE(testing::same_bytes(fetched.weights, resident.weights));
      EXPECT_EQ(fetched.losses, resident.losses);
    }
  }
};

TEST_F(Prefetch, OfEachStorageGivesTheSameBits) {
  for (const DType storage : {DType::f32, DType::bf16, DType::f16, DType::u8}) {
    for (const std::int64_t replicas : {1, 3}) {
      for (const Precision precision : {Precision::f32, Precision::bf16}) {
        expect_same({.storage = storage, .replicas = replicas, .precision = precision});
      }
    }
  }
}

TEST_F(Prefetch, OfEachLastBatchGivesTheSameBits) {
  for (const std::int64_t samples : {7, 16, 17, 48}) {
    for (const std::int64_t replicas : {1, 3}) {
      for (const bool buffered : {false, true}) {
        expect_same({.samples = samples, .replicas = replicas, .buffered = buffered});
      }
    }
  }
}

TEST_F(Prefetch, OfPartnersAndOfASecondDataSetGivesTheSameBits) {
  for (const std::int64_t replicas : {1, 3}) {
    expect_same({.replicas = replicas, .mixup = 0.4});
    expect_same({.storage = DType::u8, .replicas = replicas, .source = true});
    expect_same({.replicas = replicas, .mixup = 0.4, .source = true});
  }
}

TEST_F(Prefetch, GoesOnWhereATrainingWasStopped) {
  const Device device = Device::cuda(0);
  const Setting setting;
  const Data data(setting, device);
  const Outcome whole = trained(setting, data, false);
  const testing::Folder folder;
  TrainingOptions options = data.options(0);
  options.checkpoint = folder / "state";
  options.resume = true;
  TrainingData none;
  const auto run = [&] {
    const auto model = data.model(0);
    train(*model, data.of_replica(0, true, none), options);
    return testing::values_of(model->state());
  };
  options.stop = [] { return true; };
  EXPECT_FALSE(testing::same_bytes(run(), whole.weights));
  options.stop = nullptr;
  EXPECT_TRUE(testing::same_bytes(run(), whole.weights));
}

}  // namespace
}  // namespace rtl::transfer

// What training steps really start on a CUDA device, against what their plans say. A product or convolution of the
// vendor's libraries counts as one start; how many kernels a library takes for it only a GPU shows.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/upload.hpp"
#include "emulation/runtime.hpp"
#include "rtl/data/sampler.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/optim/optimizer.hpp"
#include "rtl/transfer/predictors.hpp"
#include "transfer/step.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

/// As many as planned, and no more than `most`, what docs/graph.md says.
void expect_as_planned(const std::string& name, std::int64_t planned, std::size_t started, std::int64_t most) {
  std::cout << fmt::format("{:<28} {:>4} launches\n", name, started);
  EXPECT_EQ(static_cast<std::int64_t>(started), planned) << name;
  EXPECT_LE(planned, most) << name;
}

void count_step(const layers::Architecture& architecture, std::int64_t batch, DType activations, std::int64_t most) {
  const Device device = Device::cuda(0);
  const auto network = layers::make_network(architecture, device, 1);
  WholeNetwork model(*network);
  const data::Dataset dataset = testing::make_zeros(architecture, batch, device);
  const data::InputNormalization normalization = testing::normalization_of(architecture);
  const TrainingData data{&dataset, normalization, {}};
  const detail::InputGather inputs(dataset, normalization, DType::f32, device);
  TrainingOptions options;
  options.learning_rate = 0.1;
  const detail::OptimizerSet optimizers(options, model);
  detail::TrainingStep step({{.model = &model, .data = &data, .inputs = &inputs, .optimizers = &optimizers}}, 2, batch,
                            device, activations);
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < batch; ++i) order.push_back(i);
  step.set_order(order);
  step.set_labels(std::vector<std::int32_t>(static_cast<std::size_t>(batch)));
  step.start_epoch(std::vector<detail::EpochStart>{{.seed = 1, .step = 0, .rates = optimizers.rates()}});
  const std::int64_t planned = step.plan(batch).facts().launches;
  const std::size_t before = emulation::started();
  step.run(batch);
  expect_as_planned(fmt::format("{}, {}", architecture.to_string(), name_of(activations)), planned,
                    emulation::started() - before, most);
  if (::testing::Test::HasFailure()) std::cout << step.plan(batch).to_string();
}

TEST(Launches, OfATrainingStepAreThoseOfItsPlan) {
  count_step({"resnet_cifar", "20", {32, 32, 3}, 10}, 64, DType::f32, 106);
  count_step({"paper_cnn", "", {32, 32, 3}, 10}, 64, DType::f32, 38);
  count_step({"mlp", "128", {64}, 10}, 512, DType::f32, 6);
  count_step({"resnet_cifar", "20", {32, 32, 3}, 10}, 64, DType::bf16, 106);
  count_step({"paper_cnn", "", {32, 32, 3}, 10}, 64, DType::bf16, 49);
  count_step({"mlp", "1024", {1024}, 10}, 512, DType::bf16, 14);
}

/// A convolution with bias and ReLU, and a residual where asked for; of weights that change, or of constants.
void count_convolution(DType dtype, bool residual, bool frozen, std::int64_t expected) {
  const Device device = Device::cuda(0);
  const auto graph = std::make_shared<graph::Graph>(device);
  const auto leaf = [&](const Shape& shape, DType type) {
    graph::Storage zeros(Tensor::zeros(shape, type, device));
    return frozen ? graph->constant("constant", zeros) : graph->variable("variable", zeros);
  };
  const Shape images{2, 8, 8, 16};
  const graph::Value x = graph->constant("x", Tensor::zeros(images, dtype, device));
  graph::Value y = graph::conv2d(x, leaf({16, 16, 3, 3}, DType::f32), leaf({16}, DType::f32), {.padding = 1});
  if (residual) y = graph::add(y, x);
  y = graph::relu(y);
  graph::PassOptions options;
  if (frozen) options.frozen = std::make_shared<graph::FrozenWeights>();
  graph::run_passes(*graph, {y}, options);
  const auto plan = std::make_shared<const graph::Plan>(graph, std::vector{y});
  graph::Execution execution(plan);
  execution.run();
  const std::size_t before = emulation::started();
  execution.run();
  expect_as_planned(fmt::format("convolution, {}", name_of(dtype)), plan->facts().launches,
                    emulation::started() - before, expected);
  EXPECT_EQ(plan->facts().launches, expected);
}

/// In f32 bias and ReLU are in the library's launch; what it does not take is one more, and packing what may change.
TEST(Launches, OfConvolutionsAreThoseOfTheirPlans) {
  count_convolution(DType::f32, false, false, 2);
  count_convolution(DType::bf16, false, false, 3);
  count_convolution(DType::f32, false, true, 1);
  count_convolution(DType::bf16, false, true, 2);
  count_convolution(DType::f32, true, true, 2);
  count_convolution(DType::bf16, true, true, 2);
}

/// Features of all samples on the device, or in page-locked memory of the host.
struct StoredTable {
  static constexpr std::int64_t samples = 40, columns = 8;

  StoredTable(const Device& device, bool on_host)
      : there(Tensor::zeros({samples, columns}, DType::f32, device)),
        host(rtl::detail::page_locked(device, there.bytes())) {
    std::memset(host.get(), 0, there.bytes());
    view = on_host ? ConstView(host.get(), DType::f32, there.shape(), device) : ConstView(there.view());
  }
  Tensor there;
  std::shared_ptr<std::byte> host;
  ConstView view;
};

/// Launches of a step of a linear head on two tables: planned, and started node by node and in replays, which take no
/// memory and do not wait.
std::int64_t count_stored(bool on_host) {
  constexpr std::int64_t batch = 16;
  const Device device = Device::cuda(0);
  const StoredTable table(device, on_host);
  std::vector<FrozenBlock> blocks;
  for (const std::uint64_t seed : {1, 2}) {
    blocks.push_back({FrozenSource(testing::make("mlp", "8", {StoredTable::columns}, 3, seed, device))});
  }
  FusedHead model(nullptr, data::InputNormalization(), std::move(blocks), 3, device, 4);
  const data::Dataset dataset = testing::make_vectors(2, StoredTable::samples, 2, 3, 2.0, device);
  const TrainingData data{&dataset, {}, {table.view, table.view}};
  TrainingOptions options;
  options.learning_rate = 0.1;
  const detail::OptimizerSet optimizers(options, model);
  detail::TrainingStep step({{.model = &model, .data = &data, .optimizers = &optimizers}}, 3, batch, device,
                            DType::f32);
  const data::BatchSampler sampler(StoredTable::samples, batch, 1);
  step.set_order({sampler.order().begin(), sampler.order().end()});
  step.set_labels(dataset.labels.to_vector<std::int32_t>());
  const std::int64_t planned = step.plan(batch).facts().launches;
  std::map<std::int64_t, int> runs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    step.start_epoch(std::vector<detail::EpochStart>{{.seed = 1, .step = 0, .rates = optimizers.rates()}});
    for (std::int64_t i = 0; i < sampler.batches(); ++i) {
      const auto count = static_cast<std::int64_t>(sampler.batch(i).size());
      const std::size_t before = emulation::started();
      const MemoryStatistics memory = device.memory();
      step.run(count);
      const std::size_t started = emulation::started() - before;
      const int run = ++runs[count];
      EXPECT_EQ(static_cast<std::int64_t>(started), step.plan(count).facts().launches + (run > 1 ? 1 : 0));
      if (run > 2) {
        EXPECT_EQ(device.memory().requests, memory.requests);
      }
      EXPECT_EQ(device.memory().waits, memory.waits);
    }
  }
  std::cout << fmt::format("head on two tables {:<9} {:>4} launches\n", on_host ? "ahead" : "resident", planned);
  EXPECT_EQ(step.plan(batch).to_string().find("fetch_batch_features") != std::string::npos, on_host);
  return planned;
}

TEST(Launches, OfFeaturesThatAreFetchedAheadAreTwoATable) {
  const std::int64_t resident = count_stored(false), ahead = count_stored(true);
  EXPECT_EQ(ahead, resident + 2);
}

/// Heads of one hidden layer, or none, as replicas: from the rows of a batch to the updated weights.
void count_heads(const std::string& name, std::vector<std::int64_t> hidden, std::int64_t replicas, std::int64_t most) {
  constexpr std::int64_t samples = 1024, batch = 512, features = 64;
  const Device device = Device::cuda(0);
  const std::unique_ptr<layers::Network> network =
      models::mlp({.inputs = features, .hidden = std::move(hidden), .classes = 10, .seed = 1}, device);
  std::vector<optim::NamedStorage> parameters;
  for (const auto& parameter : network->state().parameters) {
    parameters.push_back({parameter.name, parameter.parameter->storage});
  }
  const optim::Sgd optimizer(std::move(parameters), {.learning_rate = 0.1}, {.momentum = 0.9});
  graph::StepState state(device);
  optimizer.write_rates(state);
  const auto graph = std::make_shared<graph::Graph>(device);
  const graph::StepState::Values step = state.values(*graph);
  const auto zeros = [&](const Shape& shape, DType dtype) {
    return graph::Storage(Tensor::zeros(shape, dtype, device));
  };
  const graph::Value order = graph->variable("order", zeros({samples}, DType::i64));
  const graph::Value losses = graph->variable("losses", zeros({2}, DType::f32));
  const graph::Value x = graph::gather_batch(graph->constant("features", zeros({samples, features}, DType::f32)), order,
                                             step.counters, batch, DType::f32);
  const graph::Value logits = network->forward(x, {.training = true, .counters = step.counters});
  const graph::Value loss =
      graph::cross_entropy_batch(logits, graph->constant("labels", zeros({samples}, DType::i32)), order, step.counters);
  optimizer.record(step, graph::gradients(loss, optimizer.parameters(*graph)));
  graph::advance(step.counters, losses, loss, batch);
  graph::run_passes(*graph, {});
  graph::PlanOptions options{.replicas = replicas};
  for (std::size_t i = 0; replicas > 1 && i < graph->values().size(); ++i) {
    const graph::Value value = graph->value(static_cast<std::int32_t>(i));
    if (graph->record(value).origin == graph::Origin::variable && value != step.rates)
      options.replicated.push_back(value);
  }
  const auto plan = std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>(), options);
  graph::Execution execution(plan);
  std::vector<Tensor> stacked;
  for (const graph::Value& variable : options.replicated) {
    std::vector<std::int64_t> extents{replicas};
    extents.insert(extents.end(), variable.shape().extents().begin(), variable.shape().extents().end());
    stacked.push_back(Tensor::zeros(Shape(std::span<const std::int64_t>(extents)), variable.dtype(), device));
    execution.bind(variable, stacked.back().view());
  }
  execution.run();
  const std::size_t before = emulation::started();
  execution.run();
  expect_as_planned(name, plan->facts().launches, emulation::started() - before, most);
  if (::testing::Test::HasFailure()) std::cout << plan->to_string();
}

TEST(Launches, OfHeadsAreThoseOfTheirPlans) {
  count_heads("head 64-10", {}, 1, 4);
  count_heads("head 64-128-10", {128}, 1, 6);
  count_heads("20 heads 64-10", {}, 20, 4);
  count_heads("20 heads 64-128-10", {128}, 20, 6);
}

}  // namespace
}  // namespace rtl::transfer

// Every layer and model as plans: what the passes and shared memory make of a recorded pass or training step is bit for
// bit what its nodes give one by one, and three replicas are three separate runs. In bf16, where passes leave roundings
// out, the nodes are those behind them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rtl/kernels/pointwise.hpp"
#include "rtl/layers/attention.hpp"
#include "rtl/layers/basic_block.hpp"
#include "rtl/layers/bottleneck.hpp"
#include "rtl/layers/dense_block.hpp"
#include "rtl/layers/graph_convolution.hpp"
#include "rtl/layers/group_norm.hpp"
#include "rtl/layers/inverted_residual.hpp"
#include "rtl/layers/linear.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/layers/row_norm.hpp"
#include "rtl/layers/sequential.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"
#include "support/recorded.hpp"

namespace rtl::layers {
namespace {

constexpr std::size_t replicas = 3;
using Bytes = std::vector<std::byte>;

struct Case {
  std::string name;
  std::function<std::unique_ptr<Module>(const Construction&)> make;
  Shape input;  ///< with the samples
  /// Of inputs that are padded token ids [N, T]; 0: they are activations.
  std::int64_t vocabulary = 0;
  bool on_host_only = false;  ///< of millions of parameters, made of blocks that are cases of their own
};

Case network(const Architecture& architecture, std::int64_t samples) {
  std::vector<std::int64_t> extents{samples};
  for (const std::int64_t extent : architecture.input.extents()) extents.push_back(extent);
  return {architecture.to_string(),
          [architecture](const Construction& c) { return make_network(architecture, c.device, c.seed, c.dtype); },
          Shape(extents)};
}

Case large_network(const Architecture& architecture, std::int64_t samples) {
  Case one = network(architecture, samples);
  one.on_host_only = true;
  return one;
}

Case tokens(const Architecture& architecture, std::int64_t samples, std::int64_t vocabulary) {
  Case one = network(architecture, samples);
  one.vocabulary = vocabulary;
  return one;
}

template <typename Layer, typename Options>
Case layer(const char* name, const Options& options, const Shape& input) {
  return {name, [options](const Construction& c) { return std::make_unique<Layer>(options, c); }, input};
}

std::unique_ptr<Module> everything(const Construction& c) {
  auto all = std::make_unique<Sequential>();
  all->add("conv", std::make_unique<Conv2d>(Conv2dLayerOptions{.inputs = 2, .outputs = 4}, c.child("conv")));
  all->add("norm", std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = 4}, c.child("norm")));
  all->add(std::make_unique<Relu>());
  all->add(std::make_unique<MaxPool>());
  all->add(std::make_unique<Relu6>());
  all->add(std::make_unique<Dropout>(0.3, "drop"));
  all->add(std::make_unique<AveragePool>(kernels::PoolOptions{.window = 2, .stride = 1}));
  all->add("block", std::make_unique<BasicBlock>(BasicBlockOptions{.inputs = 4, .outputs = 4}, c.child("block")));
  all->add(std::make_unique<Flatten>());
  all->add("fc", std::make_unique<Linear>(LinearOptions{.inputs = 8, .outputs = 3}, c.child("fc")));
  return all;
}

std::unique_ptr<Module> pooled(const Construction& c) {
  auto all = std::make_unique<Sequential>();
  all->add("conv", std::make_unique<Conv2d>(Conv2dLayerOptions{.inputs = 2, .outputs = 3, .bias = true, .relu = true},
                                            c.child("conv")));
  all->add(std::make_unique<GlobalAveragePool>());
  return all;
}

/// A head that is trained on a frozen trunk.
std::unique_ptr<Module> frozen_trunk(const Construction& c) {
  auto whole =
      models::resnet_cifar({.depth = 8, .classes = 4, .input = {8, 8, 3}, .seed = c.seed, .dtype = c.dtype}, c.device);
  ModuleState trunk;
  whole->visit_trunk("", trunk);
  for (const NamedParameter& parameter : trunk.parameters) parameter.parameter->trainable = false;
  return whole;
}

/// Nine nodes on a line, of three numbers each.
GraphNodes line_of_nodes() {
  std::vector<double> places(9);
  GraphNodes nodes{.columns = 3};
  for (std::size_t i = 0; i < 27; ++i) nodes.features.push_back(static_cast<float>(i % 5) - 1.5F);
  for (std::size_t i = 0; i < 9; ++i) places[i] = static_cast<double>(i * i);
  nodes.graph = data::neighbour_graph(data::nearest_neighbours(places, 1, 2), 2, data::GraphNormalization::symmetric);
  return nodes;
}

Case graph_encoder(const char* name, const std::vector<std::int64_t>& widths) {
  return {name,
          [widths](const Construction& c) { return std::make_unique<GraphEncoder>(line_of_nodes(), widths, c); },
          {6, 1},
          9};
}

std::unique_ptr<Module> graph_convolution(const Construction& c) {
  const data::NeighbourGraph graph = line_of_nodes().graph;
  return std::make_unique<GraphConvolution>(
      LinearOptions{.inputs = 4, .outputs = 5, .relu = true},
      graph::SparseMatrix(9, graph.offsets, graph.neighbours, graph.weights, c.dtype, c.device), c);
}

TransformerBlockOptions gated_block() {
  return {.attention = {.width = 8, .heads = 2, .key_heads = 1, .causal = true, .rotary = RotaryOptions{}},
          .hidden = 10,
          .norm = NormKind::rms,
          .dropout = 0.2,
          .names = {.gate = "mlp.gate"}};
}

std::vector<Case> cases() {
  return {
      network({"resnet_cifar", "8", {8, 8, 3}, 4}, 3),
      large_network({"resnet", "10", {17, 16, 3}, 4}, 2),
      network({"paper_demo", "h", {8, 8, 3}, 4}, 2),
      network({"paper_cnn", "4-4-8-16", {9, 8, 3}, 5}, 3),
      network({"mlp", "7-5", {9}, 4}, 5),
      network({"mlp", "none", {9}, 4}, 5),
      layer<Linear>("linear", LinearOptions{.inputs = 5, .outputs = 3, .relu = true}, {4, 5}),
      layer<Linear>("linear without bias", LinearOptions{.inputs = 5, .outputs = 3, .bias = false}, {4, 5}),
      layer<Conv2d>("conv2d", Conv2dLayerOptions{.inputs = 2, .outputs = 3, .relu = true}, {2, 5, 4, 2}),
      layer<BatchNorm>("batch_norm", BatchNormLayerOptions{.channels = 3, .relu = true}, {2, 3, 3, 3}),
      layer<BasicBlock>("block", BasicBlockOptions{.inputs = 2, .outputs = 2}, {2, 5, 4, 2}),
      layer<BasicBlock>("block, option A", BasicBlockOptions{.inputs = 2, .outputs = 4, .stride = 2}, {2, 6, 4, 2}),
      layer<BasicBlock>("block, projection, stride 2",
                        BasicBlockOptions{.inputs = 2, .outputs = 3, .stride = 2, .shortcut = Shortcut::projection},
                        {2, 5, 4, 2}),
      layer<BasicBlock>("block, projection",
                        BasicBlockOptions{.inputs = 2, .outputs = 3, .shortcut = Shortcut::projection}, {2, 5, 4, 2}),
      layer<Conv2d>("conv2d, grouped and dilated",
                    Conv2dLayerOptions{.inputs = 4,
                                       .outputs = 6,
                                       .geometry = {.stride = 1, .padding = 2, .dilation = 2, .groups = 2},
                                       .relu = true},
                    {2, 5, 4, 4}),
      layer<InvertedResidual>("inverted residual", InvertedResidualOptions{.inputs = 4, .outputs = 4, .expansion = 2},
                              {2, 5, 4, 4}),
      layer<InvertedResidual>(
          "inverted residual, stride 2",
          InvertedResidualOptions{.inputs = 3, .outputs = 4, .kernel = 5, .stride = 2, .expansion = 2}, {2, 6, 5, 3}),
      layer<InvertedResidual>("inverted residual, no expansion",
                              InvertedResidualOptions{.inputs = 3, .outputs = 2, .expansion = 1}, {2, 5, 4, 3}),
      layer<GroupNorm>("group norm", GroupNormOptions{.channels = 6, .groups = 2, .relu = true}, {2, 3, 4, 6}),
      layer<Bottleneck>("bottleneck, stride 2", BottleneckOptions{.inputs = 3, .inner = 2, .outputs = 8, .stride = 2},
                        {2, 6, 5, 3}),
      layer<Bottleneck>("bottleneck", BottleneckOptions{.inputs = 8, .inner = 2, .outputs = 8}, {2, 4, 5, 8}),
      layer<DenseBlock>("dense block", DenseBlockOptions{.inputs = 3, .growth = 2, .layers = 2}, {2, 4, 5, 3}),
      {"everything", everything, {2, 6, 5, 2}},
      {"pooled", pooled, {2, 3, 3, 2}},
      {"layer_norm", [](const Construction& c) { return std::make_unique<LayerNorm>(6, 1e-5, c); }, {2, 3, 6}},
      {"rms_norm", [](const Construction& c) { return std::make_unique<RmsNorm>(6, 1e-5, c); }, {2, 3, 6}},
      layer<MultiHeadAttention>("attention", AttentionLayerOptions{.width = 6, .heads = 3, .dropout = 0.2}, {2, 5, 6}),
      layer<TransformerBlock>("transformer block", gated_block(), {2, 5, 8}),
      network({"vit", "2-8-2-2-12", {4, 6, 3}, 3}, 3),
      network({"transformer", "2-8-2-4-12-10", {4, 4, 3}, 3}, 3),
      tokens({"transformer", "text-9-8-1-2-12-10", {6}, 3}, 3, 9),
      tokens({"bert", "2-8-2-12-11-mean", {6}, 3}, 3, 11),
      tokens({"bert", "1-8-2-12-11-pooler", {6}, 3}, 3, 11),
      tokens({"llama", "2-8-4-2-12-11", {6}, 3}, 3, 11),
      tokens({"text_bag", "5-4", {6}, 3, 11}, 3, 11),
      {"graph convolution", graph_convolution, {9, 4}},
      graph_encoder("graph encoder of one layer", {4}),
      graph_encoder("graph encoder", {5, 4, 3}),
      {"frozen trunk", frozen_trunk, {3, 8, 8, 3}}};
}

enum class Kind : std::uint8_t { evaluation, sgd, adam };

std::unique_ptr<optim::Optimizer> optimizer_for(Kind kind, Module& module, std::size_t replica) {
  std::vector<optim::NamedStorage> parameters;
  for (const NamedParameter& parameter : module.state().parameters) {
    if (parameter.parameter->trainable) parameters.push_back({parameter.name, parameter.parameter->storage});
  }
  // A rate of its own for each replica.
  const optim::Rates rates{
      .learning_rate = 0.01 * static_cast<double>(1 + replica), .weight_decay = 0.01, .l2sp_strength = 0.1};
  std::unique_ptr<optim::Optimizer> optimizer;
  if (kind == Kind::sgd) {
    optimizer = std::make_unique<optim::Sgd>(parameters, rates, kernels::SgdRule{.momentum = 0.9, .nesterov = true});
  } else {
    optimizer = std::make_unique<optim::Adam>(parameters, rates, kernels::AdamRule{.decoupled = true});
  }
  optimizer->start_from_here();
  return optimizer;
}

/// One replica's module, samples and optimizer, and what is recorded of them.
struct Recorded {
  std::unique_ptr<Module> module;
  std::unique_ptr<optim::Optimizer> optimizer;
  Tensor x, labels;
  std::shared_ptr<graph::Graph> graph;
  std::vector<Value> inputs, variables;
  std::vector<Value> results;  ///< logits; while training also the loss and the gradients
};

/// Biases, scales and running statistics that are not those of a new module.
void shake(Module& module, const Device& device, test::RandomTensors& random) {
  const ModuleState state = module.state();
  for (const NamedParameter& parameter : state.parameters) {
    const Shape& shape = parameter.value().shape();
    if (shape.rank() == 1) copy_bytes(random.f32(shape, device, 0.5, 1.5), parameter.value());
  }
  for (const NamedBuffer& buffer : state.buffers) {
    copy_bytes(random.f32(buffer.value().shape(), device, 0.2, 1.2), buffer.value());
  }
}

/// Cross-entropy of the output, whatever its shape, [N, rest] being taken for logits.
Value loss_of(const Value& output, const Value& labels) {
  const std::int64_t samples = output.extent(0);
  const Value logits = graph::reshape(output, {samples, output.shape().count() / samples});
  return graph::cross_entropy(graph::cast(logits, DType::f32), labels);
}

struct Mode {
  Kind kind;
  DType dtype;  ///< of the activations; parameters are f32
};

/// Activations, or ids of sequences of several lengths.
Tensor inputs_of(const Case& one, const Mode& mode, test::RandomTensors& random, const Device& device) {
  if (one.vocabulary == 0) {
    Tensor x(one.input, mode.dtype, device);
    const Tensor drawn = random.f32(one.input, device);
    kernels::cast(device, drawn, x);
    return x;
  }
  std::vector<std::int32_t> ids = random.i32(one.input.count(), one.vocabulary, device).to_vector<std::int32_t>();
  const std::int64_t most = std::max<std::int64_t>(1, one.input[1] - 1);
  const std::vector<std::int32_t> cut = random.i32(one.input[0], most, device).to_vector<std::int32_t>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto length = static_cast<std::size_t>(one.input[1]), n = i / length;
    if (i % length >= length - static_cast<std::size_t>(cut[n])) ids[i] = -1;
  }
  return Tensor::from(ids, one.input, device);
}

Recorded record(const Case& one, const Mode& mode, std::size_t replica, const Device& device, std::uint64_t seed,
                bool passes) {
  Recorded r;
  // The frozen trunk is shared by all replicas.
  const std::uint64_t weights = one.name == "frozen trunk" ? 11 : 11 + replica;
  test::RandomTensors same(seed), random(seed + 1 + replica);
  r.module = one.make({.device = device, .seed = weights});
  shake(*r.module, device, one.name == "frozen trunk" ? same : random);
  r.x = inputs_of(one, mode, random, device);
  r.labels = random.i32(one.input[0], 3, device);
  r.graph = std::make_shared<graph::Graph>(device);
  r.inputs = {r.graph->input("x", one.input, r.x.dtype()), r.graph->input("labels", r.labels.shape(), DType::i32)};
  graph::StepState state(device);
  state.set_counters(100 + replica, 4, 0, 0);
  const graph::StepState::Values step = state.values(*r.graph);
  const bool training = mode.kind != Kind::evaluation;
  const Precision precision = mode.dtype == DType::bf16 ? Precision::bf16 : Precision::f32;
  const Value output =
      r.module->forward(r.inputs[0], {.training = training, .counters = step.counters, .activations = precision});
  r.results = {output};
  if (training) {
    r.optimizer = optimizer_for(mode.kind, *r.module, replica);
    r.optimizer->write_rates(state);
    const Value loss = loss_of(output, r.inputs[1]);
    const std::vector<Value> gradients = graph::gradients(loss, r.optimizer->parameters(*r.graph));
    r.optimizer->record(step, gradients);
    r.results.push_back(loss);
    r.results.insert(r.results.end(), gradients.begin(), gradients.end());
  }
  if (passes) graph::run_passes(*r.graph, r.results);
  for (std::size_t i = 0; i < r.graph->values().size(); ++i) {
    if (r.graph->values()[i].origin != graph::Origin::variable) continue;
    r.variables.push_back(r.graph->value(static_cast<std::int32_t>(i)));
  }
  return r;
}

Bytes bytes_of(ConstView view) {
  Tensor host(view.shape(), view.dtype(), view.device().host());
  copy_bytes(view, host);
  Bytes all(host.bytes());
  if (!all.empty()) std::memcpy(all.data(), host.view().data(), all.size());
  return all;
}

/// The parts one after the other, with a leading axis if there are several.
Tensor stack(const std::vector<ConstView>& parts, const Device& device) {
  const Shape& shape = parts.front().shape();
  const auto count = static_cast<std::int64_t>(parts.size());
  std::vector<std::int64_t> extents(shape.extents().begin(), shape.extents().end());
  if (count > 1) extents.insert(extents.begin(), count);
  Tensor all(Shape(extents), parts.front().dtype(), device);
  for (std::int64_t i = 0; i < count; ++i) {
    copy_bytes(parts[static_cast<std::size_t>(i)].reshaped({1, shape.count()}),
               all.view().reshaped({count, shape.count()}).slice(0, i, i + 1));
  }
  return all;
}

/// Two runs of the first one's record, on the samples and from the state of each of `parts`; results of the second, and
/// the variables behind it.
std::vector<Bytes> run(std::span<const Recorded> parts, graph::PlanOptions options) {
  const Recorded& first = parts.front();
  options.replicas = static_cast<std::int64_t>(parts.size());
  std::vector<Value> leaves = first.inputs;
  leaves.insert(leaves.end(), first.variables.begin(), first.variables.end());
  options.replicated = leaves;
  std::vector<Tensor> memory;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    std::vector<ConstView> views;
    for (const Recorded& part : parts) {
      if (i < 2) {
        views.emplace_back(i == 0 ? part.x : part.labels);
      } else {
        views.emplace_back(part.graph->record(part.variables[i - 2]).storage.tensor());
      }
    }
    memory.push_back(stack(views, first.x.device()));
  }
  graph::Execution execution(std::make_shared<const graph::Plan>(first.graph, first.results, options));
  for (std::size_t i = 0; i < leaves.size(); ++i) execution.bind(leaves[i], memory[i].view());
  for (const Value& result : first.results) {
    kernels::fill(execution.device(), std::nan(""), execution.view(result));
  }
  execution.run();
  execution.run();
  std::vector<Bytes> all;
  for (const Value& result : first.results) all.push_back(bytes_of(execution.view(result)));
  for (std::size_t i = 2; i < memory.size(); ++i) all.push_back(bytes_of(memory[i]));
  return all;
}

void check(const Case& one, const Mode& mode, const Device& device, std::uint64_t seed) {
  std::vector<std::vector<Bytes>> alone;
  std::vector<Recorded> parts;
  for (std::size_t r = 0; r < replicas; ++r) {
    const Recorded plain = record(one, mode, r, device, seed, mode.dtype == DType::bf16);
    const std::vector<Bytes> reference = run({&plain, 1}, {.share_memory = false});
    parts.push_back(record(one, mode, r, device, seed, true));
    alone.push_back(run({&parts.back(), 1}, {}));
    ASSERT_EQ(alone.back().size(), reference.size());
    for (std::size_t i = 0; i < reference.size(); ++i) {
      EXPECT_TRUE(alone.back()[i] == reference[i]) << "result " << i << ", planned";
    }
  }
  EXPECT_FALSE(alone[0][0] == alone[1][0]) << "the replicas differ";
  const std::vector<Bytes> together = run(parts, {});
  ASSERT_EQ(together.size(), alone[0].size());
  for (std::size_t i = 0; i < together.size(); ++i) {
    Bytes separate;
    for (std::size_t r = 0; r < replicas; ++r) {
      separate.insert(separate.end(), alone[r][i].begin(), alone[r][i].end());
    }
    EXPECT_TRUE(together[i] == separate) << "result " << i << ", " << replicas << " replicas";
  }
}

void check_all(const Mode& mode) {
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const Case& one : cases()) {
      if (one.on_host_only && device.kind() != DeviceKind::cpu) continue;
      SCOPED_TRACE(one.name + " on " + device.name() + ", seed " + std::to_string(seed));
      check(one, mode, device, seed);
    }
  }
}

TEST(Plans, EvaluateBitForBit) { check_all({Kind::evaluation, DType::f32}); }
TEST(Plans, TrainBySgdBitForBit) { check_all({Kind::sgd, DType::f32}); }
TEST(Plans, TrainByAdamBitForBit) { check_all({Kind::adam, DType::f32}); }
TEST(Plans, EvaluateBitForBitInBf16) { check_all({Kind::evaluation, DType::bf16}); }
TEST(Plans, TrainBitForBitInBf16) { check_all({Kind::sgd, DType::bf16}); }

}  // namespace
}  // namespace rtl::layers

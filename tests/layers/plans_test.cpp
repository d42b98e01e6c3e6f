// Layers and models as plans, by the checks of plan_case.hpp.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "layers/plan_case.hpp"
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

namespace rtl::layers {
namespace {

PlanCase network(const Architecture& architecture, std::int64_t samples) {
  std::vector<std::int64_t> extents{samples};
  for (const std::int64_t extent : architecture.input.extents()) extents.push_back(extent);
  return {architecture.to_string(),
          [architecture](const Construction& c) { return make_network(architecture, c.device, c.seed, c.dtype); },
          Shape(extents)};
}

PlanCase large_network(const Architecture& architecture, std::int64_t samples) {
  PlanCase one = network(architecture, samples);
  one.on_host_only = true;
  return one;
}

PlanCase tokens(const Architecture& architecture, std::int64_t samples, std::int64_t vocabulary) {
  PlanCase one = network(architecture, samples);
  one.vocabulary = vocabulary;
  return one;
}

template <typename Layer, typename Options>
PlanCase layer(const char* name, const Options& options, const Shape& input) {
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

PlanCase graph_encoder(const char* name, const std::vector<std::int64_t>& widths) {
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

std::vector<PlanCase> cases() {
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

void check_all(PlanMode mode) {
  for (const PlanCase& one : cases()) check_plans(one, mode);
}

TEST(Plans, EvaluateBitForBit) { check_all(PlanMode::evaluation); }
TEST(Plans, TrainBySgdBitForBit) { check_all(PlanMode::sgd); }
TEST(Plans, TrainByAdamBitForBit) { check_all(PlanMode::adam); }
TEST(Plans, EvaluateBitForBitInBf16) { check_all(PlanMode::evaluation_bf16); }
TEST(Plans, TrainBitForBitInBf16) { check_all(PlanMode::sgd_bf16); }

}  // namespace
}  // namespace rtl::layers

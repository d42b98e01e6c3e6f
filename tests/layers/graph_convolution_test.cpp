// What graph convolutions compute, against plain sums, and how gradients reach nodes without labels.
#include "rtl/layers/graph_convolution.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "rtl/core/error.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"

namespace rtl::layers {
namespace {

using Values = std::vector<double>;

/// Four nodes in a row, each with its nearest.
GraphNodes four_nodes() {
  GraphNodes nodes{.features = {1, -2, 0.5F, 3, 2, 1, -1, 0.25F}, .columns = 2};
  nodes.graph =
      data::neighbour_graph(data::nearest_neighbours(Values{0, 1, 3, 7}, 1, 1), 1, data::GraphNormalization::symmetric);
  return nodes;
}

Values stored(const Parameter& parameter) {
  const Tensor& value = parameter.value();
  Tensor host(value.shape(), value.dtype(), Device::cpu());
  copy_bytes(value.view(), host);
  return host.to_vector<double>();
}

/// relu(A x w^T + b), plainly.
Values convolved(const data::NeighbourGraph& graph, const Values& x, std::size_t inputs, const Values& weight,
                 const Values& bias) {
  const std::size_t outputs = bias.size();
  Values y;
  for (std::size_t i = 0; i + 1 < graph.offsets.size(); ++i) {
    for (std::size_t o = 0; o < outputs; ++o) {
      double sum = bias[o];
      for (auto e = static_cast<std::size_t>(graph.offsets[i]); e < static_cast<std::size_t>(graph.offsets[i + 1]);
           ++e) {
        const auto from = static_cast<std::size_t>(graph.neighbours[e]) * inputs;
        for (std::size_t c = 0; c < inputs; ++c) sum += graph.weights[e] * x[from + c] * weight[o * inputs + c];
      }
      y.push_back(std::max(sum, 0.0));
    }
  }
  return y;
}

/// A value of a graph, in double.
Values run(const std::shared_ptr<Graph>& graph, const Value& value) {
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<Value>{value}));
  execution.run();
  Tensor host(value.shape(), DType::f64, Device::cpu());
  copy_bytes(execution.view(value), host);
  return host.to_vector<double>();
}

Tensor numbers(const std::vector<std::int32_t>& rows, const Device& device) {
  return Tensor::from(rows, {static_cast<std::int64_t>(rows.size()), 1}, device);
}

TEST(GraphEncoder, IsTheConvolutionsOneAfterTheOther) {
  const GraphNodes nodes = four_nodes();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.name());
    GraphEncoder encoder(nodes, {3, 2}, {.device = device, .seed = 5, .dtype = DType::f64});
    const ModuleState state = encoder.state();
    ASSERT_EQ(state.parameters.size(), 4U);
    EXPECT_EQ(state.parameters[0].name, "conv1.weight");
    EXPECT_EQ(state.parameters[3].name, "conv2.bias");
    const auto parameter = [&](std::size_t i) { return stored(*state.parameters[i].parameter); };
    const Values first =
        convolved(nodes.graph, Values(nodes.features.begin(), nodes.features.end()), 2, parameter(0), parameter(1));
    const Values all = convolved(nodes.graph, first, 3, parameter(2), parameter(3));
    const auto graph = std::make_shared<Graph>(device);
    const std::vector<std::int32_t> rows = {2, 0, 2, -1, 3};
    const Values found =
        run(graph, encoder.forward(graph->constant("numbers", numbers(rows, device)), {.frozen = true}));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t o = 0; o < 2; ++o) {
        const double bias = std::max(parameter(3)[o], 0.0);  // of sums that are 0
        const double wanted = rows[i] < 0 ? bias : all[static_cast<std::size_t>(rows[i]) * 2 + o];
        EXPECT_NEAR(found[2 * i + o], wanted, 1e-12) << "row " << i;
      }
    }
  }
}

TEST(GraphEncoder, LearnsFromNodesWithoutLabels) {
  // The loss is of node 0 alone, and node 1's features are all that is not zero.
  GraphNodes nodes = four_nodes();
  std::fill(nodes.features.begin(), nodes.features.end(), 0.0F);
  nodes.features[2] = 1;
  const Device device = Device::cpu(1);
  GraphEncoder encoder(nodes, {6}, {.device = device, .seed = 3, .dtype = DType::f64});
  const auto graph = std::make_shared<Graph>(device);
  const Value weight = graph->variable("conv1.weight", encoder.state().parameters[0].parameter->storage);
  const Value y = encoder.forward(graph->constant("numbers", numbers({0}, device)), {.training = true});
  const Value loss = graph::sum(y);
  const Values slopes = run(graph, graph::gradients(loss, std::vector<Value>{weight})[0]);
  const double edge = nodes.graph.weights[1];
  int alive = 0;
  for (std::size_t o = 0; o < 6; ++o) {
    EXPECT_TRUE(slopes[2 * o] == 0 || std::abs(slopes[2 * o] - edge) < 1e-12) << slopes[2 * o];
    EXPECT_EQ(slopes[2 * o + 1], 0);
    alive += slopes[2 * o] != 0 ? 1 : 0;
  }
  EXPECT_GT(alive, 0);
}

TEST(GraphEncoder, FaultsAreTyped) {
  const Construction construction{.device = Device::cpu(1), .seed = 1};
  GraphNodes nodes = four_nodes();
  EXPECT_THROW(GraphEncoder(nodes, {}, construction), ValueError);
  EXPECT_THROW(GraphEncoder(nodes, {0}, construction), ValueError);
  EXPECT_THROW(GraphConvolution({.inputs = 2, .outputs = 3}, {}, construction), ValueError);
  const graph::SparseMatrix wide(3, std::vector<std::int32_t>{0, 1}, std::vector<std::int32_t>{1}, Values{1},
                                 DType::f32, construction.device);
  EXPECT_THROW(GraphConvolution({.inputs = 2, .outputs = 3}, wide, construction.child("wide")), ValueError);
  Graph graph(construction.device);
  GraphEncoder encoder(nodes, {2}, construction.child("encoder"));
  EXPECT_THROW(encoder.forward(graph.input("numbers", {3, 2}, DType::i32), {}), ShapeError);
  nodes.columns = 3;
  EXPECT_THROW(GraphEncoder(nodes, {2}, construction.child("uneven")), ShapeError);
}

}  // namespace
}  // namespace rtl::layers

// The fused head, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <array>

#include "graph/operation_case.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"

namespace rtl::graph::test {
namespace {

const std::vector<double> kept = {1, 0, 0.5, 1, 0, 2, 1};

/// Logits of blocks [7, 3] and [7, 5], the second with scale 0.5 and the factors of `kept`.
Numbers fused(const std::vector<Numbers>& in) {
  const Numbers &a = in[0], &b = in[1], &w = in[2], &bias = in[3];
  Numbers y;
  for (std::size_t row = 0; row < 7; ++row) {
    for (std::size_t c = 0; c < 4; ++c) {
      double total = bias[c];
      for (std::size_t j = 0; j < 3; ++j) total += -1.5 * a[row * 3 + j] * w[c * 8 + j];
      for (std::size_t j = 0; j < 5; ++j) total += 0.5 * kept[row] * b[row * 5 + j] * w[c * 8 + 3 + j];
      y.push_back(total);
    }
  }
  return y;
}

Value keep_of(Graph& graph, DType dtype) {
  if (dtype == DType::f64) return graph.constant("keep", Tensor::from(kept, {7}, graph.device()));
  return graph.constant("keep", Tensor::from(std::vector<float>(kept.begin(), kept.end()), {7}, graph.device()));
}

TEST(Fusion, OfTwoBlocks) {
  check({.name = "residual_fusion",
         .shapes = {{7, 3}, {7, 5}, {4, 8}, {4}},
         .record =
             [](Graph& graph, std::span<const Value> in) {
               const std::array blocks = {
                   FusionInput{.features = in[0], .scale = -1.5},
                   FusionInput{.features = in[1], .scale = 0.5, .mask = keep_of(graph, in[2].dtype())}};
               return residual_fusion(blocks, in[2], in[3]);
             },
         .reference = fused,
         .roundoffs = 16,
         .parameters = {false, false, true, true}});
}

TEST(Fusion, FrozenFeaturesGetNoGradient) {
  const auto graph = std::make_shared<Graph>(Device::cpu(1));
  const Value frozen = graph->input("frozen", {7, 3}, DType::bf16), x = graph->input("x", {7, 5}, DType::f32);
  const Value w = graph->input("w", {4, 8}, DType::f32);
  const std::array blocks = {FusionInput{.features = frozen}, FusionInput{.features = x}};
  const std::array parameters = {w, x};
  const std::vector<Value> found = gradients(sum(residual_fusion(blocks, w, Value())), parameters);
  ASSERT_TRUE(found[0].defined() && found[1].defined());
  const NodeRecord& node = graph->nodes()[static_cast<std::size_t>(graph->record(found[0]).node)];
  EXPECT_EQ(node.operation->name(), "residual_fusion_backward");
  EXPECT_EQ(node.results.size(), 2u);  // of w and x, not of the frozen block
  Execution execution(std::make_shared<const Plan>(graph, found));
  Tensor frozen_memory = Tensor::zeros({7, 3}, DType::bf16, graph->device());
  Tensor x_memory = Tensor::from(std::vector<float>(35, 2), {7, 5}, graph->device());
  Tensor w_memory = Tensor::from(std::vector<float>(32, 3), {4, 8}, graph->device());
  execution.bind(frozen, frozen_memory.view());
  execution.bind(x, x_memory.view());
  execution.bind(w, w_memory.view());
  execution.run();
  const View of_w = execution.view(found[0]), of_x = execution.view(found[1]);
  for (std::int64_t i = 0; i < 32; ++i) EXPECT_EQ(of_w.data_as<float>()[i], i % 8 < 3 ? 0 : 14);
  for (std::int64_t i = 0; i < 35; ++i) EXPECT_EQ(of_x.data_as<float>()[i], 12);
}

TEST(Fusion, FaultsNameBlocks) {
  Graph graph(Device::cpu(1));
  const Value x = graph.input("x", {7, 3}, DType::f32), w = graph.input("w", {4, 3}, DType::f32);
  const auto fuse = [&](const FusionInput& block, const Value& weights, const Value& bias = {}) {
    return residual_fusion({&block, 1}, weights, bias);
  };
  EXPECT_EQ(fuse({.features = x}, w).shape(), Shape({7, 4}));
  EXPECT_THROW(residual_fusion({}, w, Value()), ValueError);
  EXPECT_THROW(fuse({.features = x}, graph.input("v", {4, 5}, DType::f32)), ShapeError);
  EXPECT_THROW(fuse({.features = x}, graph.input("f64", {4, 3}, DType::f64)), DTypeError);
  EXPECT_THROW(fuse({.features = x, .mask = w}, w), ShapeError);
  EXPECT_THROW(fuse({.features = x}, w, graph.input("bias", {3}, DType::f32)), ShapeError);
}

}  // namespace
}  // namespace rtl::graph::test

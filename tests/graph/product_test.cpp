// Matrix products, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "graph/operation_case.hpp"
#include "rtl/core/random.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

/// op(a) op(b) for `batch` pairs of matrices; a batch of one is used by all.
Numbers product(const Numbers& a, const Numbers& b, std::size_t batch, std::size_t m, std::size_t n, std::size_t k,
                MatmulOptions options) {
  Numbers y;
  for (std::size_t t = 0; t < batch; ++t) {
    const double* of_a = a.data() + (a.size() == m * k ? 0 : t * m * k);
    const double* of_b = b.data() + (b.size() == n * k ? 0 : t * n * k);
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        double total = 0;
        for (std::size_t l = 0; l < k; ++l) {
          total +=
              of_a[options.transpose_a ? l * m + i : i * k + l] * of_b[options.transpose_b ? j * k + l : l * n + j];
        }
        y.push_back(total);
      }
    }
  }
  return y;
}

TEST(Products, MatmulOfMatricesAndBatches) {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const int batches : {0, 1, 2, 3}) {  // bit 0: of a, bit 1: of b
        const Shape a = ta ? Shape{5, 3} : Shape{3, 5}, b = tb ? Shape{4, 5} : Shape{5, 4};
        const MatmulOptions options{ta, tb};
        check({.name = "matmul " + std::to_string(ta) + std::to_string(tb) + std::to_string(batches),
               .shapes = {(batches & 1) != 0 ? Shape{2, a[0], a[1]} : a, (batches & 2) != 0 ? Shape{2, b[0], b[1]} : b},
               .record = [options](Graph&, std::span<const Value> in) { return matmul(in[0], in[1], options); },
               .reference =
                   [=](const std::vector<Numbers>& in) {
                     return product(in[0], in[1], batches == 0 ? 1 : 2, 3, 4, 5, options);
                   }});
      }
    }
  }
}

TEST(Products, Linear) {
  check({.name = "linear",
         .shapes = {{7, 5}, {3, 5}, {3}},
         .record = [](Graph&, std::span<const Value> in) { return linear(in[0], in[1], in[2]); },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y = product(in[0], in[1], 1, 7, 3, 5, {false, true});
               for (std::size_t i = 0; i < y.size(); ++i) y[i] += in[2][i % 3];
               return y;
             },
         .parameters = {false, true, true}});
  check({.name = "linear without bias",
         .shapes = {{7, 5}, {3, 5}},
         .record = [](Graph&, std::span<const Value> in) { return linear(in[0], in[1], {}); },
         .reference =
             [](const std::vector<Numbers>& in) {
               return product(in[0], in[1], 1, 7, 3, 5, {false, true});
             },
         .parameters = {false, true}});
}

Tensor drawn(const Shape& shape, const Device& device, std::uint64_t stream) {
  RandomSequence random(rtl::test::seed(), stream);
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = static_cast<float>(random.normal());
  return Tensor::from(values, shape, device);
}

/// A layer and its weights' gradient for replicas of `w`, and of x where asked for.
struct ReplicatedLayer {
  static constexpr std::int64_t replicas = 3, rows = 300, inputs = 170, outputs = 210;
  std::shared_ptr<Graph> graph;
  Value x, w;
  std::vector<Value> results;

  explicit ReplicatedLayer(const Device& device) : graph(std::make_shared<Graph>(device)) {
    x = graph->input("x", {rows, inputs}, DType::f32);
    w = graph->input("w", {outputs, inputs}, DType::f32);
    const Value y = linear(x, w, {});
    results = {y, matmul(y, x, {.transpose_a = true})};
  }
  std::vector<std::vector<float>> run(const Tensor& of_x, const Tensor& of_w, const PlanOptions& options) const {
    Execution execution(std::make_shared<const Plan>(graph, results, options));
    execution.bind(x, of_x.view());
    execution.bind(w, of_w.view());
    execution.run();
    std::vector<std::vector<float>> all;
    for (const Value& result : results) {
      const View view = execution.view(result);
      Tensor host(view.shape(), DType::f32, Device::cpu());
      copy_bytes(view, host);
      all.push_back(host.to_vector<float>());
    }
    return all;
  }
};

TEST(Products, ReplicasThatShareThreadsHaveTheBitsOfSeparateRuns) {
  using Layer = ReplicatedLayer;
  for (const Device& device : rtl::test::devices_and_threads()) {
    const Layer layer(device);
    const Tensor w = drawn({Layer::replicas, Layer::outputs, Layer::inputs}, device, 1);
    for (const bool own_x : {false, true}) {
      const Tensor x = own_x ? drawn({Layer::replicas, Layer::rows, Layer::inputs}, device, 2)
                             : drawn({Layer::rows, Layer::inputs}, device, 2);
      PlanOptions options{.share_memory = true, .replicas = Layer::replicas, .replicated = {layer.w}};
      if (own_x) options.replicated.push_back(layer.x);
      const auto together = layer.run(x, w, options);
      for (std::int64_t r = 0; r < Layer::replicas; ++r) {
        const auto part = [r](const Tensor& all) {
          Tensor one({all.extent(1), all.extent(2)}, DType::f32, all.device());
          copy_bytes(all.view().slice(0, r, r + 1).reshaped(one.shape()), one);
          return one;
        };
        const auto alone = layer.run(own_x ? part(x) : x.clone(), part(w), {});
        for (std::size_t i = 0; i < alone.size(); ++i) {
          const auto count = static_cast<std::ptrdiff_t>(alone[i].size());
          const std::vector<float> own(together[i].begin() + r * count, together[i].begin() + (r + 1) * count);
          EXPECT_EQ(own, alone[i]) << rtl::test::name_of(device) << ", replica " << r << ", result " << i;
        }
      }
    }
  }
}

TEST(Products, ReplicasAreOneLaunch) {
  const ReplicatedLayer layer(Device::cpu(1));
  const Plan plan(layer.graph, layer.results, {.share_memory = true, .replicas = 5, .replicated = {layer.w}});
  EXPECT_EQ(plan.facts().launches, 2);
}

TEST(Products, FaultsNameShapes) {
  Graph graph(Device::cpu(1));
  const Value a = graph.input("a", {2, 3}, DType::f32), b = graph.input("b", {4, 2}, DType::f32);
  EXPECT_THROW(matmul(a, b), ShapeError);
  EXPECT_THROW(matmul(graph.input("c", {3}, DType::f32), a), ShapeError);
  EXPECT_THROW(linear(a, b, {}), ShapeError);
}

}  // namespace
}  // namespace rtl::graph::test

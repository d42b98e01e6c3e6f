// Gathers, scatters and dropout, by the checks of operation_case.hpp, and their batches.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/core/random.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/kernels/step_state.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

using Rows = std::vector<std::int64_t>;
using rtl::test::devices;

Tensor rows_tensor(const Rows& rows, const Device& device) {
  return Tensor::from(rows, {static_cast<std::int64_t>(rows.size())}, device);
}

TEST(Rows, GatherAndScatter) {
  const Rows rows = {4, 0, 4, 2, 6, 4};
  check({.name = "gather_rows",
         .shapes = {{7, 3, 5}},
         .record =
             [&](Graph& graph, std::span<const Value> in) {
               const Value numbers = graph.constant("rows", rows_tensor(rows, graph.device()));
               return gather_rows(in[0], numbers, in[0].dtype());
             },
         .reference =
             [&](const std::vector<Numbers>& in) {
               Numbers y;
               for (const std::int64_t row : rows) {
                 const auto begin = in[0].begin() + row * 15;
                 y.insert(y.end(), begin, begin + 15);
               }
               return y;
             },
         .bf16_roundoffs = 0});
  check({.name = "scatter_add_rows",
         .shapes = {{6, 5}},
         .record =
             [&](Graph& graph, std::span<const Value> in) {
               return scatter_add_rows(in[0], graph.constant("rows", rows_tensor(rows, graph.device())), 7);
             },
         .reference =
             [&](const std::vector<Numbers>& in) {
               Numbers y(35);
               for (std::size_t i = 0; i < 30; ++i) y[static_cast<std::size_t>(rows[i / 5]) * 5 + i % 5] += in[0][i];
               return y;
             },
         .bf16_roundoffs = 0});
}

/// A batch of a table in a graph whose counters and order are inputs.
struct Batch {
  static constexpr std::int64_t table_rows = 11, length = 7, epoch = 31, count = 9;
  std::shared_ptr<Graph> graph;
  Value order, counters, batch, images, augmented, features;
  Tensor table, pictures;

  explicit Batch(const Device& device) : graph(std::make_shared<Graph>(device)) {
    rtl::test::Random random(5);
    const auto draw = [&](const Shape& shape) {
      const rtl::test::Reals values = random.normal(shape);
      return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
    };
    table = draw({table_rows, length});
    const rtl::test::Reals bytes = random.below({table_rows, 2, 3, 3}, 256);
    pictures = Tensor::from(std::vector<std::uint8_t>(bytes.begin(), bytes.end()), {table_rows, 2, 3, 3}, device);
    order = graph->input("order", {epoch}, DType::i64);
    counters = graph->input("counters", {kernels::Counters::count}, DType::i64);
    batch = gather_batch(graph->constant("table", table.clone()), order, counters, count, DType::f64);
    const Value table_of_images = graph->constant("pictures", pictures.clone());
    const Value scale = graph->constant("scale", draw({3})), shift = graph->constant("shift", draw({3}));
    images = gather_batch_images(table_of_images, order, counters, count, scale, shift, DType::f32);
    augmented = gather_augmented_images(table_of_images, order, counters, count, scale, shift, DType::f32,
                                        {.crop = 1, .flip = true, .brightness = 0.5}, 77);
    const Value places = graph->constant("places", Tensor::from(Rows{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, {11}, device));
    const Value transform = graph->constant("transform", draw({3, length}));
    features = gather_batch_features({graph->constant("table", table.clone()), places, transform, 1.5F}, order,
                                     counters, count, DType::f32);
  }
  std::array<std::vector<double>, 4> run(const Tensor& orders, const Tensor& states, const PlanOptions& options) const {
    Execution execution(
        std::make_shared<const Plan>(graph, std::vector<Value>{batch, images, augmented, features}, options));
    execution.bind(order, orders.view());
    execution.bind(counters, states.view());
    execution.run();
    const auto numbers = [&](const Value& value) {
      const View view = execution.view(value);
      Tensor host(view.shape(), view.dtype(), Device::cpu());
      copy_bytes(view, host);
      if (view.dtype() == DType::f64) return host.to_vector<double>();
      const std::vector<float> values = host.to_vector<float>();
      return std::vector<double>(values.begin(), values.end());
    };
    return {numbers(batch), numbers(images), numbers(augmented), numbers(features)};
  }
};

TEST(Rows, BatchesStartWhereTheCountersSay) {
  constexpr std::int64_t replicas = 3;
  rtl::test::Random random(7);
  const rtl::test::Reals drawn = random.below({replicas * Batch::epoch}, Batch::table_rows);
  const Rows orders(drawn.begin(), drawn.end());
  const std::array<std::int64_t, replicas> begins = {0, 13, Batch::epoch - Batch::count};
  Rows states;
  for (const std::int64_t begin : begins) states.insert(states.end(), {1, 2 + begin, begin, 3});
  for (const Device& device : devices()) {
    SCOPED_TRACE(device.name());
    const Batch batch(device);
    const std::vector<float> table = batch.table.to_vector<float>();
    const auto together =
        batch.run(Tensor::from(orders, {replicas, Batch::epoch}, device), Tensor::from(states, {replicas, 4}, device),
                  {.replicas = replicas, .replicated = {batch.order, batch.counters}});
    for (std::int64_t r = 0; r < replicas; ++r) {
      const Rows order(orders.begin() + r * Batch::epoch, orders.begin() + (r + 1) * Batch::epoch);
      const Rows state(states.begin() + 4 * r, states.begin() + 4 * (r + 1));
      const auto alone = batch.run(rows_tensor(order, device), rows_tensor(state, device), {});
      for (std::size_t i = 0; i < alone[0].size(); ++i) {
        const auto row = begins[static_cast<std::size_t>(r)] + static_cast<std::int64_t>(i) / Batch::length;
        const std::int64_t at = order[static_cast<std::size_t>(row)] * Batch::length;
        ASSERT_EQ(alone[0][i], table[static_cast<std::size_t>(at) + i % Batch::length]) << "replica " << r;
      }
      EXPECT_NE(alone[1], alone[2]);
      for (std::size_t result = 0; result < alone.size(); ++result) {
        const auto size = static_cast<std::ptrdiff_t>(alone[result].size());
        const auto begin = together[result].begin() + r * size;
        EXPECT_EQ(std::vector<double>(begin, begin + size), alone[result]) << "replica " << r;
      }
    }
  }
}

TEST(Rows, GathersOfAPlanWithReplicasAreOneLaunch) {
  const Batch batch(Device::cpu(1));
  const Plan plan(batch.graph, {batch.batch, batch.images, batch.augmented, batch.features},
                  {.replicas = 5, .replicated = {batch.counters}});
  EXPECT_EQ(plan.facts().launches, 4);
}

/// Rows 1 and 3 of four have entries; `length` columns.
struct SparseParts {
  static constexpr std::int64_t width = 7;
  std::vector<std::int64_t> offsets = {0, 0, 2, 2, 5};
  std::vector<std::int32_t> columns = {1, 6, 0, 2, 3};
  std::vector<float> values = {1, -2, 3, 0.5F, 4}, background = {9, 8, 7, 6, 5, 4, 3};
  float at(std::int64_t row, std::int64_t column, bool filled) const {
    for (auto e = static_cast<std::size_t>(offsets[static_cast<std::size_t>(row)]);
         e < static_cast<std::size_t>(offsets[static_cast<std::size_t>(row) + 1]); ++e) {
      if (columns[e] == column) return values[e];
    }
    return filled ? background[static_cast<std::size_t>(column)] : 0;
  }
};

TEST(Rows, SparseBatchesAreDense) {
  const SparseParts parts;
  for (const Device& device : devices()) {
    for (const bool filled : {false, true}) {
      const auto graph = std::make_shared<Graph>(device);
      const auto constant = [&](const char* name, const auto& values) {
        return graph->constant(name, Tensor::from(values, {static_cast<std::int64_t>(values.size())}, device));
      };
      const SparseTable table{constant("offsets", parts.offsets), constant("columns", parts.columns),
                              constant("values", parts.values),
                              filled ? constant("background", parts.background) : Value(), SparseParts::width};
      const Rows orders = {3, 1, 0, 2, 1, 0, 1, 3, 2, 0, 3, 1}, states = {1, 2, 0, 3, 1, 2, 1, 3};
      const Value order = graph->input("order", {6}, DType::i64), counters = graph->input("counters", {4}, DType::i64);
      const Value batch = gather_sparse_batch(table, order, counters, 4, DType::f64);
      EXPECT_EQ(batch.shape(), (Shape{4, 7}));
      Execution execution(std::make_shared<const Plan>(graph, std::vector<Value>{batch},
                                                       PlanOptions{.replicas = 2, .replicated = {order, counters}}));
      EXPECT_EQ(execution.plan().facts().launches, 1);
      const Tensor both = Tensor::from(orders, {2, 6}, device), begins = Tensor::from(states, {2, 4}, device);
      execution.bind(order, both.view());
      execution.bind(counters, begins.view());
      execution.run();
      Tensor host({2, 4, 7}, DType::f64, Device::cpu());
      copy_bytes(execution.view(batch), host);
      const std::vector<double> got = host.to_vector<double>();
      for (std::size_t i = 0; i < got.size(); ++i) {
        const std::size_t replica = i / 28, place = i / 7 % 4 + (replica == 0 ? 0 : 1);
        const std::int64_t row = orders[6 * replica + place];
        EXPECT_EQ(got[i], static_cast<double>(parts.at(row, static_cast<std::int64_t>(i % 7), filled))) << i;
      }
    }
  }
}

TEST(Rows, DropoutDrawsFromSeedNameAndStep) {
  constexpr std::uint64_t name = 0x1234567;
  constexpr double probability = 0.4;
  check({.name = "dropout",
         .shapes = {{13, 31}},
         .record =
             [](Graph& graph, std::span<const Value> in) {
               const Value counters = graph.constant("counters", rows_tensor({9, 17, 0, 0}, graph.device()));
               return dropout(in[0], probability, name, counters);
             },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y;
               for (std::size_t i = 0; i < in[0].size(); ++i) {
                 const bool kept = static_cast<double>(Philox(9, mix(name, 17)).uniform(i)) >= probability;
                 y.push_back(kept ? in[0][i] / (1 - probability) : 0);
               }
               return y;
             }});
}

/// Replicas with their own seeds and steps, where x is shared and where it is not.
TEST(Rows, DropoutOfReplicas) {
  constexpr std::int64_t replicas = 3, size = 133;
  const Rows states = {1, 0, 0, 0, 2, 0, 0, 0, 2, 5, 0, 0};
  for (const Device& device : devices()) {
    for (const bool shared : {true, false}) {
      SCOPED_TRACE(device.name() + (shared ? ", shared x" : ", own x"));
      const auto graph = std::make_shared<Graph>(device);
      const Value x = graph->input("x", {size}, DType::f32), counters = graph->input("counters", {4}, DType::i64);
      const Value y = dropout(x, 0.5, 3, counters);
      const auto run = [&](const Tensor& input, const Tensor& state, const PlanOptions& options) {
        Execution execution(std::make_shared<const Plan>(graph, std::vector<Value>{y}, options));
        Tensor result(execution.view(y).shape(), DType::f32, device);
        execution.bind(x, input.view());
        execution.bind(counters, state.view());
        execution.bind(y, result.view());
        execution.run();
        return result.to_vector<float>();
      };
      rtl::test::Random random(3);
      const rtl::test::Reals values = random.normal({replicas, size});
      const std::vector<float> inputs(values.begin(), values.begin() + (shared ? 1 : replicas) * size);
      PlanOptions options{.replicas = replicas, .replicated = {counters}};
      if (!shared) options.replicated.push_back(x);
      const Tensor all = Tensor::from(inputs, shared ? Shape{size} : Shape{replicas, size}, device);
      const std::vector<float> together = run(all, Tensor::from(states, {replicas, 4}, device), options);
      for (std::int64_t r = 0; r < replicas; ++r) {
        const auto own = inputs.begin() + (shared ? 0 : r * size);
        const std::vector<float> alone =
            run(Tensor::from(std::vector<float>(own, own + size), {size}, device),
                rows_tensor({states.begin() + 4 * r, states.begin() + 4 * r + 4}, device), {});
        EXPECT_EQ(std::vector<float>(together.begin() + r * size, together.begin() + (r + 1) * size), alone);
      }
    }
  }
}

TEST(Rows, FaultsNameShapesAndTypes) {
  Graph graph(Device::cpu(1));
  const Value table = graph.input("table", {5, 3}, DType::f32), order = graph.input("order", {5}, DType::i32);
  const Value counters = graph.input("counters", {4}, DType::i64), x = graph.input("x", {4}, DType::f32);
  EXPECT_THROW(gather_rows(table, table, DType::f32), DTypeError);
  EXPECT_THROW(gather_rows(table, order, DType::u8), DTypeError);
  EXPECT_THROW(gather_batch(table, order, counters, 6, DType::f32), ShapeError);
  EXPECT_THROW(gather_batch(table, order, x, 2, DType::f32), DTypeError);
  EXPECT_THROW(gather_batch(table, order, Value(), 2, DType::f32), ValueError);
  EXPECT_THROW(gather_images(table, order, x, x, DType::f32), DTypeError);
  const Value places = graph.input("places", {9}, DType::i64), scaling = graph.input("scaling", {3, 3}, DType::f32);
  const auto features = [&](const FeatureTable& from, std::int64_t count, DType dtype) {
    return gather_batch_features(from, order, counters, count, dtype);
  };
  EXPECT_EQ(features({table, places, scaling}, 2, DType::bf16).shape(), (Shape{2, 3}));
  EXPECT_THROW(features({table, order, scaling}, 2, DType::f32), DTypeError);
  EXPECT_THROW(features({table, places, places}, 2, DType::f32), DTypeError);
  EXPECT_THROW(features({table, places, table}, 2, DType::f32), ShapeError);
  EXPECT_THROW(features({table, places, scaling}, 6, DType::f32), ShapeError);
  EXPECT_THROW(features({table, places, scaling}, 2, DType::u8), DTypeError);
  EXPECT_THROW(features({x, places, scaling}, 2, DType::f32), ShapeError);
  const Value offsets = graph.input("offsets", {4}, DType::i64), columns = graph.input("columns", {4}, DType::i32);
  const auto sparse = [&](const SparseTable& from, std::int64_t count, DType dtype) {
    return gather_sparse_batch(from, order, counters, count, dtype);
  };
  EXPECT_EQ(sparse({offsets, columns, x, {}, 9}, 2, DType::bf16).shape(), (Shape{2, 9}));
  EXPECT_THROW(sparse({columns, columns, x, {}, 9}, 2, DType::f32), DTypeError);
  EXPECT_THROW(sparse({offsets, offsets, x, {}, 9}, 2, DType::f32), DTypeError);
  EXPECT_THROW(sparse({offsets, columns, columns, {}, 9}, 2, DType::f32), DTypeError);
  EXPECT_THROW(sparse({offsets, columns, x, {}, 9}, 2, DType::u8), DTypeError);
  EXPECT_THROW(sparse({offsets, columns, x, x, 9}, 2, DType::f32), ShapeError);
  EXPECT_THROW(sparse({offsets, columns, x, {}, 0}, 2, DType::f32), ShapeError);
  EXPECT_THROW(sparse({offsets, columns, x, {}, 9}, 6, DType::f32), ShapeError);
  const Value images = graph.input("images", {5, 4, 6, 1}, DType::u8), one = graph.input("one", {1}, DType::f32);
  const auto augmented = [&](std::int64_t count, const Value& states, const kernels::ImageAugmentation& augmentation) {
    return gather_augmented_images(images, order, states, count, one, one, DType::f32, augmentation, 1);
  };
  EXPECT_EQ(augmented(2, counters, {.crop = 3}).shape(), (Shape{2, 4, 6, 1}));
  EXPECT_THROW(augmented(2, counters, {.crop = 4}), ValueError);
  EXPECT_THROW(augmented(6, counters, {}), ShapeError);
  EXPECT_THROW(augmented(2, x, {}), DTypeError);
  EXPECT_THROW(scatter_add_rows(table, graph.input("rows", {4}, DType::i32), 9), ShapeError);
  EXPECT_THROW(dropout(x, 1.0, 1, counters), ValueError);
  EXPECT_THROW(dropout(x, 0.5, 1, graph.input("short", {2}, DType::i64)), ShapeError);
}

}  // namespace
}  // namespace rtl::graph::test

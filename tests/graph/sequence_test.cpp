// Embeddings, lengths, pooling and rotary positions, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"

namespace rtl::graph::test {
namespace {

using Ids = std::vector<std::int32_t>;

Value numbers(Graph& graph, const std::string& name, const Ids& ids, const Shape& shape) {
  return graph.constant(name, Tensor::from(ids, shape, graph.device()));
}

TEST(Sequence, EmbeddingOfPaddedIds) {
  const Ids ids = {4, 0, 4, -1, 6, -1, -1, -1, 2, 7, 4, 0};  // 7 is no row of the table
  check({.name = "embedding",
         .shapes = {{7, 5}},
         .record =
             [&](Graph& graph, std::span<const Value> in) {
               return embedding(in[0], numbers(graph, "ids", ids, {3, 4}), in[0].dtype());
             },
         .reference =
             [&](const std::vector<Numbers>& in) {
               Numbers y;
               for (const std::int32_t id : ids) {
                 for (std::size_t c = 0; c < 5; ++c) {
                   y.push_back(id < 0 || id > 6 ? 0 : in[0][static_cast<std::size_t>(id) * 5 + c]);
                 }
               }
               return y;
             },
         .bf16_roundoffs = 0});
}

TEST(Sequence, LengthsOfIds) {
  for (const Device& device : rtl::test::devices()) {
    const auto graph = std::make_shared<Graph>(device);
    const Value ids = numbers(*graph, "ids", {3, 1, -1, -1, 9, 9, 9, 9, -1, 5, 5, 5}, {3, 4});
    const Value lengths = sequence_lengths(ids);
    Execution execution(std::make_shared<const Plan>(graph, std::vector<Value>{lengths}));
    execution.run();
    Tensor found({3}, DType::i32, Device::cpu(1));
    copy_bytes(execution.view(lengths), found);
    EXPECT_EQ(found.to_vector<std::int32_t>(), (Ids{2, 4, 0})) << device.name();
  }
}

TEST(Sequence, MeanOverRealPositions) {
  for (const bool given : {true, false}) {
    const Ids lengths = {2, 0, 4};
    check({.name = given ? "sequence_mean of lengths" : "sequence_mean",
           .shapes = {{3, 4, 5}},
           .record =
               [&](Graph& graph, std::span<const Value> in) {
                 return sequence_mean(in[0], given ? numbers(graph, "lengths", lengths, {3}) : Value());
               },
           .reference =
               [&](const std::vector<Numbers>& in) {
                 Numbers y;
                 for (std::size_t n = 0; n < 3; ++n) {
                   const auto length = given ? static_cast<std::size_t>(lengths[n]) : 4;
                   for (std::size_t c = 0; c < 5; ++c) {
                     double sum = 0;
                     for (std::size_t t = 0; t < length; ++t) sum += in[0][(n * 4 + t) * 5 + c];
                     y.push_back(length > 0 ? sum / static_cast<double>(length) : 0);
                   }
                 }
                 return y;
               }});
  }
}

TEST(Sequence, RotaryPositions) {
  for (const auto pairs : {kernels::RotaryPairs::interleaved, kernels::RotaryPairs::halves}) {
    const std::size_t half = 3;
    const auto angle = [](std::size_t t, std::size_t i) {
      return static_cast<double>(t + 1) / (1 + static_cast<double>(i));
    };
    check({.name = "rotate_positions",
           .shapes = {{2, 4, 3, 6}},
           .record =
               [&](Graph& graph, std::span<const Value> in) {
                 const DType dtype = parameter_dtype(in[0].dtype());
                 const auto table = [&](const std::string& name, auto f) {
                   Numbers values;
                   for (std::size_t i = 0; i < 4 * half; ++i) values.push_back(f(angle(i / half, i % half)));
                   const Shape shape{4, static_cast<std::int64_t>(half)};
                   if (dtype == DType::f64) return graph.constant(name, Tensor::from(values, shape, graph.device()));
                   const std::vector<float> narrow(values.begin(), values.end());
                   return graph.constant(name, Tensor::from(narrow, shape, graph.device()));
                 };
                 return rotate_positions(in[0], table("cosines", [](double a) { return std::cos(a); }),
                                         table("sines", [](double a) { return std::sin(a); }), pairs, 2);
               },
           .reference =
               [&](const std::vector<Numbers>& in) {
                 Numbers y = in[0];
                 for (std::size_t line = 0; line < 24; ++line) {
                   if (line % 3 == 2) continue;
                   for (std::size_t i = 0; i < half; ++i) {
                     const bool halves = pairs == kernels::RotaryPairs::halves;
                     const std::size_t a = line * 6 + (halves ? i : 2 * i), b = a + (halves ? half : 1);
                     const double turn = angle(line / 3 % 4, i);
                     y[a] = in[0][a] * std::cos(turn) - in[0][b] * std::sin(turn);
                     y[b] = in[0][b] * std::cos(turn) + in[0][a] * std::sin(turn);
                   }
                 }
                 return y;
               }});
  }
}

TEST(Sequence, FaultsNameShapesAndTypes) {
  Graph graph(Device::cpu(1));
  const Value table = graph.input("table", {7, 5}, DType::f32), ids = graph.input("ids", {2, 3}, DType::i32);
  const Value x = graph.input("x", {2, 3, 5}, DType::f32), heads = graph.input("heads", {2, 3, 2, 4}, DType::f32);
  EXPECT_THROW(embedding(x, ids, DType::f32), ShapeError);
  EXPECT_THROW(embedding(table, x, DType::f32), DTypeError);
  EXPECT_THROW(sequence_lengths(x), DTypeError);
  EXPECT_THROW(sequence_lengths(graph.input("flat", {6}, DType::i32)), ShapeError);
  EXPECT_THROW(sequence_mean(table), ShapeError);
  EXPECT_THROW(sequence_mean(x, ids), ShapeError);
  EXPECT_THROW(sequence_mean(x, table), DTypeError);
  const auto rotate = [&](const Value& value, const Shape& angles, std::int64_t count) {
    const Value turn = graph.input("angles", angles, DType::f32);
    rotate_positions(value, turn, turn, kernels::RotaryPairs::halves, count);
  };
  EXPECT_THROW(rotate(heads, {2, 2}, 1), ShapeError);
  EXPECT_THROW(rotate(heads, {3, 2}, 3), ValueError);
  EXPECT_THROW(rotate(x, {3, 2}, 1), ShapeError);
}

}  // namespace
}  // namespace rtl::graph::test

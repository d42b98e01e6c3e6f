// Attention, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/plan.hpp"

namespace rtl::graph::test {
namespace {

struct Sizes {
  std::size_t sequences, queries, keys, heads, groups, size;
  bool causal = false;
  std::vector<std::int32_t> lengths = {};
};

/// out of q, k and v, which are given by functions of (sequence, position, head, element).
template <typename Q, typename K, typename V>
Numbers mixed(const Sizes& s, const Q& q, const K& k, const V& v) {
  Numbers out;
  for (std::size_t n = 0; n < s.sequences; ++n) {
    for (std::size_t i = 0; i < s.queries; ++i) {
      for (std::size_t h = 0; h < s.heads; ++h) {
        const std::size_t g = h / (s.heads / s.groups);
        std::size_t visible = s.lengths.empty() ? s.keys : static_cast<std::size_t>(s.lengths[n]);
        if (s.causal) visible = std::min(visible, i + s.keys - s.queries + 1);
        Numbers weights;
        double sum = 0;
        for (std::size_t j = 0; j < visible; ++j) {
          double score = 0;
          for (std::size_t d = 0; d < s.size; ++d) score += q(n, i, h, d) * k(n, j, g, d);
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(s.size))));
          sum += weights.back();
        }
        for (std::size_t d = 0; d < s.size; ++d) {
          double value = 0;
          for (std::size_t j = 0; j < visible; ++j) value += weights[j] / sum * v(n, j, g, d);
          out.push_back(value);
        }
      }
    }
  }
  return out;
}

/// Element (n, t, h, d) of [N, T, heads, D], the heads beginning at `first`.
auto reader(const Numbers& values, std::size_t positions, std::size_t heads, std::size_t size, std::size_t first = 0) {
  return [&values, positions, heads, size, first](std::size_t n, std::size_t t, std::size_t h, std::size_t d) {
    return values[((n * positions + t) * heads + first + h) * size + d];
  };
}

Value lengths_of(Graph& graph, const Sizes& s) {
  if (s.lengths.empty()) return {};
  const Shape shape{static_cast<std::int64_t>(s.lengths.size())};
  return graph.constant("lengths", Tensor::from(s.lengths, shape, graph.device()));
}

Shape shape_of(const Sizes& s, std::size_t positions, std::size_t heads) {
  return {static_cast<std::int64_t>(s.sequences), static_cast<std::int64_t>(positions),
          static_cast<std::int64_t>(heads), static_cast<std::int64_t>(s.size)};
}

/// Gradients of queries and keys are sums of weight * (dy v - dy y) * key / sqrt(size), y being rounded; with inputs
/// between -2 and 2 the products are about 1, and the weights of few keys a quarter and more.
constexpr double terms = 0.25;

TEST(Attention, OfThreeTensors) {
  for (const Sizes& s :
       {Sizes{2, 3, 4, 2, 1, 3}, Sizes{1, 4, 5, 2, 2, 2, true}, Sizes{2, 2, 4, 1, 1, 3, false, {4, 1}}}) {
    check({.name = "attention",
           .shapes = {shape_of(s, s.queries, s.heads), shape_of(s, s.keys, s.groups), shape_of(s, s.keys, s.groups)},
           .record =
               [&](Graph& graph, std::span<const Value> in) {
                 return attention(in[0], in[1], in[2], lengths_of(graph, s), {}, {.causal = s.causal});
               },
           .reference =
               [&](const std::vector<Numbers>& in) {
                 return mixed(s, reader(in[0], s.queries, s.heads, s.size), reader(in[1], s.keys, s.groups, s.size),
                              reader(in[2], s.keys, s.groups, s.size));
               },
           .roundoffs = 32,
           .bf16_roundoffs = 8,
           .bf16_terms = terms});
  }
}

TEST(Attention, OfOneTensor) {
  const Sizes s{2, 4, 4, 4, 2, 3, true, {3, 4}};
  const std::size_t all = s.heads + 2 * s.groups;
  check({.name = "packed_attention",
         .shapes = {shape_of(s, s.queries, all)},
         .record =
             [&](Graph& graph, std::span<const Value> in) {
               return packed_attention(in[0], 4, lengths_of(graph, s), {}, {.causal = true});
             },
         .reference =
             [&](const std::vector<Numbers>& in) {
               return mixed(s, reader(in[0], 4, all, s.size), reader(in[0], 4, all, s.size, s.heads),
                            reader(in[0], 4, all, s.size, s.heads + s.groups));
             },
         .roundoffs = 32,
         .bf16_roundoffs = 8,
         .bf16_terms = terms});
}

/// The score matrix is not among the values, whatever the length.
TEST(Attention, MemoryGrowsWithTheLengthAndNotWithItsSquare) {
  const auto bytes_of = [](std::int64_t positions) {
    const auto graph = std::make_shared<Graph>(Device::cpu(1));
    const Value qkv = graph->variable("qkv", Storage(Tensor({1, positions, 24, 64}, DType::f32, graph->device())));
    const Value loss = sum(square(packed_attention(qkv, 8, {}, {}, {.causal = true})));
    const Value gradient = gradients(loss, {&qkv, 1}).front();
    return Plan(graph, std::vector<Value>{loss, gradient}).facts().arena_bytes;
  };
  const auto whole = static_cast<double>(bytes_of(8192)), half = static_cast<double>(bytes_of(4096));
  EXPECT_LT(whole, 2e9);
  EXPECT_LT(whole, 2.1 * half);
}

TEST(Attention, FaultsNameShapesAndTypes) {
  Graph graph(Device::cpu(1));
  const auto input = [&](const Shape& shape, DType dtype = DType::f32) { return graph.input("x", shape, dtype); };
  const Value q = input({2, 5, 4, 8}), k = input({2, 6, 2, 8});
  EXPECT_THROW(attention(q, k, input({2, 6, 1, 8})), ShapeError);
  EXPECT_THROW(attention(q, input({2, 6, 3, 8}), input({2, 6, 3, 8})), ShapeError);
  EXPECT_THROW(attention(q, input({2, 6, 2, 8}, DType::f64), k), DTypeError);
  EXPECT_THROW(attention(q, k, k, input({3}, DType::i32)), ShapeError);
  EXPECT_THROW(attention(q, k, k, input({2})), DTypeError);
  EXPECT_THROW(attention(q, k, k, {}, {}, {.dropout = 0.5}), ValueError) << "no counters";
  EXPECT_THROW(packed_attention(q, 4), ShapeError);
  EXPECT_THROW(packed_attention(q, 0), ValueError);
}

}  // namespace
}  // namespace rtl::graph::test

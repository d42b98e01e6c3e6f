// Sparse matrices and their products, by the checks of operation_case.hpp.
#include "rtl/graph/sparse.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "support/devices.hpp"

namespace rtl::graph::test {
namespace {

using Numbers32 = std::vector<std::int32_t>;

/// [5, 7]: a row without entries, a column without any, a column twice in a row.
struct Example {
  Numbers32 offsets = {0, 3, 3, 4, 8, 10}, columns = {6, 0, 2, 4, 1, 6, 1, 0, 2, 5};
  std::vector<double> values = {0.5, -1, 2, 0.25, 1, 3, -0.5, 0.125, 1.5, -2};
  SparseMatrix matrix(DType dtype, const Device& device) const { return {7, offsets, columns, values, dtype, device}; }
  /// op(a) x, x of three columns.
  Numbers times(const Numbers& x, bool transposed) const {
    Numbers y(3 * (transposed ? 7 : 5));
    for (std::size_t row = 0; row < 5; ++row) {
      for (auto e = static_cast<std::size_t>(offsets[row]); e < static_cast<std::size_t>(offsets[row + 1]); ++e) {
        const auto column = static_cast<std::size_t>(columns[e]);
        const std::size_t to = transposed ? column : row, from = transposed ? row : column;
        for (std::size_t c = 0; c < 3; ++c) y[3 * to + c] += values[e] * x[3 * from + c];
      }
    }
    return y;
  }
};

TEST(Sparse, ProductsAndTheirGradients) {
  const Example example;
  for (const bool transposed : {false, true}) {
    check({.name = transposed ? "transposed product" : "product",
           .shapes = {{transposed ? 5 : 7, 3}},
           .record =
               [&](Graph& graph, std::span<const Value> in) {
                 const SparseMatrix a = example.matrix(parameter_dtype(in[0].dtype()), graph.device());
                 return sparse_product(transposed ? a.transposed() : a, in[0]);
               },
           .reference = [&](const std::vector<Numbers>& in) { return example.times(in[0], transposed); }});
  }
}

/// What is recorded behind it keeps the checks of second derivatives from being of zeros.
TEST(Sparse, ProductsWithinAComputation) {
  const Example example;
  check({.name = "tanh of a product",
         .shapes = {{7, 3}},
         .record =
             [&](Graph& graph, std::span<const Value> in) {
               return tanh(sparse_product(example.matrix(parameter_dtype(in[0].dtype()), graph.device()), in[0]));
             },
         .reference =
             [&](const std::vector<Numbers>& in) {
               Numbers y = example.times(in[0], false);
               for (double& value : y) value = std::tanh(value);
               return y;
             },
         .roundoffs = 16,
         .bf16_roundoffs = 12});
}

TEST(Sparse, TransposingTwiceGivesTheSame) {
  const Example example;
  const SparseMatrix a = example.matrix(DType::f64, Device::cpu(1));
  EXPECT_EQ(a.rows(), 5);
  EXPECT_EQ(a.columns(), 7);
  EXPECT_EQ(a.transposed().rows(), 7);
  EXPECT_EQ(a.transposed().transposed().columns(), 7);
  EXPECT_EQ(a.entries(), 10);
  EXPECT_FALSE(SparseMatrix().defined());
}

TEST(Sparse, FaultsAreTyped) {
  const Device device = Device::cpu(1);
  const Example e;
  const auto make = [&](std::int64_t columns, const Numbers32& offsets, const Numbers32& column_of, DType dtype) {
    return SparseMatrix(columns, offsets, column_of, e.values, dtype, device);
  };
  EXPECT_THROW(make(6, e.offsets, e.columns, DType::f32), ValueError) << "column 6 of 6";
  EXPECT_THROW(make(7, e.offsets, e.columns, DType::bf16), DTypeError);
  EXPECT_THROW(make(7, {}, e.columns, DType::f32), ShapeError);
  EXPECT_THROW(make(7, e.offsets, {1, 2}, DType::f32), ShapeError);
  EXPECT_THROW(make(7, {0, 3, 2, 10}, e.columns, DType::f32), ValueError);
  EXPECT_THROW(make(7, {0, 3, 9}, e.columns, DType::f32), ValueError);
  EXPECT_THROW(SparseMatrix(1, Numbers32{0, 1}, Numbers32{0}, std::vector<double>{NAN}, DType::f32, device),
               ValueError);
  Graph graph(device);
  const SparseMatrix a = e.matrix(DType::f32, device);
  const Value x = graph.input("x", {7, 3}, DType::f32);
  EXPECT_EQ(sparse_product(a, x).shape(), (Shape{5, 3}));
  EXPECT_THROW(sparse_product(a, graph.input("short", {6, 3}, DType::f32)), ShapeError);
  EXPECT_THROW(sparse_product(a, graph.input("flat", {7}, DType::f32)), ShapeError);
  EXPECT_THROW(sparse_product(a, graph.input("wide", {7, 3}, DType::f64)), DTypeError);
  EXPECT_THROW(sparse_product(a, Value()), ValueError);
  EXPECT_THROW(sparse_product(SparseMatrix(), x), ValueError);
}

}  // namespace
}  // namespace rtl::graph::test

#include <gtest/gtest.h>

#include "graph/operation_case.hpp"
#include "rtl/graph/operations.hpp"

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
             }});
  check({.name = "linear without bias",
         .shapes = {{7, 5}, {3, 5}},
         .record = [](Graph&, std::span<const Value> in) { return linear(in[0], in[1], {}); },
         .reference =
             [](const std::vector<Numbers>& in) {
               return product(in[0], in[1], 1, 7, 3, 5, {false, true});
             }});
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

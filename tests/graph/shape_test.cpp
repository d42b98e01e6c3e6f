// Shapes, reductions and broadcasting, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <array>

#include "graph/operation_case.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph::test {
namespace {

TEST(ShapeOperations, ReshapePermuteSliceConcatenate) {
  check({.name = "reshape",
         .shapes = {{4, 6}},
         .record =
             [](Graph&, std::span<const Value> in) {
               return square(reshape(in[0], {2, 12}));
             },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y = in[0];
               for (double& value : y) value *= value;
               return y;
             }});
  check({.name = "permute",
         .shapes = {{3, 4, 5}},
         .record =
             [](Graph&, std::span<const Value> in) {
               constexpr std::array order = {2, 0, 1};
               return permute(in[0], order);
             },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y;
               for (std::size_t k = 0; k < 5; ++k) {
                 for (std::size_t ij = 0; ij < 12; ++ij) y.push_back(in[0][ij * 5 + k]);
               }
               return y;
             }});
  check({.name = "slice",
         .shapes = {{3, 7}},
         .record = [](Graph&, std::span<const Value> in) { return slice(in[0], -1, 2, 5); },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y;
               for (std::size_t i = 0; i < 3; ++i) {
                 for (std::size_t j = 2; j < 5; ++j) y.push_back(in[0][i * 7 + j]);
               }
               return y;
             }});
  check({.name = "concatenate",
         .shapes = {{2, 3}, {2, 5}},
         .record =
             [](Graph&, std::span<const Value> in) {
               const std::array parts = {in[0], in[1], in[0]};
               return concatenate(parts, 1);
             },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y;
               for (std::size_t i = 0; i < 2; ++i) {
                 for (std::size_t j = 0; j < 3; ++j) y.push_back(in[0][i * 3 + j]);
                 for (std::size_t j = 0; j < 5; ++j) y.push_back(in[1][i * 5 + j]);
                 for (std::size_t j = 0; j < 3; ++j) y.push_back(in[0][i * 3 + j]);
               }
               return y;
             }});
}

TEST(ShapeOperations, Reductions) {
  const auto over_last = [](const Numbers& x, std::size_t rows, std::size_t columns,
                            const std::function<double(double, double)>& f) {
    Numbers y;
    for (std::size_t i = 0; i < rows; ++i) {
      double value = x[i * columns];
      for (std::size_t j = 1; j < columns; ++j) value = f(value, x[i * columns + j]);
      y.push_back(value);
    }
    return y;
  };
  check({.name = "sum over an inner axis",
         .shapes = {{2, 5, 3}},
         .record = [](Graph&, std::span<const Value> in) { return sum(in[0], {.axes = {1}}); },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y(6);
               for (std::size_t i = 0; i < 30; ++i) y[i / 15 * 3 + i % 3] += in[0][i];
               return y;
             }});
  check({.name = "mean of all",
         .shapes = {{33}},
         .record = [](Graph&, std::span<const Value> in) { return mean(in[0]); },
         .reference =
             [over_last](const std::vector<Numbers>& in) {
               return Numbers{over_last(in[0], 1, 33, [](double a, double b) { return a + b; })[0] / 33};
             }});
  check(
      {.name = "maximum over the last axis",
       .shapes = {{4, 31}},
       .record = [](Graph&, std::span<const Value> in) { return maximum_of(in[0], {.axes = {-1}, .keep_axes = true}); },
       .reference =
           [over_last](const std::vector<Numbers>& in) {
             return over_last(in[0], 4, 31, [](double a, double b) { return std::max(a, b); });
           }});
  check({.name = "broadcast",
         .shapes = {{3, 1}},
         .record =
             [](Graph&, std::span<const Value> in) {
               return broadcast(in[0], {2, 3, 4});
             },
         .reference =
             [](const std::vector<Numbers>& in) {
               Numbers y;
               for (std::size_t i = 0; i < 24; ++i) y.push_back(in[0][i / 4 % 3]);
               return y;
             }});
}

TEST(ShapeOperations, FaultsNameShapes) {
  Graph graph(Device::cpu(1));
  const Value x = graph.input("x", {2, 3}, DType::f32);
  EXPECT_THROW(reshape(x, {5}), ShapeError);
  EXPECT_THROW(slice(x, 2, 0, 1), ShapeError);
  EXPECT_THROW(slice(x, 1, 2, 5), ShapeError);
  constexpr std::array order = {0, 0};
  EXPECT_THROW(permute(x, order), ShapeError);
  EXPECT_THROW(sum(x, {.axes = {0, 0}}), ShapeError);
  EXPECT_THROW(broadcast(x, {2, 4}), ShapeError);
  EXPECT_THROW(concatenate({}, 0), ValueError);
}

}  // namespace
}  // namespace rtl::graph::test

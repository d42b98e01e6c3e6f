// Layer norm and RMS norm, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/operation_case.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph::test {
namespace {

constexpr double epsilon = 0.1;

Numbers normalised(const std::vector<Numbers>& in, bool centred) {
  const std::size_t columns = in[1].size();
  Numbers y;
  for (std::size_t begin = 0; begin < in[0].size(); begin += columns) {
    double mean = 0, squares = 0;
    for (std::size_t c = 0; centred && c < columns; ++c) mean += in[0][begin + c] / static_cast<double>(columns);
    for (std::size_t c = 0; c < columns; ++c) squares += std::pow(in[0][begin + c] - mean, 2);
    const double deviation = std::sqrt(squares / static_cast<double>(columns) + epsilon);
    for (std::size_t c = 0; c < columns; ++c) {
      y.push_back((in[0][begin + c] - mean) / deviation * in[1][c] + (centred ? in[2][c] : 0));
    }
  }
  return y;
}

TEST(RowNorm, LayerNorm) {
  for (const Shape& shape : {Shape{5, 7}, Shape{2, 3, 33}}) {
    check({.name = "layer_norm " + shape.to_string(),
           .shapes = {shape, {shape[-1]}, {shape[-1]}},
           .record = [](Graph&, std::span<const Value> in) { return layer_norm(in[0], in[1], in[2], epsilon); },
           .reference = [](const std::vector<Numbers>& in) { return normalised(in, true); },
           .roundoffs = 16,
           .parameters = {false, true, true}});
  }
}

TEST(RowNorm, RmsNorm) {
  for (const Shape& shape : {Shape{5, 7}, Shape{2, 3, 33}}) {
    check({.name = "rms_norm " + shape.to_string(),
           .shapes = {shape, {shape[-1]}},
           .record = [](Graph&, std::span<const Value> in) { return rms_norm(in[0], in[1], epsilon); },
           .reference = [](const std::vector<Numbers>& in) { return normalised(in, false); },
           .roundoffs = 16,
           .parameters = {false, true}});
  }
}

TEST(RowNorm, FaultsNameShapesAndRemedies) {
  Graph graph(Device::cpu(1));
  const Value x = graph.input("x", {5, 3}, DType::f32), gamma = graph.input("gamma", {3}, DType::f32);
  const Value wide = graph.input("wide", {4}, DType::f32);
  EXPECT_THROW(layer_norm(x, wide, gamma), ShapeError);
  EXPECT_THROW(layer_norm(x, gamma, wide), ShapeError);
  EXPECT_THROW(layer_norm(x, gamma, {}), ValueError);
  EXPECT_THROW(layer_norm(x, gamma, gamma, -1), ValueError);
  EXPECT_THROW(rms_norm(x, wide), ShapeError);
  EXPECT_THROW(rms_norm(graph.input("x", {5, 3}, DType::f64), gamma), DTypeError);
}

}  // namespace
}  // namespace rtl::graph::test

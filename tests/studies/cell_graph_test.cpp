// The encoder of a graph of cells as an architecture.
#include "studies/refine/cell_graph.hpp"

#include <gtest/gtest.h>

#include "rtl/core/error.hpp"
#include "rtl/layers/network.hpp"

namespace rtl::test {
namespace {

layers::GraphNodes three_nodes(float first) {
  return {.graph = data::neighbour_graph(std::vector<std::int32_t>{1, 0, 1}, 1, data::GraphNormalization::mean),
          .features = {first, 2, 3},
          .columns = 1};
}

TEST(CellGraph, EqualNodesAreOneArchitecture) {
  const std::string name = studies::refine::architecture_of(three_nodes(1));
  EXPECT_EQ(studies::refine::architecture_of(three_nodes(1)), name);
  EXPECT_NE(studies::refine::architecture_of(three_nodes(4)), name);
  const auto network = layers::make_network({name, "5-2", {1}, 4, 3}, Device::cpu(1), 1);
  EXPECT_EQ(network->feature_count(), 2);
  EXPECT_EQ(network->state().parameters.front().name, "graph.conv1.weight");
  const auto copy = layers::clone(*network, Device::cpu(1));
  EXPECT_EQ(copy->parameter_count(), (1 + 1) * 5 + (5 + 1) * 2 + (2 + 1) * 4);
}

TEST(CellGraph, TakesNumbersOfItsOwnNodesAlone) {
  const std::string name = studies::refine::architecture_of(three_nodes(1));
  EXPECT_THROW(layers::make_network({name, "5", {1}, 4, 7}, Device::cpu(1), 1), ValueError) << "seven nodes";
  EXPECT_THROW(layers::make_network({name, "5", {2}, 4, 3}, Device::cpu(1), 1), ValueError) << "two numbers";
  EXPECT_THROW(layers::make_network({name, "5", {1}, 4}, Device::cpu(1), 1), ValueError) << "no numbers of nodes";
  EXPECT_THROW(layers::make_network({name, "0", {1}, 4, 3}, Device::cpu(1), 1), ValueError);
  layers::GraphNodes uneven = three_nodes(1);
  uneven.features.push_back(1);
  EXPECT_THROW(studies::refine::architecture_of(uneven), ShapeError);
}

}  // namespace
}  // namespace rtl::test

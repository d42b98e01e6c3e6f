// Nearest neighbours against a comparison of all pairs, and the graphs that are made of them.
#include "rtl/data/neighbour_graph.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "support/random.hpp"

namespace rtl::data {
namespace {

using Numbers = std::vector<std::int32_t>;
using Values = std::vector<double>;

/// All others, sorted.
Numbers by_comparison(const Values& points, std::size_t width, std::size_t count) {
  const std::size_t rows = points.size() / width;
  Numbers neighbours;
  for (std::size_t row = 0; row < rows; ++row) {
    std::vector<std::pair<double, std::int32_t>> others;
    for (std::size_t other = 0; other < rows; ++other) {
      double distance = 0;
      for (std::size_t c = 0; c < width; ++c) {
        const double difference = points[row * width + c] - points[other * width + c];
        distance += difference * difference;
      }
      if (other != row) others.emplace_back(distance, static_cast<std::int32_t>(other));
    }
    std::sort(others.begin(), others.end());
    for (std::size_t k = 0; k < count; ++k) neighbours.push_back(others[k].second);
  }
  return neighbours;
}

TEST(NearestNeighbours, AreThoseOfAComparisonOfAll) {
  RandomSequence random(test::seed(), 4);
  for (const std::size_t width : {1U, 2U, 3U, 4U, 33U}) {
    for (const std::size_t rows : {2U, 3U, 17U, 57U, 333U}) {
      Values smooth(width * rows), grid(width * rows);
      for (double& value : smooth) value = random.normal();
      // Many are equally near, and some are one point.
      for (double& value : grid) value = static_cast<double>(random.below(4));
      for (const std::size_t count : {std::size_t{1}, std::min<std::size_t>(rows - 1, 5), rows - 1}) {
        for (const Values* points : {&smooth, &grid}) {
          EXPECT_EQ(nearest_neighbours(*points, static_cast<std::int64_t>(width), static_cast<std::int64_t>(count)),
                    by_comparison(*points, width, count))
              << rows << " points of " << width << ", " << count << " neighbours" << (points == &grid ? ", grid" : "");
        }
      }
    }
  }
}

TEST(NearestNeighbours, TiesGoByNumber) {
  EXPECT_EQ(nearest_neighbours(Values{0, 1, 2, 10, 1}, 1, 2), (Numbers{1, 4, 4, 0, 1, 4, 2, 1, 1, 0}));
  const Values same(2 * 40, 3.5);
  const Numbers found = nearest_neighbours(same, 2, 3);
  EXPECT_EQ(Numbers(found.begin(), found.begin() + 6), (Numbers{1, 2, 3, 0, 2, 3}));
  EXPECT_EQ(Numbers(found.end() - 3, found.end()), (Numbers{0, 1, 2}));
}

TEST(NearestNeighbours, FaultsAreTyped) {
  const Values points = {0, 1, 2, 3, 4, 5};
  EXPECT_THROW(nearest_neighbours(points, 2, 3), ValueError) << "as many as points";
  EXPECT_THROW(nearest_neighbours(points, 2, 0), ValueError);
  EXPECT_THROW(nearest_neighbours(points, 0, 1), ValueError);
  EXPECT_THROW(nearest_neighbours(points, 4, 1), ShapeError);
  EXPECT_THROW(nearest_neighbours({}, 2, 1), ValueError);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THROW(nearest_neighbours(Values{0, 1, bad, 3}, 2, 1), ValueError);
  }
}

TEST(NearestNeighbours, MeansOfTheirRows) {
  EXPECT_EQ(neighbour_means(Values{1, 2, 3}, 1, Numbers{1, 2, 0, 2, 0, 1}, 2), (Values{2.5, 2, 1.5}));
  EXPECT_THROW(neighbour_means(Values{1, 2, 3}, 1, Numbers{1, 2, 0, 2}, 2), ShapeError);
  EXPECT_THROW(neighbour_means(Values{1, 2, 3}, 1, Numbers{1, 3, 0}, 1), ValueError);
  EXPECT_THROW(neighbour_means(Values{1, 2, 3}, 1, Numbers{1, -1, 0}, 1), ValueError);
}

/// 0 and 1 have each other, 2 has 1.
const Numbers chain = {1, 0, 1};

TEST(NeighbourGraph, MeanWeighsANodeAndItsNeighboursAlike) {
  const NeighbourGraph graph = neighbour_graph(chain, 1, GraphNormalization::mean);
  EXPECT_EQ(graph.nodes(), 3);
  EXPECT_EQ(graph.offsets, (Numbers{0, 2, 4, 6}));
  EXPECT_EQ(graph.neighbours, (Numbers{0, 1, 0, 1, 1, 2}));
  EXPECT_EQ(graph.weights, Values(6, 0.5));
}

TEST(NeighbourGraph, SymmetricIsThatOfKipfAndWelling) {
  const NeighbourGraph graph = neighbour_graph(chain, 1, GraphNormalization::symmetric);
  EXPECT_EQ(graph.offsets, (Numbers{0, 2, 5, 7}));
  EXPECT_EQ(graph.neighbours, (Numbers{0, 1, 0, 1, 2, 1, 2}));
  // Degrees with loops: 2, 3, 2.
  const double side = 1 / std::sqrt(6.0);
  const Values wanted = {0.5, side, side, 1.0 / 3, side, side, 0.5};
  for (std::size_t e = 0; e < wanted.size(); ++e) EXPECT_DOUBLE_EQ(graph.weights[e], wanted[e]) << e;
}

TEST(NeighbourGraph, FaultsAreTyped) {
  EXPECT_THROW(neighbour_graph(Numbers{1, 1, 0}, 1, GraphNormalization::mean), ValueError) << "1 is its own";
  EXPECT_THROW(neighbour_graph(Numbers{1, 3, 0}, 1, GraphNormalization::mean), ValueError);
  EXPECT_THROW(neighbour_graph(Numbers{-1, 2, 0}, 1, GraphNormalization::mean), ValueError);
  EXPECT_THROW(neighbour_graph(Numbers{1, 1, 0, 2, 0, 1}, 2, GraphNormalization::mean), ValueError) << "1 twice";
  EXPECT_THROW(neighbour_graph(Numbers{1, 2, 0}, 2, GraphNormalization::mean), ShapeError);
  EXPECT_THROW(neighbour_graph(chain, 0, GraphNormalization::mean), ValueError);
}

}  // namespace
}  // namespace rtl::data

// Graphs of samples that lie near each other, as graph convolutions need them (rtl/layers/graph_convolution.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::data {

/// Of each of the points [rows, width], row-major, the `count` nearest others by Euclidean distance, nearest first, of
/// equally near ones that of the smaller number: [rows, count]. Exact: squared distances are sums in double, in the
/// order of the columns. Points of up to three columns go through a k-d tree (Friedman, Bentley and Finkel 1977), about
/// rows log rows in all; others are compared with each other, O(rows^2 width), in tiles that stay in cache, on the
/// threads that OpenMP grants. Memory beside the result: O(rows). The result does not depend on the threads. Throws
/// ValueError for a width or count that is not positive, a number that is not finite, count >= rows and 2^31 rows or
/// more; ShapeError for points that are no whole rows.
std::vector<std::int32_t> nearest_neighbours(std::span<const double> points, std::int64_t width, std::int64_t count);

/// For each row of `values` [rows, width] the mean of its neighbours' rows, `neighbours` [rows, count]: [rows, width].
/// Throws ShapeError for lists whose lengths do not fit, ValueError for a neighbour that is none of the rows.
std::vector<double> neighbour_means(std::span<const double> values, std::int64_t width,
                                    std::span<const std::int32_t> neighbours, std::int64_t count);

/// What a graph convolution multiplies with: the weight of edge e of node i, offsets[i] <= e < offsets[i + 1], is that
/// of node neighbours[e] in node i's sum. Edges of a node are in the order of their neighbours' numbers.
struct NeighbourGraph {
  std::vector<std::int32_t> offsets;  ///< [nodes + 1]
  std::vector<std::int32_t> neighbours;
  std::vector<double> weights;
  std::int64_t nodes() const noexcept { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

enum class GraphNormalization : std::uint8_t {
  /// Means of a node and its neighbours, D^-1 (A + I): edges go one way, from a node to its own nearest.
  mean,
  /// D^-1/2 (A + I) D^-1/2 of Kipf and Welling 2017: an edge wherever one of two nodes has the other as a neighbour,
  /// degrees with the loop.
  symmetric
};

/// The graph of these neighbours [nodes, count], with a loop at every node. O(nodes count log count). Throws ValueError
/// for a neighbour that is no other node, or twice the same, and for 2^31 edges or more; ShapeError where the list is
/// no [nodes, count].
NeighbourGraph neighbour_graph(std::span<const std::int32_t> neighbours, std::int64_t count,
                               GraphNormalization normalization);

}  // namespace rtl::data

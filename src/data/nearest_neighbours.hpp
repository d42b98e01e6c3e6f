// The nearest neighbours of every row of a matrix, and means over them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rtl::data {

/// Of each of `rows` points [rows, width] the `count` nearest others by Euclidean distance, nearest first, of equally
/// near ones that of the smaller number: [rows, count]. O(rows^2 width), exact.
/// `count` is below `rows`.
std::vector<std::int32_t> nearest_neighbours(std::span<const double> points, std::int64_t width, std::int64_t count);

/// For each row of `values` [rows, width] the mean of its neighbours' rows: [rows, width].
std::vector<double> neighbour_means(std::span<const double> values, std::int64_t width,
                                    std::span<const std::int32_t> neighbours, std::int64_t count);

}  // namespace rtl::data

#include "data/nearest_neighbours.hpp"

#include <algorithm>
#include <utility>

namespace rtl::data {

std::vector<std::int32_t> nearest_neighbours(std::span<const double> points, std::int64_t width, std::int64_t count) {
  const auto columns = static_cast<std::size_t>(width), wanted = static_cast<std::size_t>(count);
  const std::size_t rows = points.size() / columns;
  std::vector<std::int32_t> neighbours(rows * wanted);
  std::vector<std::pair<double, std::int32_t>> others;
  others.reserve(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    others.clear();
    const double* own = points.data() + row * columns;
    for (std::size_t other = 0; other < rows; ++other) {
      if (other == row) continue;
      const double* there = points.data() + other * columns;
      double distance = 0;
      for (std::size_t c = 0; c < columns; ++c) distance += (own[c] - there[c]) * (own[c] - there[c]);
      others.emplace_back(distance, static_cast<std::int32_t>(other));
    }
    const auto end = others.begin() + count;
    std::partial_sort(others.begin(), end, others.end());
    for (std::size_t k = 0; k < wanted; ++k) neighbours[row * wanted + k] = others[k].second;
  }
  return neighbours;
}

std::vector<double> neighbour_means(std::span<const double> values, std::int64_t width,
                                    std::span<const std::int32_t> neighbours, std::int64_t count) {
  const auto columns = static_cast<std::size_t>(width), each = static_cast<std::size_t>(count);
  const std::size_t rows = values.size() / columns;
  std::vector<double> means(values.size());
  for (std::size_t row = 0; row < rows; ++row) {
    double* mean = means.data() + row * columns;
    for (std::size_t k = 0; k < each; ++k) {
      const double* there = values.data() + static_cast<std::size_t>(neighbours[row * each + k]) * columns;
      for (std::size_t c = 0; c < columns; ++c) mean[c] += there[c];
    }
    for (std::size_t c = 0; c < columns; ++c) mean[c] /= static_cast<double>(each);
  }
  return means;
}

}  // namespace rtl::data

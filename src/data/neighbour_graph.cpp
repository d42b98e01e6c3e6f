#include "rtl/data/neighbour_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/captured_exception.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

/// A point's squared distance and number: smaller is nearer.
using Candidate = std::pair<double, std::int32_t>;

/// The nearest so far, as a heap with the farthest in front.
class Nearest {
 public:
  explicit Nearest(std::size_t wanted) : wanted_(wanted) { heap_.reserve(wanted); }

  bool full() const { return heap_.size() == wanted_; }
  double farthest() const { return heap_.front().first; }
  void offer(const Candidate& candidate) {
    if (full()) {
      if (!(candidate < heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = candidate;
    } else {
      heap_.push_back(candidate);
    }
    std::push_heap(heap_.begin(), heap_.end());
  }
  /// Nearest first; afterwards there is none.
  void take(std::int32_t* numbers) {
    std::sort_heap(heap_.begin(), heap_.end());
    for (const Candidate& candidate : heap_) *numbers++ = candidate.second;
    heap_.clear();
  }

 private:
  std::size_t wanted_;
  std::vector<Candidate> heap_;
};

struct Points {
  const double* values;
  std::int64_t rows, width;
  double at(std::int32_t row, std::int64_t column) const { return values[row * width + column]; }
  double squared_distance(std::int64_t a, std::int64_t b) const {
    double sum = 0;
    for (std::int64_t c = 0; c < width; ++c) {
      const double difference = values[a * width + c] - values[b * width + c];
      sum += difference * difference;
    }
    return sum;
  }
};

/// Numbers of points, halved again and again by the median of the column that spreads most. A part's split is the
/// point in its middle: those before it are not above it, those behind it not below.
class KdTree {
 public:
  explicit KdTree(const Points& points) : points_(points), order_(static_cast<std::size_t>(points.rows)) {
    std::iota(order_.begin(), order_.end(), 0);
    axes_.resize(order_.size());
    split(0, points.rows);
  }

  void find(std::int32_t row, Nearest& nearest) const { search(row, 0, points_.rows, nearest); }

 private:
  static constexpr std::int64_t leaf = 16;

  void split(std::int64_t begin, std::int64_t end) {
    if (end - begin <= leaf) return;
    const auto first = order_.begin() + begin, last = order_.begin() + end, middle = first + (end - begin) / 2;
    const std::int64_t axis = widest(begin, end);
    std::nth_element(first, middle, last, [&](std::int32_t a, std::int32_t b) {
      return std::pair(points_.at(a, axis), a) < std::pair(points_.at(b, axis), b);
    });
    axes_[static_cast<std::size_t>(middle - order_.begin())] = static_cast<std::uint8_t>(axis);
    split(begin, middle - order_.begin());
    split(middle - order_.begin() + 1, end);
  }

  std::int64_t widest(std::int64_t begin, std::int64_t end) const {
    std::int64_t axis = 0;
    double most = -1;
    for (std::int64_t c = 0; c < points_.width; ++c) {
      double low = points_.at(order_[static_cast<std::size_t>(begin)], c), high = low;
      for (std::int64_t i = begin; i < end; ++i) {
        low = std::min(low, points_.at(order_[static_cast<std::size_t>(i)], c));
        high = std::max(high, points_.at(order_[static_cast<std::size_t>(i)], c));
      }
      if (high - low > most) {
        most = high - low;
        axis = c;
      }
    }
    return axis;
  }

  void offer(std::int32_t row, std::int64_t place, Nearest& nearest) const {
    const std::int32_t other = order_[static_cast<std::size_t>(place)];
    if (other != row) nearest.offer({points_.squared_distance(row, other), other});
  }

  void search(std::int32_t row, std::int64_t begin, std::int64_t end, Nearest& nearest) const {
    if (end - begin <= leaf) {
      for (std::int64_t i = begin; i < end; ++i) offer(row, i, nearest);
      return;
    }
    const std::int64_t middle = begin + (end - begin) / 2;
    const std::int64_t axis = axes_[static_cast<std::size_t>(middle)];
    const double beyond = points_.at(row, axis) - points_.at(order_[static_cast<std::size_t>(middle)], axis);
    const bool below = beyond < 0;
    below ? search(row, begin, middle, nearest) : search(row, middle + 1, end, nearest);
    // Rounding keeps order, so no point of the other side is nearer than this; one as near may have a smaller number.
    if (nearest.full() && beyond * beyond > nearest.farthest()) return;
    offer(row, middle, nearest);
    below ? search(row, middle + 1, end, nearest) : search(row, begin, middle, nearest);
  }

  const Points& points_;
  std::vector<std::int32_t> order_;
  std::vector<std::uint8_t> axes_;  ///< by the place of the split
};

constexpr std::int64_t most_tree_columns = 3;
constexpr std::int64_t tile_rows = 32, tile_numbers = 1 << 12;  // 32 KiB of points that many rows are compared with

void search_tree(const Points& points, std::int64_t count, std::int32_t* neighbours) {
  const KdTree tree(points);
  CapturedException fault;
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < points.rows; ++row) {
    fault.guard([&] {
      Nearest nearest(static_cast<std::size_t>(count));
      tree.find(static_cast<std::int32_t>(row), nearest);
      nearest.take(neighbours + row * count);
    });
  }
  fault.rethrow();
}

/// Of the points [first, last) by comparing them with all.
void search_rows(const Points& points, std::int64_t count, std::int64_t first, std::int64_t last,
                 std::int32_t* neighbours) {
  const std::int64_t tile = std::max<std::int64_t>(1, tile_numbers / points.width);
  std::vector<Nearest> nearest(static_cast<std::size_t>(last - first), Nearest(static_cast<std::size_t>(count)));
  for (std::int64_t begin = 0; begin < points.rows; begin += tile) {
    const std::int64_t end = std::min(begin + tile, points.rows);
    for (std::int64_t row = first; row < last; ++row) {
      for (std::int64_t other = begin; other < end; ++other) {
        if (other == row) continue;
        nearest[static_cast<std::size_t>(row - first)].offer(
            {points.squared_distance(row, other), static_cast<std::int32_t>(other)});
      }
    }
  }
  for (std::int64_t row = first; row < last; ++row) {
    nearest[static_cast<std::size_t>(row - first)].take(neighbours + row * count);
  }
}

void search_all(const Points& points, std::int64_t count, std::int32_t* neighbours) {
  CapturedException fault;
#pragma omp parallel for schedule(static)
  for (std::int64_t first = 0; first < points.rows; first += tile_rows) {
    fault.guard([&] { search_rows(points, count, first, std::min(first + tile_rows, points.rows), neighbours); });
  }
  fault.rethrow();
}

std::int64_t whole_rows(const char* call, std::size_t numbers, std::int64_t width) {
  if (width < 1) throw ValueError(fmt::format("{}: rows of {} numbers", call, width));
  if (numbers % static_cast<std::size_t>(width) != 0) {
    throw ShapeError(fmt::format("{}: {} numbers are no rows of {}", call, numbers, width));
  }
  return static_cast<std::int64_t>(numbers) / width;
}

/// Of each node its own number and its neighbours', in order.
std::vector<std::vector<std::int32_t>> with_loops(std::span<const std::int32_t> neighbours, std::int64_t count) {
  const std::int64_t nodes = whole_rows("neighbour_graph", neighbours.size(), count);
  std::vector<std::vector<std::int32_t>> edges(static_cast<std::size_t>(nodes));
  for (std::int64_t i = 0; i < nodes; ++i) {
    const auto own = neighbours.subspan(static_cast<std::size_t>(i * count), static_cast<std::size_t>(count));
    std::vector<std::int32_t>& list = edges[static_cast<std::size_t>(i)];
    list.assign(own.begin(), own.end());
    list.push_back(static_cast<std::int32_t>(i));
    std::sort(list.begin(), list.end());
    if (list.front() < 0 || list.back() >= nodes || std::adjacent_find(list.begin(), list.end()) != list.end()) {
      throw ValueError(
          fmt::format("neighbour_graph: of node {} a neighbour is itself, twice the same, or none of {}", i, nodes));
    }
  }
  return edges;
}

void make_symmetric(std::vector<std::vector<std::int32_t>>& edges) {
  const auto one_way = edges;
  for (std::size_t i = 0; i < one_way.size(); ++i) {
    for (const std::int32_t j : one_way[i]) edges[static_cast<std::size_t>(j)].push_back(static_cast<std::int32_t>(i));
  }
  for (std::vector<std::int32_t>& list : edges) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
}

}  // namespace

std::vector<std::int32_t> nearest_neighbours(std::span<const double> points, std::int64_t width, std::int64_t count) {
  constexpr auto call = "nearest_neighbours";
  const std::int64_t rows = whole_rows(call, points.size(), width);
  if (count < 1 || count >= rows) {
    throw ValueError(fmt::format("{}: {} neighbours of each of {} points; there may be 1 to {}", call, count, rows,
                                 std::max<std::int64_t>(0, rows - 1)));
  }
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    throw ValueError(fmt::format("{}: {} points; there may be 2^31 - 1", call, rows));
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (std::isfinite(points[i])) continue;
    throw ValueError(fmt::format("{}: point {}, column {} is {}", call, i / static_cast<std::size_t>(width),
                                 i % static_cast<std::size_t>(width), points[i]));
  }
  std::vector<std::int32_t> neighbours(static_cast<std::size_t>(rows * count));
  const Points all{points.data(), rows, width};
  width <= most_tree_columns ? search_tree(all, count, neighbours.data()) : search_all(all, count, neighbours.data());
  return neighbours;
}

std::vector<double> neighbour_means(std::span<const double> values, std::int64_t width,
                                    std::span<const std::int32_t> neighbours, std::int64_t count) {
  constexpr auto call = "neighbour_means";
  const std::int64_t nodes = whole_rows(call, values.size(), width);
  if (whole_rows(call, neighbours.size(), count) != nodes) {
    throw ShapeError(fmt::format("{}: {} rows of values, but neighbours of {}", call, nodes,
                                 neighbours.size() / static_cast<std::size_t>(count)));
  }
  const auto columns = static_cast<std::size_t>(width), each = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < neighbours.size(); ++i) {
    if (neighbours[i] >= 0 && neighbours[i] < nodes) continue;
    throw ValueError(fmt::format("{}: row {} has the neighbour {}, of {} rows", call, i / each, neighbours[i], nodes));
  }
  std::vector<double> means(values.size());
  for (std::size_t row = 0; row < static_cast<std::size_t>(nodes); ++row) {
    double* mean = means.data() + row * columns;
    for (std::size_t k = 0; k < each; ++k) {
      const double* there = values.data() + static_cast<std::size_t>(neighbours[row * each + k]) * columns;
      for (std::size_t c = 0; c < columns; ++c) mean[c] += there[c];
    }
    for (std::size_t c = 0; c < columns; ++c) mean[c] /= static_cast<double>(each);
  }
  return means;
}

NeighbourGraph neighbour_graph(std::span<const std::int32_t> neighbours, std::int64_t count,
                               GraphNormalization normalization) {
  std::vector<std::vector<std::int32_t>> edges = with_loops(neighbours, count);
  const bool symmetric = normalization == GraphNormalization::symmetric;
  if (symmetric) make_symmetric(edges);
  std::size_t entries = 0;
  for (const std::vector<std::int32_t>& list : edges) entries += list.size();
  if (entries > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw ValueError(fmt::format("neighbour_graph: {} edges; there may be 2^31 - 1", entries));
  }
  NeighbourGraph graph{{0}, {}, {}};
  for (const std::vector<std::int32_t>& list : edges) {
    const auto degree = static_cast<double>(list.size());
    for (const std::int32_t j : list) {
      const auto other = static_cast<double>(edges[static_cast<std::size_t>(j)].size());
      graph.neighbours.push_back(j);
      graph.weights.push_back(symmetric ? 1 / std::sqrt(degree * other) : 1 / degree);
    }
    graph.offsets.push_back(static_cast<std::int32_t>(graph.neighbours.size()));
  }
  return graph;
}

}  // namespace rtl::data

// Pooling and the other maps of images, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <algorithm>

#include "graph/operation_case.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph::test {
namespace {

using kernels::PoolOptions;

/// The elements of each window of images [n, h, w, c], in the order of the result.
std::vector<Numbers> windows(const Shape& shape, const PoolOptions& options, const Numbers& x) {
  std::vector<Numbers> all;
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t top = 0; top + options.window <= shape[1]; top += options.stride) {
      for (std::int64_t left = 0; left + options.window <= shape[2]; left += options.stride) {
        for (std::int64_t c = 0; c < shape[3]; ++c) {
          Numbers window;
          for (std::int64_t at = 0; at < options.window * options.window; ++at) {
            const std::int64_t row = top + at / options.window, column = left + at % options.window;
            window.push_back(x[static_cast<std::size_t>(((n * shape[1] + row) * shape[2] + column) * shape[3] + c)]);
          }
          all.push_back(std::move(window));
        }
      }
    }
  }
  return all;
}

Numbers squares(Numbers x) {
  for (double& value : x) value *= value;
  return x;
}

double mean_of(const Numbers& values) {
  double total = 0;
  for (const double value : values) total += value;
  return total / static_cast<double>(values.size());
}

/// The square of `operation`, so that the gradient's own gradient is not zero.
OperationCase squared(const std::string& name, const Shape& shape, const std::function<Value(const Value&)>& operation,
                      const std::function<Numbers(const Numbers&)>& reference) {
  return {.name = name + " " + shape.to_string(),
          .shapes = {shape},
          .record = [operation](Graph&, std::span<const Value> in) { return square(operation(in[0])); },
          .reference = [reference](const std::vector<Numbers>& in) { return squares(reference(in[0])); }};
}

struct Geometry {
  Shape shape;
  PoolOptions options;
};
/// Windows side by side, overlapping, apart, and all of an image.
const std::vector<Geometry>& geometries() {
  static const std::vector<Geometry> all = {
      {{2, 4, 6, 3}, {2, 2}}, {{3, 5, 7, 17}, {3, 2}}, {{1, 7, 8, 5}, {2, 3}}, {{2, 3, 3, 1}, {3, 1}}};
  return all;
}

TEST(Pooling, MaxPool) {
  for (const auto& [shape, options] : geometries()) {
    OperationCase maximum = squared(
        "max_pool", shape, [options](const Value& x) { return max_pool(x, options); },
        [shape, options](const Numbers& x) {
          Numbers y;
          for (const Numbers& window : windows(shape, options, x)) {
            y.push_back(*std::max_element(window.begin(), window.end()));
          }
          return y;
        });
    // So far apart that a difference does not change which element is the largest.
    maximum.low = -50;
    maximum.high = 50;
    check(maximum);
  }
}

TEST(Pooling, AveragePool) {
  for (const auto& [shape, options] : geometries()) {
    OperationCase average = squared(
        "average_pool", shape, [options](const Value& x) { return average_pool(x, options); },
        [shape, options](const Numbers& x) {
          Numbers y;
          for (const Numbers& window : windows(shape, options, x)) y.push_back(mean_of(window));
          return y;
        });
    // Of one sign: else all means of a small image may be next to zero, and their roundoffs are those of the elements.
    average.low = 0.25;
    check(average);
  }
}

TEST(Pooling, GlobalAveragePool) {
  for (const Shape& shape : {Shape{2, 4, 5, 3}, Shape{33, 1, 1, 2}, Shape{1, 17, 3, 1}}) {
    check(squared("global_average_pool", shape, global_average_pool, [shape](const Numbers& x) {
      Numbers y;
      const std::size_t pixels = static_cast<std::size_t>(shape[1] * shape[2]);
      const std::size_t channels = static_cast<std::size_t>(shape[3]);
      for (std::size_t i = 0; i < static_cast<std::size_t>(shape[0]) * channels; ++i) {
        Numbers positions;
        for (std::size_t p = 0; p < pixels; ++p)
          positions.push_back(x[(i / channels * pixels + p) * channels + i % channels]);
        y.push_back(mean_of(positions));
      }
      return y;
    }));
  }
}

TEST(Pooling, FlattenPutsChannelsFirst) {
  for (const Shape& shape : {Shape{2, 3, 5, 4}, Shape{1, 7, 1, 33}}) {
    check(squared("flatten", shape, flatten, [shape](const Numbers& x) {
      Numbers y;
      const auto channels = static_cast<std::size_t>(shape[3]), pixels = static_cast<std::size_t>(shape[1] * shape[2]);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t n = i / (channels * pixels), c = i / pixels % channels, p = i % pixels;
        y.push_back(x[(n * pixels + p) * channels + c]);
      }
      return y;
    }));
  }
}

TEST(Pooling, ShortcutTakesEverySecondPixelAndAddsChannels) {
  for (const auto& [shape, channels] :
       {std::pair{Shape{2, 4, 6, 3}, 7}, {Shape{1, 5, 3, 4}, 8}, {Shape{2, 3, 3, 2}, 2}}) {
    const std::int64_t out = channels;
    check(squared(
        "shortcut_a", shape, [out](const Value& x) { return shortcut_a(x, out); },
        [shape, out](const Numbers& x) {
          Numbers y;
          for (std::int64_t n = 0; n < shape[0]; ++n) {
            for (std::int64_t row = 0; row < shape[1]; row += 2) {
              for (std::int64_t column = 0; column < shape[2]; column += 2) {
                for (std::int64_t c = 0; c < out; ++c) {
                  const std::int64_t from = c - (out - shape[3]) / 2;
                  const std::int64_t pixel = (n * shape[1] + row) * shape[2] + column;
                  const bool there = from >= 0 && from < shape[3];
                  y.push_back(there ? x[static_cast<std::size_t>(pixel * shape[3] + from)] : 0.0);
                }
              }
            }
          }
          return y;
        }));
  }
}

TEST(Pooling, FaultsNameShapes) {
  Graph graph(Device::cpu(1));
  const Value x = graph.input("x", {2, 5, 5, 3}, DType::f32), rows = graph.input("rows", {2, 5}, DType::f32);
  EXPECT_THROW(max_pool(x, {.window = 6}), ShapeError);
  EXPECT_THROW(max_pool(x, {.stride = 0}), ValueError);
  EXPECT_THROW(max_pool(rows, {}), ShapeError);
  EXPECT_THROW(max_pool(Value(), {}), ValueError);
  EXPECT_THROW(max_pool(graph.input("labels", {2, 5, 5, 3}, DType::i32), {}), DTypeError);
  EXPECT_THROW(average_pool(x, {.window = 6}), ShapeError);
  EXPECT_THROW(global_average_pool(rows), ShapeError);
  EXPECT_THROW(global_average_pool(graph.input("empty", {2, 0, 5, 3}, DType::f32)), ShapeError);
  EXPECT_THROW(flatten(rows), ShapeError);
  EXPECT_THROW(shortcut_a(x, 2), ShapeError);
}

}  // namespace
}  // namespace rtl::graph::test

// Convolutions and their gradients, by the checks of operation_case.hpp.
#include <gtest/gtest.h>

#include <algorithm>

#include "graph/operation_case.hpp"
#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph::test {
namespace {

using kernels::Conv2dOptions;

/// One convolution: x [n, h, w, in], weights [out, in, kh, kw].
struct Geometry {
  std::int64_t n, h, w, in, out, kh, kw;
  Conv2dOptions options;
  std::int64_t outputs(std::int64_t extent, std::int64_t kernel) const {
    if (options.same) return (extent + options.stride - 1) / options.stride;
    return (extent + 2 * options.padding - (kernel - 1) * options.dilation - 1) / options.stride + 1;
  }
  std::int64_t before(std::int64_t extent, std::int64_t kernel) const {
    const std::int64_t last = (outputs(extent, kernel) - 1) * options.stride + (kernel - 1) * options.dilation;
    return options.same ? std::max<std::int64_t>(0, last + 1 - extent) / 2 : options.padding;
  }
  std::int64_t oh() const { return outputs(h, kh); }
  std::int64_t ow() const { return outputs(w, kw); }
  std::int64_t inputs() const { return in / options.groups; }
  Shape x() const { return {n, h, w, in}; }
  Shape weights() const { return {out, inputs(), kh, kw}; }
  Shape y() const { return {n, oh(), ow(), out}; }
};

/// Calls visit(element of x, element of the weights, element of y) for every product of the convolution.
template <typename Visit>
void for_each_product(const Geometry& g, const Visit& visit) {
  for (std::int64_t y = 0; y < g.n * g.oh() * g.ow() * g.out; ++y) {
    const std::int64_t o = y % g.out, column = y / g.out % g.ow(), row = y / g.out / g.ow() % g.oh();
    const std::int64_t image = y / g.out / g.ow() / g.oh();
    for (std::int64_t w = 0; w < g.inputs() * g.kh * g.kw; ++w) {
      const std::int64_t j = w % g.kw, i = w / g.kw % g.kh, c = w / g.kw / g.kh;
      const std::int64_t r = row * g.options.stride + i * g.options.dilation - g.before(g.h, g.kh);
      const std::int64_t q = column * g.options.stride + j * g.options.dilation - g.before(g.w, g.kw);
      if (r < 0 || r >= g.h || q < 0 || q >= g.w) continue;
      const std::int64_t channel = o / (g.out / g.options.groups) * g.inputs() + c;
      visit(static_cast<std::size_t>(((image * g.h + r) * g.w + q) * g.in + channel),
            static_cast<std::size_t>(o * g.inputs() * g.kh * g.kw + w), static_cast<std::size_t>(y));
    }
  }
}

/// Strides, paddings, odd sizes, and one that the host does by Winograd's filtering.
const std::vector<Geometry>& geometries() {
  static const std::vector<Geometry> all = {{2, 5, 5, 3, 4, 3, 3, {1, 1}},
                                            {3, 7, 5, 2, 3, 3, 3, {2, 1}},
                                            {1, 4, 6, 5, 2, 1, 1, {1, 0}},
                                            {2, 6, 6, 1, 3, 2, 3, {1, 0}},
                                            {2, 5, 5, 3, 2, 1, 1, {2, 0}},
                                            {1, 9, 8, 16, 16, 3, 3, {1, 1}},
                                            {2, 5, 4, 4, 4, 3, 3, {.padding = 1, .groups = 4}},
                                            {1, 6, 5, 3, 3, 5, 5, {.stride = 2, .groups = 3, .same = true}},
                                            {1, 6, 5, 4, 6, 3, 3, {.padding = 2, .dilation = 2, .groups = 2}},
                                            {1, 6, 5, 2, 3, 3, 3, {.stride = 2, .same = true}}};
  return all;
}

std::string text(const Geometry& g) {
  return g.x().to_string() + " * " + g.weights().to_string() + " stride " + std::to_string(g.options.stride) +
         " groups " + std::to_string(g.options.groups);
}

Numbers convolution(const Geometry& g, const Numbers& x, const Numbers& w, const Numbers& bias) {
  Numbers y(static_cast<std::size_t>(g.y().count()));
  for (std::size_t i = 0; i < y.size() && !bias.empty(); ++i) y[i] = bias[i % bias.size()];
  for_each_product(g, [&](std::size_t xi, std::size_t wi, std::size_t yi) { y[yi] += x[xi] * w[wi]; });
  return y;
}

TEST(Convolution, ForwardWithAndWithoutBias) {
  for (const Geometry& g : geometries()) {
    check({.name = "conv2d " + text(g),
           .shapes = {g.x(), g.weights(), {g.out}},
           .record = [g](Graph&, std::span<const Value> in) { return conv2d(in[0], in[1], in[2], g.options); },
           .reference = [g](const std::vector<Numbers>& in) { return convolution(g, in[0], in[1], in[2]); },
           .roundoffs = 32,
           .parameters = {false, true, true}});
    check({.name = "conv2d without bias " + text(g),
           .shapes = {g.x(), g.weights()},
           .record = [g](Graph&, std::span<const Value> in) { return conv2d(in[0], in[1], {}, g.options); },
           .reference = [g](const std::vector<Numbers>& in) { return convolution(g, in[0], in[1], {}); },
           .roundoffs = 32,
           .parameters = {false, true}});
  }
}

TEST(Convolution, GradientOfTheImages) {
  for (const Geometry& g : geometries()) {
    check({.name = "conv2d_backward_data " + text(g),
           .shapes = {g.y(), g.weights()},
           .record = [g](Graph&,
                         std::span<const Value> in) { return conv2d_backward_data(in[0], in[1], g.x(), g.options); },
           .reference =
               [g](const std::vector<Numbers>& in) {
                 Numbers dx(static_cast<std::size_t>(g.x().count()));
                 for_each_product(g,
                                  [&](std::size_t x, std::size_t w, std::size_t y) { dx[x] += in[0][y] * in[1][w]; });
                 return dx;
               },
           .roundoffs = 32,
           .parameters = {false, true}});
  }
}

TEST(Convolution, GradientOfTheParameters) {
  const auto of_weights = [](const Geometry& g, const std::vector<Numbers>& in) {
    Numbers dw(static_cast<std::size_t>(g.weights().count()));
    for_each_product(g, [&](std::size_t x, std::size_t w, std::size_t y) { dw[w] += in[0][x] * in[1][y]; });
    return dw;
  };
  for (const Geometry& g : geometries()) {
    check({.name = "conv2d_backward_weights " + text(g),
           .shapes = {g.x(), g.y()},
           .record =
               [g](Graph&, std::span<const Value> in) {
                 return conv2d_backward_weights(in[0], in[1], g.weights(), false, g.options).weight;
               },
           .reference = [=](const std::vector<Numbers>& in) { return of_weights(g, in); },
           .roundoffs = 64});
    check({.name = "conv2d_backward_weights with bias " + text(g),
           .shapes = {g.x(), g.y()},
           .record =
               [g](Graph&, std::span<const Value> in) {
                 const auto [weight, bias] = conv2d_backward_weights(in[0], in[1], g.weights(), true, g.options);
                 return add(weight, reshape(bias, {g.out, 1, 1, 1}));
               },
           .reference =
               [=](const std::vector<Numbers>& in) {
                 Numbers sums = of_weights(g, in);
                 const std::size_t outputs = static_cast<std::size_t>(g.out), filter = sums.size() / outputs;
                 for (std::size_t y = 0; y < in[1].size(); ++y) {
                   for (std::size_t i = 0; i < filter; ++i) sums[y % outputs * filter + i] += in[1][y];
                 }
                 return sums;
               },
           .roundoffs = 64});
  }
}

TEST(Convolution, CountsItsArithmetic) {
  Graph graph(Device::cpu(1));
  const Geometry g{2, 7, 5, 3, 4, 3, 3, {2, 1}};
  const Value x = graph.input("x", g.x(), DType::f32), w = graph.input("w", g.weights(), DType::f32);
  const Value y = conv2d(x, w, {}, g.options);
  conv2d_backward_data(y, w, g.x(), g.options);
  conv2d_backward_weights(x, y, g.weights(), false, g.options);
  for (const NodeRecord& node : graph.nodes()) {
    const std::vector<Value> operands = {graph.value(node.operands[0]), graph.value(node.operands[1]), Value()};
    EXPECT_EQ(node.operation->flops(operands), 2.0 * 2 * 4 * 3 * 4 * 3 * 9) << node.operation->name();
  }
}

TEST(Convolution, FaultsNameShapes) {
  Graph graph(Device::cpu(1));
  const Value x = graph.input("x", {2, 5, 5, 3}, DType::f32), w = graph.input("w", {4, 3, 3, 3}, DType::f32);
  EXPECT_THROW(conv2d(x, graph.input("w", {4, 2, 3, 3}, DType::f32), {}, {}), ShapeError);
  EXPECT_THROW(conv2d(x, graph.input("w", {4, 3, 7, 7}, DType::f32), {}, {}), ShapeError);
  EXPECT_THROW(conv2d(x, w, graph.input("bias", {3}, DType::f32), {}), ShapeError);
  EXPECT_THROW(conv2d(x, w, graph.input("bias", {4}, DType::f64), {}), DTypeError);
  EXPECT_THROW(conv2d(x, w, {}, {.stride = 0}), ValueError);
  EXPECT_THROW(conv2d(x, w, {}, {.groups = 0}), ValueError);
  EXPECT_THROW(conv2d(x, w, {}, {.groups = 3}), ShapeError);
  EXPECT_THROW(conv2d(x, graph.input("w", {4, 1, 3, 3}, DType::f32), {}, {.groups = 3}), ShapeError);
  EXPECT_THROW(conv2d(x, {}, {}, {}), ValueError);
  EXPECT_THROW(conv2d_backward_data(x, w, {2, 5, 5, 3}, {}), ShapeError);
  EXPECT_THROW(conv2d_backward_weights(x, x, {4, 3, 3, 3}, false, {}), ShapeError);
}

}  // namespace
}  // namespace rtl::graph::test

#include "rtl/kernels/pool.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::PoolOptions;

struct Geometry {
  std::int64_t n, h, w, c;
  int window = 2, stride = 2, padding = 0;
  PoolOptions options() const { return {window, stride, padding}; }
  std::int64_t oh() const { return (h + 2 * padding - window) / stride + 1; }
  std::int64_t ow() const { return (w + 2 * padding - window) / stride + 1; }
  Shape x() const { return {n, h, w, c}; }
  Shape y() const { return {n, oh(), ow(), c}; }
  std::string name() const {
    return fmt::format("{}x{}x{}x{}_window{}_stride{}_padding{}", n, h, w, c, window, stride, padding);
  }
};

const std::vector<Geometry> geometries = {{1, 1, 1, 1, 1, 1},    {2, 4, 4, 16},       {3, 5, 7, 3},
                                          {1, 6, 6, 33, 3, 1},   {2, 7, 5, 31, 3, 2}, {0, 4, 4, 3},
                                          {1, 5, 5, 1025, 2, 3}, {16, 12, 12, 17}};

/// What only max pooling does.
const std::vector<Geometry> padded = {
    {1, 1, 1, 3, 3, 2, 1}, {2, 8, 7, 33, 3, 2, 1}, {1, 6, 6, 16, 5, 3, 2}, {2, 5, 4, 2, 2, 1, 1}};

std::vector<Geometry> all_geometries() {
  std::vector<Geometry> all = geometries;
  all.insert(all.end(), padded.begin(), padded.end());
  return all;
}

/// Calls f(y index, x index, position in the image) for every window element, windows in row-major order.
template <typename F>
void for_windows(const Geometry& g, const F& f) {
  for (std::int64_t y = 0; y < g.y().count(); ++y) {
    const std::int64_t c = y % g.c, column = y / g.c % g.ow(), row = y / g.c / g.ow() % g.oh();
    const std::int64_t n = y / g.c / g.ow() / g.oh();
    for (std::int64_t at = 0; at < g.window * g.window; ++at) {
      const std::int64_t h = row * g.stride - g.padding + at / g.window;
      const std::int64_t w = column * g.stride - g.padding + at % g.window;
      if (h < 0 || h >= g.h || w < 0 || w >= g.w) continue;
      f(static_cast<std::size_t>(y), static_cast<std::size_t>(((n * g.h + h) * g.w + w) * g.c + c), h * g.w + w);
    }
  }
}

struct Largest {
  Reals values, winners;
};

Largest largest_of(const Geometry& g, const Reals& x) {
  const auto count = static_cast<std::size_t>(g.y().count());
  Largest y{Reals(count), Reals(count, -1)};
  for_windows(g, [&](std::size_t to, std::size_t from, std::int64_t position) {
    const bool wins = y.winners[to] < 0 || (!std::isnan(y.values[to]) && !(x[from] <= y.values[to]));
    if (!wins) return;
    y.values[to] = x[from];
    y.winners[to] = static_cast<long double>(position);
  });
  return y;
}

const bool max_forward_registered = register_cases("max_pool_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Geometry& g : all_geometries()) {
    KernelCase c;
    c.label = g.name();
    // Few distinct values, so that the first of equals matters; and a NaN, which wins.
    Reals x = random.below(g.x(), 7);
    if (x.size() > 20) x[x.size() / 2] = NAN;
    c.inputs = {{"x", g.x(), x}};
    c.outputs = {{"y", g.y(), 0}, {"winners", g.y(), 0, 0, {}, DType::i32}};
    c.dtypes = activation_dtypes;
    c.run = [g](const Device& device, auto& in, auto& out) {
      kernels::max_pool_forward(device, in[0], g.options(), out[0], out[1]);
    };
    c.reference = [g](auto& in, auto&) {
      const Largest y = largest_of(g, in[0]);
      return std::vector<Expected>{{y.values}, {y.winners}};
    };
    cases.push_back(c);
  }
  return cases;
});

const bool max_backward_registered = register_cases("max_pool_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Geometry& g : all_geometries()) {
    KernelCase c;
    c.label = g.name();
    const Reals x = random.normal(g.x(), 0, 100);
    c.inputs = {
        {"dy", g.y(), random.normal(g.y())}, {"winners", g.y(), largest_of(g, x).winners, DType::i32}, {"x", g.x(), x}};
    // Overlapping windows add at most window^2 gradients.
    c.outputs = {{"dx", g.x(), static_cast<double>(g.window * g.window)}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [g](const Device& device, auto& in, auto& out) {
      kernels::max_pool_backward(device, in[0], in[1], g.options(), out[0]);
    };
    c.reference = [g](auto& in, auto&) {
      Expected dx{Reals(in[2].size(), 0), Reals(in[2].size(), 0)};
      for_windows(g, [&](std::size_t to, std::size_t from, std::int64_t position) {
        if (in[1][to] != static_cast<long double>(position)) return;
        dx.value[from] += in[0][to];
        dx.scale[from] += std::fabs(in[0][to]);
      });
      return std::vector<Expected>{dx};
    };
    if (g.n > 0 && g.c < 100) c.gradients = {{0, 2}};
    c.loss = [g](auto& in) { return dot(in[0], largest_of(g, in[2]).values); };
    cases.push_back(c);
  }
  return cases;
});

const bool max_gather_registered = register_cases("max_pool_gather", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Geometry& g : all_geometries()) {
    KernelCase c;
    c.label = g.name();
    c.inputs = {{"x", g.x(), random.normal(g.x())},
                {"winners", g.y(), largest_of(g, random.normal(g.x())).winners, DType::i32}};
    c.outputs = {{"y", g.y(), 0}};
    c.dtypes = activation_dtypes;
    c.run = [g](const Device& device, auto& in, auto& out) {
      kernels::max_pool_gather(device, in[0], in[1], g.options(), out[0]);
    };
    c.reference = [g](auto& in, auto&) {
      Reals y(in[1].size());
      for_windows(g, [&](std::size_t to, std::size_t from, std::int64_t position) {
        if (in[1][to] == static_cast<long double>(position)) y[to] = in[0][from];
      });
      return std::vector<Expected>{{y}};
    };
    cases.push_back(c);
  }
  return cases;
});

Expected mean_of(const Geometry& g, const Reals& x) {
  const auto count = static_cast<std::size_t>(g.y().count());
  Expected y{Reals(count, 0), Reals(count, 0)};
  const long double share = 1.0L / (g.window * g.window);
  for_windows(g, [&](std::size_t to, std::size_t from, std::int64_t) {
    y.value[to] += share * x[from];
    y.scale[to] += share * std::fabs(x[from]);
  });
  return y;
}

const bool average_forward_registered = register_cases("average_pool_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Geometry& g : geometries) {
    KernelCase c;
    c.label = g.name();
    c.inputs = {{"x", g.x(), random.normal(g.x())}};
    // window^2 - 1 additions, the rounded share and its product.
    c.outputs = {{"y", g.y(), g.window * g.window + 1.0}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [g](const Device& device, auto& in, auto& out) {
      kernels::average_pool_forward(device, in[0], g.options(), out[0]);
    };
    c.reference = [g](auto& in, auto&) { return std::vector<Expected>{mean_of(g, in[0])}; };
    cases.push_back(c);
  }
  return cases;
});

const bool average_backward_registered = register_cases("average_pool_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Geometry& g : geometries) {
    KernelCase c;
    c.label = g.name();
    c.inputs = {{"dy", g.y(), random.normal(g.y())}, {"x", g.x(), random.normal(g.x())}};
    c.outputs = {{"dx", g.x(), g.window * g.window + 1.0}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [g](const Device& device, auto& in, auto& out) {
      kernels::average_pool_backward(device, in[0], g.options(), out[0]);
    };
    c.reference = [g](auto& in, auto&) {
      Expected dx{Reals(in[1].size(), 0), Reals(in[1].size(), 0)};
      const long double share = 1.0L / (g.window * g.window);
      for_windows(g, [&](std::size_t to, std::size_t from, std::int64_t) {
        dx.value[from] += share * in[0][to];
        dx.scale[from] += share * std::fabs(in[0][to]);
      });
      return std::vector<Expected>{dx};
    };
    if (g.n > 0 && g.c < 100) c.gradients = {{0, 1}};
    c.loss = [g](auto& in) { return dot(in[0], mean_of(g, in[1]).value); };
    cases.push_back(c);
  }
  return cases;
});

const std::vector<Shape> image_shapes = {{1, 1, 1, 1},  {2, 8, 8, 64}, {3, 5, 7, 31},  {1, 3, 1, 1025},
                                         {33, 2, 2, 3}, {0, 4, 4, 3},  {2, 31, 33, 5}, {9, 16, 16, 10}};

std::string label_of(const Shape& s) { return fmt::format("{}x{}x{}x{}", s[0], s[1], s[2], s[3]); }

const bool global_forward_registered = register_cases("global_average_pool_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& shape : image_shapes) {
    KernelCase c;
    c.label = label_of(shape);
    const Shape means{shape[0], shape[3]};
    const auto positions = static_cast<double>(shape[1] * shape[2]);
    c.inputs = {{"x", shape, random.normal(shape)}};
    c.outputs = {{"y", means, 3, 3 + std::sqrt(positions)}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [](const Device& device, auto& in, auto& out) {
      kernels::global_average_pool_forward(device, in[0], out[0]);
    };
    c.reference = [=](auto& in, auto&) {
      const auto count = static_cast<std::size_t>(means.count()), channels = static_cast<std::size_t>(shape[3]);
      Expected y{Reals(count, 0), Reals(count, 0)};
      for (std::size_t i = 0; i < in[0].size(); ++i) {
        const std::size_t at = i / (static_cast<std::size_t>(positions) * channels) * channels + i % channels;
        y.value[at] += in[0][i] / positions;
        y.scale[at] += std::fabs(in[0][i]) / positions;
      }
      return std::vector<Expected>{y};
    };
    cases.push_back(c);
    // Means of bf16 images in f32.
    c.label += "_into_parameters";
    c.outputs[0] = {"y", means, 3, 0, {}, {}, Role::parameter};
    c.dtypes = {DType::bf16};
    cases.push_back(c);
  }
  return cases;
});

const bool global_backward_registered = register_cases("global_average_pool_backward", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& shape : image_shapes) {
    KernelCase c;
    c.label = label_of(shape);
    const Shape means{shape[0], shape[3]};
    c.inputs = {{"dy", means, random.normal(means)}};
    c.outputs = {{"dx", shape, 2}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [](const Device& device, auto& in, auto& out) {
      kernels::global_average_pool_backward(device, in[0], out[0]);
    };
    c.reference = [=](auto& in, auto&) {
      Expected dx;
      const auto channels = static_cast<std::size_t>(shape[3]);
      const auto positions = static_cast<std::size_t>(shape[1] * shape[2]);
      for (std::size_t i = 0; i < static_cast<std::size_t>(shape.count()); ++i) {
        const std::size_t at = i / (positions * channels) * channels + i % channels;
        dx.value.push_back(in[0][at] / static_cast<long double>(positions));
      }
      return std::vector<Expected>{dx};
    };
    cases.push_back(c);
    // Gradients of f32 means for bf16 images.
    c.label += "_from_parameters";
    c.inputs[0].role = Role::parameter;
    c.dtypes = {DType::bf16};
    cases.push_back(c);
  }
  return cases;
});

/// Where element i of [N, H, W, C] lies in channel, row, column order.
std::size_t flat_index(std::size_t i, const Shape& shape) {
  const auto channels = static_cast<std::size_t>(shape[3]), positions = static_cast<std::size_t>(shape[1] * shape[2]);
  const std::size_t c = i % channels, position = i / channels % positions, n = i / channels / positions;
  return (n * channels + c) * positions + position;
}

std::vector<KernelCase> flatten_cases(bool forward, Random& random) {
  std::vector<KernelCase> cases;
  for (const Shape& shape : image_shapes) {
    KernelCase c;
    c.label = label_of(shape);
    const Shape rows{shape[0], shape[1] * shape[2] * shape[3]};
    const Shape from = forward ? shape : rows, to = forward ? rows : shape;
    c.inputs = {{forward ? "x" : "dy", from, random.normal(from)}};
    c.outputs = {{forward ? "y" : "dx", to, 0}};
    c.dtypes = activation_dtypes;
    c.run = [forward](const Device& device, auto& in, auto& out) {
      forward ? kernels::flatten_forward(device, in[0], out[0]) : kernels::flatten_backward(device, in[0], out[0]);
    };
    c.reference = [=](auto& in, auto&) {
      Reals values(in[0].size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t flat = flat_index(i, shape);
        (forward ? values[flat] : values[i]) = forward ? in[0][i] : in[0][flat];
      }
      return std::vector<Expected>{{values}};
    };
    cases.push_back(c);
  }
  return cases;
}

const bool flatten_forward_registered =
    register_cases("flatten_forward", [](Random& random) { return flatten_cases(true, random); });
const bool flatten_backward_registered =
    register_cases("flatten_backward", [](Random& random) { return flatten_cases(false, random); });

std::vector<KernelCase> shortcut_cases(bool forward, Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [shape, wide] : {std::pair<Shape, std::int64_t>{{2, 8, 8, 16}, 32},
                                    {{1, 1, 1, 1}, 1},
                                    {{3, 5, 7, 3}, 6},
                                    {{1, 4, 3, 5}, 10},
                                    {{0, 4, 4, 2}, 4},
                                    {{2, 33, 31, 3}, 7}}) {
    KernelCase c;
    c.label = label_of(shape) + fmt::format("_to_{}", wide);
    const Shape halved{shape[0], (shape[1] + 1) / 2, (shape[2] + 1) / 2, wide};
    const Shape from = forward ? shape : halved, to = forward ? halved : shape;
    c.inputs = {{forward ? "x" : "dy", from, random.normal(from)}};
    c.outputs = {{forward ? "y" : "dx", to, 0}};
    c.dtypes = activation_dtypes;
    c.run = [forward](const Device& device, auto& in, auto& out) {
      forward ? kernels::shortcut_a_forward(device, in[0], out[0])
              : kernels::shortcut_a_backward(device, in[0], out[0]);
    };
    c.reference = [=, shape = shape, wide = wide](auto& in, auto&) {
      Reals values(static_cast<std::size_t>(to.count()), 0);
      const std::int64_t pad = (wide - shape[3]) / 2;
      for (std::int64_t i = 0; i < shape[0] * halved[1] * halved[2] * shape[3]; ++i) {
        const std::int64_t channel = i % shape[3], position = i / shape[3];
        const std::int64_t column = position % halved[2], row = position / halved[2] % halved[1];
        const std::int64_t n = position / halved[2] / halved[1];
        const auto small = static_cast<std::size_t>(position * wide + pad + channel);
        const auto large =
            static_cast<std::size_t>(((n * shape[1] + 2 * row) * shape[2] + 2 * column) * shape[3] + channel);
        (forward ? values[small] : values[large]) = forward ? in[0][large] : in[0][small];
      }
      return std::vector<Expected>{{values}};
    };
    cases.push_back(c);
  }
  return cases;
}

const bool shortcut_forward_registered =
    register_cases("shortcut_a_forward", [](Random& random) { return shortcut_cases(true, random); });
const bool shortcut_backward_registered =
    register_cases("shortcut_a_backward", [](Random& random) { return shortcut_cases(false, random); });

}  // namespace
}  // namespace rtl::test

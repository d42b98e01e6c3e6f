#include "rtl/kernels/row_norm.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/devices.hpp"
#include "support/guarded.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

constexpr double epsilon = 1e-3;

struct Layout {
  Shape shape;
  double mean = 0.5;
  std::string name() const {
    std::string text;
    for (const std::int64_t extent : shape.extents()) text += fmt::format("{}{}", text.empty() ? "" : "x", extent);
    return text;
  }
  std::size_t columns() const { return static_cast<std::size_t>(shape[-1]); }
  Shape rows() const { return {shape.count() / shape[-1]}; }
};

const std::vector<Layout> layouts = {{{1}},           {{33, 31}},       {{2, 3, 64}, 20}, {{3, 1025}},
                                     {{1025, 3}, -5}, {{5, 2, 2, 128}}, {{700, 48}},      {{0, 7}}};

/// Statistics of each row, with the roundoffs that inputs of that size bring.
struct RowStatistics {
  Reals mean, inverse;
};

RowStatistics statistics_of(const Reals& x, std::size_t columns, bool centred) {
  RowStatistics s;
  for (std::size_t begin = 0; begin < x.size(); begin += columns) {
    long double mean = 0, squares = 0;
    for (std::size_t c = 0; centred && c < columns; ++c) mean += x[begin + c] / static_cast<long double>(columns);
    for (std::size_t c = 0; c < columns; ++c) squares += (x[begin + c] - mean) * (x[begin + c] - mean);
    s.mean.push_back(mean);
    s.inverse.push_back(1 / std::sqrt(squares / static_cast<long double>(columns) + epsilon));
  }
  return s;
}

/// The forward formula; scales are sums of the magnitudes of its terms.
Expected normalised(const Reals& x, const RowStatistics& s, const Reals& gamma, const Reals& beta) {
  Expected y;
  const std::size_t columns = gamma.size();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t row = i / columns, c = i % columns;
    const long double product = gamma[c] * (x[i] - s.mean[row]) * s.inverse[row];
    y.value.push_back(product + beta[c]);
    y.scale.push_back(std::fabs(product) + std::fabs(beta[c]) +
                      std::fabs(gamma[c] * s.inverse[row]) * (std::fabs(s.mean[row]) + std::fabs(x[i])));
  }
  return y;
}

std::vector<KernelCase> forward_cases(Random& random, bool centred) {
  std::vector<KernelCase> cases;
  for (const Layout& layout : layouts) {
    KernelCase c;
    c.label = layout.name();
    const Shape columns{layout.shape[-1]};
    c.inputs = {{"x", layout.shape, random.normal(layout.shape, layout.mean, 2)},
                {"gamma", columns, random.normal(columns, 1, 0.3), {}, Role::parameter},
                {"beta", columns, centred ? random.normal(columns) : Reals(layout.columns(), 0), {}, Role::parameter}};
    // Sums of a row in some tens of parts, differences, square root, products.
    c.outputs = {{"y", layout.shape, 24}, {"inverse", layout.rows(), 64, 64, {}, {}, Role::parameter}};
    if (centred) c.outputs.push_back({"mean", layout.rows(), 24, 24, {}, {}, Role::parameter});
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.outputs[1].roundoffs_bf16 = 64;
    c.dtypes = activation_dtypes;
    c.run = [centred](const Device& device, auto& in, auto& out) {
      if (centred) {
        kernels::layer_norm_forward(device, in[0], in[1], in[2], epsilon, out[0], out[2], out[1]);
      } else {
        kernels::rms_norm_forward(device, in[0], in[1], epsilon, out[0], out[1]);
      }
    };
    c.reference = [centred, count = layout.columns()](auto& in, auto&) {
      const RowStatistics s = statistics_of(in[0], count, centred);
      Expected mean{s.mean, {}}, inverse{s.inverse, {}};
      for (std::size_t row = 0; row < s.mean.size(); ++row) {
        long double magnitudes = 0;
        for (std::size_t k = 0; k < count; ++k) magnitudes += std::fabs(in[0][row * count + k]);
        mean.scale.push_back(magnitudes / static_cast<long double>(count));
        inverse.scale.push_back(s.inverse[row] * (1 + s.inverse[row] * mean.scale.back()));
      }
      std::vector<Expected> all{normalised(in[0], s, in[1], in[2]), inverse};
      if (centred) all.push_back(mean);
      return all;
    };
    c.in_place = {{0, 0}};
    cases.push_back(c);
  }
  return cases;
}

struct Gradients {
  Expected dx, dgamma, dbeta;
};

Gradients gradients_of(const std::vector<Reals>& in, std::size_t columns, bool centred) {
  const Reals &x = in[0], &gamma = in[1], &mean = in[2], &inverse = in[3], &dy = in[4];
  Gradients g;
  for (Expected* vector : {&g.dgamma, &g.dbeta}) *vector = {Reals(columns, 0), Reals(columns, 0)};
  const auto count = static_cast<long double>(columns);
  for (std::size_t row = 0; row < inverse.size(); ++row) {
    long double sum = 0, product = 0, sums = 0, products = 0;
    const auto normal = [&](std::size_t c) { return (x[row * columns + c] - mean[row]) * inverse[row]; };
    for (std::size_t c = 0; c < columns; ++c) {
      const long double gradient = dy[row * columns + c], weighted = gradient * gamma[c];
      sum += centred ? weighted / count : 0;
      product += weighted * normal(c) / count;
      sums += centred ? std::fabs(weighted) / count : 0;
      products += std::fabs(weighted * normal(c)) / count;
      g.dbeta.value[c] += gradient;
      g.dbeta.scale[c] += std::fabs(gradient);
      g.dgamma.value[c] += gradient * normal(c);
      g.dgamma.scale[c] += std::fabs(gradient) * (std::fabs(normal(c)) + std::fabs(mean[row]) * inverse[row]);
    }
    for (std::size_t c = 0; c < columns; ++c) {
      const long double weighted = dy[row * columns + c] * gamma[c];
      g.dx.value.push_back(inverse[row] * (weighted - sum - normal(c) * product));
      g.dx.scale.push_back(inverse[row] * (std::fabs(weighted) + sums +
                                           (std::fabs(normal(c)) + std::fabs(mean[row]) * inverse[row]) * products));
    }
  }
  return g;
}

std::vector<KernelCase> backward_cases(Random& random, bool centred) {
  std::vector<KernelCase> cases;
  for (const Layout& layout : layouts) {
    KernelCase c;
    c.label = layout.name();
    const Shape columns{layout.shape[-1]}, rows = layout.rows();
    const Reals x = random.normal(layout.shape, layout.mean, 2);
    const RowStatistics s = statistics_of(x, layout.columns(), centred);
    c.inputs = {{"x", layout.shape, x},
                {"gamma", columns, random.normal(columns, 1, 0.3), {}, Role::parameter},
                {"mean", rows, s.mean, {}, Role::parameter},
                {"inverse", rows, s.inverse, {}, Role::parameter},
                {"dy", layout.shape, random.normal(layout.shape)}};
    c.outputs = {{"dx", layout.shape, 32}, {"dgamma", columns, 40, 40, {}, {}, Role::parameter}};
    if (centred) c.outputs.push_back({"dbeta", columns, 40, 40, {}, {}, Role::parameter});
    c.outputs[0].roundoffs_bf16 = rounded_once;
    for (std::size_t i = 1; i < c.outputs.size(); ++i) c.outputs[i].roundoffs_bf16 = 40;
    c.dtypes = activation_dtypes;
    c.run = [centred](const Device& device, auto& in, auto& out) {
      if (centred) {
        kernels::layer_norm_backward(device, in[0], in[1], in[2], in[3], in[4], out[0], out[1], out[2]);
      } else {
        kernels::rms_norm_backward(device, in[0], in[1], in[3], in[4], out[0], out[1]);
      }
    };
    c.reference = [centred, count = layout.columns()](auto& in, auto&) {
      const Gradients g = gradients_of(in, count, centred);
      std::vector<Expected> all{g.dx, g.dgamma};
      if (centred) all.push_back(g.dbeta);
      return all;
    };
    c.in_place = {{0, 4}};
    c.gradients = {{0, 0}, {1, 1}};
    c.loss = [centred, count = layout.columns()](const std::vector<Reals>& in) {
      const Expected y = normalised(in[0], statistics_of(in[0], count, centred), in[1], Reals(count, 0));
      return dot(in[4], y.value);
    };
    cases.push_back(c);
  }
  return cases;
}

const bool registered[] = {
    register_cases("layer_norm_forward", [](Random& random) { return forward_cases(random, true); }),
    register_cases("layer_norm_backward", [](Random& random) { return backward_cases(random, true); }),
    register_cases("rms_norm_forward", [](Random& random) { return forward_cases(random, false); }),
    register_cases("rms_norm_backward", [](Random& random) { return backward_cases(random, false); })};

TEST(RowNorm, ParametersGradientsDoNotDependOnTheNumberOfThreads) {
  const Shape shape{3000, 70}, columns{70}, rows{3000};
  Random random(seed());
  const Reals x = random.normal(shape), dy = random.normal(shape), gamma = random.normal(columns);
  std::vector<std::vector<float>> found;
  for (const int threads : {1, 2, 5}) {
    const Device device = Device::cpu(threads);
    Guarded in({3000, 70}, DType::f32, device), gradient(shape, DType::f32, device), scale(columns, DType::f32, device);
    in.write(x);
    gradient.write(dy);
    scale.write(gamma);
    Tensor y(shape, DType::f32, device), mean(rows, DType::f32, device), inverse(rows, DType::f32, device);
    Tensor dgamma(columns, DType::f32, device), dbeta(columns, DType::f32, device);
    kernels::layer_norm_forward(device, in.view(), scale.view(), scale.view(), epsilon, y, mean, inverse);
    kernels::layer_norm_backward(device, in.view(), scale.view(), mean, inverse, gradient.view(), y, dgamma, dbeta);
    std::vector<float> all = dgamma.to_vector<float>();
    const std::vector<float> shifts = dbeta.to_vector<float>();
    all.insert(all.end(), shifts.begin(), shifts.end());
    found.push_back(all);
  }
  EXPECT_EQ(found[0], found[1]);
  EXPECT_EQ(found[0], found[2]);
}

TEST(RowNorm, FaultsNameShapesAndRemedies) {
  const Device device = Device::cpu(1);
  const Tensor x = Tensor::zeros({4, 6}, DType::f32, device), vector = Tensor::zeros({6}, DType::f32, device);
  Tensor y = Tensor::zeros({4, 6}, DType::f32, device), rows = Tensor::zeros({4}, DType::f32, device);
  Tensor wrong = Tensor::zeros({5}, DType::f32, device), wide = Tensor::zeros({4, 6}, DType::f64, device);
  EXPECT_THROW(kernels::layer_norm_forward(device, x, wrong, vector, epsilon, y, rows, rows), ShapeError);
  EXPECT_THROW(kernels::layer_norm_forward(device, x, vector, vector, epsilon, y, rows, wrong), ShapeError);
  EXPECT_THROW(kernels::layer_norm_forward(device, x, vector, vector, -1, y, rows, rows), ValueError);
  EXPECT_THROW(kernels::layer_norm_forward(device, x, vector, vector, epsilon, wide, rows, rows), DTypeError);
  EXPECT_THROW(kernels::rms_norm_forward(device, x, wrong, epsilon, y, rows), ShapeError);
  EXPECT_THROW(kernels::rms_norm_backward(device, x, vector, wrong, y, y, wrong), ShapeError);
  EXPECT_THROW(kernels::layer_norm_backward(device, x, vector, rows, rows, y, wide, wrong, wrong), DTypeError);
}

}  // namespace
}  // namespace rtl::test

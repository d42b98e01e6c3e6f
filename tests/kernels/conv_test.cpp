#include "rtl/kernels/conv.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "support/kernel_case.hpp"
#include "support/rounded_parameters.hpp"

namespace rtl::test {
namespace {

using kernels::Activation;
using kernels::Conv2dOptions;

struct Geometry {
  std::int64_t n, h, w, in, out, kernel;
  int stride = 1, padding = 0, dilation = 1, groups = 1;
  bool same = false;
  Conv2dOptions options() const { return {stride, padding, dilation, groups, same}; }
  std::int64_t covered() const { return (kernel - 1) * dilation + 1; }
  std::int64_t outputs(std::int64_t extent) const {
    return same ? (extent + stride - 1) / stride : (extent + 2 * padding - covered()) / stride + 1;
  }
  std::int64_t before(std::int64_t extent) const {
    return same ? std::max<std::int64_t>(0, (outputs(extent) - 1) * stride + covered() - extent) / 2 : padding;
  }
  std::int64_t oh() const { return outputs(h); }
  std::int64_t ow() const { return outputs(w); }
  std::int64_t inputs() const { return in / groups; }
  Shape x() const { return {n, h, w, in}; }
  Shape weights() const { return {out, inputs(), kernel, kernel}; }
  Shape y() const { return {n, oh(), ow(), out}; }
  std::string name() const {
    return fmt::format("{}x{}x{}x{}_to_{}_k{}_s{}_p{}_d{}_g{}{}", n, h, w, in, out, kernel, stride, padding, dilation,
                       groups, same ? "_same" : "");
  }
};

const std::vector<Geometry> geometries = {
    {1, 1, 1, 1, 1, 1},
    {2, 5, 7, 3, 4, 3, 1, 1},
    {1, 6, 6, 16, 16, 3, 1, 1},
    {2, 8, 8, 16, 32, 3, 2, 1},
    {1, 9, 9, 5, 7, 5, 1, 0},
    {2, 6, 5, 4, 31, 3, 1, 0},
    {1, 7, 7, 33, 2, 1, 2, 0},
    {3, 4, 4, 2, 3, 4, 4, 2},
    {1, 9, 9, 3, 16, 3, 2, 1},
    {2, 1, 1, 32, 64, 3, 2, 1},
    {2, 1, 1, 64, 16, 1},
    {2, 1, 1, 1, 16, 1, 2, 0},
    {1, 7, 2, 16, 16, 2, 3, 1},
    // Depthwise: widths that fill vectors and that do not, tails of the blocks of columns, filters of any shape.
    {2, 5, 16, 32, 32, 3, 1, 1, 1, 32},
    {1, 9, 8, 33, 33, 3, 2, 1, 1, 33},
    {2, 7, 15, 16, 16, 5, 1, 2, 1, 16},
    {1, 8, 11, 48, 48, 5, 2, 2, 1, 48},
    {1, 6, 6, 4, 4, 7, 1, 3, 1, 4},
    {1, 9, 7, 17, 17, 3, 1, 2, 2, 17},
    {1, 2, 2, 31, 31, 5, 1, 2, 1, 31},
    {2, 8, 8, 16, 16, 3, 3, 0, 1, 16},
    {1, 1, 1, 2, 2, 3, 1, 1, 1, 2},
    // Groups, several outputs an input too; dilation; TensorFlow's padding on even and odd extents.
    {2, 6, 5, 8, 12, 3, 1, 1, 1, 4},
    {1, 7, 7, 6, 12, 3, 2, 1, 1, 6},
    {1, 9, 8, 64, 32, 3, 1, 1, 1, 2},
    {2, 9, 9, 5, 6, 3, 1, 2, 2, 1},
    {1, 11, 8, 16, 16, 3, 2, 3, 3, 1},
    {1, 8, 7, 3, 8, 3, 2, 0, 1, 1, true},
    {2, 8, 8, 16, 16, 3, 1, 0, 1, 1, true},
    {1, 6, 9, 24, 24, 5, 2, 0, 1, 24, true},
    {1, 8, 8, 48, 48, 3, 2, 0, 1, 48, true},
    {1, 5, 8, 16, 16, 5, 1, 0, 1, 16, true},
    {1, 4, 7, 6, 4, 3, 3, 0, 1, 2, true},
    {1, 5, 5, 4, 4, 1, 2, 0, 1, 1, true}};

/// Calls f(y index, x index, w index) for every product of the convolution.
template <typename F>
void for_products(const Geometry& g, const F& f) {
  for (std::int64_t i = 0; i < g.y().count() * g.inputs() * g.kernel * g.kernel; ++i) {
    const std::int64_t kw = i % g.kernel, kh = i / g.kernel % g.kernel, c = i / (g.kernel * g.kernel) % g.inputs();
    const std::int64_t y = i / (g.kernel * g.kernel * g.inputs()), o = y % g.out, position = y / g.out;
    const std::int64_t row = position / g.ow() % g.oh() * g.stride - g.before(g.h) + kh * g.dilation;
    const std::int64_t column = position % g.ow() * g.stride - g.before(g.w) + kw * g.dilation;
    const std::int64_t channel = o / (g.out / g.groups) * g.inputs() + c;
    if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue;
    const std::int64_t n = position / (g.oh() * g.ow());
    f(static_cast<std::size_t>(y), static_cast<std::size_t>(((n * g.h + row) * g.w + column) * g.in + channel),
      static_cast<std::size_t>(((o * g.inputs() + c) * g.kernel + kh) * g.kernel + kw));
  }
}

struct Extras {
  bool bias, relu, residual;
  Activation activation() const { return relu ? over : Activation::none; }
  Activation over = Activation::relu;
  std::string name() const {
    return fmt::format("{}{}{}", bias ? "_bias" : "", relu ? over == Activation::relu6 ? "_relu6" : "_relu" : "",
                       residual ? "_residual" : "");
  }
};

Expected forward_of(const Geometry& g, const Extras& e, const Reals& x, const Reals& w, const Reals& bias,
                    const Reals& residual) {
  const auto count = static_cast<std::size_t>(g.y().count());
  Expected y{Reals(count, 0), Reals(count, 0)};
  for_products(g, [&](std::size_t to, std::size_t from, std::size_t weight) {
    y.value[to] += x[from] * w[weight];
    y.scale[to] += std::fabs(x[from] * w[weight]);
  });
  for (std::size_t i = 0; i < count; ++i) {
    const long double added = (e.bias ? bias[i % static_cast<std::size_t>(g.out)] : 0) + (e.residual ? residual[i] : 0);
    y.value[i] += added;
    y.scale[i] += std::fabs(added);
    if (e.relu && y.value[i] < 0) y.value[i] = 0;
    if (e.relu && e.over == Activation::relu6 && y.value[i] > 6) y.value[i] = 6;
  }
  return y;
}

/// Sums of `terms` products in any order, by Higham and Mary 2019 as in gemm_test.cpp. f32 convolutions may use
/// Winograd's algorithm, whose transforms multiply the constant.
double roundoffs_of(std::int64_t terms) { return 4 + 4 * std::sqrt(static_cast<double>(terms)); }

/// Of images in bf16: rounding the result moves it by at most 1 / (1 + 2^-8) of a unit roundoff, which leaves 2^-16 of
/// the scale, 256 roundoffs of f32, to the sum. CUDA also rounds before bias, residual and relu; that the host does
/// not, winograd_test.cpp shows.
constexpr double roundoffs_of_bf16 = 1;

ConstView given_if(bool given, const View& view) { return given ? ConstView(view) : ConstView(); }

const bool forward_registered = register_cases("conv2d_forward", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const Geometry& g, const Extras& e) {
    KernelCase c;
    c.label = g.name() + e.name();
    c.inputs = {{"x", g.x(), random.normal(g.x())},
                {"w", g.weights(), random.normal(g.weights()), {}, Role::parameter},
                {"bias", {g.out}, random.normal({g.out}), {}, Role::parameter},
                {"residual", g.y(), random.normal(g.y())}};
    c.outputs = {{.name = "y",
                  .shape = g.y(),
                  .roundoffs = roundoffs_of(g.inputs() * g.kernel * g.kernel),
                  .roundoffs_bf16 = roundoffs_of_bf16 + (e.bias || e.relu || e.residual ? 1 : 0)}};
    c.run = [=](const Device& device, auto& in, auto& out) {
      kernels::conv2d_forward(device, in[0], in[1], given_if(e.bias, in[2]), g.options(), out[0], e.activation(),
                              given_if(e.residual, in[3]));
    };
    c.reference = [=](auto& in, auto&) { return std::vector<Expected>{forward_of(g, e, in[0], in[1], in[2], in[3])}; };
    add_with_bf16(cases, c, {1});
  };
  for (const Geometry& g : geometries) add(g, {false, false, false});
  for (const Extras& e : {Extras{true, false, false},
                          {true, true, false},
                          {true, true, true},
                          {false, true, false},
                          {false, false, true},
                          {true, false, true},
                          {false, true, true}}) {
    add(geometries[1], e);
    add(geometries[3], e);
    add(geometries[13], e);
    Extras capped = e;
    capped.over = Activation::relu6;
    if (!e.relu) continue;
    for (const std::size_t at : {2, 3, 13, 22}) add(geometries[at], capped);
  }
  add({0, 4, 4, 3, 2, 3, 1, 1}, {true, true, true});
  return cases;
});

const bool data_registered = register_cases("conv2d_backward_data", [](Random& random) {
  std::vector<KernelCase> cases;
  std::vector<Geometry> all = geometries;
  all.push_back({0, 4, 4, 3, 2, 3, 1, 1});
  for (const Geometry& g : all) {
    KernelCase c;
    c.label = g.name();
    c.inputs = {{"dy", g.y(), random.normal(g.y())},
                {"w", g.weights(), random.normal(g.weights()), {}, Role::parameter},
                {"x", g.x(), random.normal(g.x())}};
    c.outputs = {{.name = "dx",
                  .shape = g.x(),
                  .roundoffs = roundoffs_of(g.out / g.groups * g.kernel * g.kernel),
                  .roundoffs_bf16 = roundoffs_of_bf16}};
    c.run = [g](const Device& device, auto& in, auto& out) {
      kernels::conv2d_backward_data(device, in[0], in[1], g.options(), out[0]);
    };
    c.reference = [g](auto& in, auto&) {
      Expected dx{Reals(in[2].size(), 0), Reals(in[2].size(), 0)};
      for_products(g, [&](std::size_t to, std::size_t from, std::size_t weight) {
        dx.value[from] += in[0][to] * in[1][weight];
        dx.scale[from] += std::fabs(in[0][to] * in[1][weight]);
      });
      return std::vector<Expected>{dx};
    };
    if (g.x().count() > 0) c.gradients = {{0, 2}};
    c.loss = [g](auto& in) { return dot(in[0], forward_of(g, {}, in[2], in[1], {}, {}).value); };
    add_with_bf16(cases, c, {1});
  }
  return cases;
});

const bool weights_registered = register_cases("conv2d_backward_weights", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const Geometry& g, bool biased) {
    KernelCase c;
    c.label = g.name() + (biased ? "_bias" : "");
    c.inputs = {{"x", g.x(), random.normal(g.x())},
                {"dy", g.y(), random.normal(g.y())},
                {"w", g.weights(), random.normal(g.weights()), {}, Role::parameter},
                {"bias", {g.out}, random.normal({g.out}), {}, Role::parameter}};
    // With bf16, too, a sum in f32; but cuDNN gives that of dw in bf16, whose unit roundoff is 2^16 of f32's.
    const double roundoffs = roundoffs_of(g.n * g.oh() * g.ow());
    c.outputs = {{.name = "dw",
                  .shape = g.weights(),
                  .roundoffs = roundoffs,
                  .role = Role::parameter,
                  .roundoffs_bf16 = 0x1p16 + roundoffs},
                 {.name = "dbias", .shape = {g.out}, .roundoffs = roundoffs, .role = Role::parameter}};
    c.run = [=](const Device& device, auto& in, auto& out) {
      kernels::conv2d_backward_weights(device, in[0], in[1], g.options(), out[0], biased ? out[1] : View());
    };
    c.reference = [=](auto& in, auto&) {
      Expected dw{Reals(in[2].size(), 0), Reals(in[2].size(), 0)};
      const auto outputs = static_cast<std::size_t>(g.out);
      // An absent dbias stays poisoned.
      Expected dbias{Reals(outputs, biased ? 0 : NAN), Reals(outputs, 0)};
      for_products(g, [&](std::size_t to, std::size_t from, std::size_t weight) {
        dw.value[weight] += in[1][to] * in[0][from];
        dw.scale[weight] += std::fabs(in[1][to] * in[0][from]);
      });
      for (std::size_t i = 0; i < in[1].size(); ++i) {
        dbias.value[i % outputs] += in[1][i];
        dbias.scale[i % outputs] += std::fabs(in[1][i]);
      }
      return std::vector<Expected>{dw, dbias};
    };
    c.gradients = {{0, 2}};
    if (biased) c.gradients.push_back({1, 3});
    c.loss = [=](auto& in) { return dot(in[1], forward_of(g, {biased, false, false}, in[0], in[2], in[3], {}).value); };
    add_with_bf16(cases, c, {});
  };
  for (const Geometry& g : geometries) add(g, false);
  add(geometries[1], true);
  add(geometries[5], true);
  add({0, 4, 4, 3, 2, 3, 1, 1}, true);
  return cases;
});

const bool extent_covered = covered_by_plain_test("conv2d_extent");
const bool padding_covered = covered_by_plain_test("conv2d_padding");

TEST(Conv2d, ExtentFollowsTheFormulaAndRefusesWhatDoesNotFit) {
  EXPECT_EQ(kernels::conv2d_extent(32, 3, {1, 1}), 32);
  EXPECT_EQ(kernels::conv2d_extent(32, 3, {2, 1}), 16);
  EXPECT_EQ(kernels::conv2d_extent(28, 5, {1, 0}), 24);
  EXPECT_EQ(kernels::conv2d_extent(3, 3, {7, 0}), 1);
  EXPECT_EQ(kernels::conv2d_extent(9, 3, {1, 0, 2}), 5);
  const Conv2dOptions same{.stride = 2, .same = true};
  EXPECT_EQ(kernels::conv2d_extent(9, 3, same), 5);
  EXPECT_EQ(kernels::conv2d_extent(1, 5, same), 1);
  EXPECT_EQ(kernels::conv2d_padding(8, 3, same), 0);
  EXPECT_EQ(kernels::conv2d_padding(9, 3, same), 1);
  EXPECT_EQ(kernels::conv2d_padding(8, 5, same), 1);
  EXPECT_EQ(kernels::conv2d_padding(8, 5, {.padding = 2}), 2);
  EXPECT_THROW(kernels::conv2d_extent(8, 3, {.padding = 1, .same = true}), ValueError);
  EXPECT_THROW(kernels::conv2d_extent(8, 3, {.dilation = 0}), ValueError);
  EXPECT_THROW(kernels::conv2d_extent(4, 3, {.dilation = 2}), ShapeError);
  EXPECT_THROW(kernels::conv2d_extent(2, 3, {1, 0}), ShapeError);
  EXPECT_THROW(kernels::conv2d_extent(8, 3, {0, 0}), ValueError);
  EXPECT_THROW(kernels::conv2d_extent(8, 3, {1, -1}), ValueError);
}

TEST(Conv2dBackwardWeights, TheHostKeepsSumsOfBf16InF32) {
  const Device device = Device::cpu(1);
  Random random(31);
  const Shape shape{2, 8, 8, 16}, weights{16, 16, 3, 3};
  const auto draw = [&] {
    const Reals values = random.normal(shape);
    Tensor made(shape, DType::bf16, device);
    kernels::cast(device, Tensor::from(std::vector<double>(values.begin(), values.end()), shape, device), made);
    return made;
  };
  const auto widened = [&](const Tensor& x) {
    Tensor made(shape, DType::f64, device);
    kernels::cast(device, x, made);
    return made;
  };
  const auto absolute = [&](const Tensor& x) {
    Tensor made(shape, DType::f64, device);
    kernels::unary(device, kernels::UnaryOp::absolute, x, made);
    return made;
  };
  const kernels::Conv2dOptions options{.stride = 1, .padding = 1};
  const Tensor x = draw(), dy = draw(), wide_x = widened(x), wide_dy = widened(dy);
  Tensor dw(weights, DType::f32, device), exact(weights, DType::f64, device), scale(weights, DType::f64, device);
  kernels::conv2d_backward_weights(device, x, dy, options, dw);
  kernels::conv2d_backward_weights(device, wide_x, wide_dy, options, exact);
  kernels::conv2d_backward_weights(device, absolute(wide_x), absolute(wide_dy), options, scale);
  const auto found = dw.to_vector<float>();
  const auto expected = exact.to_vector<double>(), scales = scale.to_vector<double>();
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], roundoffs_of(2 * 8 * 8) * 0x1p-24 * scales[i]) << "element " << i;
  }
}

}  // namespace
}  // namespace rtl::test

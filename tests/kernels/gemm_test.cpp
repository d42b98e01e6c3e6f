#include "rtl/kernels/gemm.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "rtl/core/error.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "support/kernel_case.hpp"
#include "support/rounded_parameters.hpp"

namespace rtl::test {
namespace {

using kernels::Epilogue;
using kernels::Transpose;

struct Product {
  std::int64_t m, n, k;
  Transpose transpose_a = Transpose::no, transpose_b = Transpose::no;
  double alpha = 1, beta = 0;
  Epilogue epilogue = Epilogue::none;
  std::int64_t padding = 0;  ///< unused elements behind each row of every matrix
};

std::string label_of(const Product& p) {
  const char* epilogues[] = {"", "_bias", "_bias_relu", "_relu"};
  return fmt::format("{}x{}x{}{}{}{}{}{}", p.m, p.n, p.k, p.transpose_a == Transpose::yes ? "_at" : "",
                     p.transpose_b == Transpose::yes ? "_bt" : "", p.beta != 0 ? "_beta" : "",
                     epilogues[static_cast<int>(p.epilogue)], p.padding > 0 ? "_strided" : "");
}

bool has_bias(Epilogue e) { return e == Epilogue::bias || e == Epilogue::bias_relu; }
bool has_relu(Epilogue e) { return e == Epilogue::relu || e == Epilogue::bias_relu; }

/// Element (i, j) of op(matrix) whose stored rows are `width` long.
long double at(const Reals& matrix, Transpose transpose, std::int64_t i, std::int64_t j, std::int64_t width) {
  return matrix[static_cast<std::size_t>(transpose == Transpose::no ? i * width + j : j * width + i)];
}

std::vector<Expected> product_of(const Product& p, const std::vector<Reals>& in, const Reals& before) {
  Expected c{before, Reals(before.size(), 0)};
  const std::int64_t width_a = (p.transpose_a == Transpose::no ? p.k : p.m) + p.padding;
  const std::int64_t width_b = (p.transpose_b == Transpose::no ? p.n : p.k) + p.padding;
  for (std::int64_t i = 0; i < p.m; ++i) {
    for (std::int64_t j = 0; j < p.n; ++j) {
      long double sum = 0, scale = 0;
      for (std::int64_t l = 0; l < p.k; ++l) {
        const long double term = at(in[0], p.transpose_a, i, l, width_a) * at(in[1], p.transpose_b, l, j, width_b);
        sum += term;
        scale += std::fabs(term);
      }
      const auto where = static_cast<std::size_t>(i * (p.n + p.padding) + j);
      const long double old = p.beta == 0 ? 0 : p.beta * before[where];
      const long double bias = has_bias(p.epilogue) ? in[2][static_cast<std::size_t>(j)] : 0;
      const long double value = p.alpha * sum + old + bias;
      c.value[where] = has_relu(p.epilogue) && value < 0 ? 0 : value;
      c.scale[where] = std::fabs(p.alpha) * scale + std::fabs(old) + std::fabs(bias);
    }
  }
  return {c};
}

KernelCase gemm_case(const Product& p, Random& random) {
  KernelCase c;
  c.label = label_of(p);
  const Shape a = p.transpose_a == Transpose::no ? Shape{p.m, p.k + p.padding} : Shape{p.k, p.m + p.padding};
  const Shape b = p.transpose_b == Transpose::no ? Shape{p.k, p.n + p.padding} : Shape{p.n, p.k + p.padding};
  const Shape out{p.m, p.n + p.padding};
  c.inputs = {{"a", a, random.normal(a)}, {"b", b, random.normal(b)}, {"bias", {p.n}, random.normal({p.n})}};
  // Rounding errors of a k-term product add up like a random walk (Higham and Mary 2019, with a factor of 4 for the
  // largest of many elements); alpha, beta, bias and the store add a few.
  const double roundoffs = 4 + 4 * std::sqrt(static_cast<double>(p.k));
  const bool kept = p.beta != 0 || p.padding > 0;
  c.outputs = {{"c", out, roundoffs, 0, kept ? random.normal(out) : Reals()}};
  c.run = [p](const Device& device, auto& in, auto& out) {
    const auto part = [&p](const View& whole) { return whole.slice(1, 0, whole.extent(1) - p.padding); };
    kernels::gemm(device, p.transpose_a, p.transpose_b, p.alpha, part(in[0]), part(in[1]), p.beta, part(out[0]),
                  p.epilogue, has_bias(p.epilogue) ? ConstView(in[2]) : ConstView());
  };
  c.reference = [p](auto& in, auto& initial) {
    const auto count = static_cast<std::size_t>(p.m * (p.n + p.padding));
    return product_of(p, in, initial[0].empty() ? Reals(count) : initial[0]);
  };
  return c;
}

/// In f32 and f64, and in mixtures with bf16.
void add_gemm(std::vector<KernelCase>& cases, const Product& p, Random& random) {
  struct Mixture {
    const char* label;
    DType a, b, c;
  };
  constexpr DType half = DType::bf16, single = DType::f32;
  const KernelCase plain = gemm_case(p, random);
  cases.push_back(plain);
  for (const Mixture& m : {Mixture{"_bf16", half, half, half},
                           {"_bf16_to_f32", half, half, single},
                           {"_bf16_b_f32", half, single, half},
                           {"_a_f32_bf16_to_f32", single, half, single}}) {
    std::vector<KernelCase> both;
    KernelCase mixed = plain;
    mixed.inputs[0].dtype = m.a;
    mixed.inputs[1].dtype = m.b;
    mixed.inputs[2].dtype = single;
    mixed.outputs[0].dtype = m.c;
    // Rounding a result to bf16 moves it by at most 1 / (1 + 2^-8) of a unit roundoff, which leaves 2^-16 of the scale,
    // 256 roundoffs of f32, to the sum.
    if (m.c == half) mixed.outputs[0].roundoffs_bf16 = 1;
    add_with_bf16(both, mixed, {0, 1});
    both.back().label = plain.label + m.label;
    cases.push_back(both.back());
  }
}

const bool gemm_registered = register_cases("gemm", [](Random& random) {
  std::vector<KernelCase> cases;
  constexpr Transpose flips[] = {Transpose::no, Transpose::yes};
  for (const Transpose a : flips) {
    for (const Transpose b : flips) {
      add_gemm(cases, {31, 33, 17, a, b}, random);
      add_gemm(cases, {33, 10, 64, a, b, 0.5, -1.5}, random);
      add_gemm(cases, {5, 7, 3, a, b, 2, 1, Epilogue::none, 6}, random);
      add_gemm(cases, {1, 1, 1, a, b}, random);
    }
  }
  for (const Epilogue epilogue : {Epilogue::bias, Epilogue::bias_relu, Epilogue::relu}) {
    add_gemm(cases, {33, 31, 20, Transpose::no, Transpose::yes, 1, 0, epilogue}, random);
    add_gemm(cases, {9, 5, 0, Transpose::no, Transpose::no, 1, 0, epilogue}, random);
    add_gemm(cases, {9, 5, 4, Transpose::no, Transpose::no, -1, 0.5, epilogue, 3}, random);
  }
  for (const auto& [m, n, k] : {std::tuple<std::int64_t, std::int64_t, std::int64_t>{1, 1025, 33},
                                {1025, 1, 31},
                                {3, 4, 1025},
                                {0, 5, 4},
                                {5, 0, 4},
                                {64, 10, 192}}) {
    add_gemm(cases, {m, n, k}, random);
  }
  add_gemm(cases, {4, 6, 0, Transpose::no, Transpose::no, 1, 0.5}, random);
  // Large enough for panels, and no multiple of anything.
  for (const Transpose b : flips) {
    add_gemm(cases, {67, 70, 131, Transpose::no, b}, random);
    add_gemm(cases, {67, 70, 131, Transpose::no, b, 1, 0, Epilogue::bias_relu, 3}, random);
  }
  return cases;
});

const bool column_sums_registered = register_cases("column_sums", [](Random& random) {
  std::vector<KernelCase> cases;
  for (const auto& [rows, columns] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {31, 33}, {33, 1025}, {1025, 31}, {0, 5}, {5, 0}, {20011, 3}}) {
    KernelCase c;
    c.label = fmt::format("{}x{}", rows, columns);
    c.inputs = {{"x", {rows, columns}, random.normal({rows, columns}, 0.5)}};
    c.outputs = {{.name = "out",
                  .shape = {columns},
                  .roundoffs = 2 + 2 * std::sqrt(static_cast<double>(rows)),
                  .role = Role::parameter}};
    c.dtypes = {DType::f32, DType::f64, DType::bf16};
    c.run = [](const Device& device, auto& in, auto& out) { kernels::column_sums(device, in[0], out[0]); };
    c.reference = [columns = static_cast<std::size_t>(columns)](auto& in, auto&) {
      Expected sums{Reals(columns, 0), Reals(columns, 0)};
      for (std::size_t i = 0; i < in[0].size(); ++i) {
        sums.value[i % columns] += in[0][i];
        sums.scale[i % columns] += std::fabs(in[0][i]);
      }
      return std::vector<Expected>{sums};
    };
    cases.push_back(c);
  }
  return cases;
});

TEST(Gemm, ReluOfBf16KeepsNanAndZeroesMinusInfinity) {
  const Device device = Device::cpu(1);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Tensor column = Tensor::from(std::vector<float>{NAN, -infinity, -1, 0, 2, infinity}, {6, 1}, device);
  const Tensor one = Tensor::from(std::vector<float>{1}, {1, 1}, device);
  Tensor left({6, 1}, DType::bf16, device), right({1, 1}, DType::bf16, device);
  kernels::cast(device, column, left);
  kernels::cast(device, one, right);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Tensor result({6, 1}, dtype, device), wide({6, 1}, DType::f32, device);
    kernels::gemm(device, Transpose::no, Transpose::no, 1, left, right, 0, result, Epilogue::relu);
    kernels::cast(device, result, wide);
    const std::vector<float> values = wide.to_vector<float>();
    EXPECT_TRUE(std::isnan(values[0]));
    EXPECT_EQ(std::vector<float>(values.begin() + 1, values.end()), (std::vector<float>{0, 0, 0, 2, infinity}));
  }
}

TEST(Gemm, TakesOnlyMixturesWithBf16) {
  const Device device = Device::cpu(1);
  const auto product = [&](DType a, DType b, DType c, DType bias) {
    const Tensor left = Tensor::zeros({2, 3}, a, device), right = Tensor::zeros({3, 4}, b, device);
    const Tensor summand = Tensor::zeros({4}, bias, device);
    Tensor result = Tensor::zeros({2, 4}, c, device);
    kernels::gemm(device, Transpose::no, Transpose::no, 1, left, right, 0, result, Epilogue::bias, summand);
  };
  using enum DType;
  EXPECT_NO_THROW(product(bf16, f32, bf16, f32));
  EXPECT_NO_THROW(product(f32, bf16, f32, f32));
  EXPECT_THROW(product(f32, f32, bf16, f32), DTypeError);
  EXPECT_THROW(product(f32, f64, f32, f32), DTypeError);
  EXPECT_THROW(product(bf16, f64, f32, f32), DTypeError);
  EXPECT_THROW(product(bf16, bf16, f64, f32), DTypeError);
  EXPECT_THROW(product(bf16, bf16, bf16, bf16), DTypeError);
  EXPECT_THROW(product(bf16, f16, bf16, f32), DTypeError);
}

}  // namespace
}  // namespace rtl::test

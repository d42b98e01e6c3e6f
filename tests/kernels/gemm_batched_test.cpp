#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "rtl/kernels/gemm.hpp"
#include "support/devices.hpp"
#include "support/guarded.hpp"
#include "support/kernel_case.hpp"
#include "support/rounded_parameters.hpp"

namespace rtl::test {
namespace {

using kernels::Epilogue;
using kernels::Transpose;

struct Batch {
  std::int64_t count, m, n, k;
  bool turn_a = false, turn_b = false, share_a = false, share_b = false;
  double alpha = 1, beta = 0;
  Epilogue epilogue = Epilogue::none;
  bool own_bias = false;     ///< a row of bias for each product
  std::int64_t spacing = 0;  ///< unused rows between the matrices of a batch, and columns behind every row

  Transpose transpose_a() const { return turn_a ? Transpose::yes : Transpose::no; }
  Transpose transpose_b() const { return turn_b ? Transpose::yes : Transpose::no; }
  bool has_bias() const { return epilogue == Epilogue::bias || epilogue == Epilogue::bias_relu; }
  bool has_relu() const { return epilogue == Epilogue::relu || epilogue == Epilogue::bias_relu; }
  Shape shape_a() const { return spaced(share_a ? 1 : count, turn_a ? k : m, turn_a ? m : k); }
  Shape shape_b() const { return spaced(share_b ? 1 : count, turn_b ? n : k, turn_b ? k : n); }
  Shape shape_c() const { return spaced(count, m, n); }
  Shape spaced(std::int64_t batch, std::int64_t rows, std::int64_t columns) const {
    return {batch, rows + spacing, columns + spacing};
  }
  /// The matrices of a spaced view.
  View part(const View& whole) const {
    return whole.slice(1, 0, whole.extent(1) - spacing).slice(2, 0, whole.extent(2) - spacing);
  }
  void run(const Device& device, const View& a, const View& b, const View& bias, const View& c) const {
    const ConstView summand = !has_bias() ? ConstView()
                              : own_bias  ? ConstView(bias)
                                          : ConstView(bias.slice(0, 0, 1).reshaped({n}));
    kernels::gemm_batched(device, transpose_a(), transpose_b(), alpha, part(a), part(b), beta, part(c), epilogue,
                          summand);
  }
};

std::string label_of(const Batch& p) {
  const char* epilogues[] = {"", "_bias", "_bias_relu", "_relu"};
  return fmt::format("{}x{}x{}x{}{}{}{}{}{}{}{}{}", p.count, p.m, p.n, p.k, p.turn_a ? "_at" : "",
                     p.turn_b ? "_bt" : "", p.share_a ? "_one_a" : "", p.share_b ? "_one_b" : "",
                     p.beta != 0 ? "_beta" : "", epilogues[static_cast<int>(p.epilogue)], p.own_bias ? "_each" : "",
                     p.spacing > 0 ? "_spaced" : "");
}

/// Element of matrix `item` of a spaced batch.
long double at(const Reals& values, const Shape& shape, std::int64_t item, std::int64_t row, std::int64_t column) {
  const std::int64_t index = ((shape[0] == 1 ? 0 : item) * shape[1] + row) * shape[2] + column;
  return values[static_cast<std::size_t>(index)];
}

Expected products_of(const Batch& p, const std::vector<Reals>& in, const Reals& before) {
  Expected c{before, Reals(before.size(), 0)};
  const Shape a = p.shape_a(), b = p.shape_b(), out = p.shape_c();
  for (std::int64_t item = 0; item < p.count; ++item) {
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < p.n; ++j) {
        long double sum = 0, scale = 0;
        for (std::int64_t l = 0; l < p.k; ++l) {
          const long double term = at(in[0], a, item, p.turn_a ? l : i, p.turn_a ? i : l) *
                                   at(in[1], b, item, p.turn_b ? j : l, p.turn_b ? l : j);
          sum += term;
          scale += std::fabs(term);
        }
        const auto where = static_cast<std::size_t>((item * out[1] + i) * out[2] + j);
        const long double old = p.beta == 0 ? 0 : p.beta * before[where];
        const long double bias = p.has_bias() ? in[2][static_cast<std::size_t>((p.own_bias ? item * p.n : 0) + j)] : 0;
        const long double value = p.alpha * sum + old + bias;
        c.value[where] = p.has_relu() && value < 0 ? 0 : value;
        c.scale[where] = std::fabs(p.alpha) * scale + std::fabs(old) + std::fabs(bias);
      }
    }
  }
  return c;
}

KernelCase batch_case(const Batch& p, Random& random) {
  KernelCase c;
  c.label = label_of(p);
  const Shape bias{p.count, p.n};
  c.inputs = {{"a", p.shape_a(), random.normal(p.shape_a())},
              {"b", p.shape_b(), random.normal(p.shape_b())},
              {"bias", bias, random.normal(bias), {}, Role::parameter}};
  const bool kept = p.beta != 0 || p.spacing > 0;
  // As in gemm_test.cpp, also for bf16.
  c.outputs = {{.name = "c",
                .shape = p.shape_c(),
                .roundoffs = 4 + 4 * std::sqrt(static_cast<double>(p.k)),
                .initial = kept ? random.normal(p.shape_c()) : Reals(),
                .roundoffs_bf16 = 1}};
  c.run = [p](const Device& device, auto& in, auto& out) { p.run(device, in[0], in[1], in[2], out[0]); };
  c.reference = [p](auto& in, auto& initial) {
    const auto count = static_cast<std::size_t>(p.shape_c().count());
    return std::vector<Expected>{products_of(p, in, initial[0].empty() ? Reals(count) : initial[0])};
  };
  return c;
}

/// In f32 and f64, in bf16, and with an `a` of bf16, a `b` of f32 and a result of f32.
void add_batch(std::vector<KernelCase>& cases, const Batch& p, Random& random) {
  const KernelCase plain = batch_case(p, random);
  add_with_bf16(cases, plain, {});
  std::vector<KernelCase> both;
  KernelCase mixed = plain;
  mixed.inputs[1].dtype = DType::f32;
  mixed.outputs[0].dtype = DType::f32;
  mixed.outputs[0].roundoffs_bf16 = 0;
  add_with_bf16(both, mixed, {1});
  both.back().label = plain.label + "_mixed";
  cases.push_back(both.back());
}

const bool registered = register_cases("gemm_batched", [](Random& random) {
  std::vector<KernelCase> cases;
  for (int variant = 0; variant < 16; ++variant) {
    const bool turn_a = (variant & 1) != 0, turn_b = (variant & 2) != 0;
    const bool share_a = (variant & 4) != 0, share_b = (variant & 8) != 0;
    add_batch(cases, {3, 17, 31, 33, turn_a, turn_b, share_a, share_b}, random);
    add_batch(cases, {2, 5, 7, 3, turn_a, turn_b, share_a, share_b, 2, -0.5, Epilogue::none, false, 4}, random);
  }
  for (const Epilogue epilogue : {Epilogue::bias, Epilogue::bias_relu, Epilogue::relu}) {
    for (const bool own : {false, true}) {
      if (own && epilogue == Epilogue::relu) continue;
      add_batch(cases, {4, 9, 12, 20, false, true, false, true, 1, 0, epilogue, own}, random);
      add_batch(cases, {3, 8, 5, 0, false, false, false, false, 1, 0.5, epilogue, own}, random);
      add_batch(cases, {3, 8, 5, 6, false, true, true, false, -1, 0.5, epilogue, own, 3}, random);
    }
  }
  for (const auto& [count, m, n, k] : {std::array<std::int64_t, 4>{0, 3, 4, 5},
                                       {3, 0, 4, 5},
                                       {3, 4, 0, 5},
                                       {3, 4, 5, 0},
                                       {1, 1, 1, 1},
                                       {1, 31, 33, 17},
                                       {70, 2, 3, 4},
                                       {2, 1, 1025, 3}}) {
    add_batch(cases, {count, m, n, k}, random);
  }
  return cases;
});

TEST(GemmBatched, ProductsHaveTheBitsOfSingleOnes) {
  Random random(seed());
  for (const Device& device : devices_and_threads()) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      // The last takes several threads for one product.
      for (const auto& [count, m, n, k] :
           {std::array<std::int64_t, 4>{5, 33, 10, 64}, {3, 17, 130, 31}, {3, 260, 210, 193}}) {
        if (device.is_cuda() && m > 100) continue;
        for (const bool turned : {false, true}) {
          const Batch p{count, m, n, k, turned, !turned, false, turned, 1, 0, Epilogue::bias_relu, true};
          Guarded a(p.shape_a(), dtype, device), b(p.shape_b(), dtype, device), c(p.shape_c(), dtype, device);
          Guarded bias({count, n}, parameter_dtype(dtype), device), alone({m, n}, dtype, device);
          a.write(random.normal(a.shape()));
          b.write(random.normal(b.shape()));
          bias.write(random.normal(bias.shape()));
          p.run(device, a.view(), b.view(), bias.view(), c.view());
          const std::vector<std::byte> all = c.raw();
          for (std::int64_t i = 0; i < count; ++i) {
            const auto member = [](const View& batch, std::int64_t item) {
              const View one = batch.extent(0) == 1 ? batch : batch.slice(0, item, item + 1);
              return one.reshaped({one.extent(1), one.extent(2)});
            };
            kernels::gemm(device, p.transpose_a(), p.transpose_b(), 1, member(a.view(), i), member(b.view(), i), 0,
                          alone.view(), Epilogue::bias_relu, bias.view().slice(0, i, i + 1).reshaped({n}));
            const std::vector<std::byte> one = alone.raw();
            EXPECT_EQ(std::memcmp(all.data() + static_cast<std::size_t>(i) * one.size(), one.data(), one.size()), 0)
                << name_of(device) << " " << name_of(dtype) << " " << label_of(p) << ", product " << i;
          }
        }
      }
    }
  }
}

TEST(GemmBatched, FaultsNameOperandsAndShapes) {
  const Device device = Device::cpu(1);
  Tensor a = Tensor::zeros({3, 4, 5}, DType::f32, device), b = Tensor::zeros({2, 5, 6}, DType::f32, device);
  Tensor c = Tensor::zeros({3, 4, 6}, DType::f32, device), flat = Tensor::zeros({4, 5}, DType::f32, device);
  const auto multiply = [&](ConstView left, ConstView right, View to, ConstView bias = {}) {
    kernels::gemm_batched(device, Transpose::no, Transpose::no, 1, left, right, 0, to,
                          bias.given() ? Epilogue::bias : Epilogue::none, bias);
  };
  EXPECT_THROW(multiply(a, b, c), ShapeError);
  EXPECT_THROW(multiply(flat, b, c), ShapeError);
  EXPECT_THROW(multiply(a, a, c), ShapeError);
  EXPECT_THROW(multiply(a, b.view().slice(0, 0, 1), c, a.view().slice(0, 0, 1).reshaped({4, 5})), ShapeError);
  EXPECT_THROW(multiply(a.view().permuted({0, 2, 1}), a, c), ShapeError);
  EXPECT_NO_THROW(multiply(a, b.view().slice(0, 0, 1), c));
}

}  // namespace
}  // namespace rtl::test

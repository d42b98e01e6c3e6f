// Linear layers with packed weights: values against sums in double, and rows that do not depend on their neighbours.
#include "rtl/kernels/prepared_linear.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/kernels/gemm.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::test {
namespace {

using kernels::LinearActivation;
using kernels::PreparedLinear;

Tensor random_tensor(const Shape& shape, DType dtype, const Device& device, Random& random) {
  const Reals values = random.normal(shape, 0, 1);
  const Tensor wide = Tensor::from(std::vector<double>(values.begin(), values.end()), shape, device);
  Tensor made(shape, dtype, device);
  kernels::cast(device, wide, made);
  return made;
}

/// Rounded to `dtype` on the way.
std::vector<double> values_of(const Tensor& x, DType dtype) {
  Tensor rounded(x.shape(), dtype, x.device()), wide(x.shape(), DType::f64, x.device());
  kernels::cast(x.device(), x, rounded);
  kernels::cast(x.device(), rounded, wide);
  return wide.to_vector<double>();
}

double activated(LinearActivation activation, double x) {
  switch (activation) {
    case LinearActivation::none:
      return x;
    case LinearActivation::relu:
      return x < 0 ? 0 : x;
    case LinearActivation::relu6:
      return std::min(std::max(x, 0.0), 6.0);
    case LinearActivation::gelu:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case LinearActivation::gelu_tanh:
      return x / (1 + std::exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
    case LinearActivation::silu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

constexpr LinearActivation activations[] = {LinearActivation::none,      LinearActivation::relu,
                                            LinearActivation::relu6,     LinearActivation::gelu,
                                            LinearActivation::gelu_tanh, LinearActivation::silu};

struct Sizes {
  std::int64_t rows, inputs, outputs;
};

/// Of as many rounded products. bf16 is rounded, by 2^-8, before the activation, whose slope is below 1.2, and behind
/// it.
double bound(DType dtype, double sum, double magnitude, std::int64_t inputs) {
  const auto terms = static_cast<double>(inputs + 8);
  if (dtype == DType::f64) return 1e-15 * terms * magnitude + 1e-14;
  const double of_sum = 6e-8 * terms * magnitude;
  return dtype == DType::f32 ? of_sum : of_sum + 2.2 / 256 * std::abs(sum);
}

void check_values(const Sizes& sizes, DType dtype, bool with_bias, const Device& device) {
  Random random(17);
  const DType parameters = parameter_dtype(dtype);
  const Tensor x = random_tensor({sizes.rows, sizes.inputs}, dtype, device, random);
  const Tensor w = random_tensor({sizes.outputs, sizes.inputs}, parameters, device, random);
  const Tensor bias = random_tensor({sizes.outputs}, parameters, device, random);
  const PreparedLinear layer(device, w, with_bias ? ConstView(bias) : ConstView(), dtype);
  const std::vector<double> left = values_of(x, dtype), right = values_of(w, dtype),
                            added = values_of(bias, parameters);
  for (const LinearActivation activation : activations) {
    Tensor y({sizes.rows, sizes.outputs}, dtype, device);
    layer.forward(device, x, y, activation);
    const std::vector<double> found = values_of(y, dtype);
    for (std::int64_t i = 0; i < sizes.rows; ++i) {
      for (std::int64_t j = 0; j < sizes.outputs; ++j) {
        double sum = with_bias ? added[static_cast<std::size_t>(j)] : 0, magnitude = std::abs(sum);
        for (std::int64_t k = 0; k < sizes.inputs; ++k) {
          const double product = left[static_cast<std::size_t>(i * sizes.inputs + k)] *
                                 right[static_cast<std::size_t>(j * sizes.inputs + k)];
          sum += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(found[static_cast<std::size_t>(i * sizes.outputs + j)], activated(activation, sum),
                    bound(dtype, sum, magnitude, sizes.inputs))
            << name_of(dtype) << " " << name_of(activation) << " " << i << " " << j << " of " << sizes.rows << " x "
            << sizes.inputs << " x " << sizes.outputs;
      }
    }
  }
}

TEST(PreparedLinear, IsTheProductWithItsActivation) {
  const std::vector<Sizes> sizes = {{1, 1, 1},    {5, 3, 2},     {7, 31, 33}, {6, 32, 64},    {13, 33, 65},
                                    {64, 64, 16}, {31, 1025, 3}, {4, 17, 80}, {61, 128, 129}, {0, 4, 4}};
  for (const Device& device : devices()) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      for (const Sizes& one : sizes) {
        check_values(one, dtype, true, device);
        check_values(one, dtype, false, device);
      }
    }
  }
}

TEST(PreparedLinear, RowsDoNotDependOnTheirNeighbours) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Device one = Device::cpu(1), three = Device::cpu(3);
    Random random(5);
    const std::int64_t rows = 700, inputs = 96, outputs = 200;
    const Tensor x = random_tensor({rows, inputs}, dtype, one, random);
    const Tensor w = random_tensor({outputs, inputs}, DType::f32, one, random);
    const PreparedLinear layer(one, w, {}, dtype);
    Tensor all({rows, outputs}, dtype, one), shared({rows, outputs}, dtype, three), last({3, outputs}, dtype, one);
    layer.forward(one, x, all, LinearActivation::gelu);
    layer.forward(three, x, shared, LinearActivation::gelu);
    EXPECT_EQ(values_of(all, dtype), values_of(shared, dtype)) << name_of(dtype);
    layer.forward(one, x.view().slice(0, rows - 3, rows), last, LinearActivation::gelu);
    const std::vector<double> found = values_of(all, dtype);
    EXPECT_EQ(std::vector<double>(found.end() - 3 * outputs, found.end()), values_of(last, dtype)) << name_of(dtype);
  }
}

TEST(PreparedLinear, KeepsNaN) {
  const Device device = Device::cpu(1);
  const Tensor w = Tensor::from(std::vector<float>{1, 2}, {1, 2}, device);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const PreparedLinear layer(device, w, {}, dtype);
    Tensor x({1, 2}, dtype, device), y({1, 1}, dtype, device);
    kernels::cast(device, Tensor::from(std::vector<float>{NAN, 1}, {1, 2}, device), x);
    for (const LinearActivation activation : activations) {
      layer.forward(device, x, y, activation);
      EXPECT_TRUE(std::isnan(values_of(y, dtype)[0])) << name_of(dtype) << " " << name_of(activation);
    }
  }
}

TEST(PreparedLinear, RefusesWhatDoesNotFit) {
  const Device device = Device::cpu(1);
  const Tensor w({3, 4}, DType::f32, device), bias({2}, DType::f32, device);
  EXPECT_THROW(PreparedLinear(device, w, bias, DType::f32), ShapeError);
  EXPECT_THROW(PreparedLinear(device, w, {}, DType::f64), DTypeError);
  EXPECT_THROW(PreparedLinear(device, w, {}, DType::i32), DTypeError);
  const PreparedLinear layer(device, w, {}, DType::f32);
  Tensor y({2, 3}, DType::f32, device);
  EXPECT_THROW(layer.forward(device, Tensor({2, 5}, DType::f32, device), y), ShapeError);
  EXPECT_THROW(layer.forward(device, Tensor({1, 4}, DType::f32, device), y), ShapeError);
  EXPECT_THROW(layer.forward(device, Tensor({2, 4}, DType::bf16, device), y), DTypeError);
}

}  // namespace
}  // namespace rtl::test

// Networks whose weights are golden draws, and how far what they compute is from golden values.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "rtl/layers/network.hpp"
#include "support/golden.hpp"

namespace rtl::test {

using Values = std::vector<double>;

inline Values as_double(const Tensor& tensor) {
  if (tensor.dtype() == DType::f64) return tensor.to_vector<double>();
  const std::vector<float> values = tensor.to_vector<float>();
  return {values.begin(), values.end()};
}

inline Tensor tensor_of(const Values& values, const Shape& shape, DType dtype, const Device& device) {
  if (dtype == DType::f64) return Tensor::from(values, shape, device);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
}

inline double norm(const Values& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

inline Values difference(const Values& a, const Values& b) {
  EXPECT_EQ(a.size(), b.size());
  Values result(a.size());
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) result[i] = a[i] - b[i];
  return result;
}

/// L2 norm of the difference over that of what is expected.
inline double error(const Values& here, const Values& there) { return norm(difference(here, there)) / norm(there); }

/// Draws every parameter, then every buffer.
inline void draw_weights(layers::Network& network, GoldenDraws& draws, DType dtype) {
  layers::ModuleState state = network.state();
  for (const layers::NamedParameter& parameter : state.parameters) {
    const Shape& shape = parameter.value().shape();
    copy_bytes(tensor_of(draws.weights(parameter.name, shape), shape, dtype, network.device()), parameter.value());
  }
  for (const layers::NamedBuffer& buffer : state.buffers) {
    const Shape& shape = buffer.value().shape();
    copy_bytes(tensor_of(draws.weights(buffer.name, shape), shape, buffer.value().dtype(), network.device()),
               buffer.value());
  }
}

/// Four sums of the elements, weighted by draws in [-1, 1).
inline Values projections(const Values& values, GoldenDraws& draws) {
  const Values weights = draws.uniform(static_cast<std::int64_t>(4 * values.size()), -1, 1);
  Values sums(4, 0.0);
  for (std::size_t k = 0; k < 4; ++k) {
    for (std::size_t i = 0; i < values.size(); ++i) sums[k] += weights[k * values.size() + i] * values[i];
  }
  return sums;
}

}  // namespace rtl::test

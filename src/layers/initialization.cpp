#include "rtl/layers/initialization.hpp"

#include <algorithm>
#include <cmath>

#include "rtl/core/random.hpp"
#include "rtl/kernels/dropout.hpp"

namespace rtl::layers {

std::uint64_t stream_of(std::string_view name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix(hash, name.size());
}

void initialize_weight(Initialization initialization, std::uint64_t seed, std::string_view name, Tensor& weight) {
  const std::int64_t fan_in = weight.count() / std::max<std::int64_t>(1, weight.extent(0));
  if (initialization == Initialization::uniform_fan_in) {
    initialize_bias(fan_in, seed, name, weight);
  } else {
    const bool of_outputs = initialization == Initialization::kaiming_normal_fan_out;
    const std::int64_t fan = of_outputs ? weight.count() / std::max<std::int64_t>(1, weight.extent(1)) : fan_in;
    const double deviation = std::sqrt(2.0 / static_cast<double>(fan));
    kernels::normal(weight.device(), 0.0, deviation, seed, stream_of(name), weight);
  }
}

void initialize_bias(std::int64_t fan_in, std::uint64_t seed, std::string_view name, Tensor& bias) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  kernels::uniform(bias.device(), -bound, bound, seed, stream_of(name), bias);
}

}  // namespace rtl::layers

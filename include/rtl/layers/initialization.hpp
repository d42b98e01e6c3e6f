// Initial weights. Each tensor is drawn from the Philox stream of its name, so it depends on (seed, name) only: not on
// the order of construction, the device or the number of threads.
#pragma once

#include <cstdint>
#include <string_view>

#include "rtl/core/tensor.hpp"

namespace rtl::layers {

/// Philox stream of a name: FNV-1a, mixed.
std::uint64_t stream_of(std::string_view name) noexcept;

/// How weights are drawn. Biases are always U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
enum class Initialization : std::uint8_t {
  uniform_fan_in,         ///< U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for linear and convolution layers
  kaiming_normal,         ///< N(0, 2 / fan_in) (He et al. 2015): akamaster's CIFAR ResNets
  kaiming_normal_fan_out  ///< N(0, 2 / fan_out), fan_out being outputs times filter: torchvision's convolutions
};

/// Fills `weight` [out, in, ...]; fan_in is the product of all but the first extent, fan_out of all but the second.
void initialize_weight(Initialization initialization, std::uint64_t seed, std::string_view name, Tensor& weight);

/// Fills with U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
void initialize_bias(std::int64_t fan_in, std::uint64_t seed, std::string_view name, Tensor& bias);

}  // namespace rtl::layers

// Weights of samples that stand apart from them.
#pragma once

#include <cstdint>
#include <string>

#include "rtl/core/tensor.hpp"

namespace rtl::data {

/// Numbers of any dtype, [N] or [N, 1], as the weights f32 [N] of `samples` samples. Throws FormatError naming the file
/// for other shapes and numbers of samples, weights that are below 0 or that f32 does not hold, and weights that are
/// all 0.
Tensor array_weights(const std::string& file, const Tensor& values, std::int64_t samples, const Device& host);

/// The same of a file: .npy, or text with a number a line; plain or .gz.
Tensor read_weights(const std::string& file, std::int64_t samples, const Device& host);

}  // namespace rtl::data

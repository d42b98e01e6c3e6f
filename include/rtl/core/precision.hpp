// In which arithmetic networks run.
#pragma once

#include <string>
#include <string_view>

#include "rtl/core/dtype.hpp"

namespace rtl {

/// f32: everything in the dtype of the parameters, which is f32 or, for networks made in it, f64. bf16: activations and
/// the factors of products are bf16, half the memory traffic and up to several times the arithmetic on processors with
/// AMX and on GPUs; products are summed in f32, and weights, running statistics, losses and optimizer state stay f32.
enum class Precision : std::uint8_t { f32, bf16 };

/// "f32", "bf16".
std::string to_string(Precision precision);
/// Throws ValueError, listing the names.
Precision parse_precision(std::string_view text);

/// Of the activations of a network with such parameters.
constexpr DType activation_dtype(Precision precision, DType parameters) {
  return precision == Precision::bf16 ? DType::bf16 : parameters;
}

}  // namespace rtl

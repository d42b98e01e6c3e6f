// What the files of this folder share.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph {

/// Records T(arguments...), which has one result.
template <typename T, typename... Arguments>
Value record(std::initializer_list<Value> operands, Arguments&&... arguments) {
  for (const Value& operand : operands) {
    if (operand.defined())
      return operand.graph().add_one(std::make_shared<const T>(std::forward<Arguments>(arguments)...), operands);
  }
  throw ValueError("an operation was given no operand that is defined");
}

inline bool is_arithmetic(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

/// Every operand that is defined has the first one's dtype, f32 or f64. Throws DTypeError; ValueError where the first
/// is not defined.
void check_floating(std::string_view operation, std::span<const Value> operands);
/// The operands that are defined have one dtype: f32, f64 or bf16. Throws as check_floating.
void check_activations(std::string_view operation, std::span<const Value> operands);
/// The same for the first `activations` operands; the others have the dtype of parameters that goes with it
/// (parameter_dtype).
void check_layer(std::string_view operation, std::span<const Value> operands, std::size_t activations);
[[noreturn]] void throw_shape_error(std::string_view operation, fmt::string_view fault, fmt::format_args arguments);
/// Throws ShapeError(operation: fault) unless `holds`.
template <typename... Arguments>
void check_shape(bool holds, std::string_view operation, fmt::format_string<Arguments...> fault,
                 Arguments&&... arguments) {
  if (!holds) throw_shape_error(operation, fault, fmt::make_format_args(arguments...));
}
/// The shape to which NumPy broadcasts both. Throws ShapeError.
Shape broadcast_shape(std::string_view operation, const Shape& a, const Shape& b);
/// Axis number in [0, rank). Throws ShapeError.
int checked_axis(std::string_view operation, int axis, int rank);

/// What a product starts on CUDA (kernels/cuda/gemm.cpp): one with the `epilogue`, a cast where one factor is bf16, and
/// the rounding of a sum with an epilogue to bf16.
int product_launches(DType a, DType b, DType y, bool epilogue);

/// i32 or i64 [n]. Throws DTypeError, ShapeError; ValueError where they are not defined.
void check_row_numbers(std::string_view operation, const Value& rows);
/// i64 [4], see rtl/kernels/step_state.hpp. Throws DTypeError, ShapeError; ValueError where they are not defined.
void check_counters(std::string_view operation, const Value& counters);

/// True where all replicated operands have the rank of the result, so that the kernel's broadcasting does the rest.
inline bool broadcasts_with_replicas(std::span<const Value> operands, const std::vector<bool>& replicated, int rank) {
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (replicated[i] && operands[i].rank() != rank) return false;
  }
  return true;
}

}  // namespace rtl::graph

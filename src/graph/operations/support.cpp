#include "graph/operations/support.hpp"

#include <array>

#include "rtl/kernels/step_state.hpp"

namespace rtl::graph {

namespace {

void check_one(std::string_view operation, const Value& operand, bool allowed, std::string_view needed) {
  if (allowed) return;
  throw DTypeError(fmt::format("{}: an operand is {}; {} is needed", operation, operand.type().to_string(), needed));
}

void check_all(std::string_view operation, const Value& first, std::span<const Value> operands, DType wanted) {
  for (const Value& operand : operands) {
    if (!operand.defined() || operand.dtype() == wanted) continue;
    throw DTypeError(fmt::format("{}: {} and {} meet; cast one of them", operation, first.type().to_string(),
                                 operand.type().to_string()));
  }
}

}  // namespace

void check_floating(std::string_view operation, std::span<const Value> operands) {
  check_one(operation, operands[0], is_arithmetic(operands[0].dtype()), "f32 or f64");
  check_all(operation, operands[0], operands, operands[0].dtype());
}

void check_layer(std::string_view operation, std::span<const Value> operands, std::size_t activations) {
  const DType dtype = operands[0].dtype();
  check_one(operation, operands[0], is_arithmetic(dtype) || dtype == DType::bf16, "f32, f64 or bf16");
  check_all(operation, operands[0], operands.first(activations), dtype);
  check_all(operation, operands[0], operands.subspan(activations), parameter_dtype(dtype));
}

void check_activations(std::string_view operation, std::span<const Value> operands) {
  check_layer(operation, operands, operands.size());
}

void throw_shape_error(std::string_view operation, fmt::string_view fault, fmt::format_args arguments) {
  throw ShapeError(fmt::format("{}: {}", operation, fmt::vformat(fault, arguments)));
}

Shape broadcast_shape(std::string_view operation, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<std::int64_t, Shape::max_rank> extents{};
  for (int axis = 0; axis < rank; ++axis) {
    const int in_a = axis - (rank - a.rank()), in_b = axis - (rank - b.rank());
    const std::int64_t extent_a = in_a < 0 ? 1 : a[in_a], extent_b = in_b < 0 ? 1 : b[in_b];
    check_shape(extent_a == extent_b || extent_a == 1 || extent_b == 1, operation,
                "{} and {} do not broadcast: axes must be equal or 1", a.to_string(), b.to_string());
    extents[static_cast<std::size_t>(axis)] = extent_a == 1 ? extent_b : extent_a;
  }
  return Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(rank)));
}

int checked_axis(std::string_view operation, int axis, int rank) {
  check_shape(axis >= -rank && axis < rank, operation, "there is no axis {} in {} axes", axis, rank);
  return axis < 0 ? axis + rank : axis;
}

int product_launches(DType a, DType b, DType y, bool epilogue) {
  return 1 + (a != b ? 1 : 0) + (epilogue && y == DType::bf16 ? 1 : 0);
}

void check_row_numbers(std::string_view operation, const Value& rows) {
  if (!rows.defined()) throw ValueError(fmt::format("{}: no row numbers are given", operation));
  if (rows.dtype() != DType::i32 && rows.dtype() != DType::i64) {
    throw DTypeError(
        fmt::format("{}: the row numbers are {}; i32 or i64 is needed", operation, rows.type().to_string()));
  }
  check_shape(rows.rank() == 1, operation, "the row numbers are {}; one axis is needed", rows.shape().to_string());
}

void check_counters(std::string_view operation, const Value& counters) {
  if (!counters.defined()) throw ValueError(fmt::format("{}: no counters are given", operation));
  if (counters.dtype() != DType::i64) {
    throw DTypeError(fmt::format("{}: the counters are {}; i64 is needed", operation, counters.type().to_string()));
  }
  check_shape(counters.shape() == Shape{kernels::Counters::count}, operation, "the counters are {}; [{}] is needed",
              counters.shape().to_string(), kernels::Counters::count);
}

}  // namespace rtl::graph

#include "graph/operations/support.hpp"

#include <array>

#include "rtl/kernels/step_state.hpp"

namespace rtl::graph {

void check_floating(std::string_view operation, std::span<const Value> operands) {
  const DType dtype = operands[0].dtype();
  for (const Value& operand : operands) {
    if (!operand.defined()) continue;
    if (!is_arithmetic(operand.dtype())) {
      throw DTypeError(
          fmt::format("{}: an operand is {}; f32 or f64 is needed", operation, operand.type().to_string()));
    }
    if (operand.dtype() != dtype) {
      throw DTypeError(fmt::format("{}: {} and {} meet; cast one of them", operation, operands[0].type().to_string(),
                                   operand.type().to_string()));
    }
  }
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

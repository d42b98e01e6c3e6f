// Sparse matrices, and their products.
#include "rtl/graph/sparse.hpp"

#include <array>
#include <cmath>
#include <limits>

#include "graph/operations/support.hpp"
#include "rtl/kernels/sparse.hpp"

namespace rtl::graph {
namespace {

/// A matrix by its rows, on the host.
struct HostRows {
  std::vector<std::int32_t> offsets, columns;
  std::vector<double> values;
};

HostRows checked_rows(std::int64_t columns, std::span<const std::int32_t> offsets,
                      std::span<const std::int32_t> column_of, std::span<const double> values) {
  constexpr auto call = "SparseMatrix";
  const auto fail = [&](const std::string& fault) { throw ValueError(fmt::format("{}: {}", call, fault)); };
  check_shape(!offsets.empty(), call, "no offsets; a matrix of m rows has m + 1");
  check_shape(column_of.size() == values.size(), call, "{} columns for {} values", column_of.size(), values.size());
  if (values.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    fail(fmt::format("{} entries; there may be 2^31 - 1", values.size()));
  }
  if (offsets.front() != 0 || static_cast<std::size_t>(offsets.back()) != values.size()) {
    fail(fmt::format("offsets from {} to {} for {} entries", offsets.front(), offsets.back(), values.size()));
  }
  for (std::size_t row = 1; row < offsets.size(); ++row) {
    if (offsets[row] < offsets[row - 1]) fail(fmt::format("the offsets fall behind row {}", row - 1));
  }
  for (std::size_t e = 0; e < values.size(); ++e) {
    if (column_of[e] < 0 || column_of[e] >= columns) {
      fail(fmt::format("entry {} is in column {} of {}", e, column_of[e], columns));
    }
    if (!std::isfinite(values[e])) fail(fmt::format("entry {} is {}", e, values[e]));
  }
  return {{offsets.begin(), offsets.end()}, {column_of.begin(), column_of.end()}, {values.begin(), values.end()}};
}

HostRows transpose_of(const HostRows& a, std::int64_t columns) {
  HostRows turned{std::vector<std::int32_t>(static_cast<std::size_t>(columns) + 1),
                  std::vector<std::int32_t>(a.columns.size()), std::vector<double>(a.values.size())};
  for (const std::int32_t column : a.columns) ++turned.offsets[static_cast<std::size_t>(column) + 1];
  for (std::size_t i = 1; i < turned.offsets.size(); ++i) turned.offsets[i] += turned.offsets[i - 1];
  std::vector<std::int32_t> next(turned.offsets.begin(), turned.offsets.end() - 1);
  for (std::size_t row = 0; row + 1 < a.offsets.size(); ++row) {
    for (auto e = static_cast<std::size_t>(a.offsets[row]); e < static_cast<std::size_t>(a.offsets[row + 1]); ++e) {
      const auto place = static_cast<std::size_t>(next[static_cast<std::size_t>(a.columns[e])]++);
      turned.columns[place] = static_cast<std::int32_t>(row);
      turned.values[place] = a.values[e];
    }
  }
  return turned;
}

Tensor values_tensor(const std::vector<double>& values, DType dtype, const Device& device) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  if (dtype == DType::f64) return Tensor::from(values, shape, device);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
}

Tensor numbers_tensor(const std::vector<std::int32_t>& numbers, const Device& device) {
  return Tensor::from(numbers, {static_cast<std::int64_t>(numbers.size())}, device);
}

/// Operands: x, then offsets, columns and values of the matrix, and of its transpose.
class SparseProduct final : public Operation {
 public:
  std::string_view name() const noexcept override { return "sparse_product"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value &x = operands[0], &offsets = operands[1], &values = operands[3];
    check_layer(name(), std::array{x, values}, 1);
    const std::int64_t columns = operands[4].extent(0) - 1;
    check_shape(x.rank() == 2 && x.extent(0) == columns, name(), "x is {} for a matrix [{}, {}]; [{}, C] is needed",
                x.shape().to_string(), offsets.extent(0) - 1, columns, columns);
    return {{x.shape().with(0, offsets.extent(0) - 1), x.dtype()}};
  }
  void run(const Call& call) const override {
    kernels::sparse_product(call.device(), {call.in(1), call.in(2), call.in(3)}, call.in(0), call.out(0));
  }
  void gradient(GradientCall& call) const override {
    for (std::size_t i = 1; i < call.operands(); ++i) {
      if (call.needs(i)) return Operation::gradient(call);
    }
    call.give(0, record<SparseProduct>({call.gradient(), call.operand(4), call.operand(5), call.operand(6),
                                        call.operand(1), call.operand(2), call.operand(3)}));
  }
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    for (std::size_t i = 1; i < operands.size(); ++i) {
      if (replicated[i]) return false;
    }
    return true;
  }
  double flops(std::span<const Value> operands) const override {
    return 2.0 * static_cast<double>(operands[3].shape().count()) * static_cast<double>(operands[0].extent(1));
  }
};

}  // namespace

SparseMatrix::SparseMatrix(std::int64_t columns, std::span<const std::int32_t> offsets,
                           std::span<const std::int32_t> column_of, std::span<const double> values, DType dtype,
                           const Device& device) {
  if (!is_arithmetic(dtype)) {
    throw DTypeError(fmt::format("SparseMatrix: values of {}; f32 or f64 is needed", name_of(dtype)));
  }
  check_shape(columns >= 0, "SparseMatrix", "{} columns", columns);
  const HostRows rows = checked_rows(columns, offsets, column_of, values);
  const auto on_device = [&](const HostRows& from) -> Rows {
    return {Storage(numbers_tensor(from.offsets, device)), Storage(numbers_tensor(from.columns, device)),
            Storage(values_tensor(from.values, dtype, device))};
  };
  by_row_ = on_device(rows);
  by_column_ = on_device(transpose_of(rows, columns));
}

SparseMatrix SparseMatrix::transposed() const {
  SparseMatrix turned;
  turned.by_row_ = by_column_;
  turned.by_column_ = by_row_;
  return turned;
}

Value sparse_product(const SparseMatrix& a, const Value& x) {
  if (!a.defined() || !x.defined()) throw ValueError("sparse_product: the matrix or x is not defined");
  Graph& graph = x.graph();
  const auto constant = [&](const char* name, const Storage& storage) { return graph.constant(name, storage); };
  return record<SparseProduct>({x, constant("row offsets", a.by_row_.offsets), constant("columns", a.by_row_.columns),
                                constant("values", a.by_row_.values), constant("column offsets", a.by_column_.offsets),
                                constant("rows", a.by_column_.columns),
                                constant("transposed values", a.by_column_.values)});
}

}  // namespace rtl::graph

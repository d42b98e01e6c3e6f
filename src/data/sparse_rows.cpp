#include "rtl/data/sparse_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "core/by_name.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

constexpr std::int64_t widest = std::int64_t{1} << 31;

[[noreturn]] void fail(const std::string& fault) { throw ValueError("SparseRows: " + fault); }

void check_offsets(std::span<const std::int64_t> offsets, std::size_t entries) {
  if (offsets.front() != 0) fail(fmt::format("the offsets begin with {}, not 0", offsets.front()));
  for (std::size_t row = 1; row < offsets.size(); ++row) {
    if (offsets[row] < offsets[row - 1]) fail(fmt::format("row {}: the offsets fall there", row - 1));
  }
  if (std::cmp_not_equal(offsets.back(), entries)) {
    fail(fmt::format("the offsets end with {} for {} entries", offsets.back(), entries));
  }
}

void check_columns(std::span<const std::int64_t> offsets, std::span<const std::int32_t> columns, std::int64_t width) {
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    std::int64_t last = -1;
    for (const std::int32_t column : columns.subspan(static_cast<std::size_t>(offsets[row]),
                                                     static_cast<std::size_t>(offsets[row + 1] - offsets[row]))) {
      if (column < 0 || column >= width) fail(fmt::format("row {}: there is a column {} of {}", row, column, width));
      if (column <= last) fail(fmt::format("row {}: column {} stands behind column {}", row, column, last));
      last = column;
    }
  }
}

template <typename T>
Tensor tensor_of(std::span<const T> values, const Device& device) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())}, device);
}

template <typename T>
std::span<const T> elements_of(const Tensor& tensor) {
  return {tensor.data_as<T>(), static_cast<std::size_t>(tensor.count())};
}

}  // namespace

SparseForm parse_sparse_form(const std::string& text) {
  using Form = std::optional<SparseForm>;
  const Form form = by_name<Form>(
      text, {{"auto", SparseForm::automatic}, {"yes", SparseForm::yes}, {"no", SparseForm::no}}, std::nullopt);
  if (!form) throw ValueError(fmt::format("'{}' is no form of rows; there are auto, yes and no", text));
  return *form;
}

SparseRows::SparseRows(std::int64_t width, std::span<const std::int64_t> offsets, std::span<const std::int32_t> columns,
                       std::span<const float> values, const Device& device)
    : width_(width) {
  if (width < 1 || width > widest) throw ShapeError(fmt::format("SparseRows: {} columns; there are 1 to 2^31", width));
  if (offsets.empty()) throw ShapeError("SparseRows: no offsets; n rows have n + 1");
  if (columns.size() != values.size()) {
    throw ShapeError(fmt::format("SparseRows: {} columns for {} values", columns.size(), values.size()));
  }
  check_offsets(offsets, values.size());
  check_columns(offsets, columns, width);
  offsets_ = tensor_of(offsets, device);
  columns_ = tensor_of(columns, device);
  values_ = tensor_of(values, device);
}

SparseRows SparseRows::of(const Tensor& dense) {
  if (dense.rank() != 2) {
    throw ShapeError(fmt::format("SparseRows: {} is no matrix [n, p]", dense.shape().to_string()));
  }
  const std::vector<float> all = dense.to_vector<float>();
  const std::int64_t width = dense.extent(1);
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> values;
  for (std::int64_t row = 0; row < dense.extent(0); ++row) {
    for (std::int64_t column = 0; column < width; ++column) {
      const float value = all[static_cast<std::size_t>(row * width + column)];
      if (value == 0) continue;
      columns.push_back(static_cast<std::int32_t>(column));
      values.push_back(value);
    }
    offsets.push_back(static_cast<std::int64_t>(values.size()));
  }
  return {width, offsets, columns, values, dense.device()};
}

SparseRows SparseRows::to(const Device& device) const {
  SparseRows copy;
  copy.width_ = width_;
  copy.offsets_ = offsets_.to(device);
  copy.columns_ = columns_.to(device);
  copy.values_ = values_.to(device);
  return copy;
}

SparseRows SparseRows::subset(std::span<const std::int64_t> rows) const {
  const HostEntries all(*this);
  std::vector<std::int64_t> offsets{0};
  for (const std::int64_t row : rows) {
    const auto at = static_cast<std::size_t>(row);
    offsets.push_back(offsets.back() + all.offsets[at + 1] - all.offsets[at]);
  }
  std::vector<std::int32_t> columns;
  std::vector<float> values;
  columns.reserve(static_cast<std::size_t>(offsets.back()));
  values.reserve(columns.capacity());
  for (const std::int64_t row : rows) {
    const auto begin = all.offsets[static_cast<std::size_t>(row)], end = all.offsets[static_cast<std::size_t>(row) + 1];
    columns.insert(columns.end(), all.columns.begin() + begin, all.columns.begin() + end);
    values.insert(values.end(), all.values.begin() + begin, all.values.begin() + end);
  }
  SparseRows part;
  part.width_ = width_;
  part.offsets_ = tensor_of<std::int64_t>(offsets, device());
  part.columns_ = tensor_of<std::int32_t>(columns, device());
  part.values_ = tensor_of<float>(values, device());
  return part;
}

Tensor SparseRows::dense(std::string_view purpose, double most_bytes) const {
  if (dense_bytes() > most_bytes) {
    constexpr double gibibyte = std::int64_t{1} << 30;
    throw ValueError(
        fmt::format("{} the dense form of {} sparse rows of {} columns, which would take {:.1f} GiB, where {:.1f} are "
                    "allowed; take fewer rows or columns",
                    purpose, rows(), width_, dense_bytes() / gibibyte, most_bytes / gibibyte));
  }
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(rows()));
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  Tensor out({rows(), width_}, DType::f32, device());
  kernels::gather_sparse_rows(device(), view(), {}, tensor_of<std::int64_t>(numbers, device()), out);
  return out;
}

bool stays_sparse(SparseForm form, const SparseRows& rows) {
  if (form != SparseForm::automatic) return form == SparseForm::yes;
  constexpr double small = 64.0 * (1 << 20), share = 0.1;
  const double elements = static_cast<double>(rows.rows()) * static_cast<double>(rows.width());
  return rows.dense_bytes() > small && static_cast<double>(rows.entries()) <= share * elements;
}

HostEntries::HostEntries(const SparseRows& rows) {
  if (rows.device().is_cuda()) copy_ = rows.to(rows.device().host());
  const SparseRows& here = copy_.defined() ? copy_ : rows;
  offsets = elements_of<std::int64_t>(here.offsets());
  columns = elements_of<std::int32_t>(here.columns());
  values = elements_of<float>(here.values());
}

std::string HostEntries::find_not_finite() const {
  const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (bad == values.end()) return {};
  const auto entry = bad - values.begin();
  const auto row = std::upper_bound(offsets.begin(), offsets.end(), entry) - offsets.begin() - 1;
  return fmt::format("sample {}, feature {} is {}; remove or impute it", row, columns[static_cast<std::size_t>(entry)],
                     *bad);
}

}  // namespace rtl::data

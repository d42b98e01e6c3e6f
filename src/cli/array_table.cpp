#include "cli/array_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/column_parts.hpp"
#include "data/table_parts.hpp"
#include "rtl/core/error.hpp"

namespace rtl::cli {
namespace {

template <typename T>
Tensor widened(const Tensor& values) {
  std::vector<double> wide;
  wide.reserve(static_cast<std::size_t>(values.count()));
  for (const T value : values.to_vector<T>()) {
    if constexpr (std::is_same_v<T, float16>) {
      wide.push_back(to_float(value));
    } else {
      wide.push_back(static_cast<double>(value));
    }
  }
  return Tensor::from(wide, values.shape(), values.device());
}

template <typename T>
void check_finite(const std::string& file, const Tensor& values) {
  const T* begin = values.data_as<T>();
  const T* end = begin + values.count();
  const T* wild = std::find_if(begin, end, [](T value) { return !std::isfinite(value); });
  if (wild == end) return;
  const std::int64_t width = values.extent(1);
  throw FormatError(file, fmt::format("row {}, column {} is {}; remove or impute it", (wild - begin) / width,
                                      (wild - begin) % width, *wild));
}

/// f64 [rows, columns] of the columns that a table has, and of those that its texts become.
Tensor prepared_matrix(const data::Spec& spec, const data::ColumnParts& columns, const data::CsvTable& table,
                       const data::Preprocessing* fitted, Array& array) {
  data::ColumnTable rows = data::table_columns(array.file, table);
  columns.order(rows);
  array.preprocessing = std::make_shared<const data::Preprocessing>(
      fitted != nullptr ? *fitted : data::Preprocessing::fit(data::steps_of(spec, rows), rows));
  if (fitted == nullptr) {
    for (const std::string& step : array.preprocessing->describe()) array.notes.push_back(step);
  }
  std::vector<std::string> more;
  rows = array.preprocessing->apply(std::move(rows), more);
  for (const std::string& note : more) array.notes.push_back(note.substr(note.find(": ") + 2));
  const std::size_t width = rows.columns.size();
  std::vector<double> values(static_cast<std::size_t>(rows.rows) * width);
  for (std::size_t c = 0; c < width; ++c) {
    for (std::size_t row = 0; row < rows.columns[c].numbers.size(); ++row) {
      values[row * width + c] = rows.columns[c].numbers[row];
    }
  }
  return Tensor::from(values, {rows.rows, static_cast<std::int64_t>(width)}, Device::cpu(1));
}

}  // namespace

Tensor checked_matrix(const std::string& file, Tensor values) {
  if (values.rank() < 1 || values.rank() > 2 || values.count() == 0) {
    throw FormatError(file, fmt::format("holds {} {}; expected a matrix [rows, columns] or a vector [rows]",
                                        name_of(values.dtype()), values.shape().to_string()));
  }
  const Shape shape{values.extent(0), values.rank() == 2 ? values.extent(1) : 1};
  values = std::move(values).reshaped(shape);
  if (values.dtype() == DType::i32) return widened<std::int32_t>(values);
  if (values.dtype() == DType::i64) return widened<std::int64_t>(values);
  if (values.dtype() == DType::u8) return widened<std::uint8_t>(values);
  if (values.dtype() == DType::f16) values = widened<float16>(values);
  values.dtype() == DType::f32 ? check_finite<float>(file, values) : check_finite<double>(file, values);
  return values;
}

Array from_table(const data::Spec& spec, data::CsvTable table) {
  Array array{{}, spec.file(), std::move(table.values)};
  array.left_out = std::move(table.left_out);
  array.notes = std::move(table.notes);
  std::erase_if(array.notes, [](const std::string& note) { return note.find("left out") != std::string::npos; });
  array.classes = std::move(table.classes);
  array.all_rows = table.rows() + static_cast<std::int64_t>(array.left_out.size());
  if (array.left_out.empty()) return array;
  std::vector<std::int64_t> gaps;
  for (const data::CsvGap& gap : array.left_out) gaps.push_back(gap.line);
  for (std::size_t row = 0; row < table.lines.size(); ++row) {
    const auto before = std::lower_bound(gaps.begin(), gaps.end(), table.lines[row]) - gaps.begin();
    array.places.push_back(static_cast<std::int64_t>(row) + before);
  }
  return array;
}

Array read_table(const data::Spec& spec, bool targets, const data::Preprocessing* fitted) {
  const std::string file = spec.file();
  const data::ColumnParts columns(spec, fitted);
  std::vector<std::string> notes;
  data::CsvOptions options = data::csv_options(spec);
  options.detect_categories = !targets;
  options = columns.reading(file, options, notes);
  data::CsvTable table = data::read_csv(file, options, Device::cpu(1));
  // Of numbers alone nothing is prepared, but their names are kept: other rows are read by them.
  const bool prepared = !targets && !(table.columns.empty() && table.categories.empty());
  Tensor values;
  Array told{{}, file, {}};
  if (prepared) values = prepared_matrix(spec, columns, table, fitted, told);
  Array array = from_table(spec, std::move(table));
  if (prepared) array.values = std::move(values);
  array.preprocessing = std::move(told.preprocessing);
  array.notes.insert(array.notes.end(), told.notes.begin(), told.notes.end());
  for (const std::string& note : notes) array.notes.push_back(note.substr(note.find(": ") + 2));
  array.classes.clear();
  if (array.values.count() == 0) throw FormatError(file, "has no column of numbers beside what is left out");
  array.values = checked_matrix(file, std::move(array.values));
  return array;
}

}  // namespace rtl::cli

#include "data/table_parts.hpp"

#include <fmt/format.h>

#include <cmath>

#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

/// Columns of a table as f32.
Tensor narrowed(const std::string& file, const CsvTable& table, const Tensor& wide,
                const std::vector<std::string>& names, const Device& host) {
  std::vector<float> narrow(static_cast<std::size_t>(wide.count()));
  const double* values = wide.data_as<double>();
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    narrow[i] = static_cast<float>(values[i]);
    if (!std::isfinite(narrow[i])) {
      throw FormatError(file, fmt::format("line {}, column '{}': {} is too large for float32",
                                          table.lines[i / names.size()], names[i % names.size()], values[i]));
    }
  }
  return Tensor::from(narrow, wide.shape(), host);
}

}  // namespace

ColumnTable table_columns(const std::string& file, const CsvTable& table) {
  const std::size_t width = table.columns.size() + table.categories.size();
  if (width == 0) throw FormatError(file, "has no column of numbers beside label, targets and what is dropped");
  ColumnTable columns{{}, table.rows(), file, table.lines};
  const double* values = table.columns.empty() ? nullptr : table.values.data_as<double>();
  const auto rows = static_cast<std::size_t>(table.rows());
  auto category = table.categories.begin();
  for (std::size_t number = 0; columns.columns.size() < width;) {
    if (category != table.categories.end() && category->position == columns.columns.size()) {
      columns.columns.push_back({category->name, {}, category->values, true});
      ++category;
      continue;
    }
    Column column{table.columns[number], std::vector<double>(rows), {}, false};
    for (std::size_t row = 0; row < rows; ++row) column.numbers[row] = values[row * table.columns.size() + number];
    columns.columns.push_back(std::move(column));
    ++number;
  }
  return columns;
}

Tensor table_weights(const CsvTable& table, const Device& host) {
  return Tensor::from(std::vector<float>(table.weights.begin(), table.weights.end()), {table.rows()}, host);
}

bool wants_imputation(const Spec& spec) {
  if (spec.has("missing")) return spec.text("missing") == "impute";
  return spec.has("impute") || spec.text("indicators") == "yes";
}

Tensor table_targets(const std::string& file, const CsvTable& table, const Device& host) {
  return narrowed(file, table, table.targets, table.target_names, host);
}

void add_notes(std::vector<std::string>& notes, const std::string& file, const std::vector<std::string>& more) {
  for (const std::string& note : more) notes.push_back(fmt::format("{}: {}", file, note));
}

}  // namespace rtl::data

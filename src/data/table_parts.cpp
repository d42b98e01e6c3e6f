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

Tensor table_features(const std::string& file, const CsvTable& table, const Device& host) {
  if (table.columns.empty()) {
    throw FormatError(file, "has no column of numbers beside label, targets and what is dropped");
  }
  return narrowed(file, table, table.values, table.columns, host);
}

Tensor table_targets(const std::string& file, const CsvTable& table, const Device& host) {
  return narrowed(file, table, table.targets, table.target_names, host);
}

void add_notes(std::vector<std::string>& notes, const std::string& file, const std::vector<std::string>& more) {
  for (const std::string& note : more) notes.push_back(fmt::format("{}: {}", file, note));
}

}  // namespace rtl::data

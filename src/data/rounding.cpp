#include "data/rounding.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/joined.hpp"

namespace rtl::data {
namespace {

std::string note_of(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  constexpr std::size_t most = 5;
  const std::string shown = joined(std::span(names).first(std::min(names.size(), most)), ", ");
  return fmt::format(
      "float32 rounds the numbers of {}{} by more than a hundredth of their deviation; prepare=standardize "
      "scales them before",
      shown, names.size() > most ? fmt::format(", .. ({} columns)", names.size()) : "");
}

}  // namespace

void ColumnRounding::add(std::size_t column, double number) {
  Sums& sums = columns_[column];
  if (sums.count == 0) sums.first = number;
  sums.count += 1;
  const double before = number - sums.mean, error = number - static_cast<double>(static_cast<float>(number));
  sums.mean += before / sums.count;
  sums.squares += before * (number - sums.mean);
  sums.errors += error * error;
  sums.varies = sums.varies || number != sums.first;
}

void ColumnRounding::add_rows(std::span<const double> rows) {
  for (std::size_t i = 0; i < rows.size(); i += columns_.size()) {
    for (std::size_t column = 0; column < columns_.size(); ++column) add(column, rows[i + column]);
  }
}

bool ColumnRounding::is_coarse(std::size_t column) const {
  constexpr double share = 0.01;
  const Sums& sums = columns_[column];
  return sums.varies && sums.errors > share * share * sums.squares;
}

std::string ColumnRounding::note() const {
  std::vector<std::string> names;
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    if (is_coarse(column)) names.push_back(fmt::format("feature {}", column));
  }
  return note_of(names);
}

std::string rounding_note(const ColumnTable& table) {
  std::vector<std::string> names;
  for (const Column& column : table.columns) {
    if (column.text) continue;
    ColumnRounding rounding(1);
    rounding.add_rows(column.numbers);
    if (rounding.is_coarse(0)) names.push_back("column '" + column.name + "'");
  }
  return note_of(names);
}

}  // namespace rtl::data

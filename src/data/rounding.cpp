#include "data/rounding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/joined.hpp"

namespace rtl::data {
namespace {

/// Of every `step`-th number.
bool is_coarse(std::span<const double> numbers, std::size_t step) {
  const double count = std::ceil(static_cast<double>(numbers.size()) / static_cast<double>(step));
  double mean = 0, squares = 0, errors = 0;
  bool varies = false;
  for (std::size_t i = 0; i < numbers.size(); i += step) mean += numbers[i] / count;
  for (std::size_t i = 0; i < numbers.size(); i += step) {
    const double deviation = numbers[i] - mean,
                 error = numbers[i] - static_cast<double>(static_cast<float>(numbers[i]));
    squares += deviation * deviation;
    errors += error * error;
    varies = varies || numbers[i] != numbers[0];
  }
  constexpr double share = 0.01;
  return varies && errors > share * share * squares;
}

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

std::string rounding_note(const ColumnTable& table) {
  std::vector<std::string> names;
  for (const Column& column : table.columns) {
    if (!column.text && is_coarse(column.numbers, 1)) names.push_back("column '" + column.name + "'");
  }
  return note_of(names);
}

std::string rounding_note(std::span<const double> rows, std::size_t width) {
  std::vector<std::string> names;
  for (std::size_t column = 0; column < std::min(width, rows.size()); ++column) {
    if (is_coarse(rows.subspan(column), width)) names.push_back(fmt::format("feature {}", column));
  }
  return note_of(names);
}

}  // namespace rtl::data

#include "data/csv_columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "core/joined.hpp"
#include "data/text_table.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 50;
  if (names.size() <= most) return joined(names, ", ");
  return fmt::format("{}, .. ({} in all)", joined(std::span(names).first(most), ", "), names.size());
}

}  // namespace

std::optional<std::size_t> column_number(const std::string& wanted, std::size_t count) {
  const std::size_t begin = wanted.starts_with('#') ? 1 : 0;
  std::size_t number = 0;
  const char* last = wanted.data() + wanted.size();
  const auto [end, error] = std::from_chars(wanted.data() + begin, last, number);
  if (error != std::errc{} || end != last || number < 1 || number > count) return {};
  return number - 1;
}

CsvColumns::CsvColumns(const std::string& file, const CsvOptions& options, const std::vector<std::string>& first,
                       bool header)
    : file_(file), names_(first.size()), unnamed_(first.size()), by_number_(first.size()) {
  if (header) names_ = first;
  for (std::size_t c = 0; c < options.fields.size(); ++c) {
    if (!options.fields[c].name.empty()) names_[c] = options.fields[c].name;
  }
  const std::vector<std::string> given = names_;
  for (std::size_t c = 0; c < names_.size(); ++c) {
    unnamed_[c] = names_[c].empty();
    if (!unnamed_[c]) continue;
    names_[c] = std::to_string(c + 1);
    const bool taken = std::find(given.begin(), given.end(), names_[c]) != given.end();
    if (taken) names_[c].insert(0, 1, '#');
  }
  choose(options);
  const auto named = [&](const std::string& given) { return column_number(given, count()) == 0 || given == names_[0]; };
  const bool asked = std::any_of(options.columns.begin(), options.columns.end(), named);
  first_is_unnamed_ = header && kept_[0] && !asked && (unnamed_[0] || names_[0].starts_with("Unnamed: "));
  check_names();
}

/// A column without a name goes by its number before all others; then names go before numbers.
std::size_t CsvColumns::find(const std::string& wanted) {
  const auto number = column_number(wanted, count());
  if (number && (wanted.front() == '#' || unnamed_[*number])) return *number;
  std::vector<std::int64_t> numbers;
  for (std::size_t c = 0; c < count(); ++c) {
    if (!unnamed_[c] && names_[c] == wanted) numbers.push_back(static_cast<std::int64_t>(c + 1));
  }
  if (numbers.size() > 1) {
    throw ValueError(fmt::format("{}: {} columns are called '{}'; give its number, one of {}", file_, numbers.size(),
                                 wanted, joined(numbers, ", ")));
  }
  if (numbers.empty() && number) return *number;
  if (numbers.empty()) {
    throw ValueError(fmt::format("{}: there is no column '{}'; there are {}", file_, wanted, listed(names_)));
  }
  if (number && std::cmp_not_equal(*number + 1, numbers.front())) {
    notes_.push_back(fmt::format("'{}' was taken for the column of that name, number {}; number {} is #{}", wanted,
                                 numbers.front(), wanted, wanted));
  }
  return static_cast<std::size_t>(numbers.front() - 1);
}

void CsvColumns::choose(const CsvOptions& options) {
  kept_.assign(names_.size(), options.columns.empty() && !options.label_only);
  if (!options.label.empty()) {
    label_ = find(options.label);
    kept_[*label_] = false;
  }
  for (const std::string& wanted : options.targets) {
    const std::size_t column = find(wanted);
    if (is_target(column)) throw ValueError(fmt::format("{}: the target column '{}' is named twice", file_, wanted));
    targets_.push_back(column);
    kept_[column] = false;
  }
  if (!options.weights.empty()) {
    weights_ = find(options.weights);
    check_is_feature(options.weights, *weights_, "the weights");
    kept_[*weights_] = false;
  }
  for (const std::string& wanted : options.columns) {
    const std::size_t column = find(wanted);
    check_is_feature(wanted, column, "kept");
    kept_[column] = true;
    by_number_[column] = column_number(wanted, count()) == column;
  }
  for (const std::string& wanted : options.drop) {
    const std::size_t column = find(wanted);
    check_is_feature(wanted, column, "dropped");
    kept_[column] = false;
  }
  categories_.assign(names_.size(), false);
  for (const std::string& wanted : options.categories) {
    const std::size_t column = find(wanted);
    check_is_feature(wanted, column, "a category");
    if (!kept_[column]) {
      throw ValueError(fmt::format("{}: the column of categories '{}' is none of the columns to keep", file_, wanted));
    }
    categories_[column] = true;
  }
}

void CsvColumns::check_is_feature(const std::string& wanted, std::size_t column, const char* kept_or_dropped) const {
  if (column != label_ && !is_target(column)) return;
  throw ValueError(fmt::format("{}: the {} column '{}' is {} too", file_, column == label_ ? "label" : "target", wanted,
                               kept_or_dropped));
}

/// Kept columns get different names.
void CsvColumns::check_names() {
  std::set<std::string> seen;
  for (std::size_t c = 0; c < count(); ++c) {
    if (!kept_[c] || seen.insert(names_[c]).second) continue;
    const std::string name = names_[c];
    if (!by_number_[c]) {
      const auto first = std::find(names_.begin(), names_.end(), name) - names_.begin() + 1;
      throw FormatError(file_, fmt::format("two columns are called {}, numbers {} and {}; leave one out by its number, "
                                           "drop={}, or list the columns to keep by their numbers, columns={},{},..",
                                           shown(name), first, c + 1, c + 1, first, c + 1));
    }
    for (int suffix = 1; !seen.insert(names_[c]).second; ++suffix) names_[c] = fmt::format("{}.{}", name, suffix);
  }
}

std::vector<std::string> CsvColumns::kept_names() const {
  std::vector<std::string> names;
  for (std::size_t c = 0; c < count(); ++c) {
    if (kept_[c]) names.push_back(names_[c]);
  }
  return names;
}

}  // namespace rtl::data

#include "data/csv_fields.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <set>
#include <system_error>

#include "data/text_table.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

constexpr std::int64_t farthest = std::int64_t{1} << 24;  ///< as CsvOptions::longest_line

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

std::string range_of(const CsvField& field) {
  return field.first == field.last ? fmt::format("{}", field.first) : fmt::format("{}-{}", field.first, field.last);
}

/// Position behind `count` characters of a line; its end where there are fewer.
std::size_t behind(std::string_view line, std::size_t at, std::int64_t count) {
  const auto continues = [&](std::size_t byte) { return (static_cast<unsigned char>(line[byte]) & 0xC0) == 0x80; };
  for (; count > 0 && at < line.size(); --count) {
    ++at;
    while (at < line.size() && continues(at)) ++at;
  }
  return at;
}

}  // namespace

std::vector<CsvField> parse_fields(const std::vector<std::string>& entries) {
  std::vector<CsvField> fields;
  for (const std::string& entry : entries) {
    const auto colon = entry.rfind(':');
    const std::string_view range = std::string_view(entry).substr(colon == std::string::npos ? 0 : colon + 1);
    const auto dash = range.find('-');
    const auto first = whole_number(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : whole_number(range.substr(dash + 1));
    if (!first || !last || colon == 0) {
      throw ValueError(fmt::format("{} is no field; it is FIRST-LAST, such as 1-8, or NAME:FIRST-LAST", shown(entry)));
    }
    fields.push_back({colon == std::string::npos ? "" : entry.substr(0, colon), *first, *last});
  }
  check_fields(fields);
  return fields;
}

void check_fields(const std::vector<CsvField>& fields) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const CsvField& field = fields[i];
    if (field.first < 1 || field.last > farthest) {
      throw ValueError(fmt::format("the field {} is not within the characters 1 to {}", range_of(field), farthest));
    }
    if (field.last < field.first) throw ValueError(fmt::format("the field {} ends before it begins", range_of(field)));
    if (i > 0 && field.first <= fields[i - 1].last) {
      const bool overlap = field.last >= fields[i - 1].first;
      throw ValueError(fmt::format("the field {} {} {}; give them in the order of the line, each character once",
                                   range_of(field), overlap ? "overlaps" : "stands before", range_of(fields[i - 1])));
    }
    if (!field.name.empty() && !names.insert(field.name).second) {
      throw ValueError(fmt::format("two fields are called {}", shown(field.name)));
    }
  }
}

void cut_fields(std::string_view line, const std::vector<CsvField>& fields, std::vector<std::string>& texts) {
  std::size_t at = 0;
  std::int64_t character = 1;
  for (const CsvField& field : fields) {
    const std::size_t begin = behind(line, at, field.first - character);
    at = behind(line, begin, field.last - field.first + 1);
    character = field.last + 1;
    texts.emplace_back(trimmed(line.substr(begin, at - begin)));
  }
}

std::string place_of(const CsvField& field) {
  return field.first == field.last ? fmt::format("character {}", field.first)
                                   : fmt::format("characters {} to {}", field.first, field.last);
}

}  // namespace rtl::data

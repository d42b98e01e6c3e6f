#include "data/text_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <system_error>

#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

/// "3" before "10" if all are numbers.
std::vector<std::string> sorted_classes(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const bool numbers = std::all_of(names.begin(), names.end(), [](const auto& name) { return parse_number(name); });
  if (numbers) {
    std::sort(names.begin(), names.end(),
              [](const auto& a, const auto& b) { return parse_number(a).value() < parse_number(b).value(); });
  }
  return names;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr const char* blanks = " \t\r";
  const auto begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::optional<double> parse_number(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double number = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ptr != end || result.ec == std::errc::invalid_argument) return {};
  // Too large or too small; from_chars does not say which.
  if (result.ec == std::errc::result_out_of_range) return std::strtod(std::string(text).c_str(), nullptr);
  return number;
}

bool is_missing(std::string_view text) {
  if (text.empty() || text == "?") return true;
  constexpr std::size_t longest = 4;
  if (text.size() > longest) return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower == "na" || lower == "n/a" || lower == "nan" || lower == "null";
}

std::string shown(std::string_view text) {
  constexpr std::size_t longest = 40;
  std::string clean(text.substr(0, longest));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return fmt::format("'{}{}'", clean, text.size() > longest ? ".." : "");
}

std::string class_name(std::string_view label) {
  const auto number = parse_number(label);
  if (!number || !std::isfinite(*number)) return std::string(label);
  return fmt::format("{}", *number + 0.0);  // + 0.0: no "-0"
}

EncodedLabels encode_labels(const std::string& file, const std::vector<std::string>& labels,
                            const std::vector<std::int64_t>& lines, const std::vector<std::string>& classes) {
  EncodedLabels encoded;
  if (classes.empty()) {
    encoded.classes = sorted_classes(labels);
  } else {
    for (const auto& name : classes) encoded.classes.push_back(class_name(name));
  }
  std::map<std::string_view, std::int32_t> index;
  for (const auto& name : encoded.classes) {
    if (!index.emplace(name, static_cast<std::int32_t>(index.size())).second) {
      throw ValueError(fmt::format("{}: the class '{}' is given twice", file, name));
    }
  }
  encoded.labels.reserve(labels.size());
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const auto found = index.find(labels[row]);
    if (found == index.end()) {
      throw FormatError(file, fmt::format("line {}: the label {} is none of the classes {}", lines[row],
                                          shown(labels[row]), fmt::join(encoded.classes, ", ")));
    }
    encoded.labels.push_back(found->second);
  }
  return encoded;
}

}  // namespace rtl::data

#include "data/text_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <system_error>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

bool equal_in_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::optional<double> finite_number(std::string_view text) {
  const auto number = parse_number(text);
  return number && std::isfinite(*number) ? number : std::nullopt;
}

bool all_digits(std::string_view text) {
  const auto begin = std::min(text.find_first_not_of("+-"), text.size());
  return text.find_first_not_of("0123456789", begin) == std::string_view::npos;
}

/// Of whole numbers of any length: by sign, by length, by digits; so that 64-bit numbers that are one double differ.
bool less_digits(std::string_view a, std::string_view b) {
  const auto digits = [](std::string_view text) {
    return text.substr(std::min(text.find_first_not_of("+-0"), text.size()));
  };
  const std::string_view x = digits(a), y = digits(b);
  if (x.size() != y.size()) return x.size() < y.size();
  return x != y ? x < y : a < b;
}

/// "3" before "10" if all are numbers.
std::vector<std::string> sorted_classes(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (!std::all_of(names.begin(), names.end(), finite_number)) return names;
  std::stable_sort(names.begin(), names.end(), [](const auto& a, const auto& b) {
    const double x = *finite_number(a), y = *finite_number(b);
    if (x != y || !all_digits(a) || !all_digits(b)) return x != y ? x < y : a < b;
    return x < 0 ? less_digits(b, a) : less_digits(a, b);
  });
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 20;
  if (names.size() <= most) return joined(names, ", ");
  return fmt::format("{}, .. ({} in all)", joined(std::span(names).first(most), ", "), names.size());
}

/// A class as the SPEC's option would have it.
std::string escaped(const std::string& name) {
  std::string text;
  for (const char c : name) text += c == ',' ? "%2C" : c == '&' ? "%26" : c == '%' ? "%25" : std::string(1, c);
  return text;
}

[[noreturn]] void fail_unknown(const LabelTexts& texts, std::size_t row, const std::vector<std::string>& classes) {
  const std::string& label = texts.labels[row];
  std::string remedy = "; classes= names all that there are";
  constexpr std::size_t most = 10;
  if (classes.size() < most) {
    remedy += ": classes=";
    for (const std::string& name : classes) remedy += escaped(name) + ",";
    remedy += escaped(label);
  }
  const auto number = finite_number(label);
  const auto same = std::find_if(classes.begin(), classes.end(),
                                 [&](const auto& name) { return number && finite_number(name) == number; });
  if (same != classes.end()) {
    remedy = fmt::format(
        "; it is the same number as '{}', but classes are told apart as texts: labels=number compares "
        "them as numbers",
        *same);
  }
  throw FormatError(texts.file, fmt::format("{} {}: the label {} is none of the classes {}{}", texts.place,
                                            texts.places[row], shown(label), listed(classes), remedy));
}

/// Throws for labels that are measurements.
void check_whole(const LabelTexts& texts) {
  std::optional<std::size_t> fraction;
  for (std::size_t row = 0; row < texts.labels.size(); ++row) {
    const auto number = finite_number(texts.labels[row]);
    if (!number) return;
    if (!fraction && *number != std::round(*number)) fraction = row;
  }
  if (!fraction) return;
  throw FormatError(texts.file,
                    fmt::format("{} {}: the label {} is a number with a fraction, so the labels are no classes but "
                                "measurements; write target=real for regression, or target=class to force classes",
                                texts.place, texts.places[*fraction], shown(texts.labels[*fraction])));
}

std::vector<std::string> as_numbers(const LabelTexts& texts) {
  std::vector<std::string> names;
  for (std::size_t row = 0; row < texts.labels.size(); ++row) {
    const auto number = finite_number(texts.labels[row]);
    if (!number) {
      throw FormatError(texts.file, fmt::format("{} {}: the label {} is no number (labels=number)", texts.place,
                                                texts.places[row], shown(texts.labels[row])));
    }
    constexpr double exact = 9007199254740992.0;
    if (std::abs(*number) >= exact) {
      throw FormatError(texts.file, fmt::format("{} {}: the label {} is too large to be told from its neighbours as a "
                                                "number; classes may be texts (labels=text)",
                                                texts.place, texts.places[row], shown(texts.labels[row])));
    }
    names.push_back(shortest(*number));
  }
  return names;
}

void note_classes(EncodedLabels& encoded) {
  std::map<double, std::string> numbers;
  for (const std::string& name : encoded.classes) {
    const auto number = finite_number(name);
    if (!number) continue;
    const auto [same, inserted] = numbers.emplace(*number, name);
    if (!inserted && !(is_whole(name) && is_whole(same->second))) {
      encoded.notes.push_back(
          fmt::format("'{}' and '{}' are two classes, though one number; labels=number compares "
                      "labels as numbers",
                      same->second, name));
      break;
    }
  }
  constexpr std::size_t few = 10, many = 100;
  const auto are_numbers = [&] { return std::all_of(encoded.classes.begin(), encoded.classes.end(), finite_number); };
  if (encoded.labels.size() > few && 2 * encoded.classes.size() > encoded.labels.size()) {
    encoded.notes.push_back(fmt::format("{} classes in {} rows: hardly two rows of a class; are these labels?{}",
                                        encoded.classes.size(), encoded.labels.size(),
                                        are_numbers() ? " target=real is for regression" : ""));
  } else if (encoded.classes.size() > many && are_numbers()) {
    encoded.notes.push_back(
        fmt::format("{} classes that are all numbers: if they are measurements, target=real is for "
                    "regression",
                    encoded.classes.size()));
  }
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr const char* blanks = " \t\r";
  const auto begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::optional<double> parse_number(std::string_view text, char decimal) {
  std::string pointed;
  if (decimal != '.') {
    if (text.find('.') != std::string_view::npos) return {};
    pointed = text;
    std::replace(pointed.begin(), pointed.end(), decimal, '.');
    text = pointed;
  }
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double number = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ptr != end || result.ec == std::errc::invalid_argument) return {};
  // Too large or too small; from_chars does not say which.
  if (result.ec == std::errc::result_out_of_range) return std::strtod(std::string(text).c_str(), nullptr);
  return number;
}

bool is_whole(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_missing(std::string_view text, std::span<const std::string> words) {
  return text.empty() ||
         std::any_of(words.begin(), words.end(), [&](const auto& word) { return equal_in_any_case(word, text); });
}

std::string shown(std::string_view text) {
  constexpr std::size_t longest = 40;
  std::string clean(text.substr(0, longest));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return fmt::format("'{}{}'", clean, text.size() > longest ? ".." : "");
}

std::string shortest(double number) {
  constexpr double exact = 9007199254740992.0;
  if (number == std::round(number) && std::abs(number) <= exact) {
    return fmt::format("{}", static_cast<std::int64_t>(number));  // never "1e+15" nor "-0"
  }
  return fmt::format("{}", number);
}

EncodedLabels encode_labels(const LabelTexts& texts, const std::vector<std::string>& classes, CsvLabels kind) {
  for (std::size_t row = 0; row < texts.labels.size(); ++row) {
    if (!trimmed(texts.labels[row]).empty()) continue;
    throw FormatError(texts.file, fmt::format("{} {}: the label is empty, which is no class; leave such samples out",
                                              texts.place, texts.places[row]));
  }
  const bool numbers = kind == CsvLabels::number;
  if (kind == CsvLabels::detect && classes.empty()) check_whole(texts);
  const std::vector<std::string> names = numbers ? as_numbers(texts) : texts.labels;
  EncodedLabels encoded;
  encoded.classes = classes.empty() ? sorted_classes(names) : classes;
  std::map<std::string, std::int32_t> index;
  for (std::string& name : encoded.classes) {
    const auto number = finite_number(name);
    if (numbers && number) name = shortest(*number);
    if (!index.emplace(name, static_cast<std::int32_t>(index.size())).second) {
      throw ValueError(fmt::format("{}: the class '{}' is given twice", texts.file, name));
    }
  }
  encoded.labels.reserve(names.size());
  std::size_t dots = 0;
  for (std::size_t row = 0; row < names.size(); ++row) {
    auto found = index.find(names[row]);
    if (found == index.end() && names[row].ends_with('.')) {
      found = index.find(names[row].substr(0, names[row].size() - 1));
      dots += found == index.end() ? 0 : 1;
    }
    if (found == index.end()) fail_unknown(texts, row, encoded.classes);
    encoded.labels.push_back(found->second);
  }
  if (dots > 0) {
    encoded.notes.push_back(
        fmt::format("{} labels end in a dot, which was left out, since the classes have none", dots));
  }
  note_classes(encoded);
  return encoded;
}

}  // namespace rtl::data

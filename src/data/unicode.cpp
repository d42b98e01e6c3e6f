#include "data/unicode.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/unicode_tables.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data::unicode {
namespace {

constexpr char32_t replacement = 0xFFFD;

bool contains(const std::vector<Range>& ranges, char32_t code) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code,
                                      [](char32_t value, const Range& range) { return value < range.first; });
  return after != ranges.begin() && code <= std::prev(after)->last;
}

/// A code point in front of `text`, and how many bytes it takes; 0 bytes for what is no UTF-8.
struct CodePoint {
  char32_t code = replacement;
  std::size_t bytes = 0;
};

CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return {};
  char32_t code = first & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < least[length] || code > 0x10FFFF || surrogate) return {};
  return {code, length};
}

char32_t moved(char32_t code, std::int32_t by) { return static_cast<char32_t>(static_cast<std::int32_t>(code) + by); }

}  // namespace

std::vector<Range> decoded_ranges(std::span<const std::int32_t> numbers) {
  std::vector<Range> ranges;
  char32_t last = 0;
  for (auto at = numbers.begin(); at != numbers.end(); at += 2) {
    const char32_t first = moved(last, at[0]);
    last = moved(first, at[1]);
    ranges.push_back({first, last});
  }
  return ranges;
}

std::vector<Run> decoded_runs(std::span<const std::int32_t> numbers) {
  std::vector<Run> runs;
  char32_t last = 0;
  for (auto at = numbers.begin(); at != numbers.end(); at += 4) {
    const char32_t first = moved(last, at[0]);
    last = moved(first, at[1]);
    runs.push_back({first, last, static_cast<char32_t>(at[2]), moved(first, at[3])});
  }
  return runs;
}

std::vector<Base> decoded_bases(std::span<const std::int32_t> numbers) {
  std::vector<Base> bases;
  char32_t code = 0;
  for (auto at = numbers.begin(); at != numbers.end(); at += 3) {
    code = moved(code, at[0]);
    bases.push_back({code, moved(code, at[1]), static_cast<char32_t>(at[2])});
  }
  return bases;
}

void check_utf8(const std::string& file, std::string_view text, std::int64_t line) {
  std::size_t line_begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = first_code_point(text.substr(at));
    if (point.bytes == 0) {
      throw FormatError(file, fmt::format("line {}, byte {}: 0x{:02X} is no UTF-8; save the text as UTF-8", line,
                                          at - line_begin + 1, static_cast<unsigned char>(text[at])));
    }
    at += point.bytes;
    if (point.code != '\n') continue;
    ++line;
    line_begin = at;
  }
}

std::u32string decode(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    codes.push_back(point.code);
    text.remove_prefix(std::max<std::size_t>(point.bytes, 1));
  }
  return codes;
}

void append_utf8(std::string& text, char32_t code) {
  const auto add = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

std::string encode(std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char32_t code : text) append_utf8(bytes, code);
  return bytes;
}

bool is_letter(char32_t code) {
  if (code < 0x80) return (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
  return contains(letters(), code);
}

bool is_number(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  return contains(numbers(), code);
}

bool is_punctuation(char32_t code) { return contains(punctuation(), code); }
bool is_mark(char32_t code) {
  return code >= 0x300 && (contains(nonspacing_marks(), code) || contains(spacing_marks(), code));
}

bool is_space(char32_t code) {
  return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

bool is_control(char32_t code) { return contains(controls(), code); }

bool is_ideograph(char32_t code) {
  const auto within = [code](char32_t first, char32_t last) { return code >= first && code <= last; };
  return within(0x4E00, 0x9FFF) || within(0x3400, 0x4DBF) || within(0x20000, 0x2A6DF) || within(0x2A700, 0x2B73F) ||
         within(0x2B740, 0x2B81F) || within(0x2B820, 0x2CEAF) || within(0xF900, 0xFAFF) || within(0x2F800, 0x2FA1F);
}

char32_t lower(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 0x20 : code;
  const std::vector<Run>& runs = lower_cases();
  const auto after = std::upper_bound(runs.begin(), runs.end(), code,
                                      [](char32_t value, const Run& run) { return value < run.first; });
  if (after == runs.begin()) return code;
  const Run& run = *std::prev(after);
  if (code > run.last || (code - run.first) % run.step != 0) return code;
  return run.image + (code - run.first);
}

void append_without_accents(std::u32string& text, char32_t code) {
  if (code < 0x80) {
    text.push_back(code);
    return;
  }
  if (contains(nonspacing_marks(), code)) return;
  constexpr char32_t first_syllable = 0xAC00, last_syllable = 0xD7A3, vowels = 21, finals = 28;
  if (code >= first_syllable && code <= last_syllable) {
    const char32_t index = code - first_syllable;
    text.push_back(0x1100 + index / (vowels * finals));
    text.push_back(0x1161 + index % (vowels * finals) / finals);
    if (index % finals != 0) text.push_back(0x11A7 + index % finals);
    return;
  }
  const std::vector<Base>& all = bases();
  const auto found = std::lower_bound(all.begin(), all.end(), code,
                                      [](const Base& base, char32_t value) { return base.code < value; });
  if (found == all.end() || found->code != code) {
    text.push_back(code);
    return;
  }
  text.push_back(found->first);
  if (found->second != 0) text.push_back(found->second);
}

}  // namespace rtl::data::unicode

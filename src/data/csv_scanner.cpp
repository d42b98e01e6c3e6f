#include "data/csv_scanner.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/csv_fields.hpp"
#include "data/text_table.hpp"
#include "data/unicode.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {

CsvScanner::CsvScanner(const std::string& file, std::string_view text, const CsvOptions& options)
    : file_(&file),
      rest_(text),
      places_(options.fields),
      delimiter_(options.delimiter),
      longest_(options.longest_line) {
  constexpr std::string_view mark = "\xef\xbb\xbf";
  if (rest_.starts_with(mark)) rest_.remove_prefix(mark.size());
  if (rest_.starts_with("\xff\xfe") || rest_.starts_with("\xfe\xff")) {
    throw FormatError(file, "is text in UTF-16; save it as UTF-8 (CSV UTF-8 in spreadsheets)");
  }
  if (places_.empty() && rest_.find('\n') == std::string_view::npos && rest_.find('\r') < rest_.size() - 1) {
    throw FormatError(file, "has lines that end in CR alone; make line feeds of them (tr '\\r' '\\n' <FILE)");
  }
  if (delimiter_ == '\0' && places_.empty()) delimiter_ = detected(options.decimal);
}

bool CsvScanner::next(std::vector<std::string>& fields) {
  while (!rest_.empty()) {
    const std::string_view line = rest_.substr(0, std::min(rest_.find('\n'), longest_ + 1));
    const bool blank = trimmed(line).empty() && !(delimiter_ == '\t' && line.find('\t') != std::string_view::npos);
    if (!blank || line.size() > longest_) break;
    rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
    ++next_line_;
  }
  if (rest_.empty()) return false;
  line_ = next_line_;
  begin_ = rest_.data();
  fields.clear();
  if (!places_.empty()) {
    take_line(fields);
    return true;
  }
  while (take_field(fields)) {
  }
  return true;
}

/// Whether it parts the first records into equally many fields, more than one.
bool CsvScanner::parts_evenly(char delimiter, char decimal) const {
  constexpr int looked_at = 10;
  CsvScanner copy = *this;
  copy.delimiter_ = delimiter;
  std::vector<std::string> fields;
  std::size_t width = 0;
  bool number = delimiter != ' ';  // words with blanks between are a table only where there are numbers, too
  try {
    for (int record = 0; record < looked_at && copy.next(fields); ++record) {
      if (record == 0) width = fields.size();
      if (fields.size() != width) return false;
      number =
          number || std::any_of(fields.begin(), fields.end(), [&](const auto& f) { return parse_number(f, decimal); });
    }
  } catch (const FormatError&) {
    return false;
  }
  return width > 1 && number;
}

char CsvScanner::detected(char decimal) const {
  for (const char candidate : {';', '\t', ',', '|', ' '}) {
    if (candidate != decimal && parts_evenly(candidate, decimal)) return candidate;
  }
  bool quoted = false, tab = false;
  for (const char c : rest_.substr(0, longest_)) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == ';') return ';';
    if (c == '\t') tab = true;
    if (c == '\n') break;
  }
  return tab ? '\t' : decimal == ',' ? ';' : ',';
}

void CsvScanner::fail(const std::string& fault) const {
  throw FormatError(*file_, fmt::format("line {}: {}", line_, fault));
}

void CsvScanner::check(char c) const {
  if (c == '\0') fail("holds a zero byte; this is no text");
  if (static_cast<std::size_t>(rest_.data() - begin_) > longest_) {
    fail(fmt::format("is longer than the {} bytes that are allowed (CsvOptions::longest_line)", longest_));
  }
}

/// Adds the fields at fixed places of a line and steps over its end.
void CsvScanner::take_line(std::vector<std::string>& fields) {
  std::string_view line = rest_.substr(0, std::min(rest_.find('\n'), longest_ + 1));
  rest_.remove_prefix(line.size());
  check(' ');
  if (!rest_.empty()) rest_.remove_prefix(1);
  ++next_line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  const auto control = std::find_if(line.begin(), line.end(), [](unsigned char c) { return c < ' '; });
  if (control != line.end()) {
    check(*control);
    fail(*control == '\t' ? "holds a tab, which may stand for several characters; turn tabs into blanks (expand FILE)"
                          : fmt::format("holds the control character 0x{:02X}; lines end in LF or CRLF",
                                        static_cast<int>(*control)));
  }
  unicode::check_utf8(*file_, line, line_);
  cut_fields(line, places_, fields);
}

void CsvScanner::skip_blanks() {
  const bool by_blanks = delimiter_ == ' ';
  while (!rest_.empty() && (by_blanks || !is_delimiter(rest_.front())) &&
         (rest_.front() == ' ' || rest_.front() == '\t')) {
    rest_.remove_prefix(1);
  }
}

/// Adds a field and steps over what ends it; true if the record goes on.
bool CsvScanner::take_field(std::vector<std::string>& fields) {
  skip_blanks();
  const bool quoted = !rest_.empty() && rest_.front() == '"';
  std::string& field = fields.emplace_back(quoted ? take_quoted() : std::string());
  std::size_t end = 0;
  while (end < rest_.size() && !is_delimiter(rest_[end]) && rest_[end] != '\n') {
    if (rest_[end] == '\0') check('\0');
    ++end;
  }
  const std::string_view text = trimmed(rest_.substr(0, end));
  if (quoted && !text.empty()) fail(fmt::format("has {} behind a closing quote", shown(text)));
  if (!quoted) field = text;
  rest_.remove_prefix(end);
  check(' ');
  if (delimiter_ == ' ') {
    skip_blanks();
    if (rest_.starts_with("\r\n") || rest_ == "\r") rest_.remove_prefix(1);
    if (!rest_.empty() && rest_.front() != '\n') return true;
  }
  const bool more = !rest_.empty() && is_delimiter(rest_.front());
  if (!more) ++next_line_;
  if (!rest_.empty()) rest_.remove_prefix(1);
  return more;
}

std::string CsvScanner::take_quoted() {
  std::string text;
  rest_.remove_prefix(1);
  while (true) {
    if (rest_.empty()) fail("a quote is not closed before the end of the file");
    const char c = rest_.front();
    check(c);
    rest_.remove_prefix(1);
    if (c == '\n') ++next_line_;
    if (c == '"') {
      if (rest_.empty() || rest_.front() != '"') return text;
      rest_.remove_prefix(1);
    }
    text += c;
  }
}

}  // namespace rtl::data

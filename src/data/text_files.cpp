#include "data/text_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>

#include "core/by_name.hpp"
#include "core/joined.hpp"
#include "data/csv_scanner.hpp"
#include "data/tokenizers.hpp"
#include "data/unicode.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

struct Line {
  std::string_view text;
  std::int64_t number;
};

/// Without a byte order mark. Throws FormatError.
std::string_view checked(const std::string& file, std::string_view content) {
  if (content.starts_with("\xff\xfe") || content.starts_with("\xfe\xff")) {
    throw FormatError(file, "is text in UTF-16; save it as UTF-8");
  }
  constexpr std::string_view mark = "\xef\xbb\xbf";
  if (content.starts_with(mark)) content.remove_prefix(mark.size());
  unicode::check_utf8(file, content);
  return content;
}

std::vector<Line> lines_of(const std::string& file, std::string_view content, bool blank_ones) {
  std::vector<Line> lines;
  std::string_view rest = checked(file, content), line;
  for (std::int64_t number = 1; tokenizers::take_line(rest, line); ++number) {
    if (blank_ones || !trimmed(line).empty()) lines.push_back({line, number});
  }
  if (lines.empty()) throw FormatError(file, "has no text");
  return lines;
}

std::string_view name_of(char separator) { return separator == '\t' ? "tab" : "blank"; }

/// Label and text of a line, where there is a separator.
struct Parted {
  std::string_view label, text;
};
std::optional<Parted> parted(std::string_view line, bool label_first, char separator) {
  line = trimmed(line);
  const std::size_t at = label_first ? line.find(separator) : line.rfind(separator);
  if (at == std::string_view::npos) return {};
  const std::string_view front = line.substr(0, at), behind = line.substr(at + 1);
  return label_first ? Parted{trimmed(front), trimmed(behind)} : Parted{trimmed(behind), trimmed(front)};
}

/// Has a letter or a digit, or something beyond ASCII.
bool is_word(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || std::isalnum(byte) != 0;
  });
}

/// How many different labels the lines would have; none if a line has no separator, or a label is punctuation.
std::optional<std::size_t> different_labels(const std::vector<Line>& lines, bool label_first, char separator) {
  std::set<std::string_view> labels;
  for (const Line& line : lines) {
    const auto parts = parted(line.text, label_first, separator);
    if (!parts || !is_word(parts->label)) return {};
    labels.insert(parts->label);
  }
  return labels.size();
}

class LinesReader {
 public:
  LinesReader(const std::string& file, const TextFileOptions& options, std::vector<Line> lines)
      : file_(file), options_(options), lines_(std::move(lines)) {}

  TextFile read() {
    if (options_.label == "none") {
      read_.options = options_;
      for (const Line& line : lines_) read_.texts.emplace_back(trimmed(line.text));
      return std::move(read_);
    }
    const char separator = options_.separator != '\0' ? options_.separator : found_separator();
    using End = std::optional<bool>;  // whether it is the first
    const End told = by_name<End>(options_.label, {{"first", true}, {"last", false}}, std::nullopt);
    const bool first = told ? *told : finds_first(separator);
    read_.options = {first ? "first" : "last", separator, ""};
    read_.labels.file = file_;
    for (const Line& line : lines_) {
      const auto parts = parted(line.text, first, separator);
      if (!parts) {
        throw FormatError(file_, fmt::format("line {}: has no {} between label and text: {}", line.number,
                                             name_of(separator), shown(line.text)));
      }
      read_.texts.emplace_back(parts->text);
      read_.labels.labels.emplace_back(parts->label);
      read_.labels.places.push_back(line.number);
    }
    return std::move(read_);
  }

 private:
  char found_separator() const {
    const bool tabs = std::all_of(lines_.begin(), lines_.end(),
                                  [](const Line& line) { return line.text.find('\t') != std::string_view::npos; });
    return tabs ? '\t' : ' ';
  }

  /// Labels are few: whichever end of the lines has fewer different words.
  bool finds_first(char separator) {
    const auto first = different_labels(lines_, true, separator), last = different_labels(lines_, false, separator);
    const std::size_t most = std::max<std::size_t>(2, lines_.size() / 2);
    const auto may_be = [&](const std::optional<std::size_t>& different) {
      return different && *different > 1 && *different <= most;
    };
    const bool is_first = may_be(first) && (!may_be(last) || *first <= *last);
    const auto fewest = is_first ? first : last;
    if (!may_be(fewest)) {
      throw FormatError(file_,
                        "no end of its lines looks like labels; say label=first, label=last, or label=none if it "
                        "has none");
    }
    read_.notes.push_back(
        fmt::format("{}: the {} {} of a line is taken for its label, of which there are {}; label= says "
                    "otherwise",
                    file_, is_first ? "first" : "last", separator == '\t' ? "field" : "word", *fewest));
    return is_first;
  }

  const std::string& file_;
  const TextFileOptions& options_;
  std::vector<Line> lines_;
  TextFile read_;
};

std::size_t column_of(const std::string& file, const std::vector<std::string>& names, const std::string& wanted) {
  const auto found = std::find(names.begin(), names.end(), wanted);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  throw FormatError(file, fmt::format("has no column '{}'; there are {}", wanted, joined(names, ", ")));
}

TextFile parse_table(const std::string& file, std::string_view content, const TextFileOptions& options) {
  CsvScanner scanner(file, checked(file, content), {.delimiter = file.find(".tsv") == std::string::npos ? ',' : '\t'});
  std::vector<std::string> names, fields;
  if (!scanner.next(names)) throw FormatError(file, "has no text");
  const std::size_t text = column_of(file, names, options.column);
  const bool labelled = !options.label.empty() && options.label != "none" && options.label != "detect";
  const std::size_t label = labelled ? column_of(file, names, options.label) : names.size();
  TextFile read;
  read.options = options;
  read.labels.file = file;
  while (scanner.next(fields)) {
    if (fields.size() != names.size()) {
      throw FormatError(file, fmt::format("line {}: has {} fields, where the first line has {}", scanner.line(),
                                          fields.size(), names.size()));
    }
    read.texts.push_back(fields[text]);
    if (!labelled) continue;
    read.labels.labels.push_back(fields[label]);
    read.labels.places.push_back(scanner.line());
  }
  if (read.texts.empty()) throw FormatError(file, "has no row below its first line");
  return read;
}

}  // namespace

TextFile parse_text_file(const std::string& file, std::string_view content, const TextFileOptions& options) {
  if (!options.column.empty()) return parse_table(file, content, options);
  return LinesReader(file, options, lines_of(file, content, false)).read();
}

LabelTexts parse_text_lines(const std::string& file, std::string_view content) {
  LabelTexts lines{file, {}, {}};
  for (const Line& line : lines_of(file, content, true)) {
    lines.labels.emplace_back(trimmed(line.text));
    lines.places.push_back(line.number);
  }
  return lines;
}

}  // namespace rtl::data

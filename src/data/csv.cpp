#include "rtl/data/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "data/text_table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data {
namespace {

/// Takes records off a text, one after the other.
class CsvScanner {
 public:
  CsvScanner(const std::string& file, std::string_view text, const CsvOptions& options)
      : file_(file), rest_(text), delimiter_(options.delimiter), longest_(options.longest_line) {
    constexpr std::string_view mark = "\xef\xbb\xbf";
    if (rest_.starts_with(mark)) rest_.remove_prefix(mark.size());
    if (delimiter_ == '\0') delimiter_ = detected();
  }

  char delimiter() const noexcept { return delimiter_; }
  /// Line in which the last record began.
  std::int64_t line() const noexcept { return line_; }

  /// The next record's fields; false at the end of the text. Blank lines are skipped.
  bool next(std::vector<std::string>& fields) {
    while (!rest_.empty()) {
      const std::string_view line = rest_.substr(0, std::min(rest_.find('\n'), longest_ + 1));
      if (!trimmed(line).empty() || line.size() > longest_) break;
      rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
      ++next_line_;
    }
    if (rest_.empty()) return false;
    line_ = next_line_;
    begin_ = rest_.data();
    fields.clear();
    while (take_field(fields)) {
    }
    return true;
  }

 private:
  char detected() const {
    bool quoted = false, tab = false;
    for (const char c : rest_.substr(0, longest_)) {
      if (c == '"') quoted = !quoted;
      if (quoted) continue;
      if (c == ';') return ';';
      if (c == '\t') tab = true;
      if (c == '\n') break;
    }
    return tab ? '\t' : ',';
  }

  [[noreturn]] void fail(const std::string& fault) const {
    throw FormatError(file_, fmt::format("line {}: {}", line_, fault));
  }

  void check(char c) const {
    if (c == '\0') fail("holds a zero byte; this is no text");
    if (static_cast<std::size_t>(rest_.data() - begin_) > longest_) {
      fail(fmt::format("is longer than the {} bytes that are allowed (CsvOptions::longest_line)", longest_));
    }
  }

  /// Adds a field and steps over what ends it; true if the record goes on.
  bool take_field(std::vector<std::string>& fields) {
    while (!rest_.empty() && rest_.front() != delimiter_ && (rest_.front() == ' ' || rest_.front() == '\t')) {
      rest_.remove_prefix(1);
    }
    const bool quoted = !rest_.empty() && rest_.front() == '"';
    std::string& field = fields.emplace_back(quoted ? take_quoted() : std::string());
    std::size_t end = 0;
    while (end < rest_.size() && rest_[end] != delimiter_ && rest_[end] != '\n') {
      if (rest_[end] == '\0') check('\0');
      ++end;
    }
    const std::string_view text = trimmed(rest_.substr(0, end));
    if (quoted && !text.empty()) fail(fmt::format("has {} behind a closing quote", shown(text)));
    if (!quoted) field = text;
    const bool more = end < rest_.size() && rest_[end] == delimiter_;
    rest_.remove_prefix(end);
    check(' ');
    if (!more) ++next_line_;
    if (!rest_.empty()) rest_.remove_prefix(1);
    return more;
  }

  std::string take_quoted() {
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

  const std::string& file_;
  std::string_view rest_;
  const char* begin_ = nullptr;  ///< of the record
  char delimiter_;
  std::size_t longest_;
  std::int64_t line_ = 1;
  std::int64_t next_line_ = 1;
};

/// Position of a column by name or number; none if there is no such column.
std::optional<std::size_t> find_column(const std::vector<std::string>& names, const std::string& wanted) {
  const auto named = std::find(names.begin(), names.end(), wanted);
  if (named != names.end()) return static_cast<std::size_t>(named - names.begin());
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
  if (error != std::errc{} || end != wanted.data() + wanted.size() || number < 1 || number > names.size()) return {};
  return number - 1;
}

std::size_t required_column(const std::string& file, const std::vector<std::string>& names, const std::string& wanted) {
  if (const auto found = find_column(names, wanted)) return *found;
  throw ValueError(fmt::format("{}: there is no column '{}'; there are {}", file, wanted, fmt::join(names, ", ")));
}

bool is_header(const std::vector<std::string>& fields, CsvHeader wanted) {
  if (wanted != CsvHeader::detect) return wanted == CsvHeader::present;
  const bool number = std::any_of(fields.begin(), fields.end(), [](const auto& f) { return parse_number(f); });
  return !number && !std::all_of(fields.begin(), fields.end(), [](const auto& f) { return is_missing(f); });
}

/// What becomes of each column, and the rows so far.
class TableBuilder {
 public:
  TableBuilder(const std::string& file, const CsvOptions& options, const std::vector<std::string>& first, bool header)
      : file_(file), names_(first) {
    for (std::size_t c = 0; c < names_.size(); ++c) {
      if (!header || names_[c].empty()) names_[c] = std::to_string(c + 1);
    }
    std::set<std::string_view> seen;
    for (const auto& name : names_) {
      if (!seen.insert(name).second) throw FormatError(file, fmt::format("two columns are called {}", shown(name)));
    }
    choose(options);
  }

  void add(const std::vector<std::string>& fields, std::int64_t line) {
    if (fields.size() != names_.size()) {
      throw FormatError(file_, fmt::format("line {}: has {} fields, where the first line has {}", line, fields.size(),
                                           names_.size()));
    }
    for (std::size_t c = 0; c < fields.size(); ++c) {
      if (kept_[c]) values_.push_back(number(fields[c], c, line));
    }
    if (label_) {
      if (is_missing(fields[*label_])) {
        throw FormatError(file_, fmt::format("line {}: the label (column '{}') is missing", line, names_[*label_]));
      }
      labels_.push_back(class_name(fields[*label_]));
    }
    lines_.push_back(line);
  }

  CsvTable finish(const CsvOptions& options) {
    CsvTable table;
    for (std::size_t c = 0; c < names_.size(); ++c) {
      if (kept_[c]) table.columns.push_back(names_[c]);
    }
    if (lines_.empty()) throw FormatError(file_, "has no row of values");
    if (table.columns.empty())
      throw FormatError(file_, "has no column of numbers beside the label and what is dropped");
    const Shape shape{static_cast<std::int64_t>(lines_.size()), static_cast<std::int64_t>(table.columns.size())};
    table.values = Tensor::from(values_, shape, Device::cpu());
    if (label_) {
      EncodedLabels encoded = encode_labels(file_, labels_, lines_, options.classes);
      table.labels = std::move(encoded.labels);
      table.classes = std::move(encoded.classes);
    }
    table.lines = std::move(lines_);
    return table;
  }

 private:
  /// Finds the label column and those to keep.
  void choose(const CsvOptions& options) {
    kept_.assign(names_.size(), options.columns.empty());
    if (!options.label.empty()) {
      label_ = required_column(file_, names_, options.label);
      kept_[*label_] = false;
    }
    for (const auto& name : options.columns) {
      const std::size_t column = required_column(file_, names_, name);
      if (column == label_) throw ValueError(fmt::format("{}: the label column '{}' is kept too", file_, name));
      kept_[column] = true;
    }
    for (const auto& name : options.drop) {
      const std::size_t column = required_column(file_, names_, name);
      if (column == label_) throw ValueError(fmt::format("{}: the label column '{}' is dropped too", file_, name));
      kept_[column] = false;
    }
  }

  double number(const std::string& text, std::size_t column, std::int64_t line) const {
    if (is_missing(text)) return std::numeric_limits<double>::quiet_NaN();
    const auto value = parse_number(text);
    if (value && std::isfinite(*value)) return *value;
    throw FormatError(
        file_, fmt::format("line {}, column '{}' (number {}): {} {}", line, names_[column], column + 1, shown(text),
                           value ? "is no finite number"
                                 : "is no number; a column of text can be the label column, or be dropped"));
  }

  const std::string& file_;
  std::vector<std::string> names_;
  std::vector<bool> kept_;
  std::optional<std::size_t> label_;
  std::vector<double> values_;
  std::vector<std::string> labels_;
  std::vector<std::int64_t> lines_;
};

}  // namespace

std::int64_t CsvTable::column(const std::string& name) const {
  return static_cast<std::int64_t>(required_column("CsvTable::column", columns, name));
}

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  if (!options.classes.empty() && options.label.empty()) {
    throw ValueError(fmt::format("{}: classes are given, but no label column", path));
  }
  if (options.delimiter == '"' || options.delimiter == '\n' || options.delimiter == '\r') {
    throw ValueError(fmt::format("{}: a quote or a line end cannot be the delimiter", path));
  }
  const io::Bytes content = io::read_file_gz(path);
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  CsvScanner scanner(path, text, options);
  std::vector<std::string> fields;
  if (!scanner.next(fields)) throw FormatError(path, "is empty, where a table is expected");
  const bool header = is_header(fields, options.header);
  TableBuilder builder(path, options, fields, header);
  if (!header) builder.add(fields, scanner.line());
  while (scanner.next(fields)) builder.add(fields, scanner.line());
  CsvTable table = builder.finish(options);
  table.delimiter = scanner.delimiter();
  table.header = header;
  return table;
}

}  // namespace rtl::data

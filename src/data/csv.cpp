#include "rtl/data/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "core/by_name.hpp"
#include "core/joined.hpp"
#include "data/csv_columns.hpp"
#include "data/csv_fields.hpp"
#include "data/csv_header.hpp"
#include "data/csv_kinds.hpp"
#include "data/csv_scanner.hpp"
#include "data/table_parts.hpp"
#include "data/text_table.hpp"
#include "data/unicode.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data {
namespace {

/// The rows so far.
class TableBuilder {
 public:
  TableBuilder(const std::string& file, const CsvOptions& options, const std::vector<std::string>& first, bool header,
               CsvScanner rest)
      : file_(file), options_(options), columns_(file, options, first, header) {
    labels_.file = file;
    may_be_index_ = columns_.first_is_unnamed();
    texts_ = text_columns(columns_, options, header ? nullptr : &first, std::move(rest));
    std::size_t position = 0;
    for (std::size_t c = 0; c < columns_.count(); ++c) {
      if (!columns_.kept(c)) continue;
      if (texts_[c]) categories_.push_back({columns_.name(c), position, {}});
      ++position;
    }
  }

  void add(const std::vector<std::string>& fields, std::int64_t line) {
    check_width(fields, line);
    if (may_be_index_) may_be_index_ = is_whole(fields[0]);
    if (may_be_index_) index_.push_back(fields[0]);
    if (leaves_out(fields, line)) return;
    auto category = categories_.begin();
    for (std::size_t c = 0; c < fields.size(); ++c) {
      if (!columns_.kept(c)) continue;
      if (texts_[c]) {
        (category++)->values.push_back(is_missing(fields[c], options_.missing_words) ? "" : fields[c]);
      } else {
        values_.push_back(number(fields[c], c, line));
      }
    }
    if (columns_.label()) labels_.labels.push_back(label(fields[*columns_.label()], line));
    for (const std::size_t c : columns_.targets()) targets_.push_back(number(fields[c], c, line));
    if (columns_.weights()) weights_.push_back(weight(fields[*columns_.weights()], *columns_.weights(), line));
    labels_.places.push_back(line);
  }

  CsvTable finish(const Device& host) {
    CsvTable table;
    for (std::size_t c = 0; c < columns_.count(); ++c) {
      if (columns_.kept(c) && !texts_[c]) table.columns.push_back(columns_.name(c));
    }
    table.categories = std::move(categories_);
    table.notes = columns_.notes();
    const auto rows = static_cast<std::int64_t>(labels_.places.size() + left_out_.size());
    if (rows == 0) throw FormatError(file_, "has no row of values");
    if (table.columns.empty() && table.categories.empty() && !columns_.label() && columns_.targets().empty()) {
      throw FormatError(file_, "has no column of numbers beside what is dropped");
    }
    check_index();
    if (labels_.places.empty()) {
      throw FormatError(file_, fmt::format("has no row without a missing value ({}); name such columns in drop=",
                                           describe_left_out(left_out_, rows)));
    }
    const Shape shape{static_cast<std::int64_t>(labels_.places.size()),
                      static_cast<std::int64_t>(table.columns.size())};
    table.values = Tensor::from(values_, shape, host);
    if (columns_.label()) {
      EncodedLabels encoded = encode_labels(labels_, options_.classes, options_.labels);
      table.labels = std::move(encoded.labels);
      table.classes = std::move(encoded.classes);
      table.notes.insert(table.notes.end(), encoded.notes.begin(), encoded.notes.end());
    }
    if (!columns_.targets().empty()) {
      table.targets = Tensor::from(targets_, {shape[0], static_cast<std::int64_t>(columns_.targets().size())}, host);
      for (const std::size_t c : columns_.targets()) table.target_names.push_back(columns_.name(c));
    }
    table.weights = std::move(weights_);
    table.lines = std::move(labels_.places);
    if (!left_out_.empty()) table.notes.push_back(describe_left_out(left_out_, rows));
    table.left_out = std::move(left_out_);
    return table;
  }

 private:
  void check_width(const std::vector<std::string>& fields, std::int64_t line) const {
    if (fields.size() == columns_.count()) return;
    const bool one_more = fields.size() == columns_.count() + 1 && labels_.places.empty() && left_out_.empty();
    throw FormatError(file_, fmt::format("line {}: has {} fields, where the first line has {}{}", line, fields.size(),
                                         columns_.count(),
                                         one_more ? "; where names of rows are written along, the first line needs a "
                                                    "field for them, too (write.table of R: col.names=NA)"
                                                  : ""));
  }

  /// Whether a kept value, the label or a target is missing and such rows are dropped; counts the row then. Throws
  /// FormatError for what is missing and may not be.
  bool leaves_out(const std::vector<std::string>& fields, std::int64_t line) {
    for (std::size_t c = 0; c < fields.size(); ++c) {
      const bool label = columns_.label() == c, target = columns_.is_target(c) || columns_.weights() == c;
      if ((!label && !target && !columns_.kept(c)) || !is_missing(fields[c], options_.missing_words)) continue;
      if (label && std::find(options_.classes.begin(), options_.classes.end(), fields[c]) != options_.classes.end()) {
        continue;
      }
      if (options_.missing == CsvMissing::drop || (options_.missing == CsvMissing::impute && (label || target))) {
        left_out_.push_back({line, columns_.name(c), fields[c]});
        return true;
      }
      if (label) fail_label(fields[c], line);
      if (options_.missing == CsvMissing::error || target) {
        std::string found = fields[c].empty() ? "" : fmt::format(" ({} counts as missing)", shown(fields[c]));
        if (!options_.fields.empty()) found = fmt::format(" ({}){}", place_of(options_.fields[c]), found);
        throw FormatError(file_, fmt::format("line {}: column '{}' has no value{}; say missing=drop to leave such rows "
                                             "out, missing=impute to fill such gaps, or drop=COLUMN for such columns",
                                             line, columns_.name(c), found));
      }
    }
    return false;
  }

  [[noreturn]] void fail_label(const std::string& text, std::int64_t line) const {
    const std::string& name = columns_.name(*columns_.label());
    if (text.empty()) {
      throw FormatError(file_, fmt::format("line {}: the label (column '{}') is missing; missing=drop leaves such rows "
                                           "out",
                                           line, name));
    }
    throw FormatError(file_, fmt::format("line {}: the label (column '{}') is {}, which counts as missing; if it is a "
                                         "class say na= (then only empty fields are missing) or name it in classes=; "
                                         "missing=drop leaves such rows out",
                                         line, name, shown(text)));
  }

  /// Itself, or on which side of a number it lies.
  std::string label(const std::string& text, std::int64_t line) const {
    if (!options_.above) return text;
    const auto value = parse_number(text, options_.decimal);
    if (value && !std::isnan(*value)) {
      return fmt::format("{}{}", *value > *options_.above ? ">" : "<=", shortest(*options_.above));
    }
    throw FormatError(file_,
                      fmt::format("line {}: the label (column '{}') is {}, no number to compare with above={}", line,
                                  columns_.name(*columns_.label()), shown(text), shortest(*options_.above)));
  }

  double weight(const std::string& text, std::size_t column, std::int64_t line) const {
    const double weight = number(text, column, line);
    if (weight >= 0) return weight;
    throw FormatError(file_, fmt::format("line {}: the weight (column '{}') is {}; weights are numbers that are not "
                                         "negative",
                                         line, columns_.name(column), text.empty() ? "missing" : shown(text)));
  }

  double number(const std::string& text, std::size_t column, std::int64_t line) const {
    if (is_missing(text, options_.missing_words)) return std::numeric_limits<double>::quiet_NaN();
    const auto value = parse_number(text, options_.decimal);
    if (value && std::isfinite(*value)) return *value;
    const std::string place =
        options_.fields.empty() ? fmt::format("number {}", column + 1) : place_of(options_.fields[column]);
    throw FormatError(file_,
                      fmt::format("line {}, column '{}' ({}): {} {}", line, columns_.name(column), place, shown(text),
                                  value ? "is no finite number" : "is no number" + remedy(text, column)));
  }

  /// What a text may be where a number is expected.
  std::string remedy(const std::string& text, std::size_t column) const {
    const char other = options_.decimal == '.' ? ',' : '.';
    if (parse_number(text, other)) {
      return fmt::format("; if the {} parts its fraction say decimal={}", other == ',' ? "comma" : "point",
                         other == ',' ? "comma" : "point");
    }
    const auto blank = text.find_first_of(" \t");
    if (blank != std::string::npos && parse_number(std::string_view(text).substr(0, blank))) {
      return options_.fields.empty() ? "; if blanks part the fields say delimiter=blank"
                                     : "; look whether the field begins and ends at the right characters";
    }
    if (columns_.is_target(column)) return "; real targets are numbers, and texts are classes (target=class)";
    return "; a column of text can be the label column, or be dropped, or hold categories (categories=), and a word "
           "that stands for a missing value can be named in na=";
  }

  /// Throws for an unnamed first column with another whole number in each row.
  void check_index() {
    if (!may_be_index_ || index_.size() < 2) return;
    std::vector<std::string> sorted = index_;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return;
    bool counts = true;
    for (std::size_t row = 0; row < index_.size(); ++row) {
      counts = counts && (index_[row] == std::to_string(row) || index_[row] == std::to_string(row + 1));
    }
    throw FormatError(
        file_,
        fmt::format("the first column has no name and {} ({}, {}, ..): it is an index, no feature; "
                    "drop=1 takes it out",
                    counts ? "counts the rows" : "holds another whole number in each row", index_[0], index_[1]));
  }

  const std::string& file_;
  const CsvOptions& options_;
  CsvColumns columns_;
  std::vector<bool> texts_;  ///< for each column of the file
  std::vector<CsvCategories> categories_;
  std::vector<double> values_;
  std::vector<double> targets_;
  std::vector<double> weights_;
  LabelTexts labels_;  ///< places are those of all rows, also without labels
  std::vector<CsvGap> left_out_;
  bool may_be_index_;
  std::vector<std::string> index_;
};

void check(const std::string& path, const CsvOptions& options) {
  if (!options.classes.empty() && options.label.empty()) {
    throw ValueError(fmt::format("{}: classes are given, but no label column", path));
  }
  if (!options.targets.empty() && !options.label.empty()) {
    throw ValueError(fmt::format("{}: there is either a label column or target columns", path));
  }
  try {
    check_fields(options.fields);
  } catch (const ValueError& error) {
    throw ValueError(fmt::format("{}: {}", path, error.what()));
  }
  if (!options.fields.empty() && options.delimiter != '\0') {
    throw ValueError(fmt::format("{}: fields stand at fixed places or between delimiters", path));
  }
  if (options.delimiter == '"' || options.delimiter == '\n' || options.delimiter == '\r') {
    throw ValueError(fmt::format("{}: a quote or a line end cannot be the delimiter", path));
  }
  if (options.decimal != '.' && options.decimal != ',') {
    throw ValueError(fmt::format("{}: the decimal mark is '.' or ','", path));
  }
  if (options.delimiter == options.decimal) {
    throw ValueError(fmt::format("{}: '{}' cannot part both fields and fractions", path, options.decimal));
  }
}

}  // namespace

std::int64_t CsvTable::column(const std::string& name) const {
  const auto named = std::find(columns.begin(), columns.end(), name);
  if (named != columns.end()) return named - columns.begin();
  if (const auto number = column_number(name, columns.size())) return static_cast<std::int64_t>(*number);
  throw ValueError(fmt::format("CsvTable::column: there is no column '{}'; there are {}", name, joined(columns, ", ")));
}

std::string describe_left_out(const std::vector<CsvGap>& gaps, std::int64_t rows) {
  constexpr std::size_t named = 3;
  std::string text = fmt::format("{} of {} rows {} left out:", gaps.size(), rows, gaps.size() == 1 ? "was" : "were");
  for (std::size_t i = 0; i < std::min(gaps.size(), named); ++i) {
    text += fmt::format("{} line {}, {} is {}", i == 0 ? "" : ";", gaps[i].line, gaps[i].column,
                        gaps[i].text.empty() ? "empty" : gaps[i].text);
  }
  if (gaps.size() > named) text += fmt::format("; and {} more", gaps.size() - named);
  return text;
}

CsvOptions csv_options(const Spec& spec) {
  CsvOptions csv;
  if (spec.has("fields")) csv.fields = parse_fields(spec.list("fields"));
  const std::string target = spec.text("target");
  if (target == "real") {
    csv.targets = spec.list("label");
  } else {
    csv.label = spec.text("label");
  }
  csv.weights = spec.text("weights");
  if (spec.has("above")) csv.above = spec.number("above", 0);
  csv.columns = spec.list("columns");
  csv.drop = spec.list("drop");
  csv.categories = spec.list("categories");
  csv.detect_categories = true;
  csv.classes = spec.list("classes");
  const CsvLabels without = target == "class" ? CsvLabels::text : CsvLabels::detect;
  csv.labels =
      by_name<CsvLabels>(spec.text("labels"), {{"", without}, {"text", CsvLabels::text}, {"number", CsvLabels::number}},
                         CsvLabels::detect);
  csv.header = by_name<CsvHeader>(spec.text("header"), {{"yes", CsvHeader::present}, {"no", CsvHeader::absent}},
                                  CsvHeader::detect);
  csv.missing = spec.text("missing") == "drop" ? CsvMissing::drop
                : wants_imputation(spec)       ? CsvMissing::impute
                                               : CsvMissing::error;
  if (spec.has("na")) csv.missing_words = spec.list("na");
  csv.delimiter =
      by_name<char>(spec.text("delimiter"),
                    {{"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}, {"blank", ' '}, {"bar", '|'}}, csv.delimiter);
  if (spec.text("decimal") == "comma") csv.decimal = ',';
  if (csv.delimiter == csv.decimal) {
    throw ValueError(fmt::format("SPEC '{}': a comma cannot part both fields and fractions", spec.to_string()));
  }
  return csv;
}

CsvTable read_csv(const std::string& path, const CsvOptions& options, const Device& device) {
  check(path, options);
  const io::Bytes content = io::read_file_gz(path);
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  CsvScanner scanner(path, text, options);
  std::vector<std::string> fields;
  if (!scanner.next(fields)) throw FormatError(path, "is empty, where a table is expected");
  // Names of columns and classes go into files and reports. The scanner tells of zero bytes.
  if (text.find('\0') == std::string_view::npos) unicode::check_utf8(path, text);
  HeaderDecision decision{options.header == CsvHeader::present, ""};
  if (options.header == CsvHeader::detect) decision = detect_header(fields, scanner, options);
  TableBuilder builder(path, options, fields, decision.header, scanner);
  if (!decision.header) builder.add(fields, scanner.line());
  while (scanner.next(fields)) builder.add(fields, scanner.line());
  CsvTable table = builder.finish(device.host());
  table.delimiter = scanner.delimiter();
  table.header = decision.header;
  if (!decision.note.empty()) table.notes.insert(table.notes.begin(), decision.note);
  return table;
}

}  // namespace rtl::data

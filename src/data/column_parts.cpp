#include "data/column_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/joined.hpp"
#include "data/csv_columns.hpp"
#include "data/csv_header.hpp"
#include "data/csv_scanner.hpp"
#include "data/rounding.hpp"
#include "data/table_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data {
namespace {

constexpr std::int64_t digit = 1 << 12;  // f32 holds such numbers exactly

/// Names of the columns that a file would give with these options.
std::vector<std::string> kept_columns(const std::string& file, const CsvOptions& options) {
  const io::Bytes content = io::read_file_gz(file);
  CsvScanner scanner(file, {reinterpret_cast<const char*>(content.data()), content.size()}, options);
  std::vector<std::string> first;
  if (!scanner.next(first)) throw FormatError(file, "is empty, where a table is expected");
  const bool header = options.header == CsvHeader::detect ? detect_header(first, scanner, options).header
                                                          : options.header == CsvHeader::present;
  return CsvColumns(file, options, first, header).kept_names();
}

std::vector<std::string> lacking(const std::vector<std::string>& wanted, const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  for (const std::string& name : wanted) {
    if (std::find(names.begin(), names.end(), name) == names.end()) missing.push_back(name);
  }
  return missing;
}

}  // namespace

Tensor row_places(std::size_t table, std::int64_t rows, const Device& host) {
  std::vector<float> places;
  for (std::int64_t row = 0; row < rows; ++row) {
    places.push_back(static_cast<float>(table));
    places.push_back(static_cast<float>(row / digit));
    places.push_back(static_cast<float>(row % digit));
  }
  return Tensor::from(places, {rows, 3}, host);
}

std::vector<std::int64_t> places_in(const Tensor& inputs) {
  const std::vector<float> places = inputs.to_vector<float>();
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < places.size(); i += 3) {
    rows.push_back(static_cast<std::int64_t>(places[i + 1]) * digit + static_cast<std::int64_t>(places[i + 2]));
  }
  return rows;
}

std::size_t table_in(const Tensor& inputs) {
  const std::vector<float> places = inputs.to_vector<float>();
  return places.empty() ? 0 : static_cast<std::size_t>(places.front());
}

std::vector<std::string> steps_of(const Spec& spec, const ColumnTable& training) {
  std::vector<std::string> all;
  if (wants_imputation(spec)) {
    all.push_back(fmt::format("impute:{}{}", spec.text("impute", "median"),
                              spec.text("indicators") == "yes" ? ":indicator" : ""));
  }
  const auto& columns = training.columns;
  if (std::any_of(columns.begin(), columns.end(), [](const Column& column) { return column.text; })) {
    all.push_back(spec.has("levels") ? "one-hot:" + spec.text("levels") : "one-hot");
  }
  const std::vector<std::string> more = spec.list("prepare");
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Tensor ColumnParts::add(ColumnTable table, const Device& host) {
  order(table);
  if (!tables_.empty() && table.names() != tables_.front().names()) {
    throw FormatError(table.file, fmt::format("has the columns {}, the training file {}", joined(table.names(), ", "),
                                              joined(tables_.front().names(), ", ")));
  }
  Tensor places = row_places(tables_.size(), table.rows, host);
  tables_.push_back(std::move(table));
  return places;
}

void ColumnParts::order(ColumnTable& table) const {
  if (fitted_ == nullptr || !lacking(fitted_->input_names(), table.names()).empty()) return;
  std::vector<Column> ordered;
  for (const std::string& name : fitted_->input_names()) {
    const auto found = std::find_if(table.columns.begin(), table.columns.end(),
                                    [&](const Column& column) { return column.name == name; });
    ordered.push_back(*found);
  }
  table.columns = std::move(ordered);
}

CsvOptions ColumnParts::reading(const std::string& file, CsvOptions options, std::vector<std::string>& notes) const {
  if (fitted_ == nullptr) {
    if (tables_.empty()) return options;
    options.detect_categories = false;
    options.categories.clear();
    for (const Column& column : tables_.front().columns) {
      if (column.text) options.categories.push_back(column.name);
    }
    return options;
  }
  options.detect_categories = false;
  options.categories.clear();
  if (fitted_->has("impute") && options.missing == CsvMissing::error) options.missing = CsvMissing::impute;
  const std::vector<std::string> wanted = fitted_->input_names(), names = kept_columns(file, options);
  if (wanted.empty()) return options;
  const std::vector<std::string> missing = lacking(wanted, names);
  if (!missing.empty() && names.size() != wanted.size()) {
    throw FormatError(
        file, fmt::format("lacks {} that the model's inputs are made of: {}; it has {}",
                          missing.size() == 1 ? "a column" : "columns", joined(missing, ", "), joined(names, ", ")));
  }
  const std::vector<std::string>& used = missing.empty() ? wanted : names;
  if (!missing.empty()) {
    notes.push_back(fmt::format("{}: its columns were taken for {} in their order, since it does not name {}", file,
                                joined(wanted, ", "), joined(missing, ", ")));
  }
  options.columns = used;
  for (std::size_t c = 0; c < used.size(); ++c) {
    if (fitted_->inputs()[c].text) options.categories.push_back(used[c]);
  }
  return options;
}

ColumnTable ColumnParts::rows_of(const Dataset& part) const {
  return tables_[table_in(part.inputs)].subset(places_in(part.inputs));
}

void ColumnParts::finish(TrainTest& parts, const Device& host) const {
  if (empty()) return;
  ColumnTable train = rows_of(parts.train), test = rows_of(parts.test);
  // A chain without steps tells the columns alone; what the SPEC asks for is done with these.
  const bool asked = wants_imputation(spec_) || spec_.has("prepare");
  const bool own = fitted_ == nullptr || (fitted_->empty() && asked);
  const auto chain =
      std::make_shared<const Preprocessing>(own ? Preprocessing::fit(steps_of(spec_, train), train) : *fitted_);
  if (own) {
    for (const std::string& line : chain->describe()) parts.notes.push_back(fmt::format("{}: {}", train.file, line));
  }
  std::vector<std::string> notes, more;
  train = chain->apply(std::move(train), notes);
  test = chain->apply(std::move(test), more);
  for (std::string& note : more) {
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(std::move(note));
  }
  parts.notes.insert(parts.notes.end(), notes.begin(), notes.end());
  if (const std::string note = rounding_note(train); !note.empty()) {
    parts.notes.push_back(fmt::format("{}: {}", train.file, note));
  }
  parts.columns = train.names();
  parts.train.inputs = matrix_of(train, host);
  parts.test.inputs = matrix_of(test, host);
  parts.train.fitted.columns = parts.test.fitted.columns = chain;
}

}  // namespace rtl::data

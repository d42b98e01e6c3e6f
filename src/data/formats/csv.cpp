// Tables of text.
#include "rtl/data/csv.hpp"

#include <fmt/format.h>

#include "core/joined.hpp"
#include "data/assemble.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/table_parts.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

TrainTest load(const Spec& spec, const Device& host) {
  CsvOptions csv = csv_options(spec);
  std::vector<std::string> columns, notes;
  TrainTest parts = assemble_files(spec, [&](const std::string& path, Part) {
    const std::string file = decode_path(path);
    const CsvTable table = read_csv(file, csv, host);
    if (!columns.empty() && table.columns != columns) {
      throw FormatError(file, fmt::format("has the columns {}, the training file {}", joined(table.columns, ", "),
                                          joined(columns, ", ")));
    }
    columns = table.columns;
    csv.classes = table.classes;
    csv.header = table.header ? CsvHeader::present : CsvHeader::absent;
    add_notes(notes, file, table.notes);
    Dataset samples{table_features(file, table, host), {}, 0, {}, ""};
    if (!csv.targets.empty()) {
      samples.targets = table_targets(file, table, host);
      samples.target_names = table.target_names;
    } else if (!csv.label.empty()) {
      samples.labels = Tensor::from(table.labels, {table.rows()}, host);
      samples.classes = static_cast<std::int64_t>(table.classes.size());
      samples.class_names = table.classes;
    }
    return samples;
  });
  parts.columns = std::move(columns);
  parts.notes = std::move(notes);
  return parts;
}

std::string fault(const Spec& spec) {
  if (!spec.has("label")) {
    return "say which column holds the classes or targets: csv:FILE?label=NAME (or its number), or label= if there is "
           "none";
  }
  std::string fault = fault_of_labels(spec, !spec.options.at("label").empty(), "label=COLUMN");
  if (fault.empty()) fault = fault_of_test_part(spec);
  return fault.empty() ? fault_of_table(spec) : fault;
}

SpecKind kind() {
  return {
      "csv", "FILE", 1,
      "a table: columns of numbers are the features, label= names the column of classes, or columns of real targets",
      together({label_columns(),
                target(),
                {list("classes", "NAME", "the classes in order; those that occur if not given")},
                table(),
                test_part(),
                parts()})};
}

}  // namespace

const Format& csv() {
  static const Format format{kind(), load, fault};
  return format;
}

}  // namespace rtl::data::formats

// Tables of text.
#include "rtl/data/csv.hpp"

#include <fmt/format.h>

#include "data/assemble.hpp"
#include "data/column_parts.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/table_parts.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

TrainTest load_columns(const Spec& spec, const Device& host, const Preprocessing* fitted) {
  CsvOptions csv = csv_options(spec);
  ColumnParts columns(spec, fitted);
  std::vector<std::string> notes;
  TrainTest parts = assemble_files(spec, [&](const std::string& path, Part) {
    const std::string file = decode_path(path);
    const CsvTable table = read_csv(file, columns.reading(file, csv, notes), host);
    csv.classes = table.classes;
    csv.header = table.header ? CsvHeader::present : CsvHeader::absent;
    add_notes(notes, file, table.notes);
    Dataset samples{columns.add(table_columns(file, table), host), {}, 0, {}, ""};
    if (!csv.targets.empty()) {
      samples.targets = table_targets(file, table, host);
      samples.target_names = table.target_names;
    } else if (!csv.label.empty()) {
      samples.labels = Tensor::from(table.labels, {table.rows()}, host);
      samples.classes = static_cast<std::int64_t>(table.classes.size());
      samples.class_names = table.classes;
    }
    if (!table.weights.empty()) samples.weights = table_weights(table, host);
    return samples;
  });
  parts.notes = std::move(notes);
  columns.finish(parts, host);
  return parts;
}

TrainTest load(const Spec& spec, const Device& host) { return load_columns(spec, host, nullptr); }

TrainTest load_prepared(const Spec& spec, const Device& host, const Preprocessing& fitted) {
  return load_columns(spec, host, &fitted);
}

std::string fault(const Spec& spec) {
  if (!spec.has("label")) {
    return "say which column holds the classes or targets: csv:FILE?label=NAME (or its number), or label= if there is "
           "none";
  }
  std::string fault = fault_of_labels(spec, !spec.options.at("label").empty(), "label=COLUMN");
  if (fault.empty() && spec.has("above") && (spec.text("target") == "real" || spec.options.at("label").empty())) {
    fault = "above= makes classes of a label column, which is not asked for here";
  }
  if (fault.empty()) fault = fault_of_test_part(spec);
  return fault.empty() ? fault_of_table(spec) : fault;
}

SpecKind kind() {
  return {
      "csv", "FILE", 1,
      "a table: columns of numbers and of categories are the features, label= names the column of classes, or columns "
      "of real targets",
      together({label_columns(),
                target(),
                {list("classes", "NAME", "the classes in order; those that occur if not given"),
                 number("above", -most_whole, most_whole, "N",
                        "makes two classes of a label column of numbers: those above N, and the others"),
                 text("weights", "COLUMN",
                      "the column that says how much each sample counts in training; all alike if "
                      "not given")},
                table(),
                preparation(),
                test_part(),
                parts()})};
}

}  // namespace

const Format& csv() {
  static const Format format{kind(), load, fault, load_prepared};
  return format;
}

}  // namespace rtl::data::formats

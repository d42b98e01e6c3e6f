#include "data/table_file.hpp"

#include <utility>

#include "data/assemble.hpp"
#include "data/column_parts.hpp"
#include "data/table_parts.hpp"
#include "rtl/data/csv.hpp"

namespace rtl::data {
namespace {

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

}  // namespace

TrainTest load_table(const Spec& spec, const Device& host) { return load_columns(spec, host, nullptr); }

TrainTest load_prepared_table(const Spec& spec, const Device& host, const Preprocessing& fitted) {
  return load_columns(spec, host, &fitted);
}

std::string fault_of_table_file(const Spec& spec) {
  std::string fault = options::fault_of_labels(spec, !spec.options.at("label").empty(), "label=COLUMN");
  if (fault.empty() && spec.has("above") && (spec.text("target") == "real" || spec.options.at("label").empty())) {
    fault = "above= makes classes of a label column, which is not asked for here";
  }
  if (fault.empty()) fault = options::fault_of_test_part(spec);
  return fault.empty() ? options::fault_of_table(spec) : fault;
}

namespace options {

Options table_file() {
  Options labels = label_columns();
  labels.front().required =
      "say which column holds the classes or targets: label=NAME (or its number), or label= if there is none";
  const Options own = {list("classes", "NAME", "the classes in order; those that occur if not given"),
                       number("above", -most_whole, most_whole, "N",
                              "makes two classes of a label column of numbers: those above N, and the others"),
                       text("weights", "COLUMN",
                            "the column that says how much each sample counts in training; all alike if not given")};
  return together({labels, target(), own, table(), preparation(), test_part(), parts()});
}

}  // namespace options

}  // namespace rtl::data

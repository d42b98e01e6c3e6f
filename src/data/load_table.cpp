// Data sets in text tables: csv and svmlight.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/loaders.hpp"
#include "data/text_table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/svmlight.hpp"

namespace rtl::data {
namespace {

std::vector<std::string> list_of(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at < text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    names.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return names;
}

/// Rows without a missing value. Throws FormatError for a missing one where these are not to be dropped.
std::vector<std::int64_t> complete_rows(const std::string& file, const CsvTable& table, bool drop) {
  const auto width = static_cast<std::int64_t>(table.columns.size());
  const double* values = table.values.data_as<double>();
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < table.rows(); ++row, values += width) {
    const double* missing = std::find_if(values, values + width, [](double value) { return std::isnan(value); });
    if (missing == values + width) {
      rows.push_back(row);
    } else if (!drop) {
      throw FormatError(file,
                        fmt::format("line {}: column '{}' has no value; say missing=drop to leave such rows out, or "
                                    "drop=COLUMN for such columns",
                                    table.lines[static_cast<std::size_t>(row)],
                                    table.columns[static_cast<std::size_t>(missing - values)]));
    }
  }
  if (rows.empty()) throw FormatError(file, "has no row without a missing value; name such columns in drop=");
  return rows;
}

/// These rows of a table, with its classes.
Dataset to_dataset(const std::string& file, const CsvTable& table, const std::vector<std::int64_t>& rows) {
  const std::size_t width = table.columns.size();
  std::vector<float> inputs;
  std::vector<std::int32_t> labels;
  for (const std::int64_t row : rows) {
    const double* values = table.values.data_as<double>() + row * static_cast<std::int64_t>(width);
    for (std::size_t c = 0; c < width; ++c) {
      const auto value = static_cast<float>(values[c]);
      if (!std::isfinite(value)) {
        throw FormatError(file, fmt::format("line {}, column '{}': {} is too large for float32",
                                            table.lines[static_cast<std::size_t>(row)], table.columns[c], values[c]));
      }
      inputs.push_back(value);
    }
    labels.push_back(table.labels[static_cast<std::size_t>(row)]);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  const Device host = Device::cpu();
  return {Tensor::from(inputs, {count, static_cast<std::int64_t>(width)}, host), Tensor::from(labels, {count}, host),
          static_cast<std::int64_t>(table.classes.size()), table.classes, ""};
}

CsvOptions csv_options(const Spec& spec, const Options& options) {
  CsvOptions csv;
  csv.label = options.text("label", "");
  if (csv.label.empty()) {
    throw ValueError(fmt::format("SPEC '{}': say which column holds the classes: csv:FILE?label=NAME (or its number)",
                                 spec.to_string()));
  }
  csv.drop = list_of(options.text("drop", ""));
  csv.classes = list_of(options.text("classes", ""));
  const std::string header = options.choice("header", "detect", {"detect", "yes", "no"});
  csv.header = header == "yes" ? CsvHeader::present : header == "no" ? CsvHeader::absent : CsvHeader::detect;
  const std::string delimiter = options.choice("delimiter", "", {"", "comma", "semicolon", "tab"});
  if (!delimiter.empty()) csv.delimiter = delimiter == "comma" ? ',' : delimiter == "tab" ? '\t' : ';';
  return csv;
}

}  // namespace

TrainTest load_csv(const Spec& spec) {
  const Options options(
      spec, {"label", "drop", "classes", "missing", "header", "delimiter", "test", "test_fraction", "seed"});
  CsvOptions csv = csv_options(spec, options);
  const bool drop = options.choice("missing", "error", {"error", "drop"}) == "drop";
  std::vector<std::string> columns;
  return assemble_files(spec, options, [&](const std::string& file, Part) {
    const CsvTable table = read_csv(file, csv);
    if (!columns.empty() && table.columns != columns) {
      throw FormatError(file, fmt::format("has the columns {}, the training file {}", fmt::join(table.columns, ", "),
                                          fmt::join(columns, ", ")));
    }
    columns = table.columns;
    csv.classes = table.classes;
    return to_dataset(file, table, complete_rows(file, table, drop));
  });
}

TrainTest load_svmlight(const Spec& spec) {
  const Options options(spec, {"features", "first_index", "classes", "test", "test_fraction", "seed"});
  constexpr std::int64_t most_features = std::int64_t{1} << 31;
  std::int64_t features = options.integer("features", 0, 1, most_features);
  const SvmlightOptions svmlight{.first_index = options.integer("first_index", 1, 0, 1)};
  std::vector<std::string> classes = list_of(options.text("classes", ""));
  return assemble_files(spec, options, [&](const std::string& file, Part) {
    SvmlightData samples = read_svmlight(file, features, svmlight);
    features = samples.features.extent(1);
    std::vector<std::string> names;
    for (const double target : samples.targets.to_vector<double>()) {
      if (target != std::round(target)) {
        throw FormatError(file, fmt::format("line {}: the target {} is no whole number, so the targets are no "
                                            "classes; for regression use read_svmlight",
                                            samples.lines[names.size()], target));
      }
      names.push_back(class_name(fmt::format("{}", target)));
    }
    EncodedLabels encoded = encode_labels(file, names, samples.lines, classes);
    classes = encoded.classes;
    const auto count = static_cast<std::int64_t>(names.size());
    return Dataset{std::move(samples.features), Tensor::from(encoded.labels, {count}, Device::cpu()),
                   static_cast<std::int64_t>(classes.size()), classes, ""};
  });
}

}  // namespace rtl::data

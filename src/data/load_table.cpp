// Data sets in text tables: csv and svmlight.
#include <fmt/format.h>

#include <cmath>

#include "core/joined.hpp"
#include "data/loaders.hpp"
#include "data/text_table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/data/svmlight.hpp"

namespace rtl::data {
namespace {

std::string number_name(const std::string& text) {
  const auto number = parse_number(text);
  return number && std::isfinite(*number) ? shortest(*number) : text;
}

/// The targets as texts of whole numbers; with `forced` of any numbers.
LabelTexts class_texts(const std::string& file, const SvmlightData& samples, bool forced) {
  LabelTexts texts{file, {}, samples.lines};
  constexpr double exact = 9007199254740992.0;
  for (const double target : samples.targets.to_vector<double>()) {
    const std::int64_t line = samples.lines[texts.labels.size()];
    if (target != std::round(target) && !forced) {
      throw FormatError(file,
                        fmt::format("line {}: the target {} is no whole number, so the targets are no classes but "
                                    "measurements; write target=real for regression, or target=class to force classes",
                                    line, target));
    }
    if (std::abs(target) >= exact) {
      throw FormatError(
          file, fmt::format("line {}: the target {} is too large to be told from its neighbours", line, target));
    }
    texts.labels.push_back(shortest(target));
  }
  return texts;
}

/// The targets as f32 [n, 1].
Tensor svmlight_targets(const std::string& file, const SvmlightData& samples, const Device& host) {
  std::vector<float> narrow;
  for (const double target : samples.targets.to_vector<double>()) {
    narrow.push_back(static_cast<float>(target));
    if (std::isfinite(narrow.back())) continue;
    throw FormatError(
        file, fmt::format("line {}: the target {} is too large for float32", samples.lines[narrow.size() - 1], target));
  }
  return Tensor::from(narrow, {static_cast<std::int64_t>(narrow.size()), 1}, host);
}

/// Columns of a table as f32.
Tensor narrowed(const std::string& file, const CsvTable& table, const Tensor& wide,
                const std::vector<std::string>& names, const Device& host) {
  std::vector<float> narrow(static_cast<std::size_t>(wide.count()));
  const double* values = wide.data_as<double>();
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    narrow[i] = static_cast<float>(values[i]);
    if (!std::isfinite(narrow[i])) {
      throw FormatError(file, fmt::format("line {}, column '{}': {} is too large for float32",
                                          table.lines[i / names.size()], names[i % names.size()], values[i]));
    }
  }
  return Tensor::from(narrow, wide.shape(), host);
}

}  // namespace

Tensor table_features(const std::string& file, const CsvTable& table, const Device& host) {
  if (table.columns.empty()) {
    throw FormatError(file, "has no column of numbers beside label, targets and what is dropped");
  }
  return narrowed(file, table, table.values, table.columns, host);
}

Tensor table_targets(const std::string& file, const CsvTable& table, const Device& host) {
  return narrowed(file, table, table.targets, table.target_names, host);
}

void add_notes(std::vector<std::string>& notes, const std::string& file, const std::vector<std::string>& more) {
  for (const std::string& note : more) notes.push_back(fmt::format("{}: {}", file, note));
}

TrainTest load_csv(const Spec& spec, const Device& host) {
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

TrainTest load_svmlight(const Spec& spec, const Device& host) {
  std::int64_t features = spec.whole("features", 0);
  constexpr std::int64_t mebibyte = std::int64_t{1} << 20;
  const SvmlightOptions svmlight{.first_index = spec.whole("first_index", 1),
                                 .dense_limit = spec.whole("dense_mib", 0) * mebibyte};
  std::vector<std::string> classes = spec.list("classes"), notes;
  for (std::string& name : classes) name = number_name(name);
  TrainTest parts = assemble_files(spec, [&](const std::string& path, Part) {
    const std::string file = decode_path(path);
    SvmlightData samples = read_svmlight(file, features, svmlight, host);
    features = samples.features.extent(1);
    if (wants_real_targets(spec)) {
      return Dataset{std::move(samples.features), {}, 0, {}, "", svmlight_targets(file, samples, host), {}};
    }
    const bool forced = spec.text("target") == "class";
    EncodedLabels encoded =
        encode_labels(class_texts(file, samples, forced), classes, forced ? CsvLabels::text : CsvLabels::detect);
    classes = encoded.classes;
    add_notes(notes, file, encoded.notes);
    const auto count = static_cast<std::int64_t>(encoded.labels.size());
    return Dataset{std::move(samples.features), Tensor::from(encoded.labels, {count}, host),
                   static_cast<std::int64_t>(classes.size()), classes, ""};
  });
  parts.notes = std::move(notes);
  return parts;
}

}  // namespace rtl::data

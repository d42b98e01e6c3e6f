// Sparse text.
#include "rtl/data/svmlight.hpp"

#include <fmt/format.h>

#include <cmath>

#include "data/assemble.hpp"
#include "data/column_parts.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/row_weights.hpp"
#include "data/table_parts.hpp"
#include "data/text_table.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

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

TrainTest load_columns(const Spec& spec, const Device& host, const Preprocessing* fitted) {
  ColumnParts columns(spec, fitted);
  const bool prepared = spec.has("prepare") || (fitted != nullptr && !fitted->empty());
  std::int64_t features = spec.whole("features", 0);
  constexpr std::int64_t mebibyte = std::int64_t{1} << 20;
  const SvmlightOptions svmlight{.first_index = spec.whole("first_index", 1),
                                 .dense_limit = spec.whole("dense_mib", 0) * mebibyte,
                                 .sparse = prepared ? SparseForm::no : parse_sparse_form(spec.text("sparse", "auto"))};
  std::vector<std::string> classes = spec.list("classes"), notes;
  for (std::string& name : classes) name = number_name(name);
  TrainTest parts = assemble_files(spec, [&](const std::string& path, Part which) {
    const std::string file = decode_path(path);
    SvmlightData samples = read_svmlight(file, features, svmlight, host);
    Dataset part;
    part.sparse = std::move(samples.sparse);
    if (part.is_sparse() && !spec.has("sparse")) notes.push_back(sparse_note(file, part.sparse));
    features = part.is_sparse() ? part.sparse.width() : samples.features.extent(1);
    if (prepared) {
      ColumnTable table = columns_of(samples.features);
      table.file = file;
      table.lines = samples.lines;
      samples.features = columns.add(std::move(table), host);
    }
    part.inputs = std::move(samples.features);
    if (spec.has("weights") && which == Part::train) {
      part.weights = read_weights(spec.files("weights").front().path, part.size(), host);
    }
    if (wants_real_targets(spec)) {
      part.targets = svmlight_targets(file, samples, host);
      return part;
    }
    const bool forced = spec.text("target") == "class";
    EncodedLabels encoded =
        encode_labels(class_texts(file, samples, forced), classes, forced ? CsvLabels::text : CsvLabels::detect);
    classes = encoded.classes;
    add_notes(notes, file, encoded.notes);
    const auto count = static_cast<std::int64_t>(encoded.labels.size());
    part.labels = Tensor::from(encoded.labels, {count}, host);
    part.classes = static_cast<std::int64_t>(classes.size());
    part.class_names = classes;
    return part;
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
  std::string fault = fault_of_labels(spec, true, "");
  if (fault.empty()) fault = fault_of_weights(spec);
  if (fault.empty()) fault = fault_of_test_part(spec);
  if (fault.empty()) fault = fault_of_sparse(spec);
  return fault.empty() ? fault_of_preparation(spec) : fault;
}

SpecKind kind() {
  constexpr double widest = 2147483648.0;
  return {
      "svmlight", "FILE", 1,
      "sparse text; the targets, whole numbers, are the classes, or with target=real any numbers",
      together(
          {{list("classes", "NUMBER", "the classes in order; those that occur if not given"),
            whole("features", 1, widest, "how many there are; as many as the largest index needs if not given"),
            choice("first_index", {"1", "0"}, "the first feature's index; 1 if not given"),
            whole("dense_mib", 1, 1 << 30,
                  "what is made dense, all rows or of sparse ones a batch of 256, may take N MiB; if not given 64, or "
                  "1,000 times the text")},
           sparse(),
           target(),
           weights_file(),
           preparation(),
           test_part(),
           parts()})};
}

}  // namespace

const Format& svmlight() {
  static const Format format{kind(), load, fault, load_prepared};
  return format;
}

}  // namespace rtl::data::formats

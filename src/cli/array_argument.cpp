#include "cli/array_argument.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/array_classes.hpp"
#include "cli/array_table.hpp"
#include "cli/commands.hpp"
#include "cli/table.hpp"
#include "core/by_name.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/spec.hpp"
#include "rtl/data/svmlight.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::cli {

namespace {

struct Ending {
  const char* text;
  const char* kind;
};
constexpr Ending endings[] = {{".npy", "npy"},      {".csv", "csv"},           {".tsv", "csv"},
                              {".tab", "csv"},      {".svmlight", "svmlight"}, {".libsvm", "svmlight"},
                              {".svm", "svmlight"}, {".data", "csv"}};
constexpr const char* kinds[] = {"csv", "fixed", "npy", "svmlight"};

bool is_table(const std::string& kind) { return kind == "csv" || kind == "fixed"; }

bool exists(const std::string& path) {
  std::error_code error;
  return path.find('\0') == std::string::npos && std::filesystem::exists(path, error);
}

/// Where the name of a known ending ends: at the argument's end, or at the '?' of its options.
std::optional<std::pair<std::string, std::size_t>> split_by_ending(const std::string& argument) {
  std::optional<std::pair<std::string, std::size_t>> found;
  for (const Ending& ending : endings) {
    for (const std::string& text : {std::string(ending.text), std::string(ending.text) + ".gz"}) {
      if (argument.ends_with(text) && argument.size() > text.size()) return {{ending.kind, argument.size()}};
      const auto at = argument.rfind(text + "?");
      if (at == std::string::npos || at == 0) continue;
      if (!found || at + text.size() > found->second) found = {ending.kind, at + text.size()};
    }
  }
  return found;
}

std::string escaped(const std::string& path) {
  std::string text;
  for (const char c : path) text += c == '?' ? std::string("%3F") : std::string(1, c);
  return text;
}

/// Options that part data sets or count classes mean nothing here.
bool is_for_matrices(const std::string& kind, const std::string& option) {
  if (kind == "npy") return is_one_of(option, {"limit", "offset"});  // one array, without labels beside it
  if (is_one_of(option, {"split", "test", "test_fraction", "seed", "sparse"})) return false;
  return !is_one_of(option, {"classes", "target", "prepare"}) || is_table(kind);
}

/// Throws UsageError for an option that a matrix of this kind does not have, listing those it has.
void check_options(const std::string& option, const data::SpecKind& kind, const std::string& text) {
  const auto question = text.find('?');
  if (question == std::string::npos) return;
  std::vector<std::string> known;
  for (const data::SpecOption& one : kind.options) {
    if (is_for_matrices(kind.name, one.name)) known.push_back(one.name);
  }
  for (std::size_t at = question + 1; at <= text.size();) {
    const std::size_t end = std::min(text.find('&', at), text.size());
    const std::string name = text.substr(at, std::min(text.find('=', at), end) - at);
    at = end + 1;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    throw UsageError(fmt::format("{}: '{}': a matrix of kind {} has no option '{}'; it has {}{}", option, text,
                                 kind.name, name, fmt::join(known, ", "),
                                 kind.option(name) != nullptr ? " (the others part data sets)" : ""));
  }
}

data::Spec parse_spec(const std::string& option, const std::string& text) {
  const std::string name = text.substr(0, text.find(':'));
  for (const data::SpecKind& kind : data::spec_kinds()) {
    if (kind.name == name) check_options(option, kind, text);
  }
  if (name.size() + 1 == text.size() || text[name.size() + 1] == '?') {
    throw UsageError(fmt::format("{}: '{}' names no file; it is {}:FILE", option, text, name));
  }
  try {
    data::Spec spec = data::Spec::parse(text);
    if (spec.kind == "fixed" && !spec.has("fields")) data::check_data_set(spec);  // says what they are
    if (is_table(spec.kind)) (void)data::csv_options(spec);
    return spec;
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("{}: {}", option, error.what()));
  }
}

/// The argument as a SPEC of one matrix.
data::Spec parse_argument(const std::string& option, const std::string& argument) {
  const std::string before = argument.substr(0, argument.find(':'));
  const auto& known = data::spec_kinds();
  const bool spec = before.size() < argument.size() && !exists(argument) &&
                    std::any_of(known.begin(), known.end(), [&](const auto& kind) { return kind.name == before; });
  data::Spec parsed;
  if (spec) {
    if (std::find(std::begin(kinds), std::end(kinds), before) == std::end(kinds)) {
      throw UsageError(
          fmt::format("{}: '{}' is a data set, not a matrix; give FILE.npy, FILE.csv or FILE.svmlight, or {}:FILE",
                      option, argument, fmt::join(kinds, ":FILE, ")));
    }
    parsed = parse_spec(option, argument);
  } else {
    const auto split = split_by_ending(argument);
    if (!split) {
      throw FormatError(argument, fmt::format("its name does not say what it is ({}); say csv:FILE, npy:FILE or "
                                              "svmlight:FILE, or give it an ending: .npy, .csv, .tsv, .svmlight, all "
                                              "of them plain or .gz",
                                              option));
    }
    const std::string path = argument.substr(0, split->second);
    parsed = parse_spec(option, split->first + ":" + escaped(path) + argument.substr(split->second));
    parsed.path = path;
  }
  return parsed;
}

Array limited(Array array, const data::Spec& spec) {
  const std::int64_t offset = spec.whole("offset", 0), limit = spec.whole("limit", array.all_rows);
  if (offset == 0 && limit >= array.all_rows) return array;
  if (!array.places.empty()) {
    throw FormatError(array.file, "missing=drop does not go with limit= and offset=, which count all rows");
  }
  if (offset >= array.all_rows) {
    throw FormatError(array.file, fmt::format("offset={} leaves nothing of {} rows", offset, array.all_rows));
  }
  const std::int64_t end = offset + std::min(limit, array.all_rows - offset);
  const ConstView part = array.values.view().slice(0, offset, end);
  Tensor copy(part.shape(), part.dtype(), array.values.device());
  copy_bytes(part, copy);
  array.values = std::move(copy);
  array.all_rows = end - offset;
  return array;
}

Array read_plain(const data::Spec& spec, bool targets, const data::Preprocessing* fitted = nullptr) {
  const std::string file = spec.file();
  if (is_table(spec.kind)) return read_table(spec, targets, fitted);
  Array array{{}, file, {}};
  if (spec.kind == "npy") {
    array.values = checked_matrix(file, io::read_npy(file, Device::cpu(1)));
  } else {
    constexpr std::int64_t mebibyte = std::int64_t{1} << 20;
    data::SvmlightData samples = data::read_svmlight(
        file, spec.whole("features", 0),
        {.first_index = spec.whole("first_index", 1), .dense_limit = spec.whole("dense_mib", 0) * mebibyte},
        Device::cpu(1));
    array.values = checked_matrix(file, targets ? std::move(samples.targets) : std::move(samples.features));
  }
  array.all_rows = array.values.extent(0);
  return array;
}

/// The columns of label= in a SPEC with target=real.
Array read_target_columns(const data::Spec& spec) {
  if (spec.list("label").empty()) throw FormatError(spec.file(), "target=real needs the columns: label=COLUMN,..");
  data::CsvOptions options = data::csv_options(spec);
  options.columns.clear();
  options.drop.clear();
  options.categories.clear();
  options.detect_categories = false;
  options.label_only = true;
  data::CsvTable table = data::read_csv(spec.file(), options, Device::cpu(1));
  table.values = std::move(table.targets);
  Array array = from_table(spec, std::move(table));
  array.values = checked_matrix(array.file, std::move(array.values));
  return array;
}

/// The one column of a table that targets may be classes of: label=, or the only one there is.
std::string class_column(const data::Spec& spec) {
  if (spec.has("label")) return spec.text("label");
  const std::vector<std::string> columns = spec.list("columns");
  return columns.size() == 1 ? columns.front() : std::string();
}

Array read_classes(const data::Spec& spec, const std::string& column) {
  data::CsvOptions options = data::csv_options(spec);
  options.columns.clear();
  options.drop.clear();
  options.categories.clear();
  options.detect_categories = false;
  options.label = column;
  options.label_only = true;
  data::CsvTable table = data::read_csv(spec.file(), options, Device::cpu(1));
  const std::vector<std::int32_t> labels = std::move(table.labels);
  Array array = from_table(spec, std::move(table));
  encode_classes(array, labels);
  return array;
}

bool is_number(const std::string& text) {
  char* end = nullptr;
  (void)std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0';
}

/// A column of text alone, which is no column of numbers with a fault.
std::optional<Array> read_text_classes(const data::Spec& spec) {
  const std::string column = class_column(spec);
  try {
    Array array = read_classes(spec, column.empty() ? "#1" : column);
    if (std::any_of(array.classes.begin(), array.classes.end(), is_number)) return std::nullopt;
    return array;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::string matrix_help() {
  std::string text =
      "A matrix is FILE.npy, FILE.csv, FILE.tsv or FILE.svmlight, plain or .gz, or csv:FILE, fixed:FILE, npy:FILE,\n"
      "svmlight:FILE, whatever the file is called. Behind it may stand options: 'FILE.csv?drop=A,B&missing=drop', in "
      "quotes.\n";
  for (const data::SpecKind& kind : data::spec_kinds()) {
    if (std::find(std::begin(kinds), std::end(kinds), kind.name) == std::end(kinds)) continue;
    std::vector<std::string> options;
    for (const data::SpecOption& option : kind.options) {
      if (is_for_matrices(kind.name, option.name)) options.push_back(option.name + "=" + option.values());
    }
    std::string line = "  " + kind.name + ":";
    for (const std::string& option : options) {
      if (line.size() - (line.rfind('\n') + 1) + option.size() > 100) line += "\n     ";
      line += " " + option;
    }
    text += line + "\n";
  }
  return text +
         "Targets of csv and fixed with label= are the classes of that column, with target=real numbers of one or\n"
         "several; those of svmlight stand in the same file. What a name cannot hold is written as in a URL: %3F is "
         "'?'.";
}

TargetKind parse_target_kind(const std::string& text) {
  return text == "values" ? TargetKind::values : text == "classes" ? TargetKind::classes : TargetKind::detect;
}

void add_targets_are(CLI::App& command, std::string& value) {
  command
      .add_option("--targets-are", value,
                  "values to be predicted, or classes, each of which becomes a column of 1 and 0; without this texts "
                  "are classes and numbers are values, and a note says so where they could be classes")
      ->check(CLI::IsMember(std::vector<std::string>{"values", "classes"}));
}

std::string array_file(const std::string& option, const std::string& argument) {
  return argument.empty() ? argument : parse_argument(option, argument).file();
}

Array read_array(const std::string& option, const std::string& argument, const data::Preprocessing* fitted) {
  const data::Spec spec = parse_argument(option, argument);
  Array array = limited(read_plain(spec, false, fitted), spec);
  array.option = option;
  return array;
}

namespace {

Array read_target_file(const std::string& option, const data::Spec& spec, TargetKind kind) {
  const auto read = [&]() -> Array {
    if (is_table(spec.kind) && spec.text("target") == "real") return read_target_columns(spec);
    if (is_table(spec.kind) && kind != TargetKind::values) {
      const std::string column = class_column(spec);
      if (spec.has("label") || (kind == TargetKind::classes && !column.empty())) return read_classes(spec, column);
    }
    if (spec.kind == "npy") {
      if (std::optional<Array> texts = read_text_array(spec.file(), kind)) return std::move(*texts);
    }
    try {
      return read_plain(spec, true);
    } catch (const FormatError&) {
      if (!is_table(spec.kind) || kind == TargetKind::values) throw;
      std::optional<Array> classes = read_text_classes(spec);
      if (!classes) throw;
      return std::move(*classes);
    }
  };
  Array array = read();
  array.option = option;
  if (kind == TargetKind::classes && array.classes.empty()) encode_numbers(array);
  return array;
}

}  // namespace

Array read_targets(const std::string& option, const std::string& argument, TargetKind kind) {
  const data::Spec spec = parse_argument(option, argument);
  Array array = read_target_file(option, spec, kind);
  if (kind == TargetKind::detect && array.classes.empty()) {
    WholeNumbers numbers(array.columns());
    numbers.add(doubles_of(array.values));
    if (std::string note = numbers.note(); !note.empty()) array.notes.push_back(std::move(note));
  }
  if (!array.classes.empty() && kind == TargetKind::detect) {
    array.notes.push_back(listed_classes(array.classes) +
                          "; each is one column of targets, 1 where it applies and else 0");
  }
  if (array.classes.size() == 1) throw FormatError(array.file, fmt::format("has the class {} alone", array.classes[0]));
  return limited(std::move(array), spec);
}

Array read_targets(const std::string& option, const std::string& argument, const std::vector<std::string>& classes,
                   const std::string& fitted_file) {
  const data::Spec spec = parse_argument(option, argument);
  if (classes.empty()) return limited(read_target_file(option, spec, TargetKind::values), spec);
  Array array = limited(read_target_file(option, spec, TargetKind::classes), spec);
  const std::vector<double> values = doubles_of(array.values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string& own = array.classes[i % array.classes.size()];
    if (values[i] == 0 || std::find(classes.begin(), classes.end(), own) != classes.end()) continue;
    throw FormatError(array.file, fmt::format("has the class '{}' ({}), which {} does not have ({})", own, option,
                                              fitted_file, listed_classes(classes)));
  }
  expand_classes(array, classes);
  return array;
}

Array read_array(const std::string& option, const std::string& argument, std::int64_t rows, std::int64_t columns,
                 const std::string& reason) {
  Array array = read_array(option, argument);
  if (array.all_rows != rows || array.columns() != columns) {
    throw FormatError(array.file, fmt::format("holds {}, where {} is expected ({})", array.values.shape().to_string(),
                                              Shape{rows, columns}.to_string(), reason));
  }
  return array;
}

namespace {

/// Where files lack different rows, none of their own notes says how many are left out in all.
void note_rows_of_all(const std::vector<Array*>& arrays, std::int64_t lost) {
  const bool counted = std::any_of(arrays.begin(), arrays.end(), [&](const Array* array) {
    return static_cast<std::int64_t>(array->left_out.size()) == lost;
  });
  if (counted) return;
  arrays.front()->notes.push_back(fmt::format("{} of {} rows are left out in all: those that any of the files lacks",
                                              lost, arrays.front()->all_rows));
}

}  // namespace

void align_rows(std::vector<Array*> arrays) {
  const Array& first = *arrays.front();
  std::vector<std::int64_t> kept(static_cast<std::size_t>(first.all_rows));
  std::iota(kept.begin(), kept.end(), std::int64_t{0});
  bool complete = true;
  for (const Array* array : arrays) {
    if (array->all_rows != first.all_rows) {
      throw ShapeError(fmt::format("{} has {} rows ({}), {} has {} ({}); each sample needs both", first.file,
                                   first.all_rows, first.option, array->file, array->all_rows, array->option));
    }
    if (array->places.empty()) continue;
    complete = false;
    std::vector<std::int64_t> both;
    std::set_intersection(kept.begin(), kept.end(), array->places.begin(), array->places.end(),
                          std::back_inserter(both));
    kept = std::move(both);
  }
  if (complete) return;
  note_rows_of_all(arrays, first.all_rows - static_cast<std::int64_t>(kept.size()));
  if (kept.empty()) throw FormatError(first.file, "has no row without a missing value in any of the files");
  for (Array* array : arrays) {
    const std::vector<double> values = doubles_of(array->values);
    const auto width = static_cast<std::size_t>(array->columns());
    std::vector<double> rest;
    for (const std::int64_t place : kept) {
      const auto at = array->places.empty()
                          ? place
                          : std::lower_bound(array->places.begin(), array->places.end(), place) - array->places.begin();
      const auto begin = values.begin() + at * static_cast<std::int64_t>(width);
      rest.insert(rest.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
    }
    array->values = Tensor::from(rest, {static_cast<std::int64_t>(kept.size()), array->columns()}, Device::cpu(1));
    array->places = kept;
  }
}

std::vector<std::string> tell_notes(const std::vector<const Array*>& arrays) {
  std::vector<std::string> told;
  for (const Array* array : arrays) {
    std::vector<std::string> lines = array->notes;
    if (!array->left_out.empty()) lines.push_back(data::describe_left_out(array->left_out, array->all_rows));
    for (const std::string& line : lines) {
      const std::string text = array->file + ": " + line;
      if (std::find(told.begin(), told.end(), text) != told.end()) continue;
      told.push_back(text);
      fmt::print(stderr, "rtl: note: {}\n", printable(text));
    }
  }
  return told;
}

}  // namespace rtl::cli

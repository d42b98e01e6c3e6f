#include "rtl/data/preprocessing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/joined.hpp"
#include "data/steps.hpp"
#include "data/text_table.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

constexpr int version = 1;

const StepKind* find_kind(const std::string& name) {
  const auto& kinds = step_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const StepKind* kind) { return kind->name == name; });
  return found == kinds.end() ? nullptr : *found;
}

std::string name_of_step(const std::string& step) { return step.substr(0, step.find(':')); }

std::vector<Preprocessing::Input> inputs_of(const ColumnTable& table) {
  std::vector<Preprocessing::Input> inputs;
  for (const Column& column : table.columns) inputs.push_back({io::valid_utf8(column.name), column.text});
  return inputs;
}

}  // namespace

ColumnTable ColumnTable::subset(std::span<const std::int64_t> chosen) const {
  ColumnTable part;
  part.rows = static_cast<std::int64_t>(chosen.size());
  part.file = file;
  for (const std::int64_t row : chosen) {
    if (row < 0 || row >= rows) throw ValueError(fmt::format("ColumnTable::subset: row {} of {} rows", row, rows));
    if (!lines.empty()) part.lines.push_back(lines[static_cast<std::size_t>(row)]);
  }
  for (const Column& column : columns) {
    Column taken{column.name, {}, {}, column.text};
    for (const std::int64_t row : chosen) {
      const auto at = static_cast<std::size_t>(row);
      if (column.text) taken.texts.push_back(column.texts[at]);
      if (!column.text) taken.numbers.push_back(column.numbers[at]);
    }
    part.columns.push_back(std::move(taken));
  }
  return part;
}

std::vector<std::string> ColumnTable::names() const {
  std::vector<std::string> all;
  for (const Column& column : columns) all.push_back(column.name);
  return all;
}

std::string ColumnTable::place(std::int64_t row, const std::string& column) const {
  const bool text = !lines.empty();
  return fmt::format("{} {}, column {}", text ? "line" : "row", text ? lines[static_cast<std::size_t>(row)] : row,
                     shown(column));
}

ColumnTable columns_of(const Tensor& inputs, std::vector<std::string> names) {
  if (inputs.rank() != 2 || inputs.dtype() != DType::f32) {
    throw ShapeError(fmt::format("columns_of: {} {} are no f32 vectors [N, p]", rtl::name_of(inputs.dtype()),
                                 inputs.shape().to_string()));
  }
  const auto width = static_cast<std::size_t>(inputs.extent(1));
  if (!names.empty() && names.size() != width) {
    throw ShapeError(fmt::format("columns_of: {} names for {} columns", names.size(), width));
  }
  const std::vector<float> values = inputs.to_vector<float>();
  ColumnTable table;
  table.rows = inputs.extent(0);
  for (std::size_t c = 0; c < width; ++c) {
    Column column{names.empty() ? std::to_string(c + 1) : std::move(names[c]), {}, {}, false};
    column.numbers.reserve(static_cast<std::size_t>(table.rows));
    for (std::size_t i = c; i < values.size(); i += width) column.numbers.push_back(static_cast<double>(values[i]));
    table.columns.push_back(std::move(column));
  }
  return table;
}

const std::vector<const StepKind*>& step_kinds() { return steps::all(); }

void check_step(const std::string& step) {
  if (find_kind(name_of_step(step)) != nullptr) return;
  std::vector<std::string> names;
  for (const StepKind* kind : step_kinds()) names.push_back(kind->name);
  throw ValueError(fmt::format("there is no step '{}'; there are {}", step, joined(names, ", ")));
}

Preprocessing Preprocessing::fit(const std::vector<std::string>& steps, const ColumnTable& training) {
  for (const std::string& step : steps) check_step(step);
  if (training.rows == 0) throw ValueError(fmt::format("{}: there is no row to fit a preprocessing to", training.file));
  Preprocessing fitted;
  fitted.inputs_ = inputs_of(training);
  ColumnTable table = steps.empty() ? ColumnTable() : training;
  std::vector<std::string> notes;
  for (const std::string& step : steps) {
    const auto colon = step.find(':');
    const std::string argument = colon == std::string::npos ? "" : step.substr(colon + 1);
    fitted.steps_.emplace_back(find_kind(name_of_step(step))->fit(argument, table));
    if (fitted.steps_.size() < steps.size()) fitted.steps_.back()->apply(table, notes);
  }
  return fitted;
}

std::vector<std::string> Preprocessing::input_names() const {
  std::vector<std::string> names;
  for (const Input& input : inputs_) names.push_back(input.name);
  return names;
}

bool Preprocessing::has(const std::string& kind) const {
  return std::any_of(steps_.begin(), steps_.end(), [&](const auto& step) { return step->kind() == kind; });
}

std::vector<std::string> Preprocessing::describe() const {
  std::vector<std::string> lines;
  for (const auto& step : steps_) lines.push_back(step->describe());
  return lines;
}

ColumnTable Preprocessing::apply(ColumnTable table, std::vector<std::string>& notes) const {
  if (empty()) return table;
  if (table.columns.size() != inputs_.size()) {
    throw ShapeError(fmt::format("{}: has {} columns; the model's inputs are made of {}: {}", table.file,
                                 table.columns.size(), inputs_.size(), joined(input_names(), ", ")));
  }
  for (std::size_t c = 0; c < inputs_.size(); ++c) {
    if (table.columns[c].text == inputs_[c].text) continue;
    throw ShapeError(fmt::format("{}: the column {} holds {}, where the model's training rows had {}", table.file,
                                 shown(table.columns[c].name), inputs_[c].text ? "numbers" : "texts",
                                 inputs_[c].text ? "texts" : "numbers"));
  }
  for (const auto& step : steps_) step->apply(table, notes);
  return table;
}

std::string Preprocessing::to_text() const {
  io::Json columns = io::Json::array(), steps = io::Json::array();
  for (const Input& input : inputs_) columns.push_back({{"name", input.name}, {"text", input.text}});
  for (const auto& step : steps_) {
    steps.push_back({{"kind", step->kind()}, {"parameters", io::Json::parse(step->parameters())}});
  }
  return io::Json{{"version", version}, {"columns", columns}, {"steps", steps}}.dump();
}

Preprocessing Preprocessing::parse(const std::string& file, const std::string& text) {
  const io::Json json = io::parse_json(file, text, "the preprocessing of its inputs");
  return io::decode_json(file, [&] {
    Preprocessing read;
    if (json.at("version") != version) {
      throw FormatError(file, fmt::format("the preprocessing of its inputs has the version {}; this program reads {}",
                                          json.at("version").dump(), version));
    }
    for (const io::Json& column : json.at("columns")) {
      read.inputs_.push_back({column.at("name").get<std::string>(), column.at("text").get<bool>()});
    }
    for (const io::Json& step : json.at("steps")) {
      const StepKind* kind = find_kind(step.at("kind").get<std::string>());
      if (kind == nullptr) {
        throw FormatError(file, fmt::format("its inputs are made by the step {}, which this program does not have",
                                            shown(step.at("kind").get<std::string>())));
      }
      read.steps_.emplace_back(kind->read(file, step.at("parameters").dump()));
    }
    return read;
  });
}

Tensor matrix_of(const ColumnTable& table, const Device& host) {
  const std::size_t width = table.columns.size();
  std::vector<float> values(static_cast<std::size_t>(table.rows) * width);
  for (std::size_t c = 0; c < width; ++c) {
    const Column& column = table.columns[c];
    if (column.text) {
      throw FormatError(table.file, fmt::format("the column {} holds texts; one-hot makes numbers of categories",
                                                shown(column.name)));
    }
    for (std::size_t row = 0; row < column.numbers.size(); ++row) {
      const double value = column.numbers[row];
      const auto narrow = static_cast<float>(value);
      values[row * width + c] = narrow;
      if (std::isfinite(narrow)) continue;
      const std::string place = table.place(static_cast<std::int64_t>(row), column.name);
      throw FormatError(table.file, std::isnan(value) ? fmt::format("{} has no value; missing=impute fills it", place)
                                                      : fmt::format("{}: {} is too large for float32", place, value));
    }
  }
  return Tensor::from(values, {table.rows, static_cast<std::int64_t>(width)}, host);
}

}  // namespace rtl::data

namespace rtl::data::steps {

void check_numbers(const ColumnTable& table, const std::string& step) {
  for (const Column& column : table.columns) {
    if (!column.text) continue;
    throw FormatError(table.file, fmt::format("the column {} holds texts, which {} cannot take; one-hot goes before it",
                                              shown(column.name), step));
  }
}

void check_count(const ColumnTable& table, const std::string& step, std::size_t fitted) {
  if (table.columns.size() == fitted) return;
  throw ShapeError(
      fmt::format("{}: {} was fitted to {} columns, and there are {}", table.file, step, fitted, table.columns.size()));
}

void fail_missing(const ColumnTable& table, std::int64_t row, const Column& column, const std::string& step) {
  throw FormatError(table.file, fmt::format("{} has no value, which {} needs; missing=impute fills it",
                                            table.place(row, column.name), step));
}

void check_no_argument(const std::string& argument, const std::string& step) {
  if (!argument.empty()) throw ValueError(fmt::format("{}:{}: {} takes no argument", step, argument, step));
}

void check_finite(const std::string& file, const std::vector<double>& numbers, const char* step) {
  if (std::all_of(numbers.begin(), numbers.end(), [](double number) { return std::isfinite(number); })) return;
  throw FormatError(file, fmt::format("the numbers of the step {} are not all finite", step));
}

double mean_of(const std::vector<double>& numbers) {
  double sum = 0, rest = 0;
  const auto count = static_cast<double>(numbers.size());
  for (const double number : numbers) sum += number;
  const double mean = sum / count;
  for (const double number : numbers) rest += number - mean;
  return mean + rest / count;
}

}  // namespace rtl::data::steps

#include "cli/array_classes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "data/array_labels.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::cli {

std::vector<double> doubles_of(const Tensor& values) {
  if (values.dtype() == DType::f64) return values.to_vector<double>();
  const std::vector<float> narrow = values.to_vector<float>();
  return {narrow.begin(), narrow.end()};
}

void encode_classes(Array& array, const std::vector<std::int32_t>& labels) {
  const std::size_t width = array.classes.size();
  std::vector<double> values(labels.size() * width);
  for (std::size_t i = 0; i < labels.size(); ++i) values[i * width + static_cast<std::size_t>(labels[i])] = 1;
  array.values = Tensor::from(values, {static_cast<std::int64_t>(labels.size()), static_cast<std::int64_t>(width)},
                              Device::cpu(1));
}

void encode_numbers(Array& array) {
  if (array.columns() != 1) {
    throw FormatError(array.file,
                      fmt::format("has {} columns; classes stand in one ({})", array.columns(), array.option));
  }
  const std::vector<double> values = doubles_of(array.values);
  std::map<double, std::int32_t> found;
  constexpr double exact = 9007199254740992.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::abs(values[i]) >= exact) {
      throw FormatError(array.file,
                        fmt::format("row {} is {:.0f}, too large to be told from its neighbours as a number; "
                                    "classes may be texts, array.astype(str)",
                                    i, values[i]));
    }
    if (values[i] != std::round(values[i])) {
      throw FormatError(array.file, fmt::format("row {} is {}: classes are texts or whole numbers; for values say "
                                                "--targets-are values",
                                                i, values[i]));
    }
    found.emplace(values[i], 0);
  }
  std::int32_t next = 0;
  for (auto& [value, index] : found) {
    index = next++;
    array.classes.push_back(fmt::format("{:.0f}", value));
  }
  std::vector<std::int32_t> labels;
  labels.reserve(values.size());
  for (const double value : values) labels.push_back(found.at(value));
  encode_classes(array, labels);
}

void WholeNumbers::add(const std::vector<double>& rows) {
  constexpr std::size_t most = std::size_t{1} << 16;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Column& column = columns_[i % columns_.size()];
    if (!column.whole) continue;
    column.different.insert(rows[i]);
    column.whole = rows[i] == std::round(rows[i]) && column.different.size() <= most;
    if (!column.whole) column.different.clear();
  }
  rows_ += rows.size() / columns_.size();
}

std::size_t WholeNumbers::classes_of(const Column& column) const {
  constexpr std::size_t many = 100;
  const std::size_t different = column.different.size();
  const bool repeats = different > many ? 2 * different <= rows_ : different < rows_;
  return column.whole && repeats && different > 1 ? different : 0;
}

std::string WholeNumbers::note() const {
  std::size_t columns = 0, different = 0;
  for (const Column& column : columns_) {
    const std::size_t found = classes_of(column);
    columns += found > 0 ? 1 : 0;
    different = std::max(different, found);
  }
  if (columns == 0) return {};
  if (columns_.size() == 1) {
    return fmt::format(
        "{} different whole numbers are taken as values; if they are classes, say --targets-are classes "
        "(if they are not, --targets-are values)",
        different);
  }
  return fmt::format(
      "the whole numbers of {} of its {} columns are taken as values; classes stand in one column, with "
      "--targets-are classes (if these are none, say --targets-are values)",
      columns, columns_.size());
}

std::string listed_classes(const std::vector<std::string>& names) {
  constexpr std::size_t most = 10;
  const auto shown = static_cast<std::ptrdiff_t>(std::min(names.size(), most));
  return fmt::format("{} classes: {}{}", names.size(), fmt::join(names.begin(), names.begin() + shown, ", "),
                     names.size() > most ? ", .." : "");
}

std::optional<Array> read_text_array(const std::string& file, TargetKind kind) {
  const io::Bytes content = io::read_file_gz(file);
  if (!io::npy_holds_text(content, file)) return {};
  if (kind == TargetKind::values) {
    throw FormatError(file, "holds text, which are classes; --targets-are values is for numbers");
  }
  Array array{{}, file, {}};
  const data::LabelTexts texts = data::array_labels(file, content, Device::cpu(1), array.notes);
  for (std::size_t row = 0; row < texts.labels.size(); ++row) {
    const std::string& text = texts.labels[row];
    const auto number = kind == TargetKind::detect ? data::parse_number(text) : std::nullopt;
    if (!number || *number == std::round(*number)) continue;
    throw FormatError(file,
                      fmt::format("row {} is {}, a number with a fraction that is written as text; save values as "
                                  "numbers (if these are classes, say --targets-are classes)",
                                  row, data::shown(text)));
  }
  data::EncodedLabels encoded = data::encode_labels(texts, {}, data::CsvLabels::text);
  array.classes = std::move(encoded.classes);
  for (std::string& note : encoded.notes) array.notes.push_back(std::move(note));
  encode_classes(array, encoded.labels);
  array.all_rows = array.values.extent(0);
  return array;
}

void expand_classes(Array& targets, const std::vector<std::string>& classes) {
  const std::vector<double> values = doubles_of(targets.values);
  const std::size_t width = targets.classes.size();
  std::vector<std::int32_t> labels;
  for (auto row = values.begin(); row != values.end(); row += static_cast<std::ptrdiff_t>(width)) {
    const auto own = std::max_element(row, row + static_cast<std::ptrdiff_t>(width)) - row;
    const auto found = std::find(classes.begin(), classes.end(), targets.classes[static_cast<std::size_t>(own)]);
    labels.push_back(static_cast<std::int32_t>(found - classes.begin()));
  }
  targets.classes = classes;
  encode_classes(targets, labels);
}

}  // namespace rtl::cli

#include "cli/array_argument.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/csv.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::cli {

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

data::CsvOptions parse_options(const std::string& option, const std::string& text) {
  data::CsvOptions options;
  for (const auto& part : split(text, '&')) {
    const auto equals = part.find('=');
    const std::string name = part.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == part.size() || (name != "columns" && name != "drop")) {
      throw UsageError(
          fmt::format("{}: behind a table's '?' there may be columns=A,B and drop=A,B, not '{}'", option, part));
    }
    const std::vector<std::string> names = split(part.substr(equals + 1), ',');
    if (std::find(names.begin(), names.end(), "") != names.end()) {
      throw UsageError(fmt::format("{}: '{}' has an empty name", option, part));
    }
    (name == "columns" ? options.columns : options.drop) = names;
  }
  return options;
}

Tensor read_table(const std::string& file, const data::CsvOptions& options) {
  data::CsvTable table = data::read_csv(file, options);
  const double* values = table.values.data_as<double>();
  const double* missing =
      std::find_if(values, values + table.values.count(), [](double value) { return std::isnan(value); });
  if (missing == values + table.values.count()) return std::move(table.values);
  const auto at = static_cast<std::size_t>(missing - values);
  throw FormatError(file,
                    fmt::format("line {}: column '{}' has no value; impute it, or leave out such rows or columns",
                                table.lines[at / table.columns.size()], table.columns[at % table.columns.size()]));
}

template <typename T>
Tensor widened(const Tensor& values) {
  std::vector<double> wide;
  wide.reserve(static_cast<std::size_t>(values.count()));
  for (const T value : values.to_vector<T>()) {
    if constexpr (std::is_same_v<T, float16>) {
      wide.push_back(to_float(value));
    } else {
      wide.push_back(static_cast<double>(value));
    }
  }
  return Tensor::from(wide, values.shape(), values.device());
}

template <typename T>
void check_finite(const std::string& file, const Tensor& values) {
  const T* begin = values.data_as<T>();
  const T* end = begin + values.count();
  const T* wild = std::find_if(begin, end, [](T value) { return !std::isfinite(value); });
  if (wild == end) return;
  const std::int64_t width = values.rank() == 2 ? values.extent(1) : 1;
  throw FormatError(file, fmt::format("row {}, column {} is {}; remove or impute it", (wild - begin) / width,
                                      (wild - begin) % width, *wild));
}

Tensor read_numbers(const std::string& file) {
  Tensor values = io::read_npy(file, Device::cpu());
  if (values.rank() < 1 || values.rank() > 2 || values.count() == 0) {
    throw FormatError(file, fmt::format("holds {} {}; expected a matrix [rows, columns] or a vector [rows]",
                                        name_of(values.dtype()), values.shape().to_string()));
  }
  if (values.dtype() == DType::i32) return widened<std::int32_t>(values);
  if (values.dtype() == DType::i64) return widened<std::int64_t>(values);
  if (values.dtype() == DType::u8) return widened<std::uint8_t>(values);
  if (values.dtype() == DType::f16) values = widened<float16>(values);
  values.dtype() == DType::f32 ? check_finite<float>(file, values) : check_finite<double>(file, values);
  return values;
}

bool is_table(const std::string& file) { return file.ends_with(".csv") || file.ends_with(".csv.gz"); }

}  // namespace

std::string array_file(const std::string& argument) {
  for (const char* ending : {".csv?", ".csv.gz?"}) {
    const auto at = argument.rfind(ending);
    if (at != std::string::npos) return argument.substr(0, argument.find('?', at));
  }
  return argument;
}

Tensor read_array(const std::string& option, const std::string& argument) {
  const std::string file = array_file(argument);
  const bool options = file.size() < argument.size();
  if (is_table(file)) {
    return read_table(file, options ? parse_options(option, argument.substr(file.size() + 1)) : data::CsvOptions{});
  }
  if (file.ends_with(".npy") || file.ends_with(".npy.gz")) return read_numbers(file);
  throw FormatError(file, fmt::format("its name ends in none of .npy, .csv, .npy.gz and .csv.gz ({})", option));
}

Tensor read_array(const std::string& option, const std::string& argument, std::int64_t rows, std::int64_t columns,
                  const std::string& reason) {
  Tensor values = read_array(option, argument);
  const std::int64_t width = values.rank() == 2 ? values.extent(1) : 1;
  if (values.extent(0) != rows || width != columns) {
    throw FormatError(array_file(argument),
                      fmt::format("holds {}, where {} is expected ({})", values.shape().to_string(),
                                  Shape{rows, columns}.to_string(), reason));
  }
  return std::move(values).reshaped({rows, columns});
}

}  // namespace rtl::cli

// What the steps of src/data/steps share.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "io/json.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/preprocessing.hpp"

namespace rtl::data::steps {

/// Every kind, by the names of their files.
const std::vector<const StepKind*>& all();

/// Throws FormatError for a column of texts.
void check_numbers(const ColumnTable& table, const std::string& step);
/// Throws ShapeError unless there are as many columns as the step was fitted to.
void check_count(const ColumnTable& table, const std::string& step, std::size_t fitted);
/// Throws FormatError for a missing value, naming its place.
[[noreturn]] void fail_missing(const ColumnTable& table, std::int64_t row, const Column& column,
                               const std::string& step);
/// Throws ValueError for an argument where the step takes none.
void check_no_argument(const std::string& argument, const std::string& step);
/// Throws FormatError unless all are finite numbers.
void check_finite(const std::string& file, const std::vector<double>& numbers, const char* step);

/// Sum of all values / number of rows of a column.
double mean_of(const std::vector<double>& numbers);

/// A step of the parameters that are in `text`; `decode` makes it of the parsed JSON.
template <typename Decode>
std::unique_ptr<PreprocessingStep> read_step(const std::string& file, const std::string& text, const Decode& decode) {
  const io::Json json = io::parse_json(file, text, "a step of its preprocessing");
  return io::decode_json(file, [&] { return decode(json); });
}

}  // namespace rtl::data::steps

#include "data/row_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "data/array_inputs.hpp"
#include "data/text_table.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::data {
namespace {

Tensor checked(const std::string& file, const std::vector<double>& values, std::int64_t samples, const Device& host) {
  if (std::cmp_not_equal(values.size(), samples)) {
    throw FormatError(file, fmt::format("holds {} weights for {} samples", values.size(), samples));
  }
  std::vector<float> weights;
  bool positive = false;
  for (const double value : values) {
    weights.push_back(static_cast<float>(value));
    if (!(value >= 0) || !std::isfinite(weights.back())) {
      throw FormatError(file,
                        fmt::format("sample {}: the weight is {}; weights are finite numbers that are not negative",
                                    weights.size() - 1, value));
    }
    positive = positive || weights.back() > 0;
  }
  if (!positive) throw FormatError(file, "all weights are 0");
  return Tensor::from(weights, {samples}, host);
}

std::vector<double> parse_lines(const std::string& file, std::string_view text) {
  std::vector<double> values;
  std::int64_t line = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view word = text.substr(0, end);
    if (word.ends_with('\r')) word.remove_suffix(1);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
    const auto value = parse_number(trimmed(word));
    if (!value) {
      throw FormatError(file, fmt::format("line {}: {} is no number; weights are one a line", line, shown(word)));
    }
    values.push_back(*value);
  }
  return values;
}

}  // namespace

Tensor array_weights(const std::string& file, const Tensor& values, std::int64_t samples, const Device& host) {
  const bool column = values.rank() == 2 && values.extent(1) == 1;
  if (values.rank() != 1 && !column) {
    throw FormatError(file, fmt::format("holds {}; weights are [samples]", values.shape().to_string()));
  }
  return checked(file, array_numbers(values), samples, host);
}

Tensor read_weights(const std::string& file, std::int64_t samples, const Device& host) {
  if (file.ends_with(".npy") || file.ends_with(".npy.gz")) {
    return array_weights(file, io::parse_npy(io::read_file_gz(file), file, host), samples, host);
  }
  const io::Bytes content = io::read_file_gz(file);
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  return checked(file, parse_lines(file, text), samples, host);
}

}  // namespace rtl::data

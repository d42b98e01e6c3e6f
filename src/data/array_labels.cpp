#include "data/array_labels.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <utility>

#include "data/array_inputs.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::data {
namespace {

bool is_column(const Shape& shape) { return shape.rank() == 1 || (shape.rank() == 2 && shape[1] == 1); }

[[noreturn]] void fail_shape(const std::string& file, const std::string& shape) {
  throw FormatError(file, fmt::format("holds {}; labels are [N] or [N, 1], or rows [N, K] with a one for the class and "
                                      "zeros elsewhere",
                                      shape));
}

std::string name_of_number(const std::string& file, DType dtype, double value, std::size_t sample) {
  if (!std::isfinite(value)) throw FormatError(file, fmt::format("sample {}: the label is {}", sample, value));
  if (value == std::round(value)) return shortest(value);
  return dtype == DType::f32 ? fmt::format("{}", static_cast<float>(value)) : fmt::format("{}", value);
}

std::vector<std::string> one_hot_labels(const std::string& file, const Tensor& rows, std::vector<std::string>& notes) {
  const std::vector<double> values = array_numbers(rows);
  const auto width = static_cast<std::size_t>(rows.extent(1));
  std::vector<std::string> labels;
  for (std::size_t at = 0; at < values.size(); at += width) {
    std::string label;
    for (std::size_t c = 0; c < width; ++c) {
      const bool one = values[at + c] == 1;
      if ((one && !label.empty()) || (!one && values[at + c] != 0)) fail_shape(file, rows.shape().to_string());
      if (one) label = std::to_string(c);
    }
    if (label.empty()) fail_shape(file, rows.shape().to_string());
    labels.push_back(label);
  }
  notes.push_back(fmt::format("rows {} with a single one each were taken for the classes 0 to {}",
                              rows.shape().to_string(), width - 1));
  return labels;
}

std::vector<std::string> number_labels(const std::string& file, const Tensor& values, std::vector<std::string>& notes) {
  if (!is_column(values.shape())) {
    if (values.rank() != 2 || values.count() == 0) fail_shape(file, values.shape().to_string());
    return one_hot_labels(file, values, notes);
  }
  std::vector<std::string> labels;
  if (values.dtype() == DType::i64) {
    for (const std::int64_t value : values.to_vector<std::int64_t>()) labels.push_back(std::to_string(value));
    return labels;
  }
  for (const double value : array_numbers(values)) {
    labels.push_back(name_of_number(file, values.dtype(), value, labels.size()));
  }
  return labels;
}

LabelTexts samples_of(const std::string& file, std::vector<std::string> labels) {
  if (labels.empty()) throw FormatError(file, "holds no sample");
  LabelTexts texts{file, std::move(labels), {}, "sample"};
  texts.places.resize(texts.labels.size());
  std::iota(texts.places.begin(), texts.places.end(), 0);
  return texts;
}

}  // namespace

LabelTexts array_labels(const std::string& file, const Tensor& values, std::vector<std::string>& notes) {
  return samples_of(file, number_labels(file, values, notes));
}

LabelTexts array_labels(const std::string& file, io::TextArray texts) {
  if (!is_column(texts.shape)) fail_shape(file, "text " + texts.shape.to_string());
  return samples_of(file, std::move(texts.values));
}

LabelTexts array_labels(const std::string& file, std::span<const std::byte> content, const Device& host,
                        std::vector<std::string>& notes) {
  if (io::npy_holds_text(content, file)) return array_labels(file, io::parse_npy_text(content, file));
  return array_labels(file, io::parse_npy(content, file, host), notes);
}

Tensor array_targets(const std::string& file, const Tensor& values, const Device& host) {
  if (values.rank() < 1 || values.rank() > 2) {
    throw FormatError(file, fmt::format("holds {} {}; real targets are [N] or [N, outputs]", name_of(values.dtype()),
                                        values.shape().to_string()));
  }
  if (values.count() == 0) throw FormatError(file, fmt::format("holds no value: {}", values.shape().to_string()));
  return finite_matrix(file, array_numbers(values), {values.extent(0), values.count() / values.extent(0)}, "target",
                       host);
}

Tensor array_targets(const std::string& file, std::span<const std::byte> content, const Device& host) {
  if (io::npy_holds_text(content, file)) {
    throw FormatError(file, "holds text; real targets are numbers, and texts are classes (target=class)");
  }
  return array_targets(file, io::parse_npy(content, file, host), host);
}

}  // namespace rtl::data

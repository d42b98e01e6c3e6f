// Data sets given as a pair of .npy files.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/loaders.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::data {
namespace {

struct Files {
  std::string inputs;
  std::string labels;
};

Files parse_pair(const std::string& text, const std::string& what) {
  const auto comma = text.find(',');
  if (comma == std::string::npos || comma == 0 || comma + 1 == text.size() ||
      text.find(',', comma + 1) != std::string::npos) {
    throw ValueError(fmt::format("{}: '{}' is not two .npy files, X.npy,Y.npy", what, text));
  }
  return {text.substr(0, comma), text.substr(comma + 1)};
}

std::vector<float> narrowed(const Tensor& values) {
  const std::vector<double> wide = values.to_vector<double>();
  return {wide.begin(), wide.end()};
}

/// f32 vectors or u8 images.
Tensor read_inputs(const std::string& file, const Device& host) {
  Tensor inputs = io::read_npy(file, host);
  const int rank = inputs.rank();
  const bool vectors = (inputs.dtype() == DType::f32 || inputs.dtype() == DType::f64) && rank == 2;
  const bool images = inputs.dtype() == DType::u8 && (rank == 3 || rank == 4);
  if (!vectors && !images) {
    throw FormatError(
        file, fmt::format("holds {} {}; inputs are float32 or float64 vectors [N, p], or uint8 images [N, H, W] "
                          "or [N, H, W, C]",
                          name_of(inputs.dtype()), inputs.shape().to_string()));
  }
  if (inputs.count() == 0) throw FormatError(file, fmt::format("holds no value: {}", inputs.shape().to_string()));
  if (images && rank == 3) {
    const Shape shape{inputs.extent(0), inputs.extent(1), inputs.extent(2), 1};
    return std::move(inputs).reshaped(shape);
  }
  if (images) return inputs;
  const std::int64_t width = inputs.extent(1);
  const std::vector<float> values = inputs.dtype() == DType::f64 ? narrowed(inputs) : inputs.to_vector<float>();
  const auto wild = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (wild != values.end()) {
    throw FormatError(file, fmt::format("sample {}, feature {} is {}; remove or impute it",
                                        (wild - values.begin()) / width, (wild - values.begin()) % width, *wild));
  }
  return inputs.dtype() == DType::f64 ? Tensor::from(values, inputs.shape(), host) : std::move(inputs);
}

std::vector<std::int32_t> read_labels(const std::string& file, const Device& host) {
  const Tensor labels = io::read_npy(file, host);
  if (labels.rank() != 1 || is_floating(labels.dtype())) {
    throw FormatError(
        file, fmt::format("holds {} {}; labels are integers [N]", name_of(labels.dtype()), labels.shape().to_string()));
  }
  if (labels.dtype() == DType::i32) return labels.to_vector<std::int32_t>();
  std::vector<std::int32_t> narrow;
  if (labels.dtype() == DType::u8) {
    for (const std::uint8_t label : labels.to_vector<std::uint8_t>()) narrow.push_back(label);
    return narrow;
  }
  for (const std::int64_t label : labels.to_vector<std::int64_t>()) {
    if (label < 0 || label > INT32_MAX) {
      throw FormatError(file, fmt::format("sample {}: label {} out of range", narrow.size(), label));
    }
    narrow.push_back(static_cast<std::int32_t>(label));
  }
  return narrow;
}

Dataset read_pair(const Files& files, std::optional<std::int64_t> classes, const Device& host) {
  Tensor inputs = read_inputs(files.inputs, host);
  const std::vector<std::int32_t> labels = read_labels(files.labels, host);
  const auto count = static_cast<std::int64_t>(labels.size());
  if (inputs.extent(0) != count) {
    throw FormatError(files.labels,
                      fmt::format("has {} labels for {} samples in {}", count, inputs.extent(0), files.inputs));
  }
  const std::int64_t found = check_labels(labels, classes, files.labels);
  return {std::move(inputs), Tensor::from(labels, {count}, host), found, {}, ""};
}

}  // namespace

TrainTest load_npy(const Spec& spec, const Device& host) {
  std::optional<std::int64_t> classes;
  if (spec.has("classes")) classes = spec.whole("classes", 0);
  return assemble_files(spec, [&](const std::string& path, Part part) {
    Dataset dataset = read_pair(parse_pair(path, part == Part::train ? "npy:" + path : "test"), classes, host);
    classes = dataset.classes;
    return dataset;
  });
}

}  // namespace rtl::data

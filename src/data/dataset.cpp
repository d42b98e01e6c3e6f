#include "rtl/data/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/row_blocks.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/sparse.hpp"

namespace rtl::data {
namespace {

/// The first value of a f32 matrix that is not finite, as an error text that calls its columns `what`; empty if all
/// are.
std::string find_not_finite(const Tensor& matrix, const char* what) {
  const Tensor copy = matrix.device().is_cuda() ? matrix.to(matrix.device().host()) : Tensor();
  const Tensor& host = copy.defined() ? copy : matrix;
  const std::int64_t width = host.extent(1);
  const auto* const values = host.data_as<float>();
  std::int64_t bad = -1;
  for_each_block(host, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * width; i < end * width && bad < 0; ++i) {
      if (!std::isfinite(values[i])) bad = i;
    }
  });
  if (bad < 0) return {};
  return fmt::format("sample {}, {} {} is {}; remove or impute it", bad / width, what, bad % width, values[bad]);
}

Tensor rows_of(const Tensor& tensor, const Tensor& rows) {
  if (!tensor.defined()) return {};
  Tensor part(tensor.shape().with(0, rows.count()), tensor.dtype(), tensor.device());
  kernels::gather_rows(tensor.device(), tensor, rows, part);
  return part;
}

/// The same of what may be larger than memory: `rows` are `numbers` on the device.
Tensor samples_of(const Tensor& inputs, std::span<const std::int64_t> numbers, const Tensor& rows) {
  if (!inputs.defined()) return {};
  const bool follow = std::ranges::adjacent_find(numbers, [](auto a, auto b) { return b != a + 1; }) == numbers.end();
  if (inputs.in_file() && follow && !numbers.empty()) return inputs.rows(numbers.front(), numbers.back() + 1);
  Tensor part = Tensor::out_of_core(inputs.shape().with(0, rows.count()), inputs.dtype(), inputs.device());
  const View all = part.view();
  const std::int64_t step = inputs.in_file() ? rows_of_block(part.extent(0), part.bytes()) : rows.count();
  for (std::int64_t begin = 0; begin < rows.count(); begin += step) {
    const std::int64_t end = std::min(begin + step, rows.count()), next = std::min(end + step, rows.count());
    inputs.will_need(numbers.subspan(static_cast<std::size_t>(end), static_cast<std::size_t>(next - end)));
    kernels::gather_rows(inputs.device(), inputs, rows.view().slice(0, begin, end), all.slice(0, begin, end));
  }
  return part;
}

}  // namespace

Shape Dataset::sample_shape() const {
  if (is_sparse()) return {sparse.width()};
  if (inputs.rank() < 1) throw ShapeError(fmt::format("data set '{}': the inputs have no sample axis", name));
  return Shape(inputs.shape().extents().subspan(1));
}

Dataset Dataset::subset(std::span<const std::int64_t> rows) const {
  check();
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= size()) {
      throw ValueError(fmt::format("Dataset::subset: row {} is outside the {} samples of '{}'", row, size(), name));
    }
  }
  const Tensor chosen = Tensor::from(rows, {static_cast<std::int64_t>(rows.size())}, device());
  Dataset part = without_tensors();
  if (is_sparse()) part.sparse = sparse.subset(rows);
  part.inputs = samples_of(inputs, rows, chosen);
  part.labels = rows_of(labels, chosen);
  part.targets = rows_of(targets, chosen);
  part.weights = rows_of(weights, chosen);
  return part;
}

Dataset Dataset::clone() const {
  Dataset copy = without_tensors();
  copy.inputs = inputs.clone();
  copy.labels = labels.clone();
  copy.targets = targets.clone();
  copy.weights = weights.clone();
  copy.sparse = sparse.clone();
  return copy;
}

Dataset Dataset::to(const Device& device) const {
  Dataset copy = without_tensors();
  copy.inputs = inputs.to(device);
  copy.labels = labels.to(device);
  copy.targets = targets.to(device);
  copy.weights = weights.to(device);
  copy.sparse = sparse.to(device);
  return copy;
}

Dataset Dataset::without_tensors() const {
  return {{}, {}, classes, class_names, name, {}, target_names, fitted, {}, vocabulary, {}};
}

void Dataset::fail(const std::string& fault) const { throw ValueError(fmt::format("data set '{}': {}", name, fault)); }

void Dataset::check_inputs() const {
  if (is_sparse()) {
    if (inputs.defined()) fail("there are both dense inputs and sparse ones; it is one or the other");
    if (vocabulary > 0) fail("there is a vocabulary, but there are no tokens");
    return;
  }
  const bool fits =
      has_images() ? inputs.dtype() == DType::u8 : (inputs.dtype() == DType::f32 || has_tokens()) && inputs.rank() == 2;
  if (!fits) {
    fail(fmt::format("inputs are {} {}; they must be u8 images [N, H, W, C], f32 vectors [N, p] or i32 tokens [N, T]",
                     name_of(inputs.dtype()), inputs.shape().to_string()));
  }
  if (has_tokens() != (vocabulary > 0)) {
    fail(has_tokens() ? "the size of the tokens' vocabulary is not set"
                      : "there is a vocabulary, but there are no tokens");
  }
  if (inputs.count() == 0) fail(fmt::format("the samples are empty: {}", inputs.shape().to_string()));
}

void Dataset::check() const {
  if (size() == 0) fail("there is no sample");
  check_inputs();
  if (has_labels() && is_regression()) fail("there are both labels and real targets; it is one or the other");
  if (has_labels() && (labels.dtype() != DType::i32 || labels.shape() != Shape{size()})) {
    fail(fmt::format("the labels are {} {} for {} samples; they must be i32 [{}], or absent where none are needed",
                     name_of(labels.dtype()), labels.shape().to_string(), size(), size()));
  }
  if (weights.defined() && (weights.dtype() != DType::f32 || weights.shape() != Shape{size()})) {
    fail(fmt::format("the weights are {} {} for {} samples; they must be f32 [{}]", name_of(weights.dtype()),
                     weights.shape().to_string(), size(), size()));
  }
  if (!is_regression()) return;
  if (targets.dtype() != DType::f32 || targets.rank() != 2 || targets.extent(0) != size() || outputs() == 0) {
    fail(fmt::format("the targets are {} {} for {} samples; they must be f32 [{}, outputs]", name_of(targets.dtype()),
                     targets.shape().to_string(), size(), size()));
  }
  if (!target_names.empty() && std::cmp_not_equal(target_names.size(), outputs())) {
    fail(fmt::format("there are {} names for {} outputs", target_names.size(), outputs()));
  }
}

void Dataset::validate(bool for_training) const {
  check();
  if (!has_targets()) {
    fail(
        "there are neither labels nor targets, and they are needed here: a SPEC names them by csv:FILE?label=COLUMN "
        "or npy:X.npy,Y.npy, and with target=real for regression");
  }
  if (has_tokens()) {
    validate_tokens();
  } else if (!has_images()) {
    const std::string fault = is_sparse() ? HostEntries(sparse).find_not_finite() : find_not_finite(inputs, "feature");
    if (!fault.empty()) fail(fault);
  }
  mean_one_weights();
  is_regression() ? validate_targets(for_training) : validate_labels(for_training);
}

std::vector<float> Dataset::mean_one_weights() const {
  if (!weights.defined()) return {};
  std::vector<float> values = weights.to_vector<float>();
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || values[i] < 0) fail(fmt::format("sample {}: the weight is {}", i, values[i]));
    sum += static_cast<double>(values[i]);
  }
  if (!(sum > 0)) fail("all weights are 0");
  const double scale = static_cast<double>(values.size()) / sum;
  for (float& value : values) value = static_cast<float>(scale * static_cast<double>(value));
  return values;
}

void Dataset::validate_tokens() const {
  const std::vector<std::int32_t> values = inputs.to_vector<std::int32_t>();
  const auto length = static_cast<std::size_t>(inputs.extent(1));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool padding = values[i] == -1;
    if (!padding && (values[i] < 0 || values[i] >= vocabulary)) {
      fail(fmt::format("sample {}, position {}: token {} is none of the vocabulary's {}", i / length, i % length,
                       values[i], vocabulary));
    }
    if (!padding && i % length > 0 && values[i - 1] == -1) {
      fail(fmt::format("sample {}, position {}: a token stands behind -1, which fills sequences up at their ends",
                       i / length, i % length));
    }
  }
}

void Dataset::validate_labels(bool for_training) const {
  std::vector<std::int64_t> occurrences(static_cast<std::size_t>(std::max<std::int64_t>(classes, 0)));
  const std::vector<std::int32_t> values = labels.to_vector<std::int32_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= classes)
      fail(fmt::format("sample {}: label {} out of range [0, {})", i, values[i], classes));
    ++occurrences[static_cast<std::size_t>(values[i])];
  }
  if (!for_training) return;
  if (size() < classes)
    fail(fmt::format("{} samples are fewer than the {} classes; there is too little to train on", size(), classes));
  const auto occurring =
      occurrences.size() - static_cast<std::size_t>(std::count(occurrences.begin(), occurrences.end(), 0));
  if (occurring < 2) fail("all samples have one class; training needs at least two");
}

void Dataset::validate_targets(bool for_training) const {
  const std::string fault = find_not_finite(targets, "target");
  if (!fault.empty()) fail(fault);
  if (!for_training) return;
  if (size() < 2) fail("there is one sample; training needs at least two");
  const std::vector<float> values = targets.to_vector<float>();
  const auto width = static_cast<std::size_t>(outputs());
  for (std::size_t output = 0; output < width; ++output) {
    bool constant = true;
    for (std::size_t at = output; at < values.size() && constant; at += width) constant = values[at] == values[output];
    if (!constant) continue;
    fail(fmt::format("target {} is {} in all {} samples; there is nothing to learn",
                     target_names.empty() ? std::to_string(output) : "'" + target_names[output] + "'", values[output],
                     size()));
  }
}

std::uint64_t Dataset::input_hash() const {
  io::Hash64 hash;
  if (is_sparse()) {
    const HostEntries all(sparse);
    hash.add("sparse f32").add(static_cast<std::uint64_t>(size())).add(static_cast<std::uint64_t>(sparse.width()));
    return hash.add(std::as_bytes(all.offsets)).add(std::as_bytes(all.columns)).add(std::as_bytes(all.values)).value();
  }
  hash.add(name_of(inputs.dtype()));
  for (const std::int64_t extent : inputs.shape().extents()) hash.add(static_cast<std::uint64_t>(extent));
  const Tensor copy = inputs.device().is_cuda() ? inputs.to(inputs.device().host()) : Tensor();
  const Tensor& host = copy.defined() ? copy : inputs;
  for_each_block(host, [&](std::int64_t begin, std::int64_t end) {
    const ConstView rows = host.view().slice(0, begin, end);
    hash.add(std::span(static_cast<const std::byte*>(rows.data()), rows.bytes()));
  });
  return hash.value();
}

void gather_inputs(const Dataset& dataset, ConstView rows, const ChannelScaling& scaling, View out) {
  dataset.check();
  const Device& device = dataset.device();
  if (dataset.is_sparse()) {
    kernels::gather_sparse_rows(device, dataset.sparse.view(), {}, rows, out);
  } else if (dataset.inputs.dtype() == DType::u8) {
    kernels::gather_images(device, dataset.inputs, rows, scaling.scale, scaling.shift, out);
  } else {
    kernels::gather_rows(device, dataset.inputs, rows, out);
  }
}

}  // namespace rtl::data

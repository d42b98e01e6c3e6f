#include "rtl/data/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rtl/core/error.hpp"
#include "rtl/io/hash.hpp"
#include "rtl/kernels/gather.hpp"

namespace rtl::data {
namespace {

/// The first value of f32 inputs that is not finite, as an error text; empty if all are.
std::string find_not_finite(const Tensor& inputs, std::int64_t samples) {
  const std::vector<float> values = inputs.to_vector<float>();
  const std::int64_t width = inputs.count() / samples;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    const auto at = static_cast<std::int64_t>(i);
    return fmt::format("sample {}, feature {} is {}; remove or impute it", at / width, at % width, values[i]);
  }
  return {};
}

}  // namespace

Shape Dataset::sample_shape() const {
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
  const Device& device = inputs.device();
  const auto count = static_cast<std::int64_t>(rows.size());
  const Tensor chosen = Tensor::from(rows, {count}, device);
  Dataset part{Tensor(inputs.shape().with(0, count), inputs.dtype(), device), {}, classes, class_names, name};
  kernels::gather_rows(device, inputs, chosen, part.inputs);
  if (!has_labels()) return part;
  part.labels = Tensor({count}, labels.dtype(), device);
  kernels::gather_rows(device, labels, chosen, part.labels);
  return part;
}

Dataset Dataset::clone() const { return {inputs.clone(), labels.clone(), classes, class_names, name}; }

void Dataset::fail(const std::string& fault) const { throw ValueError(fmt::format("data set '{}': {}", name, fault)); }

void Dataset::check() const {
  if (size() == 0) fail("there is no sample");
  const bool fits = has_images() ? inputs.dtype() == DType::u8 : inputs.dtype() == DType::f32 && inputs.rank() == 2;
  if (!fits) {
    fail(fmt::format("inputs are {} {}; they must be u8 images [N, H, W, C] or f32 vectors [N, p]",
                     name_of(inputs.dtype()), inputs.shape().to_string()));
  }
  if (inputs.count() == 0) fail(fmt::format("the samples are empty: {}", inputs.shape().to_string()));
  if (!has_labels()) return;
  if (labels.dtype() != DType::i32 || labels.shape() != Shape{size()}) {
    fail(fmt::format("the labels are {} {} for {} samples; they must be i32 [{}], or absent where none are needed",
                     name_of(labels.dtype()), labels.shape().to_string(), size(), size()));
  }
}

void Dataset::validate(bool for_training) const {
  check();
  if (!has_labels()) fail("there are no labels, and they are needed here");
  std::vector<std::int64_t> occurrences(static_cast<std::size_t>(std::max<std::int64_t>(classes, 0)));
  const std::vector<std::int32_t> values = labels.to_vector<std::int32_t>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= classes)
      fail(fmt::format("sample {}: label {} out of range [0, {})", i, values[i], classes));
    ++occurrences[static_cast<std::size_t>(values[i])];
  }
  if (inputs.dtype() == DType::f32) {
    const std::string fault = find_not_finite(inputs, size());
    if (!fault.empty()) fail(fault);
  }
  if (!for_training) return;
  if (size() < classes)
    fail(fmt::format("{} samples are fewer than the {} classes; there is too little to train on", size(), classes));
  const auto occurring =
      occurrences.size() - static_cast<std::size_t>(std::count(occurrences.begin(), occurrences.end(), 0));
  if (occurring < 2) fail("all samples have one class; training needs at least two");
}

std::uint64_t Dataset::input_hash() const {
  io::Hash64 hash;
  hash.add(name_of(inputs.dtype()));
  for (const std::int64_t extent : inputs.shape().extents()) hash.add(static_cast<std::uint64_t>(extent));
  const Tensor host = inputs.device().is_cuda() ? inputs.to(inputs.device().host()) : Tensor();
  const ConstView values = host.defined() ? host.view() : inputs.view();
  return hash.add(std::span(static_cast<const std::byte*>(values.data()), values.bytes())).value();
}

void gather_inputs(const Dataset& dataset, ConstView rows, const ChannelScaling& scaling, View out) {
  dataset.check();
  const Device& device = dataset.inputs.device();
  if (dataset.inputs.dtype() == DType::u8) {
    kernels::gather_images(device, dataset.inputs, rows, scaling.scale, scaling.shift, out);
  } else {
    kernels::gather_rows(device, dataset.inputs, rows, out);
  }
}

}  // namespace rtl::data

#include "rtl/data/normalization.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "data/row_blocks.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/data/text_encoder.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::data {
namespace {

struct Moments {
  std::array<double, 3> mean;
  std::array<double, 3> deviation;
};

/// Of values in [0, 1].
Moments moments_of(Normalization normalization) {
  switch (normalization) {
    case Normalization::none:
      return {{0, 0, 0}, {1, 1, 1}};
    case Normalization::half:
      return {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
    case Normalization::imagenet:
      return {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
    case Normalization::lite:
      return {{127.0 / 255, 127.0 / 255, 127.0 / 255}, {128.0 / 255, 128.0 / 255, 128.0 / 255}};
    case Normalization::cifar:
      return {{0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}};
    case Normalization::standardize:
    case Normalization::automatic:
      throw ValueError(
          fmt::format("channel_scaling: '{}' has no fixed numbers; images take none, half, imagenet, "
                      "lite or cifar",
                      to_string(normalization)));
  }
  throw ValueError("channel_scaling: unknown normalisation");
}

constexpr std::pair<Normalization, const char*> names[] = {
    {Normalization::none, "none"},     {Normalization::half, "half"},   {Normalization::imagenet, "imagenet"},
    {Normalization::lite, "lite"},     {Normalization::cifar, "cifar"}, {Normalization::standardize, "standardize"},
    {Normalization::automatic, "auto"}};

Tensor filled(const std::vector<double>& values, DType dtype, const Device& device) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  if (dtype == DType::f64) return Tensor::from(values, shape, device);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, device);
}

/// Values [rows, columns] of vectors, wherever they lie, on the host.
class HostRows {
 public:
  explicit HostRows(const Tensor& inputs)
      : columns(static_cast<std::size_t>(inputs.extent(1))),
        copy_(inputs.device().is_cuda() ? inputs.to(inputs.device().host()) : Tensor()),
        tensor_(copy_.defined() ? copy_ : inputs),
        first_(tensor_.data_as<float>()) {}
  std::size_t rows() const { return static_cast<std::size_t>(tensor_.extent(0)); }
  const float* row(std::size_t number) const { return first_ + number * columns; }
  /// Calls take(number, values) for all rows, in order.
  template <typename Take>
  void each(const Take& take) const {
    for_each_block(tensor_, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); std::cmp_less(i, end); ++i) take(i, row(i));
    });
  }

  const std::size_t columns;

 private:
  Tensor copy_;
  const Tensor& tensor_;
  const float* first_;
};

void check_finite(const Dataset& train, const HostRows& rows) {
  rows.each([&](std::size_t row, const float* values) {
    const float* const end = values + rows.columns;
    const float* const bad = std::find_if(values, end, [](float value) { return !std::isfinite(value); });
    if (bad == end) return;
    throw ValueError(fmt::format("data set '{}': sample {}, feature {} is {}; remove or impute it", train.name, row,
                                 bad - values, *bad));
  });
}

InputNormalization fitted_columns(std::vector<double> mean, std::vector<double> deviation,
                                  std::vector<std::int64_t> constant) {
  InputNormalization fitted(std::move(mean), std::move(deviation));
  fitted.constant_columns = std::move(constant);
  return fitted;
}

void check_finite(const Dataset& train, const HostEntries& rows) {
  const std::string fault = rows.find_not_finite();
  if (!fault.empty()) throw ValueError(fmt::format("data set '{}': {}", train.name, fault));
}

/// Scales alone. Standardised, columns that few rows have would get values of tens there, and count most.
InputNormalization fit_largest(const Dataset& train) {
  const HostEntries rows(train.sparse);
  check_finite(train, rows);
  const auto width = static_cast<std::size_t>(train.sparse.width());
  std::vector<double> largest(width);
  for (std::size_t e = 0; e < rows.values.size(); ++e) {
    double& own = largest[static_cast<std::size_t>(rows.columns[e])];
    own = std::max(own, std::fabs(static_cast<double>(rows.values[e])));
  }
  std::replace(largest.begin(), largest.end(), 0.0, 1.0);
  return {std::vector<double>(width), std::move(largest)};
}

/// As fit_columns; what has no entry adds to each column's sums at once.
InputNormalization fit_sparse_columns(const Dataset& train) {
  const HostEntries rows(train.sparse);
  check_finite(train, rows);
  const auto width = static_cast<std::size_t>(train.sparse.width());
  const auto count = static_cast<double>(train.size());
  std::vector<double> mean(width), squares(width), rest(width), entries(width);
  std::vector<float> first(width);
  std::vector<char> varies(width);
  for (std::size_t e = 0; e < rows.values.size(); ++e) {
    const auto column = static_cast<std::size_t>(rows.columns[e]);
    if (entries[column] == 0) first[column] = rows.values[e];
    varies[column] |= static_cast<char>(rows.values[e] != first[column]);
    mean[column] += static_cast<double>(rows.values[e]);
    entries[column] += 1;
  }
  for (double& sum : mean) sum /= count;
  for (std::size_t e = 0; e < rows.values.size(); ++e) {
    const auto column = static_cast<std::size_t>(rows.columns[e]);
    const double difference = static_cast<double>(rows.values[e]) - mean[column];
    squares[column] += difference * difference;
    rest[column] += difference;
  }
  std::vector<double> deviation(width, 1.0);
  std::vector<std::int64_t> constant;
  for (std::size_t column = 0; column < width; ++column) {
    const double absent = count - entries[column];
    if (varies[column] == 0 && (absent == 0 || first[column] == 0)) {
      mean[column] = static_cast<double>(first[column]);
      constant.push_back(static_cast<std::int64_t>(column));
      continue;
    }
    squares[column] += absent * mean[column] * mean[column];
    rest[column] -= absent * mean[column];
    deviation[column] = std::sqrt((squares[column] - rest[column] * rest[column] / count) / count);
    mean[column] += rest[column] / count;
  }
  return fitted_columns(std::move(mean), std::move(deviation), std::move(constant));
}

InputNormalization fit_columns(const Dataset& train) {
  const HostRows rows(train.inputs);
  check_finite(train, rows);
  const auto count = static_cast<double>(rows.rows());
  std::vector<double> mean(rows.columns), squares(rows.columns), rest(rows.columns);
  std::vector<char> varies(rows.columns);
  const std::vector<float> first(rows.row(0), rows.row(1));
  rows.each([&](std::size_t, const float* values) {
    for (std::size_t column = 0; column < rows.columns; ++column) {
      mean[column] += static_cast<double>(values[column]);
      varies[column] |= static_cast<char>(values[column] != first[column]);
    }
  });
  for (double& sum : mean) sum /= count;
  rows.each([&](std::size_t, const float* values) {
    for (std::size_t column = 0; column < rows.columns; ++column) {
      const double difference = static_cast<double>(values[column]) - mean[column];
      squares[column] += difference * difference;
      rest[column] += difference;
    }
  });
  std::vector<double> deviation(rows.columns, 1.0);
  std::vector<std::int64_t> constant;
  for (std::size_t column = 0; column < rows.columns; ++column) {
    if (varies[column] == 0) {
      mean[column] = static_cast<double>(first[column]);
      constant.push_back(static_cast<std::int64_t>(column));
      continue;
    }
    // `rest` is what rounding left of a sum that is zero.
    const double variance = (squares[column] - rest[column] * rest[column] / count) / count;
    deviation[column] = std::sqrt(variance);
    mean[column] += rest[column] / count;
  }
  return fitted_columns(std::move(mean), std::move(deviation), std::move(constant));
}

void check_finite(const InputNormalization& normalization, std::size_t row, std::size_t column, float value,
                  double result) {
  if (std::isfinite(result)) return;
  throw ValueError(
      fmt::format("sample {}, feature {} is {}, which standardised (mean {:.6g}, deviation {:.6g}) is "
                  "no finite number; remove or impute it, or leave the column out",
                  row, column, value, normalization.mean[column], normalization.deviation[column]));
}

template <typename T>
Tensor standardized_as(const HostRows& rows, const InputNormalization& normalization, const Shape& shape,
                       const Device& device) {
  Tensor values = Tensor::out_of_core(shape, dtype_of<T>(), device.host());
  T* const first = values.data_as<T>();
  rows.each([&](std::size_t row, const float* from) {
    T* const to = first + row * rows.columns;
    for (std::size_t column = 0; column < rows.columns; ++column) {
      const double value = static_cast<double>(from[column]) - normalization.mean[column];
      to[column] = static_cast<T>(value / normalization.deviation[column]);
    }
    const T* const bad = std::find_if(to, to + rows.columns, [](T value) { return !std::isfinite(value); });
    if (bad == to + rows.columns) return;
    const auto column = static_cast<std::size_t>(bad - to);
    check_finite(normalization, row, column, from[column], static_cast<double>(*bad));
  });
  return device.is_cuda() ? values.to(device) : std::move(values);
}

template <typename T>
StandardizedEntries entries_as(const HostEntries& rows, const InputNormalization& normalization, const Device& device) {
  const auto apply = [&](float value, std::size_t row, std::size_t column) {
    const double centred = static_cast<double>(value) - normalization.mean[column];
    const auto result = static_cast<T>(centred / normalization.deviation[column]);
    check_finite(normalization, row, column, value, static_cast<double>(result));
    return result;
  };
  std::vector<T> values, background;
  values.reserve(rows.values.size());
  for (std::size_t row = 0; row + 1 < rows.offsets.size(); ++row) {
    while (std::cmp_less(values.size(), rows.offsets[row + 1])) {
      const std::size_t e = values.size();
      values.push_back(apply(rows.values[e], row, static_cast<std::size_t>(rows.columns[e])));
    }
  }
  for (std::size_t column = 0; column < normalization.mean.size(); ++column) background.push_back(apply(0, 0, column));
  const auto count = [](const std::vector<T>& list) { return Shape{static_cast<std::int64_t>(list.size())}; };
  return {Tensor::from(values, count(values), device), Tensor::from(background, count(background), device)};
}

/// What `standardized` takes and gives, whatever form the vectors have.
void check_standardized(const InputNormalization& normalization, DType from, const Shape& inputs, DType to) {
  if (from != DType::f32 || (to != DType::f32 && to != DType::f64)) {
    throw DTypeError(
        fmt::format("standardized: from {} to {}; it takes f32 and gives f32 or f64", name_of(from), name_of(to)));
  }
  const auto columns = static_cast<std::int64_t>(normalization.mean.size());
  if (inputs.rank() == 2 && inputs[1] == columns) return;
  throw ShapeError(
      fmt::format("standardized: inputs {} for the numbers of {} columns; give the columns that they were fitted to",
                  inputs.to_string(), columns));
}

}  // namespace

std::string to_string(Normalization normalization) {
  for (const auto& [value, name] : names) {
    if (value == normalization) return name;
  }
  throw ValueError("to_string: unknown normalisation");
}

Normalization parse_normalization(const std::string& text) {
  for (const auto& [value, name] : names) {
    if (text == name) return value;
  }
  throw ValueError(fmt::format(
      "'{}' is no input normalisation; choose auto, none, half, imagenet, lite or cifar, or standardize for vectors",
      text));
}

ChannelScaling channel_scaling(Normalization normalization, std::int64_t channels, const Device& device, DType dtype) {
  if (dtype != DType::f32 && dtype != DType::f64) {
    throw DTypeError(fmt::format("channel_scaling: the dtype is {}; give f32 or f64", name_of(dtype)));
  }
  const Moments moments = moments_of(normalization);
  const bool uniform = normalization == Normalization::none || normalization == Normalization::half ||
                       normalization == Normalization::lite;
  if (channels < 1 || (!uniform && channels != 1 && channels != 3)) {
    throw ValueError(fmt::format("channel_scaling: {} is defined for {} channels, not for {}", to_string(normalization),
                                 uniform ? "one or more" : "1 or 3", channels));
  }
  std::vector<double> scale;
  std::vector<double> shift;
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto i = static_cast<std::size_t>(uniform ? 0 : c);
    double mean = moments.mean[i];
    double deviation = moments.deviation[i];
    if (!uniform && channels == 1) {
      mean = (moments.mean[0] + moments.mean[1] + moments.mean[2]) / 3;
      deviation = (moments.deviation[0] + moments.deviation[1] + moments.deviation[2]) / 3;
    }
    scale.push_back(1 / (255 * deviation));
    shift.push_back(-mean / deviation);
  }
  return {filled(scale, dtype, device), filled(shift, dtype, device)};
}

InputNormalization::InputNormalization(std::vector<double> mean_, std::vector<double> deviation_)
    : kind(Normalization::standardize), mean(std::move(mean_)), deviation(std::move(deviation_)) {
  const bool finite = std::all_of(mean.begin(), mean.end(), [](double value) { return std::isfinite(value); });
  const bool positive =
      std::all_of(deviation.begin(), deviation.end(), [](double value) { return std::isfinite(value) && value > 0; });
  if (mean.empty() || mean.size() != deviation.size() || !finite || !positive) {
    throw ValueError(
        fmt::format("standardize: {} means and {} deviations; each column needs a finite mean and a "
                    "finite, positive deviation",
                    mean.size(), deviation.size()));
  }
}

std::uint64_t InputNormalization::hash() const {
  io::Hash64 hash;
  hash.add(to_string(kind));
  for (const std::vector<double>* numbers : {&mean, &deviation}) hash.add(std::as_bytes(std::span(*numbers)));
  return hash.value();
}

std::string to_string(const InputNormalization& normalization) { return to_string(normalization.kind); }

InputNormalization fit_normalization(const Dataset& train, Normalization asked) {
  if (train.has_images()) {
    if (asked == Normalization::automatic) return Normalization::half;
    if (asked != Normalization::standardize) return asked;
    throw ValueError(
        fmt::format("data set '{}': it has images, which take none, half, imagenet, lite or cifar; "
                    "standardize is for vectors",
                    train.name));
  }
  if (asked == Normalization::none) return asked;
  if (train.has_tokens()) {
    if (asked == Normalization::automatic) return Normalization::none;
    throw ValueError(fmt::format("data set '{}': it has tokens, which take none; {} is for {}", train.name,
                                 to_string(asked), asked == Normalization::standardize ? "vectors" : "images"));
  }
  // Frequencies of words: standardised, the rarest would count most.
  if (asked == Normalization::automatic && train.fitted.text && train.fitted.text->counts_words())
    return Normalization::none;
  if (asked != Normalization::automatic && asked != Normalization::standardize) {
    throw ValueError(fmt::format("data set '{}': it has vectors, which take standardize or none; {} is for images",
                                 train.name, to_string(asked)));
  }
  if (train.is_sparse()) return asked == Normalization::automatic ? fit_largest(train) : fit_sparse_columns(train);
  if (train.inputs.rank() != 2 || train.inputs.dtype() != DType::f32 || train.inputs.count() == 0) {
    throw ValueError(fmt::format("data set '{}': {} {} are no rows to standardise; f32 vectors [N, p] are needed",
                                 train.name, name_of(train.inputs.dtype()), train.inputs.shape().to_string()));
  }
  return fit_columns(train);
}

Tensor standardized(const Tensor& inputs, const InputNormalization& normalization, DType dtype, const Device& device) {
  check_standardized(normalization, inputs.dtype(), inputs.shape(), dtype);
  const HostRows rows(inputs);
  if (dtype == DType::f64) return standardized_as<double>(rows, normalization, inputs.shape(), device);
  return standardized_as<float>(rows, normalization, inputs.shape(), device);
}

StandardizedEntries standardized(const SparseRows& rows, const InputNormalization& normalization, DType dtype,
                                 const Device& device) {
  check_standardized(normalization, DType::f32, {rows.rows(), rows.width()}, dtype);
  const HostEntries entries(rows);
  return dtype == DType::f64 ? entries_as<double>(entries, normalization, device)
                             : entries_as<float>(entries, normalization, device);
}

}  // namespace rtl::data

#include "data/array_inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/rounding.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

template <typename T>
std::vector<double> doubles(const Tensor& values) {
  std::vector<double> wide;
  wide.reserve(static_cast<std::size_t>(values.count()));
  for (const T value : values.to_vector<T>()) {
    if constexpr (std::is_same_v<T, float16>) {
      wide.push_back(to_float(value));
    } else {
      wide.push_back(static_cast<double>(value));
    }
  }
  return wide;
}

/// The bytes of images that are stored as other numbers.
Tensor byte_images(const std::string& file, const Tensor& values, std::vector<std::string>& notes) {
  const std::vector<double> wide = array_numbers(values);
  const auto [low, high] = std::minmax_element(wide.begin(), wide.end());
  const bool of_unit = is_floating(values.dtype()) && *high <= 1;
  const double scale = of_unit ? 255 : 1;
  const double tolerance = values.dtype() == DType::f16 ? 0.15 : 1e-3;  // in bytes: the rounding of k / 255
  std::vector<std::uint8_t> bytes;
  bytes.reserve(wide.size());
  for (const double value : wide) {
    const double scaled = scale * value, whole = std::round(scaled);
    if (!(whole >= 0 && whole <= 255 && std::abs(scaled - whole) <= tolerance)) {
      throw FormatError(
          file,
          fmt::format("holds images of {} {} with values such as {} from {} to {}; images are bytes, or whole "
                      "numbers from 0 to 255, or k/255: store (255*X).round().astype('uint8') of values from 0 to "
                      "1, or use them as vectors, X.reshape(len(X), -1)",
                      name_of(values.dtype()), values.shape().to_string(), value, *low, *high));
    }
    bytes.push_back(static_cast<std::uint8_t>(whole));
  }
  notes.push_back(of_unit ? "images of floating-point numbers from 0 to 1 were read as bytes, 255 times that"
                          : fmt::format("images of {} were read as bytes", name_of(values.dtype())));
  return Tensor::from(bytes, values.shape(), values.device());
}

bool may_be_channels(std::int64_t extent) { return extent == 1 || extent == 3 || extent == 4; }

ImageLayout detected(const std::string& file, const Shape& shape, std::vector<std::string>& notes) {
  const bool first = may_be_channels(shape[1]), last = may_be_channels(shape[3]);
  if (first == last) {
    throw FormatError(file, fmt::format("holds {}, whose channels may be {}; say layout=nhwc ([N, H, W, C]) or "
                                        "layout=nchw ([N, C, H, W])",
                                        shape.to_string(), first ? "the second axis or the last" : "any axis"));
  }
  if (first) {
    notes.push_back(fmt::format("{} was taken for [N, C, H, W] (layout=nchw), images of {} x {} with {} channels",
                                shape.to_string(), shape[2], shape[3], shape[1]));
  }
  return first ? ImageLayout::nchw : ImageLayout::nhwc;
}

Tensor channels_last(const Tensor& planes) {
  const std::int64_t channels = planes.extent(1), pixels = planes.extent(2) * planes.extent(3);
  Tensor images({planes.extent(0), planes.extent(2), planes.extent(3), channels}, DType::u8, planes.device());
  const auto* from = planes.data_as<std::uint8_t>();
  auto* to = images.data_as<std::uint8_t>();
  for (std::int64_t sample = 0; sample < planes.extent(0); ++sample, from += channels * pixels) {
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (std::int64_t c = 0; c < channels; ++c) *to++ = from[c * pixels + pixel];
    }
  }
  return images;
}

}  // namespace

std::vector<double> array_numbers(const Tensor& values) {
  switch (values.dtype()) {
    case DType::f32:
      return doubles<float>(values);
    case DType::f64:
      return values.to_vector<double>();
    case DType::f16:
      return doubles<float16>(values);
    case DType::i32:
      return doubles<std::int32_t>(values);
    case DType::i64:
      return doubles<std::int64_t>(values);
    case DType::u8:
      return doubles<std::uint8_t>(values);
    case DType::bf16:
      break;
  }
  throw DTypeError(fmt::format("an array of {} is no array of a file", name_of(values.dtype())));
}

Tensor finite_matrix(const std::string& file, const std::vector<double>& values, const Shape& shape, const char* column,
                     const Device& host) {
  std::vector<float> narrow(values.begin(), values.end());
  const auto wild = std::find_if(narrow.begin(), narrow.end(), [](float value) { return !std::isfinite(value); });
  if (wild != narrow.end()) {
    const auto at = wild - narrow.begin();
    const double value = values[static_cast<std::size_t>(at)];
    throw FormatError(file, fmt::format("sample {}, {} {} is {}{}; remove or impute it", at / shape[1], column,
                                        at % shape[1], value, std::isfinite(value) ? ", too large for float32" : ""));
  }
  return Tensor::from(narrow, shape, host);
}

Tensor array_inputs(const std::string& file, Tensor values, ImageLayout& layout, std::vector<std::string>& notes) {
  const int rank = values.rank();
  if (rank < 2 || rank > 4) {
    throw FormatError(file, fmt::format("holds {} {}; inputs are vectors [N, p], or images [N, H, W], [N, H, W, C] or "
                                        "[N, C, H, W]{}",
                                        name_of(values.dtype()), values.shape().to_string(),
                                        rank == 1 ? "; for one feature store X.reshape(-1, 1)" : ""));
  }
  if (values.count() == 0) throw FormatError(file, fmt::format("holds no value: {}", values.shape().to_string()));
  if (rank == 2) {
    const std::vector<double> numbers = array_numbers(values);
    Tensor matrix = finite_matrix(file, numbers, values.shape(), "feature", values.device());
    const auto width = static_cast<std::size_t>(values.extent(1));
    if (std::string note = rounding_note(numbers, width); !note.empty()) notes.push_back(std::move(note));
    return matrix;
  }
  if (rank == 4 && layout == ImageLayout::detect) layout = detected(file, values.shape(), notes);
  Tensor images = values.dtype() == DType::u8 ? std::move(values) : byte_images(file, values, notes);
  if (rank == 4) return layout == ImageLayout::nchw ? channels_last(images) : std::move(images);
  const Shape shape{images.extent(0), images.extent(1), images.extent(2), 1};
  return std::move(images).reshaped(shape);
}

ColumnTable array_columns(const std::string& file, const Tensor& values) {
  if (values.rank() != 2 || values.count() == 0) {
    throw FormatError(file, fmt::format("holds {} {}; only vectors [N, p] are columns that can be prepared or imputed",
                                        name_of(values.dtype()), values.shape().to_string()));
  }
  const std::vector<double> numbers = array_numbers(values);
  const auto width = static_cast<std::size_t>(values.extent(1));
  ColumnTable table;
  table.rows = values.extent(0);
  table.file = file;
  for (std::size_t c = 0; c < width; ++c) {
    Column column{std::to_string(c + 1), {}, {}, false};
    column.numbers.reserve(static_cast<std::size_t>(table.rows));
    for (std::size_t i = c; i < numbers.size(); i += width) column.numbers.push_back(numbers[i]);
    table.columns.push_back(std::move(column));
  }
  return table;
}

}  // namespace rtl::data

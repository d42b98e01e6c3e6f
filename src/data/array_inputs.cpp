#include "data/array_inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "data/rounding.hpp"
#include "data/row_blocks.hpp"
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

using Take = std::function<void(std::int64_t begin, const Tensor& rows)>;

/// All rows, some at a time.
void for_each_block(const ArrayRows& values, const Take& take) {
  const std::int64_t rows = values.shape[0], step = rows_of_block(rows, checked_bytes(values.shape, DType::f64));
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    take(begin, values.read(begin, std::min(begin + step, rows)));
  }
}

/// How images that are stored as other numbers become bytes.
class ByteImages {
 public:
  ByteImages(const std::string& file, const ArrayRows& values) : file_(file), values_(values) {
    if (values.dtype == DType::u8) return;
    low_ = std::numeric_limits<double>::infinity(), high_ = -low_;
    for_each_block(values, [&](std::int64_t, const Tensor& rows) {
      for (const double value : array_numbers(rows)) {
        low_ = std::min(low_, value);
        high_ = std::max(high_, value);
      }
    });
    of_unit_ = is_floating(values.dtype) && high_ <= 1;
  }

  Tensor operator()(const Tensor& rows) const {
    const double scale = of_unit_ ? 255 : 1;
    const double tolerance = rows.dtype() == DType::f16 ? 0.15 : 1e-3;  // in bytes: the rounding of k / 255
    std::vector<std::uint8_t> bytes;
    bytes.reserve(static_cast<std::size_t>(rows.count()));
    for (const double value : array_numbers(rows)) {
      const double scaled = scale * value, whole = std::round(scaled);
      if (!(whole >= 0 && whole <= 255 && std::abs(scaled - whole) <= tolerance)) refuse(value);
      bytes.push_back(static_cast<std::uint8_t>(whole));
    }
    return Tensor::from(bytes, rows.shape(), rows.device());
  }

  std::string note() const {
    return of_unit_ ? "images of floating-point numbers from 0 to 1 were read as bytes, 255 times that"
                    : fmt::format("images of {} were read as bytes", name_of(values_.dtype));
  }

 private:
  [[noreturn]] void refuse(double value) const {
    throw FormatError(
        file_, fmt::format("holds images of {} {} with values such as {} from {} to {}; images are bytes, or whole "
                           "numbers from 0 to 255, or k/255: store (255*X).round().astype('uint8') of values from 0 to "
                           "1, or use them as vectors, X.reshape(len(X), -1)",
                           name_of(values_.dtype), values_.shape.to_string(), value, low_, high_));
  }

  const std::string& file_;
  const ArrayRows& values_;
  double low_ = 0, high_ = 0;
  bool of_unit_ = false;
};

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

void write_channels_last(const Tensor& planes, std::uint8_t* to) {
  const std::int64_t channels = planes.extent(1), pixels = planes.extent(2) * planes.extent(3);
  const auto* from = planes.data_as<std::uint8_t>();
  for (std::int64_t sample = 0; sample < planes.extent(0); ++sample, from += channels * pixels) {
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (std::int64_t c = 0; c < channels; ++c) *to++ = from[c * pixels + pixel];
    }
  }
}

/// Values of rows of `width`, the first of which is sample `sample`, as f32.
void write_finite(const std::string& file, const std::vector<double>& values, std::int64_t width, std::int64_t sample,
                  const char* column, float* to) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    to[i] = static_cast<float>(values[i]);
    if (std::isfinite(to[i])) continue;
    const auto at = static_cast<std::int64_t>(i);
    throw FormatError(
        file, fmt::format("sample {}, {} {} is {}{}; remove or impute it", sample + at / width, column, at % width,
                          values[i], std::isfinite(values[i]) ? ", too large for float32" : ""));
  }
}

Tensor vector_inputs(const std::string& file, const ArrayRows& values, const Device& host,
                     std::vector<std::string>& notes) {
  if (values.dtype == DType::f32) {
    Tensor all = values.whole();
    const auto* const first = std::as_const(all).data_as<float>();
    const std::int64_t width = all.extent(1);
    data::for_each_block(all, [&](std::int64_t begin, std::int64_t end) {
      const auto* const bad =
          std::find_if(first + begin * width, first + end * width, [](float value) { return !std::isfinite(value); });
      const std::int64_t at = bad - first;
      if (at == end * width) return;
      throw FormatError(file,
                        fmt::format("sample {}, feature {} is {}; remove or impute it", at / width, at % width, *bad));
    });
    return all;
  }
  Tensor all = Tensor::out_of_core(values.shape, DType::f32, host);
  auto* const first = all.data_as<float>();
  ColumnRounding rounding(static_cast<std::size_t>(all.extent(1)));
  for_each_block(values, [&](std::int64_t begin, const Tensor& rows) {
    const std::vector<double> numbers = array_numbers(rows);
    write_finite(file, numbers, all.extent(1), begin, "feature", first + begin * all.extent(1));
    rounding.add_rows(numbers);
  });
  if (std::string note = rounding.note(); !note.empty()) notes.push_back(std::move(note));
  return all;
}

Tensor image_inputs(const std::string& file, const ArrayRows& values, bool planes, const Device& host,
                    std::vector<std::string>& notes) {
  const Shape& shape = values.shape;
  const Shape images = shape.rank() == 3 ? Shape{shape[0], shape[1], shape[2], 1}
                       : planes          ? Shape{shape[0], shape[2], shape[3], shape[1]}
                                         : shape;
  if (values.dtype == DType::u8 && !planes) return values.whole().reshaped(images);
  const ByteImages bytes(file, values);
  if (values.dtype != DType::u8) notes.push_back(bytes.note());
  Tensor all = Tensor::out_of_core(images, DType::u8, host);
  auto* const first = all.data_as<std::uint8_t>();
  const std::int64_t size = images.count() / images[0];
  for_each_block(values, [&](std::int64_t begin, const Tensor& rows) {
    const Tensor converted = rows.dtype() == DType::u8 ? Tensor() : bytes(rows);
    const Tensor& own = converted.defined() ? converted : rows;
    auto* const to = first + begin * size;
    if (planes) return write_channels_last(own, to);
    std::memcpy(to, own.view().data(), own.bytes());
  });
  return all;
}

}  // namespace

ArrayRows array_rows(Tensor values) {
  const auto kept = std::make_shared<Tensor>(std::move(values));
  return {kept->shape(), kept->dtype(), [kept](std::int64_t begin, std::int64_t end) { return kept->rows(begin, end); },
          [kept] { return std::move(*kept); }};
}

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
  Tensor narrow(shape, DType::f32, host);
  write_finite(file, values, shape[1], 0, column, narrow.data_as<float>());
  return narrow;
}

Tensor array_inputs(const std::string& file, const ArrayRows& values, const Device& host, ImageLayout& layout,
                    std::vector<std::string>& notes) {
  const int rank = values.shape.rank();
  if (rank < 2 || rank > 4) {
    throw FormatError(file, fmt::format("holds {} {}; inputs are vectors [N, p], or images [N, H, W], [N, H, W, C] or "
                                        "[N, C, H, W]{}",
                                        name_of(values.dtype), values.shape.to_string(),
                                        rank == 1 ? "; for one feature store X.reshape(-1, 1)" : ""));
  }
  if (values.shape.count() == 0) throw FormatError(file, fmt::format("holds no value: {}", values.shape.to_string()));
  if (rank == 2) return vector_inputs(file, values, host, notes);
  if (rank == 4 && layout == ImageLayout::detect) layout = detected(file, values.shape, notes);
  return image_inputs(file, values, rank == 4 && layout == ImageLayout::nchw, host, notes);
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

#include "rtl/data/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

void check_images(const char* call, const Tensor& images) {
  if (images.rank() != 4) {
    throw ShapeError(fmt::format("{}: {}; images [N, H, W, C] are needed", call, images.shape().to_string()));
  }
  if (images.dtype() != DType::u8) {
    throw DTypeError(fmt::format("{}: images of {}; u8 is needed", call, name_of(images.dtype())));
  }
}

/// Where an output lies between two inputs.
struct Place {
  std::int64_t first, second;
  float share;  ///< of the second
};

std::vector<Place> places(std::int64_t from, std::int64_t to) {
  std::vector<Place> all;
  const double step = static_cast<double>(from) / static_cast<double>(to);
  for (std::int64_t i = 0; i < to; ++i) {
    const double at = std::max(0.0, (static_cast<double>(i) + 0.5) * step - 0.5);
    const std::int64_t first = std::min(static_cast<std::int64_t>(at), from - 1);
    all.push_back({first, std::min(first + 1, from - 1), static_cast<float>(at - static_cast<double>(first))});
  }
  return all;
}

void resize_image(const std::uint8_t* image, std::int64_t width, std::int64_t channels, const std::vector<Place>& rows,
                  const std::vector<Place>& columns, std::uint8_t* to) {
  for (const Place& row : rows) {
    const std::uint8_t *upper = image + row.first * width * channels, *lower = image + row.second * width * channels;
    for (const Place& column : columns) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int64_t left = column.first * channels + c, right = column.second * channels + c;
        const auto between = [&](const std::uint8_t* line) {
          return static_cast<float>(line[left]) +
                 column.share * (static_cast<float>(line[right]) - static_cast<float>(line[left]));
        };
        const float above = between(upper);
        *to++ = static_cast<std::uint8_t>(above + row.share * (between(lower) - above) + 0.5F);
      }
    }
  }
}

std::uint8_t* bytes_of(Tensor& images) { return images.data_as<std::uint8_t>(); }

}  // namespace

Tensor resized(const Tensor& images, std::int64_t height, std::int64_t width) {
  check_images("resized", images);
  const Shape& shape = images.shape();
  if (height < 1 || width < 1 || shape[1] < 1 || shape[2] < 1) {
    throw ValueError(fmt::format("resized: images {} to {} by {}", shape.to_string(), height, width));
  }
  Tensor result = Tensor::out_of_core({shape[0], height, width, shape[3]}, DType::u8, images.device());
  const std::vector<Place> rows = places(shape[1], height), columns = places(shape[2], width);
  const std::uint8_t* from = images.data_as<std::uint8_t>();
  std::uint8_t* to = bytes_of(result);
#pragma omp parallel for schedule(static)
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    resize_image(from + n * shape[1] * shape[2] * shape[3], shape[2], shape[3], rows, columns,
                 to + n * height * width * shape[3]);
  }
  return result;
}

Tensor centre_cropped(const Tensor& images, std::int64_t height, std::int64_t width) {
  check_images("centre_cropped", images);
  const Shape& shape = images.shape();
  if (height < 1 || width < 1 || height > shape[1] || width > shape[2]) {
    throw ValueError(fmt::format("the middle {} by {} pixels cannot be taken of images {}; resize them to more first",
                                 height, width, shape.to_string()));
  }
  Tensor result = Tensor::out_of_core({shape[0], height, width, shape[3]}, DType::u8, images.device());
  const std::int64_t top = (shape[1] - height) / 2, left = (shape[2] - width) / 2;
  const std::uint8_t* from = images.data_as<std::uint8_t>();
  std::uint8_t* to = bytes_of(result);
  const std::int64_t row_bytes = width * shape[3];
  for (std::int64_t line = 0; line < shape[0] * height; ++line) {
    const std::int64_t n = line / height, row = top + line % height;
    std::memcpy(to + line * row_bytes, from + ((n * shape[1] + row) * shape[2] + left) * shape[3],
                static_cast<std::size_t>(row_bytes));
  }
  return result;
}

Tensor with_channels(const Tensor& images, std::int64_t channels) {
  check_images("with_channels", images);
  const Shape& shape = images.shape();
  const auto fits = [](std::int64_t count) { return count == 1 || count == 3; };
  if (!fits(channels) || !fits(shape[3])) {
    throw ValueError(fmt::format("images of {} channels cannot become images of {}; 1 (grey) and 3 (colour) can",
                                 shape[3], channels));
  }
  if (channels == shape[3]) return images.clone();
  Tensor result = Tensor::out_of_core({shape[0], shape[1], shape[2], channels}, DType::u8, images.device());
  const std::int64_t pixels = shape[0] * shape[1] * shape[2];
  const std::uint8_t* from = images.data_as<std::uint8_t>();
  std::uint8_t* to = bytes_of(result);
  for (std::int64_t i = 0; i < pixels; ++i) {
    if (channels == 3) {
      to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
    } else {
      to[i] =
          static_cast<std::uint8_t>((299 * from[3 * i] + 587 * from[3 * i + 1] + 114 * from[3 * i + 2] + 500) / 1000);
    }
  }
  return result;
}

ImageOptions image_options(const Spec& spec) {
  return {.resize = spec.whole("resize", 0),
          .crop = spec.whole("crop", 0),
          .channels = spec.text("color") == "rgb"    ? 3
                      : spec.text("color") == "grey" ? 1
                                                     : 0};
}

Tensor prepared(Tensor images, const ImageOptions& options) {
  check_images("prepared", images);
  std::int64_t side = options.crop;
  if (options.resize > 0) {
    const std::int64_t height = images.extent(1), width = images.extent(2), shorter = std::min(height, width);
    if (shorter < 1) throw ValueError(fmt::format("images {} cannot be resized", images.shape().to_string()));
    const auto scaled = [&](std::int64_t extent) {
      return extent == shorter ? options.resize : (extent * options.resize + shorter / 2) / shorter;
    };
    images = resized(images, scaled(height), scaled(width));
    if (side == 0) side = options.resize;
  }
  if (side > 0) images = centre_cropped(images, side, side);
  if (options.channels > 0) images = with_channels(images, options.channels);
  return images;
}

}  // namespace rtl::data

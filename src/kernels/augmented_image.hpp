// What becomes of one image of a batch, as the host and CUDA kernels draw and make it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "rtl/core/macros.hpp"
#include "rtl/core/random.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/kernels/image_augmentation.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels {

/// The outcome of the draws. Its bytes are those of a box of the image, which may reach beyond it, or be smaller and is
/// then enlarged.
struct AugmentedImage {
  std::int64_t height, width;                       ///< of the image, in pixels
  std::int64_t top, left, box_height, box_width;    ///< of the box
  std::int64_t cut_top, cut_end, cut_left, cut_to;  ///< rows and columns of the square, ends not included
  std::uint32_t factor;                             ///< of bytes, in parts of 65536
  bool flip;

  /// 1 without a change.
  static constexpr std::uint32_t whole_factor = 65536;

  RTL_HOST_DEVICE bool enlarged() const { return box_height != height || box_width != width; }
  /// The bytes are those of the image.
  RTL_HOST_DEVICE bool same() const { return top == 0 && left == 0 && !enlarged() && !flip && factor == whole_factor; }
  RTL_HOST_DEVICE bool cut(std::int64_t y, std::int64_t x) const {
    return y >= cut_top && y < cut_end && x >= cut_left && x < cut_to;
  }
  RTL_HOST_DEVICE static std::uint8_t brightened(std::uint32_t byte, std::uint32_t factor) {
    const std::uint32_t scaled = (byte * factor + whole_factor / 2) / whole_factor;
    return static_cast<std::uint8_t>(scaled < 255 ? scaled : 255);
  }
  /// Channel `c` of pixel (y, x), of an image with so many channels.
  RTL_HOST_DEVICE std::uint8_t byte(const std::uint8_t* image, std::int64_t channels, std::int64_t y, std::int64_t x,
                                    std::int64_t c) const {
    if (flip) x = width - 1 - x;
    const std::uint8_t* own = image + c;
    return brightened(enlarged() ? between(own, channels, y, x) : at(own, channels, top + y, left + x), factor);
  }

  /// A place in the box, in parts of 2 * extent of a pixel: that of the centre of pixel `i` of `extent`, kept within
  /// the centres of the box's outermost pixels.
  RTL_HOST_DEVICE static std::int64_t place(std::int64_t i, std::int64_t box, std::int64_t extent) {
    const std::int64_t centre = (2 * i + 1) * box - extent, last = 2 * extent * (box - 1);
    return centre < 0 ? 0 : centre > last ? last : centre;
  }

 private:
  /// Black outside.
  RTL_HOST_DEVICE std::uint32_t at(const std::uint8_t* own, std::int64_t channels, std::int64_t y,
                                   std::int64_t x) const {
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? own[(y * width + x) * channels] : 0;
  }
  /// Bilinear interpolation in whole numbers, rounded once.
  RTL_HOST_DEVICE std::uint32_t between(const std::uint8_t* own, std::int64_t channels, std::int64_t y,
                                        std::int64_t x) const {
    const std::int64_t rows = 2 * height, columns = 2 * width;
    const std::int64_t down = place(y, box_height, height), right = place(x, box_width, width);
    const std::int64_t i = top + down / rows, j = left + right / columns;
    const std::int64_t below = down % rows, beside = right % columns;  // parts of rows and columns
    const auto row = [&](std::int64_t number) {
      const std::int64_t first = at(own, channels, number, j),
                         second = beside > 0 ? at(own, channels, number, j + 1) : 0;
      return (columns - beside) * first + beside * second;
    };
    const std::int64_t sum = (rows - below) * row(i) + (below > 0 ? below * row(i + 1) : 0);
    return static_cast<std::uint32_t>((sum + rows * columns / 2) / (rows * columns));
  }
};

/// One of 0 .. count - 1, of 32 random bits.
RTL_HOST_DEVICE inline std::int64_t chosen_of(std::uint32_t bits, std::int64_t count) {
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(bits) * static_cast<std::uint64_t>(count)) >> 32);
}

/// What `philox` draws for one position of a batch.
RTL_HOST_DEVICE inline AugmentedImage draw_augmentation(const ImageAugmentation& augmentation, std::int64_t height,
                                                        std::int64_t width, const Philox& philox,
                                                        std::int64_t position) {
  const auto block = 2 * static_cast<std::uint64_t>(position);
  const PhiloxBlock first = philox.block(block), second = philox.block(block + 1);
  const auto uniform = [](std::uint32_t bits) { return static_cast<double>(bits >> 8) * 0x1p-24; };
  AugmentedImage image{height, width, 0, 0, height, width, 0, 0, 0, 0, AugmentedImage::whole_factor, false};
  image.flip = augmentation.flip && first.word[0] >> 31 == 1;
  if (augmentation.crop > 0) {
    const std::int64_t pad = augmentation.crop;
    image.top = chosen_of(first.word[1], 2 * pad + 1) - pad;
    image.left = chosen_of(first.word[2], 2 * pad + 1) - pad;
  }
  if (augmentation.resized_crop > 0) {
    const double least = augmentation.resized_crop, share = least + (1 - least) * uniform(second.word[2]);
    const double area = share * static_cast<double>(height) * static_cast<double>(width);
    // The logarithm of width over height is uniform in [log 3/4, log 4/3].
    const double ratio = std::exp((2 * uniform(second.word[3]) - 1) * 0.28768207245178090);
    const auto side = [](double length, std::int64_t most) {
      const auto rounded = static_cast<std::int64_t>(std::floor(length + 0.5));
      return rounded < 1 ? 1 : rounded > most ? most : rounded;
    };
    image.box_height = side(std::sqrt(area / ratio), height);
    image.box_width = side(std::sqrt(area * ratio), width);
    image.top = chosen_of(first.word[1], height - image.box_height + 1);
    image.left = chosen_of(first.word[2], width - image.box_width + 1);
  }
  if (augmentation.brightness > 0) {
    const double factor = 1 + augmentation.brightness * (2 * uniform(first.word[3]) - 1);
    image.factor = static_cast<std::uint32_t>(std::floor(factor * AugmentedImage::whole_factor + 0.5));
  }
  if (augmentation.cutout > 0) {
    image.cut_top = chosen_of(second.word[0], height) - augmentation.cutout / 2;
    image.cut_left = chosen_of(second.word[1], width) - augmentation.cutout / 2;
    image.cut_end = image.cut_top + augmentation.cutout;
    image.cut_to = image.cut_left + augmentation.cutout;
  }
  return image;
}

/// The images of a batch, replicas one after the other: each has counters of its own, or they share them.
struct AugmentationDraws {
  ImageAugmentation augmentation;
  std::int64_t height, width;
  std::int64_t count;  ///< images of one replica
  std::uint64_t name;
  const std::int64_t* counters;
  std::int64_t counters_step;  ///< from one replica to the next; 0 where they share it

  RTL_HOST_DEVICE AugmentedImage operator()(std::int64_t i) const {
    const std::int64_t replica = i / count;
    const std::int64_t* own = counters + replica * counters_step;
    const Philox philox(static_cast<std::uint64_t>(own[Counters::seed]),
                        mix(name, static_cast<std::uint64_t>(own[Counters::step])));
    return draw_augmentation(augmentation, height, width, philox, i - replica * count);
  }
};

/// Of the operands of gather_augmented_images.
inline AugmentationDraws draws_of(const ImageAugmentation& augmentation, std::uint64_t name, const ConstView& counters,
                                  const ConstView& out) {
  return {augmentation,
          out.extent(-3),
          out.extent(-2),
          out.extent(-4),
          name,
          counters.data_as<std::int64_t>(),
          counters.rank() == 2 ? Counters::count : 0};
}

}  // namespace rtl::kernels

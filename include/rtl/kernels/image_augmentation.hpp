// Random changes of images on their way into a training batch (gather_augmented_images).
#pragma once

#include <cstdint>
#include <string>

namespace rtl::kernels {

/// What may happen to an image of H x W pixels, in this order; the size stays. All but `cutout` is done to bytes, in
/// whole numbers, so it is the same on every device, bit for bit; `cutout` to the normalised image.
struct ImageAugmentation {
  /// P: H x W pixels of the image with P black ones (bytes of 0, before normalisation) on each side, at a random place.
  std::int64_t crop = 0;
  /// S, up to 1; 0: none. A random rectangle, resized to H x W by bilinear interpolation: S to all of the area, width
  /// over height from 3/4 to 4/3, evenly in their logarithm; a side that would be longer than the image's is as long.
  double resized_crop = 0;
  bool flip = false;  ///< left to right, with probability 1/2
  /// B, up to 1: all bytes are multiplied by one number from [1 - B, 1 + B], rounded, and at most 255.
  double brightness = 0;
  /// Side of a square of zeros in the normalised image, centred on a random pixel; what is outside of it is cut off.
  std::int64_t cutout = 0;

  bool operator==(const ImageAugmentation&) const = default;
  bool any() const { return *this != ImageAugmentation(); }
  /// Why images of this size cannot be treated so: a number outside its range, `crop` beside `resized_crop`, a `crop`
  /// that leaves nothing, a `cutout` larger than the image. Empty if they can.
  std::string fault(std::int64_t height, std::int64_t width) const;
};

}  // namespace rtl::kernels

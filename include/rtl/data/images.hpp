// Pictures brought into the form that a network takes: another size, a part of them, another number of channels.
#pragma once

#include "rtl/core/tensor.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data {

/// u8 images [N, H, W, C] to [N, height, width, C], bilinearly without aligned corners: output pixel i lies at
/// (i + 0.5) * H / height - 0.5, and pixels beyond the border are those of the border. Rounded to the nearest whole
/// number. Reduction does not smooth. On the host; the same numbers with any number of threads. Throws ShapeError,
/// DTypeError, ValueError for a size that is not positive.
Tensor resized(const Tensor& images, std::int64_t height, std::int64_t width);

/// The middle height by width pixels; of an odd rest, one pixel more is left out behind. Throws ValueError if there are
/// not as many.
Tensor centre_cropped(const Tensor& images, std::int64_t height, std::int64_t width);

/// Grey to colour by repetition, colour to grey by (299 R + 587 G + 114 B) / 1000, rounded. Throws ValueError for other
/// numbers of channels than 1 and 3.
Tensor with_channels(const Tensor& images, std::int64_t channels);

/// What the options of all kinds of images ask for; 0 is to leave it as it is.
struct ImageOptions {
  std::int64_t resize = 0;  ///< the shorter side becomes that, then the middle is taken: `crop`, or else a square of it
  std::int64_t crop = 0;    ///< the middle square
  std::int64_t channels = 0;  ///< 1 or 3
  bool any() const { return resize != 0 || crop != 0 || channels != 0; }
};
ImageOptions image_options(const Spec& spec);

/// All of it, in the order resize, crop, color.
Tensor prepared(Tensor images, const ImageOptions& options);

}  // namespace rtl::data

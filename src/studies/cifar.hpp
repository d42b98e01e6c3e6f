// CIFAR-10 and CIFAR-100 of the folder of data sets, as studies use them.
#pragma once

#include <string>

#include "rtl/data/dataset.hpp"

namespace rtl::studies {

enum class ImageSize : std::uint8_t {
  whole,  ///< 32 x 32
  half    ///< 16 x 16: each pixel is the mean of four
};

/// `classes` is 10, or 100 for fine labels. On the host. Throws what the readers throw.
data::TrainTest load_cifar(const std::string& folder, int classes, ImageSize size);

}  // namespace rtl::studies

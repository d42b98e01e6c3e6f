#include "studies/cifar.hpp"

#include <vector>

#include "rtl/data/load.hpp"

namespace rtl::studies {
namespace {

/// Images u8 [N, 2 H, 2 W, C] to [N, H, W, C].
Tensor halved(const Tensor& images) {
  const auto height = images.extent(1) / 2, width = images.extent(2) / 2, channels = images.extent(3);
  const std::vector<std::uint8_t> from = images.to_vector<std::uint8_t>();
  std::vector<std::uint8_t> pixels;
  pixels.reserve(from.size() / 4);
  const std::int64_t line = 2 * width * channels;
  for (std::int64_t row = 0; row < images.extent(0) * height; ++row) {
    for (std::int64_t i = 0; i < width * channels; ++i) {
      const std::uint8_t* first = from.data() + 2 * row * line + i / channels * 2 * channels + i % channels;
      pixels.push_back(
          static_cast<std::uint8_t>((first[0] + first[channels] + first[line] + first[line + channels] + 2) / 4));
    }
  }
  return Tensor::from(pixels, {images.extent(0), height, width, channels}, Device::cpu(1));
}

}  // namespace

data::TrainTest load_cifar(const std::string& folder, int classes, ImageSize size) {
  const std::string spec =
      classes == 10 ? "cifar10:" + folder + "/images/cifar10" : "cifar100:" + folder + "/images/cifar100?labels=fine";
  data::TrainTest read = data::load(spec, Device::cpu(1));
  if (size == ImageSize::whole) return read;
  for (data::Dataset* part : {&read.train, &read.test}) part->inputs = halved(part->inputs);
  return read;
}

}  // namespace rtl::studies

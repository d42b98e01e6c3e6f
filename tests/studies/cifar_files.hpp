// Images of noise, in memory and in files that look like those of CIFAR.
#pragma once

#include <string>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/data/dataset.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::test {

/// u8 [count, 8, 8, 3] with classes 0, 1, .. in turn.
inline data::Dataset noise_images(std::int64_t count, std::int64_t classes, std::uint64_t seed = 0) {
  RandomSequence random(seed, static_cast<std::uint64_t>(count));
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    labels.push_back(static_cast<std::int32_t>(i % classes));
    for (int pixel = 0; pixel < 8 * 8 * 3; ++pixel) pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  }
  data::Dataset samples;
  samples.name = "noise";
  samples.inputs = Tensor::from(pixels, {count, 8, 8, 3}, Device::cpu(1));
  samples.labels = Tensor::from(labels, {count}, Device::cpu(1));
  samples.classes = classes;
  return samples;
}

/// Records of noise: a label, or two, and 3072 bytes.
inline void write_records(const TemporaryFolder& folder, const std::string& name, int count, int classes, bool coarse) {
  RandomSequence random(static_cast<std::uint64_t>(count));
  std::string records;
  for (int i = 0; i < count; ++i) {
    if (coarse) records += static_cast<char>(i % classes / 5);
    records += static_cast<char>(i % classes);
    for (int pixel = 0; pixel < 3072; ++pixel) records += static_cast<char>(random.below(256));
  }
  folder.write(name, records);
}

/// Both data sets in images/cifar10 and images/cifar100.
inline void write_cifar(const TemporaryFolder& folder) {
  write_records(folder, "images/cifar10/cifar10_train_30.bin", 30, 10, false);
  write_records(folder, "images/cifar10/cifar10_test_20.bin", 20, 10, false);
  write_records(folder, "images/cifar100/cifar100_train_200.bin", 200, 100, true);
  write_records(folder, "images/cifar100/cifar100_test_100.bin", 100, 100, true);
}

}  // namespace rtl::test

// Small data, networks and folders for the tests of transfer.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/io/file.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/source.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer::testing {

/// Removed with everything in it at the end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "rtl_transfer_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::size_t files() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_)) ++count;
    return count;
  }

 private:
  std::string path_;
};

/// Images of noise with a bright patch whose place and colour tell the class; learnable in a few epochs.
inline data::Dataset make_images(std::uint64_t seed, std::int64_t count, std::int64_t classes, std::int64_t extent,
                                 const Device& device) {
  RandomSequence random(seed, 1);
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int64_t>(i < classes ? i : random.below(static_cast<std::uint64_t>(classes)));
    labels.push_back(static_cast<std::int32_t>(label));
    for (std::int64_t row = 0; row < extent; ++row) {
      for (std::int64_t column = 0; column < extent; ++column) {
        for (std::int64_t c = 0; c < 3; ++c) {
          const bool patch = row / 4 == label % (extent / 4) && c == (label / (extent / 4)) % 3;
          pixels.push_back(static_cast<std::uint8_t>(random.below(120) + (patch ? 120 : 0)));
        }
      }
    }
  }
  data::Dataset dataset;
  dataset.inputs = Tensor::from(pixels, {count, extent, extent, 3}, device);
  dataset.labels = Tensor::from(labels, {count}, device);
  dataset.classes = classes;
  dataset.name = "patches";
  return dataset;
}

/// Gaussian classes: mean of class c is `distance` along axis c.
inline data::Dataset make_vectors(std::uint64_t seed, std::int64_t count, std::int64_t features, std::int64_t classes,
                                  double distance, const Device& device) {
  RandomSequence random(seed, 2);
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int64_t>(i < classes ? i : random.below(static_cast<std::uint64_t>(classes)));
    labels.push_back(static_cast<std::int32_t>(label));
    for (std::int64_t j = 0; j < features; ++j) {
      values.push_back(static_cast<float>(random.normal() + (j == label ? distance : 0.0)));
    }
  }
  data::Dataset dataset;
  dataset.inputs = Tensor::from(values, {count, features}, device);
  dataset.labels = Tensor::from(labels, {count}, device);
  dataset.classes = classes;
  dataset.name = "gaussians";
  return dataset;
}

/// A batch of zeros as large as a network takes: images of bytes, or vectors. Labels count up to the classes, anew and
/// anew.
inline data::Dataset make_zeros(const layers::Architecture& architecture, std::int64_t count, const Device& device) {
  std::vector<std::int64_t> extents{count};
  for (const std::int64_t extent : architecture.input.extents()) extents.push_back(extent);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(i % architecture.classes));
  data::Dataset dataset;
  dataset.inputs = Tensor::zeros(Shape(std::span<const std::int64_t>(extents)),
                                 architecture.input.rank() == 3 ? DType::u8 : DType::f32, device);
  dataset.labels = Tensor::from(labels, {count}, device);
  dataset.classes = architecture.classes;
  return dataset;
}

inline data::InputNormalization normalization_of(const layers::Architecture& architecture) {
  return architecture.input.rank() == 3 ? data::Normalization::half : data::Normalization::none;
}

inline std::unique_ptr<layers::Network> make(const std::string& name, const std::string& variant, const Shape& input,
                                             std::int64_t classes, std::uint64_t seed, const Device& device) {
  return layers::make_network({name, variant, input, classes}, device, seed);
}

/// Every byte of a model's parameters and buffers.
inline std::vector<float> values_of(const layers::ModuleState& state) {
  std::vector<float> all;
  for (const auto& parameter : state.parameters) {
    const std::vector<float> values = parameter.value().to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  for (const auto& buffer : state.buffers) {
    const std::vector<float> values = buffer.value().to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

inline ::testing::AssertionResult same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " and " << b.size() << " values";
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) == 0) continue;
    return ::testing::AssertionFailure() << "value " << i << " of " << a.size() << ": " << a[i] << " and " << b[i];
  }
  return ::testing::AssertionSuccess();
}

/// The devices of this build that tests run on: the host, and the first CUDA device or its emulator.
inline std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu(1)};
  if (Device::cuda_count() > 0) all.push_back(Device::cuda(0));
  return all;
}

/// A short training.
inline TrainingOptions quick(std::int64_t epochs = 3, std::uint64_t seed = 7) {
  TrainingOptions options;
  options.epochs = epochs;
  options.batch_size = 16;
  options.seed = seed;
  return options;
}

}  // namespace rtl::transfer::testing

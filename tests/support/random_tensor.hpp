// Random operands for tests, from a seed that a failure prints.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/core/tensor.hpp"

namespace rtl::test {

/// A fresh seed, recorded in the test's report.
inline std::uint64_t fresh_seed() {
  const std::uint64_t seed = std::random_device{}();
  testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

/// Uniform values in [low, high).
class RandomTensors {
 public:
  explicit RandomTensors(std::uint64_t seed) : random_(seed, 0x74657374) {}
  std::vector<double> values(std::int64_t count, double low = -1, double high = 1) {
    std::vector<double> values(static_cast<std::size_t>(count));
    for (double& value : values) value = low + (high - low) * random_.uniform();
    return values;
  }
  Tensor f64(const Shape& shape, const Device& device, double low = -1, double high = 1) {
    return Tensor::from(values(shape.count(), low, high), shape, device);
  }
  Tensor f32(const Shape& shape, const Device& device, double low = -1, double high = 1) {
    const std::vector<double> wide = values(shape.count(), low, high);
    return Tensor::from(std::vector<float>(wide.begin(), wide.end()), shape, device);
  }
  /// Whole numbers in [0, bound).
  Tensor i32(std::int64_t count, std::int64_t bound, const Device& device) {
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(count));
    for (std::int32_t& number : numbers) {
      number = static_cast<std::int32_t>(random_.below(static_cast<std::uint64_t>(bound)));
    }
    return Tensor::from(numbers, {count}, device);
  }

 private:
  RandomSequence random_;
};

}  // namespace rtl::test

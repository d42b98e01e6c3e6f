// Random inputs of tests, from one seed that failures print and RTL_TEST_SEED repeats.
#pragma once

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/core/shape.hpp"

namespace rtl::test {

/// What tests compute with: wider than any dtype under test.
using Reals = std::vector<long double>;

/// Fresh in every process, unless RTL_TEST_SEED is set.
inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* fixed = std::getenv("RTL_TEST_SEED");
    return fixed != nullptr ? std::stoull(fixed) : std::uint64_t{std::random_device()()};
  }();
  return value;
}

/// The standard library's generator: tests of the random kernels would otherwise check them against themselves.
class Random {
 public:
  explicit Random(std::uint64_t stream) : engine_(mix(seed(), stream)) {}

  Reals normal(const Shape& shape, double mean = 0, double deviation = 1) {
    return make(shape, std::normal_distribution<double>(mean, deviation));
  }
  Reals uniform(const Shape& shape, double low, double high) {
    return make(shape, std::uniform_real_distribution<double>(low, high));
  }
  /// Whole numbers in [0, bound).
  Reals below(const Shape& shape, std::uint64_t bound) {
    return make(shape, std::uniform_int_distribution<std::uint64_t>(0, bound - 1));
  }

 private:
  template <typename Distribution>
  Reals make(const Shape& shape, Distribution distribution) {
    Reals values(static_cast<std::size_t>(shape.count()));
    for (long double& value : values) value = static_cast<long double>(distribution(engine_));
    return values;
  }
  std::mt19937_64 engine_;
};

}  // namespace rtl::test

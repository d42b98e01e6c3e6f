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

class Random {
 public:
  explicit Random(std::uint64_t stream) : sequence_(seed(), stream) {}

  Reals normal(const Shape& shape, double mean = 0, double deviation = 1) {
    return make(shape, [&] { return mean + deviation * sequence_.normal(); });
  }
  Reals uniform(const Shape& shape, double low, double high) {
    return make(shape, [&] { return low + (high - low) * sequence_.uniform(); });
  }
  /// Whole numbers in [0, bound).
  Reals below(const Shape& shape, std::uint64_t bound) {
    return make(shape, [&] { return static_cast<double>(sequence_.below(bound)); });
  }

 private:
  template <typename F>
  static Reals make(const Shape& shape, const F& f) {
    Reals values(static_cast<std::size_t>(shape.count()));
    for (long double& value : values) value = f();
    return values;
  }
  RandomSequence sequence_;
};

}  // namespace rtl::test

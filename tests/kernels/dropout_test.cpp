#include "rtl/kernels/dropout.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/core/random.hpp"
#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

constexpr std::uint64_t seed_used = 0x123456789abcdef0, stream_used = 77;

const bool dropout_registered = register_cases("dropout", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](std::int64_t size, double probability) {
    KernelCase c;
    c.label = fmt::format("{}_of_hundred_{}", static_cast<int>(100 * probability), size);
    c.inputs = {{"x", {size}, random.normal({size})}};
    // The factor is rounded once, then a product.
    c.outputs = {{"y", {size}, 2}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [probability](const Device& device, auto& in, auto& out) {
      kernels::dropout(device, in[0], probability, seed_used, stream_used, out[0]);
    };
    c.reference = [probability](auto& in, auto&) {
      Reals y;
      for (std::size_t i = 0; i < in[0].size(); ++i) {
        const bool kept = static_cast<double>(Philox(seed_used, stream_used).uniform(i)) >= probability;
        y.push_back(kept ? in[0][i] / (1 - static_cast<long double>(probability)) : 0);
      }
      return std::vector<Expected>{{y}};
    };
    c.in_place = {{0, 0}};
    cases.push_back(c);
  };
  // With counters: replicas of odd and even sizes, with x of their own and a shared one.
  const auto add_replicas = [&](std::int64_t size, std::int64_t replicas, bool shared) {
    KernelCase c;
    c.label = fmt::format("{}_replicas_of_{}{}", replicas, size, shared ? "_shared" : "");
    const Shape stacked = replicas == 0 ? Shape{size} : Shape{replicas, size}, own = shared ? Shape{size} : stacked;
    Reals counters;
    for (std::int64_t r = 0; r < std::max<std::int64_t>(replicas, 1); ++r) {
      counters.insert(counters.end(), {static_cast<long double>(3 + r % 2), static_cast<long double>(r / 2), 0, 0});
    }
    c.inputs = {{"x", own, random.normal(own)},
                {"counters", replicas == 0 ? Shape{4} : Shape{replicas, 4}, counters, DType::i64}};
    c.outputs = {{"y", stacked, 2}};
    c.outputs[0].roundoffs_bf16 = rounded_once;
    c.dtypes = activation_dtypes;
    c.run = [](const Device& device, auto& in, auto& out) {
      kernels::dropout(device, in[0], 0.3, stream_used, in[1], out[0]);
    };
    c.reference = [size](auto& in, auto&) {
      Reals y;
      for (std::size_t r = 0; 4 * r < in[1].size(); ++r) {
        const auto seed = static_cast<std::uint64_t>(in[1][4 * r]), step = static_cast<std::uint64_t>(in[1][4 * r + 1]);
        for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) {
          const bool kept = static_cast<double>(Philox(seed, mix(stream_used, step)).uniform(i)) >= 0.3;
          const long double x = in[0][(r * static_cast<std::size_t>(size) + i) % in[0].size()];
          y.push_back(kept ? x / (1 - static_cast<long double>(0.3)) : 0);
        }
      }
      return std::vector<Expected>{{y}};
    };
    if (!shared) c.in_place = {{0, 0}};
    cases.push_back(c);
  };
  for (const std::int64_t replicas : {0, 1, 3}) add_replicas(1025, replicas, false);
  for (const bool shared : {false, true}) add_replicas(10000, 4, shared);
  for (const std::int64_t size : {0, 1, 3, 31, 33, 1025, 20011}) add(size, 0.3);
  for (const double probability : {0.0, 0.5, 0.99}) add(130, probability);
  return cases;
});

/// Cases of a generator with no inputs, in every awkward size.
template <typename Run, typename Value>
std::vector<KernelCase> generator_cases(double roundoffs, Run run, Value value) {
  std::vector<KernelCase> cases;
  for (const std::int64_t size : {0, 1, 2, 31, 33, 1025, 5001}) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      KernelCase c;
      c.label = fmt::format("{}_{}", size, rtl::name_of(dtype));
      c.outputs = {{"y", {size}, roundoffs}};
      c.dtypes = {dtype};
      c.run = [run](const Device& device, auto&, auto& out) { run(device, out[0]); };
      c.reference = [=](auto&, auto&) {
        Expected y;
        for (std::int64_t i = 0; i < size; ++i) value(static_cast<std::uint64_t>(i), dtype, y);
        return std::vector<Expected>{y};
      };
      cases.push_back(c);
    }
  }
  return cases;
}

const bool uniform_registered = register_cases("uniform", [](Random&) {
  constexpr double low = -0.7, high = 1.9;
  return generator_cases(
      2, [](const Device& device, View y) { kernels::uniform(device, low, high, seed_used, stream_used, y); },
      [](std::uint64_t i, DType dtype, Expected& y) {
        const Philox philox(seed_used, stream_used);
        const long double draw = dtype == DType::f64 ? philox.uniform_double(i) : philox.uniform(i);
        y.value.push_back(low + (static_cast<long double>(high) - low) * draw);
        y.scale.push_back(high - low);
      });
});

const bool normal_registered = register_cases("normal", [](Random&) {
  constexpr double mean = 0.3, deviation = 2;
  // The cosine of 2 pi u is as uncertain as the angle: a roundoff of up to 2 pi, next to the rounded radius.
  return generator_cases(
      8, [](const Device& device, View y) { kernels::normal(device, mean, deviation, seed_used, stream_used, y); },
      [](std::uint64_t i, DType, Expected& y) {
        const Philox philox(seed_used, stream_used);
        const std::uint64_t even = i / 2 * 2;
        const long double radius = std::sqrt(-2 * std::log1p(-static_cast<long double>(philox.uniform_double(even))));
        const long double angle = 2 * std::numbers::pi_v<long double> * philox.uniform_double(even + 1);
        y.value.push_back(mean + deviation * radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle)));
        y.scale.push_back(mean + deviation * radius);
      });
});

TEST(Dropout, IsTheSameOnEveryDevice) {
  constexpr std::int64_t size = 4099;
  const std::vector<float> ones(size, 1);
  std::vector<float> first;
  for (const Device& device : devices_and_threads()) {
    Tensor y({size}, DType::f32, device);
    kernels::dropout(device, Tensor::from(ones, {size}, device), 0.4, 5, 6, y);
    if (first.empty()) first = y.to_vector<float>();
    EXPECT_EQ(y.to_vector<float>(), first) << name_of(device);
  }
  double kept = 0;
  for (const float value : first) kept += value > 0 ? 1 : 0;
  // Five standard deviations of a binomial count; the seed is fixed, so this holds or not for good.
  EXPECT_NEAR(kept / size, 0.6, 5 * std::sqrt(0.24 / size));
}

TEST(Random, NormalAndUniformHaveTheirMoments) {
  constexpr std::int64_t size = 20000;
  for (const Device& device : devices_and_threads()) {
    Tensor y({size}, DType::f64, device);
    const auto moments = [&] {
      double mean = 0, square = 0;
      for (const double value : y.to_vector<double>()) {
        mean += value / size;
        square += value * value / size;
      }
      return std::pair(mean, square - mean * mean);
    };
    kernels::normal(device, 3, 2, 1, 2, y);
    EXPECT_NEAR(moments().first, 3, 0.06);
    EXPECT_NEAR(moments().second, 4, 0.2);
    kernels::uniform(device, -1, 1, 1, 2, y);
    EXPECT_NEAR(moments().first, 0, 0.02);
    EXPECT_NEAR(moments().second, 1.0 / 3, 0.01);
  }
}

}  // namespace
}  // namespace rtl::test

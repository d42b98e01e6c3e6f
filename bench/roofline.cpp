#include "roofline.hpp"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/gemm.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "roofline.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rtl::bench {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Ten chains are enough to hide a latency of five cycles at two operations a cycle. Returns the FLOP done.
double multiply_add(std::int64_t rounds, float* sink) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.5F);
  const auto addend = hn::Set(d, 1.0F);
  auto a0 = hn::Iota(d, 0), a1 = hn::Iota(d, 1), a2 = hn::Iota(d, 2), a3 = hn::Iota(d, 3), a4 = hn::Iota(d, 4);
  auto a5 = hn::Iota(d, 5), a6 = hn::Iota(d, 6), a7 = hn::Iota(d, 7), a8 = hn::Iota(d, 8), a9 = hn::Iota(d, 9);
  for (std::int64_t i = 0; i < rounds; ++i) {
    a0 = hn::MulAdd(a0, factor, addend);
    a1 = hn::MulAdd(a1, factor, addend);
    a2 = hn::MulAdd(a2, factor, addend);
    a3 = hn::MulAdd(a3, factor, addend);
    a4 = hn::MulAdd(a4, factor, addend);
    a5 = hn::MulAdd(a5, factor, addend);
    a6 = hn::MulAdd(a6, factor, addend);
    a7 = hn::MulAdd(a7, factor, addend);
    a8 = hn::MulAdd(a8, factor, addend);
    a9 = hn::MulAdd(a9, factor, addend);
  }
  const auto low = hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), a4);
  const auto high = hn::Add(hn::Add(hn::Add(a5, a6), hn::Add(a7, a8)), a9);
  *sink = hn::GetLane(hn::SumOfLanes(d, hn::Add(low, high)));
  return 20.0 * static_cast<double>(rounds) * static_cast<double>(hn::Lanes(d));
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::bench {
HWY_EXPORT(multiply_add);

namespace {

double measure_flops(const Settings& settings) {
  const std::int64_t rounds = settings.quick ? 2'000'000 : 10'000'000;
  std::vector<float> sinks(static_cast<std::size_t>(settings.threads) * 64);
  double flop = 0;
  const Timings timings = time_repeatedly(
      settings,
      [&] {
        double sum = 0;
#pragma omp parallel num_threads(settings.threads) reduction(+ : sum)
        sum += HWY_DYNAMIC_DISPATCH(multiply_add)(rounds, &sinks[static_cast<std::size_t>(omp_get_thread_num()) * 64]);
        flop = sum;
      },
      5, 0);
  return flop / timings.best();
}

double measure_flops_bf16(const Settings& settings) {
  const std::int64_t size = settings.quick ? 512 : 2048;
  const Device device = Device::cpu(settings.threads);
  const Tensor a = Tensor::zeros({size, size}, DType::bf16, device);
  Tensor c({size, size}, DType::f32, device);
  const Timings timings = time_repeatedly(
      settings, [&] { kernels::gemm(device, kernels::Transpose::no, kernels::Transpose::no, 1, a, a, 0, c); }, 5, 0);
  return 2.0 * static_cast<double>(size * size * size) / timings.best();
}

double measure_bandwidth(const Settings& settings) {
  const std::int64_t count = (settings.quick ? 8 : 32) * 1024 * 1024;
  const auto size = static_cast<std::size_t>(count);
  std::vector<float> a(size, 1.0F);
  std::vector<float> b(size, 2.0F);
  std::vector<float> c(size, 3.0F);
  const Timings timings = time_repeatedly(
      settings,
      [&] {
#pragma omp parallel for simd schedule(static) num_threads(settings.threads)
        for (std::int64_t i = 0; i < count; ++i) {
          const auto at = static_cast<std::size_t>(i);
          a[at] = b[at] + 0.5F * c[at];
        }
      },
      5, 0);
  return 3.0 * static_cast<double>(size * sizeof(float)) / timings.best();
}

}  // namespace

Roofline measure_roofline(const Settings& settings) {
  return {.flops = measure_flops(settings),
          .flops_bf16 = measure_flops_bf16(settings),
          .bandwidth = measure_bandwidth(settings)};
}

Limit limit_of(const Roofline& roofline, double flop, double bytes, bool bf16) {
  const double by_arithmetic = flop > 0 ? (bf16 ? roofline.flops_bf16 : roofline.flops) / flop : 0;
  const double by_memory = bytes > 0 ? roofline.bandwidth / bytes : 0;
  const bool arithmetic = by_memory == 0 || (by_arithmetic > 0 && by_arithmetic < by_memory);
  return arithmetic ? Limit{by_arithmetic, bf16 ? "FLOP/s of a large product in bf16" : "peak FLOP/s"}
                    : Limit{by_memory, "memory bandwidth"};
}

}  // namespace rtl::bench
#endif  // HWY_ONCE

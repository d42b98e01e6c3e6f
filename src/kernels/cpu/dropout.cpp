// Random tensors on the host: Philox blocks are made a vector at a time.
#include <array>

#include "kernels/backend/dropout.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dropout.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

constexpr std::int64_t blocks = 16;
using Words = std::array<std::uint32_t, blocks>;

/// One Philox round on all blocks at once; Philox::block is the definition that the tests hold this to.
inline void philox_round(Words& c0, Words& c1, Words& c2, Words& c3, std::uint32_t k0, std::uint32_t k1) {
#pragma omp simd
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0[b], p1 = std::uint64_t{0xCD9E8D57u} * c2[b];
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1[b] ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3[b] ^ k1;
    c1[b] = static_cast<std::uint32_t>(p1);
    c3[b] = static_cast<std::uint32_t>(p0);
    c0[b] = n0;
    c2[b] = n2;
  }
}

/// The draws of blocks [first, first + blocks), in order.
inline void philox_blocks(std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
                          std::array<std::uint32_t, 4 * blocks>& bits) {
  Words c0, c1, c2, c3;
  for (std::size_t b = 0; b < blocks; ++b) {
    c0[b] = static_cast<std::uint32_t>(first + b);
    c1[b] = static_cast<std::uint32_t>((first + b) >> 32);
    c2[b] = static_cast<std::uint32_t>(stream);
    c3[b] = static_cast<std::uint32_t>(stream >> 32);
  }
  auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    philox_round(c0, c1, c2, c3, k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (std::size_t b = 0; b < blocks; ++b) {
    bits[4 * b] = c0[b];
    bits[4 * b + 1] = c1[b];
    bits[4 * b + 2] = c2[b];
    bits[4 * b + 3] = c3[b];
  }
}

/// Elements [begin, end); begin is a multiple of 4, a whole Philox block.
template <typename T>
void dropout_range(functors::Dropout<T> f, std::uint64_t seed, std::uint64_t stream, const T* x, T* y,
                   std::int64_t begin, std::int64_t end) {
  std::array<std::uint32_t, 4 * blocks> bits;
  for (std::int64_t at = begin; at < end; at += 4 * blocks) {
    philox_blocks(seed, stream, static_cast<std::uint64_t>(at / 4), bits);
    const std::int64_t length = end - at < 4 * blocks ? end - at : 4 * blocks;
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) y[at + i] = f.apply(x[at + i], bits[static_cast<std::size_t>(i)]);
  }
}

void dropout_target(std::uint64_t seed, std::uint64_t stream, double probability, ConstView x, View y,
                    std::int64_t begin, std::int64_t end) {
  functors::visit_floating(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    dropout_range<T>({seed, stream, probability}, seed, stream, x.data_as<T>(), y.data_as<T>(), begin, end);
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(dropout_target);

/// y[i] = f(i) for every element.
template <typename T, typename F>
void generate(View y, const F& f) {
  T* to = y.data_as<T>();
  parallel_ranges(y.count(), elements_per_thread / 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(f(static_cast<std::uint64_t>(i)));
  });
}

}  // namespace

void dropout(const Device&, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y) {
  const std::int64_t count = y.count();
  parallel_ranges((count + 3) / 4, elements_per_thread / 8, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t begin = 4 * first, end = std::min(4 * last, count);
    HWY_DYNAMIC_DISPATCH(dropout_target)(seed, stream, probability, x, y, begin, end);
  });
}

void uniform(const Device&, double low, double high, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_floating(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    generate<T>(y, functors::Uniform<T>{Philox(seed, stream), low, high - low});
  });
}

void normal(const Device&, double mean, double deviation, std::uint64_t seed, std::uint64_t stream, View y) {
  functors::visit_floating(y.dtype(), [&](auto zero) {
    generate<decltype(zero)>(y, functors::Normal{Philox(seed, stream), mean, deviation});
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

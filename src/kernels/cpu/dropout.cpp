// Random tensors on the host: Philox blocks are made a vector at a time, and so is what is drawn from them.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "kernels/backend/dropout.hpp"
#include "kernels/cpu/attention_rows.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"
#include "rtl/kernels/step_state.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dropout.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t blocks = 16;
using Bits = std::array<std::uint32_t, 4 * blocks>;

/// The draws of blocks [first, first + blocks), in order; Philox::block is the definition that the tests hold this to.
#if HWY_TARGET == HWY_SCALAR
inline void philox_blocks(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, Bits& bits) {
  for (std::int64_t b = 0; b < blocks; ++b) {
    const PhiloxBlock block = Philox(seed, stream).block(first + static_cast<std::uint64_t>(b));
    std::copy_n(block.word, 4, bits.data() + 4 * b);
  }
}
#else
/// A 64-bit lane has one block's counter word in its lower half; what is in the upper half does not matter.
inline void philox_blocks(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, Bits& bits) {
  const hn::CappedTag<std::uint64_t, blocks> d;
  const hn::Repartition<std::uint32_t, decltype(d)> half;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto product = [half](auto word, std::uint32_t factor) {
    return hn::MulEven(hn::BitCast(half, word), hn::Set(half, factor));
  };
  const auto lower_half = hn::Set(d, 0xffffffffu);
  for (std::int64_t b = 0; b < blocks; b += lanes) {
    auto c0 = hn::Iota(d, first + static_cast<std::uint64_t>(b));
    auto c1 = hn::ShiftRight<32>(c0);
    auto c2 = hn::Set(d, stream);
    auto c3 = hn::ShiftRight<32>(c2);
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const auto p0 = product(c0, 0xD2511F53u), p1 = product(c2, 0xCD9E8D57u);
      c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c1), hn::Set(d, k0));
      c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c3), hn::Set(d, k1));
      c1 = p1;
      c3 = p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    const auto words01 = hn::Or(hn::And(c0, lower_half), hn::ShiftLeft<32>(c1));
    const auto words23 = hn::Or(hn::And(c2, lower_half), hn::ShiftLeft<32>(c3));
    alignas(64) std::uint64_t pairs[2 * blocks];
    hn::StoreInterleaved2(words01, words23, d, pairs);
    std::memcpy(bits.data() + 4 * b, pairs, static_cast<std::size_t>(lanes) * 16);
  }
}
#endif

/// Elements [begin, end); begin is a multiple of 4, a whole Philox block.
template <typename T>
void dropout_range(functors::Dropout<Arithmetic<T> > f, std::uint64_t seed, std::uint64_t stream, const T* x, T* y,
                   std::int64_t begin, std::int64_t end) {
  Bits bits;
  for (std::int64_t at = begin; at < end; at += 4 * blocks) {
    philox_blocks(seed, stream, static_cast<std::uint64_t>(at / 4), bits);
    const std::int64_t length = end - at < 4 * blocks ? end - at : 4 * blocks;
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) {
      const auto value = functors::convert<Arithmetic<T> >(x[at + i]);
      y[at + i] = functors::convert<T>(f.apply(value, bits[static_cast<std::size_t>(i)]));
    }
  }
}

/// Elements [begin, end) of the replica that starts at element `x_at` of x and `y_at` of y.
void dropout_target(std::uint64_t seed, std::uint64_t stream, double probability, ConstView x, std::int64_t x_at,
                    View y, std::int64_t y_at, std::int64_t begin, std::int64_t end) {
  functors::visit_activations(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    dropout_range<T>({seed, stream, probability}, seed, stream, x.data_as<T>() + x_at, y.data_as<T>() + y_at, begin,
                     end);
  });
}

/// x[i] by draw first + i; `first` need not begin a block.
template <typename T>
void drop_row_of(const DroppedRow& row, T* x, std::int64_t count) {
  const functors::Dropout<T> f(row.seed, row.stream, row.probability);
  const std::int64_t before = row.first % 4, last = before + count;
  Bits bits;
  for (std::int64_t at = 0; at < last; at += 4 * blocks) {
    philox_blocks(row.seed, row.stream, static_cast<std::uint64_t>((row.first + at) / 4), bits);
    const std::int64_t begin = at == 0 ? before : 0, end = std::min(last - at, 4 * blocks);
    T* const values = x + (at - before);
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) values[i] = f.apply(values[i], bits[static_cast<std::size_t>(i)]);
  }
}
void drop_row_f32(const DroppedRow& row, float* x, std::int64_t count) { drop_row_of(row, x, count); }
void drop_row_f64(const DroppedRow& row, double* x, std::int64_t count) { drop_row_of(row, x, count); }

/// Draw i of 53 bits, as Philox::uniform_double makes it, of 2 * blocks that start with the first block.
inline double wide_draw(const Bits& bits, std::int64_t i) {
  const std::uint64_t high = bits[static_cast<std::size_t>(2 * i)], low = bits[static_cast<std::size_t>(2 * i + 1)];
  // As a signed number, which more instruction sets can convert.
  return static_cast<double>(static_cast<std::int64_t>((high << 21) ^ (low >> 11))) * 0x1p-53;
}

/// Elements [begin, end) of the uniform numbers; begin is a multiple of 4.
template <typename T>
void uniform_range(std::uint64_t seed, std::uint64_t stream, double low, double extent, T* y, std::int64_t begin,
                   std::int64_t end) {
  constexpr std::int64_t words = sizeof(T) / sizeof(std::uint32_t), draws = 4 * blocks / words;
  Bits bits;
  for (std::int64_t at = begin; at < end; at += draws) {
    philox_blocks(seed, stream, static_cast<std::uint64_t>(at * words / 4), bits);
    const std::int64_t length = std::min(end - at, draws);
#pragma omp simd
    for (std::int64_t i = 0; i < length; ++i) {
      const double draw =
          words == 2 ? wide_draw(bits, i) : static_cast<double>(bits[static_cast<std::size_t>(i)] >> 8) * 0x1p-24;
      y[at + i] = static_cast<T>(std::fma(extent, draw, low));
    }
  }
}

/// Elements [begin, end) of the normal numbers; begin is even. See functors::Normal.
template <typename T>
void normal_range(std::uint64_t seed, std::uint64_t stream, double mean, double deviation, T* y, std::int64_t begin,
                  std::int64_t end) {
  const hn::CappedTag<double, blocks> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  Bits bits;
  std::array<double, blocks> first, second;
  for (std::int64_t at = begin; at < end; at += 2 * blocks) {
    philox_blocks(seed, stream, static_cast<std::uint64_t>(at / 2), bits);
#pragma omp simd
    for (std::int64_t b = 0; b < blocks; ++b) {
      // 1 - u is exact, and its logarithm that of log1p.
      first[static_cast<std::size_t>(b)] = 1.0 - wide_draw(bits, 2 * b);
      second[static_cast<std::size_t>(b)] = 2.0 * std::numbers::pi * wide_draw(bits, 2 * b + 1);
    }
    for (std::int64_t b = 0; b < blocks; b += lanes) {
      const auto logarithm = hn::Log(d, hn::LoadU(d, first.data() + b));
      const auto radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0), logarithm));
      const auto angle = hn::LoadU(d, second.data() + b);
      const auto shift = hn::Set(d, mean), scale = hn::Set(d, deviation);
      hn::StoreU(hn::MulAdd(scale, hn::Mul(radius, hn::Cos(d, angle)), shift), d, first.data() + b);
      hn::StoreU(hn::MulAdd(scale, hn::Mul(radius, hn::Sin(d, angle)), shift), d, second.data() + b);
    }
    const std::int64_t length = std::min(end - at, 2 * blocks);
    for (std::int64_t i = 0; i < length; ++i) {
      y[at + i] = static_cast<T>((i % 2 == 0 ? first : second)[static_cast<std::size_t>(i / 2)]);
    }
  }
}

void uniform_target(std::uint64_t seed, std::uint64_t stream, double low, double extent, View y, std::int64_t begin,
                    std::int64_t end) {
  functors::visit_floating(
      y.dtype(), [&](auto zero) { uniform_range(seed, stream, low, extent, y.data_as<decltype(zero)>(), begin, end); });
}

void normal_target(std::uint64_t seed, std::uint64_t stream, double mean, double deviation, View y, std::int64_t begin,
                   std::int64_t end) {
  functors::visit_floating(y.dtype(), [&](auto zero) {
    normal_range(seed, stream, mean, deviation, y.data_as<decltype(zero)>(), begin, end);
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(drop_row_f32);
HWY_EXPORT(drop_row_f64);

void drop_row(const DroppedRow& row, float* x, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(drop_row_f32)(row, x, count);
}
void drop_row(const DroppedRow& row, double* x, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(drop_row_f64)(row, x, count);
}
namespace {

HWY_EXPORT(dropout_target);
HWY_EXPORT(uniform_target);
HWY_EXPORT(normal_target);

/// Calls f(begin, end) on ranges of `count` elements that start with a whole Philox block.
template <typename F>
void for_whole_blocks(std::int64_t count, const F& f) {
  parallel_ranges((count + 3) / 4, elements_per_thread / 8,
                  [&](std::int64_t first, std::int64_t last) { f(4 * first, std::min(4 * last, count)); });
}

}  // namespace

void dropout(const Device&, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y) {
  for_whole_blocks(y.count(), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(dropout_target)(seed, stream, probability, x, 0, y, 0, begin, end);
  });
}

void dropout(const Device&, ConstView x, double probability, std::uint64_t name, ConstView counters, View y) {
  const std::int64_t replicas = counters.count() / Counters::count, count = y.count() / replicas;
  const std::int64_t x_step = x.count() == y.count() ? count : 0;
  const auto* state = counters.data_as<std::int64_t>();
  // Pieces of one replica that start with a whole Philox block.
  const std::int64_t blocks = (count + 3) / 4;
  parallel_ranges(replicas * blocks, elements_per_thread / 8, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t replica = first / blocks; replica * blocks < last; ++replica) {
      const std::int64_t begin = std::max<std::int64_t>(first - replica * blocks, 0) * 4;
      const std::int64_t end = std::min((last - replica * blocks) * 4, count);
      const std::int64_t* own = state + replica * Counters::count;
      const std::uint64_t stream = mix(name, static_cast<std::uint64_t>(own[Counters::step]));
      HWY_DYNAMIC_DISPATCH(dropout_target)
      (static_cast<std::uint64_t>(own[Counters::seed]), stream, probability, x, replica * x_step, y, replica * count,
       begin, end);
    }
  });
}

void uniform(const Device&, double low, double high, std::uint64_t seed, std::uint64_t stream, View y) {
  for_whole_blocks(y.count(), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(uniform_target)(seed, stream, low, high - low, y, begin, end);
  });
}

void normal(const Device&, double mean, double deviation, std::uint64_t seed, std::uint64_t stream, View y) {
  for_whole_blocks(y.count(), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(normal_target)(seed, stream, mean, deviation, y, begin, end);
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

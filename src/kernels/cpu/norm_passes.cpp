#include "kernels/cpu/norm_passes.hpp"

#include <algorithm>
#include <numeric>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm_passes.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Bytes that one block of rows covers as f32 or f64: small enough for the first-level cache.
constexpr std::int64_t block_bytes = 16384;

template <typename T>
std::int64_t period_of(std::int64_t channels) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<Arithmetic<T> >()));
  return channels * (lanes / std::gcd(channels, lanes));
}

/// Runs f(d, first element, row groups, period) on all of rows [begin, end): once with whole vectors on groups of rows
/// that make up a period, and once element by element on the rows that are left.
template <typename T, typename F>
void in_two_widths(std::int64_t channels, std::int64_t begin, std::int64_t end, const F& f) {
  const std::int64_t period = period_of<T>(channels), rows_per_group = std::max<std::int64_t>(1, period / channels);
  const std::int64_t groups = (end - begin) / rows_per_group;
  if (groups > 0) f(hn::ScalableTag<Arithmetic<T> >(), begin * channels, groups, period);
  const std::int64_t left = begin + groups * rows_per_group;
  if (left < end) f(hn::CappedTag<Arithmetic<T>, 1>(), left * channels, end - left, channels);
}

/// Row groups that stay in registers' reach: few when the period is long, so that they do not share cache sets.
inline std::int64_t tile_rows(std::int64_t period) { return period <= 256 ? 16 : 4; }

template <class D, typename T>
void forward_tiles(D d, const NormForward<T>& p, std::int64_t start, std::int64_t groups, std::int64_t period) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto zero = hn::Zero(d);
  const std::int64_t tile = tile_rows(period);
  for (std::int64_t group = 0; group < groups; group += tile) {
    const std::int64_t last = std::min(groups, group + tile);
    for (std::int64_t j = 0; j < period; j += lanes) {
      const auto mean = hn::LoadU(d, p.mean + j), scale = hn::LoadU(d, p.scale + j), shift = hn::LoadU(d, p.shift + j);
      for (std::int64_t g = group; g < last; ++g) {
        const std::int64_t i = start + g * period + j;
        auto v = hn::MulAdd(hn::Sub(load(d, p.x + i), mean), scale, shift);
        if (p.residual != nullptr) v = hn::Add(v, load(d, p.residual + i));
        // Not Max: a NaN stays one.
        if (p.relu) v = hn::IfThenElse(hn::Lt(v, zero), zero, v);
        store(v, d, p.y + i);
      }
    }
  }
}

template <class D, typename T>
void backward_tiles(D d, const NormBackward<T>& p, std::int64_t start, std::int64_t groups, std::int64_t period) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto zero = hn::Zero(d);
  const std::int64_t tile = tile_rows(period);
  for (std::int64_t group = 0; group < groups; group += tile) {
    const std::int64_t last = std::min(groups, group + tile);
    for (std::int64_t j = 0; j < period; j += lanes) {
      const auto mean = hn::LoadU(d, p.mean + j), scale = hn::LoadU(d, p.scale + j);
      const auto slope = hn::LoadU(d, p.slope + j), offset = hn::LoadU(d, p.offset + j);
      for (std::int64_t g = group; g < last; ++g) {
        const std::int64_t i = start + g * period + j;
        auto dz = load(d, p.dy + i);
        if (p.y != nullptr) dz = hn::IfThenElseZero(hn::Gt(load(d, p.y + i), zero), dz);
        auto dx = hn::Mul(dz, scale);
        if (p.x != nullptr) dx = hn::Sub(dx, hn::MulAdd(hn::Sub(load(d, p.x + i), mean), slope, offset));
        store(dx, d, p.dx + i);
      }
    }
  }
}

/// sums[j] = sum of x over the groups of one block.
template <class D, typename T>
void block_sums(D d, const T* x, std::int64_t groups, std::int64_t period, Arithmetic<T>* sums) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t j = 0; j < period; j += lanes) {
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    std::int64_t group = 0;
    for (; group + 4 <= groups; group += 4) {
      s0 = hn::Add(s0, load(d, x + group * period + j));
      s1 = hn::Add(s1, load(d, x + (group + 1) * period + j));
      s2 = hn::Add(s2, load(d, x + (group + 2) * period + j));
      s3 = hn::Add(s3, load(d, x + (group + 3) * period + j));
    }
    for (; group < groups; ++group) s0 = hn::Add(s0, load(d, x + group * period + j));
    hn::StoreU(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), d, sums + j);
  }
}

/// sums[j] = sum of x - centre, squares[j] = sum of (x - centre)^2 over the groups of one block.
template <class D, typename T>
void block_deviations(D d, const T* x, const Arithmetic<T>* centre, std::int64_t groups, std::int64_t period,
                      Arithmetic<T>* sums, Arithmetic<T>* squares) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t j = 0; j < period; j += lanes) {
    const auto middle = hn::LoadU(d, centre + j);
    auto s0 = hn::Zero(d), s1 = s0, q0 = s0, q1 = s0;
    const auto add = [&](std::int64_t group, auto& sum, auto& square) HWY_ATTR {
      const auto v = hn::Sub(load(d, x + group * period + j), middle);
      sum = hn::Add(sum, v);
      square = hn::MulAdd(v, v, square);
    };
    std::int64_t group = 0;
    for (; group + 2 <= groups; group += 2) {
      add(group, s0, q0);
      add(group + 1, s1, q1);
    }
    if (group < groups) add(group, s0, q0);
    hn::StoreU(hn::Add(s0, s1), d, sums + j);
    hn::StoreU(hn::Add(q0, q1), d, squares + j);
  }
}

/// sums[j] = sum of dz, products[j] = sum of dz * (x - mean) over the groups of one block.
template <class D, typename T>
void block_products(D d, const NormSums<T>& p, std::int64_t start, std::int64_t groups, std::int64_t period,
                    Arithmetic<T>* sums, Arithmetic<T>* products) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto zero = hn::Zero(d);
  for (std::int64_t j = 0; j < period; j += lanes) {
    const auto mean = hn::LoadU(d, p.mean + j);
    auto s0 = zero, s1 = zero, q0 = zero, q1 = zero;
    const auto add = [&](std::int64_t group, auto& sum, auto& product) HWY_ATTR {
      const std::int64_t i = start + group * period + j;
      auto dz = load(d, p.dy + i);
      if (p.y != nullptr) dz = hn::IfThenElseZero(hn::Gt(load(d, p.y + i), zero), dz);
      if (p.dz != nullptr) store(dz, d, p.dz + i);
      sum = hn::Add(sum, dz);
      product = hn::MulAdd(dz, hn::Sub(load(d, p.x + i), mean), product);
    };
    std::int64_t group = 0;
    for (; group + 2 <= groups; group += 2) {
      add(group, s0, q0);
      add(group + 1, s1, q1);
    }
    if (group < groups) add(group, s0, q0);
    hn::StoreU(hn::Add(s0, s1), d, sums + j);
    hn::StoreU(hn::Add(q0, q1), d, products + j);
  }
}

/// bf16 takes few values, so that the roundings of their sums and squares repeat and do not average out: they are added
/// up in f32 over this many groups of rows at most, by two or more running sums.
constexpr std::int64_t most_bf16_groups = 128;

/// Calls f(first group, groups) for blocks of about block_bytes.
template <typename T, typename F>
void for_blocks(std::int64_t groups, std::int64_t period, const F& f) {
  const std::int64_t wanted = block_bytes / (period * static_cast<std::int64_t>(sizeof(Arithmetic<T>)));
  constexpr std::int64_t most = std::is_same_v<T, bfloat16> ? most_bf16_groups : INT64_MAX;
  const std::int64_t size = std::min(most, std::max<std::int64_t>(wanted, 8));
  for (std::int64_t group = 0; group < groups; group += size) f(group, std::min(size, groups - group));
}

/// The sums of one period, in memory given, and their totals for the channels.
template <typename T>
struct PeriodSums {
  T* data() { return values; }
  void total(double* channels_out, std::int64_t channels, std::int64_t period) const {
    std::fill_n(channels_out, channels, 0.0);
    add_to(channels_out, channels, period);
  }
  void add_to(double* channels_out, std::int64_t channels, std::int64_t period) const {
    for (std::int64_t phase = 0; phase < period; phase += channels) {
      for (std::int64_t c = 0; c < channels; ++c) {
        channels_out[c] += static_cast<double>(values[phase + c]);
      }
    }
  }
  T* values;
};

/// Statistics of a block of rows about (nearly) the block's mean, then of all blocks: Chan, Golub and LeVeque 1979. The
/// second look at a block finds it in the cache.
template <typename T>
void statistics(const T* x, std::int64_t channels, std::int64_t begin, std::int64_t end, ColumnStatistics& out,
                double* room) {
  using A = Arithmetic<T>;
  double *sum = room, *squares = sum + channels;
  A *centre = reinterpret_cast<A*>(squares + channels), *behind = centre + period_of<T>(channels);
  PeriodSums<A> sums{behind}, products{behind + period_of<T>(channels)};
  in_two_widths<T>(channels, begin, end, [&](auto d, std::int64_t start, std::int64_t groups, std::int64_t period) {
    for_blocks<T>(groups, period, [&](std::int64_t group, std::int64_t count) {
      const T* block = x + start + group * period;
      const std::int64_t rows_per_group = period / channels;
      const double rows = static_cast<double>(count * rows_per_group), before = out.count;
      block_sums(d, block, count, period, sums.data());
      sums.total(sum, channels, period);
      for (std::int64_t c = 0; c < channels; ++c) centre[c] = static_cast<A>(sum[c] / rows);
      for (std::int64_t j = channels; j < period; ++j) centre[j] = centre[j - channels];
      block_deviations(d, block, static_cast<const A*>(centre), count, period, sums.data(), products.data());
      sums.total(sum, channels, period);
      products.total(squares, channels, period);
      out.count = before + rows;
      const double share = rows / out.count, weight = before * share;
      for (std::int64_t c = 0; c < channels; ++c) {
        const double left = sum[c] / rows, delta = static_cast<double>(centre[c]) + left - out.mean[c];
        out.mean[c] += delta * share;
        out.squares[c] += squares[c] - left * sum[c] + delta * delta * weight;
      }
    });
  });
}

template <typename T>
void forward(const NormForward<T>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  in_two_widths<T>(channels, begin, end, [&](auto d, std::int64_t start, std::int64_t groups, std::int64_t period) {
    forward_tiles(d, pass, start, groups, period);
  });
}

template <typename T>
void backward(const NormBackward<T>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  in_two_widths<T>(channels, begin, end, [&](auto d, std::int64_t start, std::int64_t groups, std::int64_t period) {
    backward_tiles(d, pass, start, groups, period);
  });
}

template <typename T>
void sums(const NormSums<T>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end, double* room) {
  auto* first = reinterpret_cast<Arithmetic<T>*>(room);
  PeriodSums<Arithmetic<T> > sum{first}, product{first + period_of<T>(channels)};
  in_two_widths<T>(channels, begin, end, [&](auto d, std::int64_t start, std::int64_t groups, std::int64_t period) {
    for_blocks<T>(groups, period, [&](std::int64_t group, std::int64_t count) {
      block_products(d, pass, start + group * period, count, period, sum.data(), product.data());
      sum.add_to(pass.sums, channels, period);
      product.add_to(pass.products, channels, period);
    });
  });
}

std::int64_t period_f32(std::int64_t channels) { return period_of<float>(channels); }
std::int64_t period_f64(std::int64_t channels) { return period_of<double>(channels); }
void statistics_f32(const float* x, std::int64_t c, std::int64_t begin, std::int64_t end, ColumnStatistics& out,
                    double* room) {
  statistics(x, c, begin, end, out, room);
}
void statistics_f64(const double* x, std::int64_t c, std::int64_t begin, std::int64_t end, ColumnStatistics& out,
                    double* room) {
  statistics(x, c, begin, end, out, room);
}
void statistics_bf16(const bfloat16* x, std::int64_t c, std::int64_t begin, std::int64_t end, ColumnStatistics& out,
                     double* room) {
  statistics(x, c, begin, end, out, room);
}
void forward_f32(const NormForward<float>& p, std::int64_t c, std::int64_t begin, std::int64_t end) {
  forward(p, c, begin, end);
}
void forward_f64(const NormForward<double>& p, std::int64_t c, std::int64_t begin, std::int64_t end) {
  forward(p, c, begin, end);
}
void forward_bf16(const NormForward<bfloat16>& p, std::int64_t c, std::int64_t begin, std::int64_t end) {
  forward(p, c, begin, end);
}
void sums_f32(const NormSums<float>& p, std::int64_t c, std::int64_t begin, std::int64_t end, double* room) {
  sums(p, c, begin, end, room);
}
void sums_f64(const NormSums<double>& p, std::int64_t c, std::int64_t begin, std::int64_t end, double* room) {
  sums(p, c, begin, end, room);
}
void sums_bf16(const NormSums<bfloat16>& p, std::int64_t c, std::int64_t begin, std::int64_t end, double* room) {
  sums(p, c, begin, end, room);
}
void backward_f32(const NormBackward<float>& p, std::int64_t c, std::int64_t begin, std::int64_t end) {
  backward(p, c, begin, end);
}
void backward_f64(const NormBackward<double>& p, std::int64_t c, std::int64_t begin, std::int64_t end) {
  backward(p, c, begin, end);
}
void backward_bf16(const NormBackward<bfloat16>& p, std::int64_t c, std::int64_t begin, std::int64_t end) {
  backward(p, c, begin, end);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(period_f32);
HWY_EXPORT(period_f64);
HWY_EXPORT(statistics_f32);
HWY_EXPORT(statistics_f64);
HWY_EXPORT(statistics_bf16);
HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);
HWY_EXPORT(forward_bf16);
HWY_EXPORT(sums_f32);
HWY_EXPORT(sums_f64);
HWY_EXPORT(sums_bf16);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);
HWY_EXPORT(backward_bf16);

template <>
std::int64_t norm_period<float>(std::int64_t channels) {
  return HWY_DYNAMIC_DISPATCH(period_f32)(channels);
}
template <>
std::int64_t norm_period<double>(std::int64_t channels) {
  return HWY_DYNAMIC_DISPATCH(period_f64)(channels);
}

template <>
void norm_statistics(const float* x, std::int64_t channels, std::int64_t begin, std::int64_t end, ColumnStatistics& out,
                     double* room) {
  HWY_DYNAMIC_DISPATCH(statistics_f32)(x, channels, begin, end, out, room);
}
template <>
void norm_statistics(const double* x, std::int64_t channels, std::int64_t begin, std::int64_t end,
                     ColumnStatistics& out, double* room) {
  HWY_DYNAMIC_DISPATCH(statistics_f64)(x, channels, begin, end, out, room);
}
template <>
void norm_statistics(const bfloat16* x, std::int64_t channels, std::int64_t begin, std::int64_t end,
                     ColumnStatistics& out, double* room) {
  HWY_DYNAMIC_DISPATCH(statistics_bf16)(x, channels, begin, end, out, room);
}

template <>
void norm_forward(const NormForward<float>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_f32)(pass, channels, begin, end);
}
template <>
void norm_forward(const NormForward<double>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_f64)(pass, channels, begin, end);
}
template <>
void norm_forward(const NormForward<bfloat16>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(forward_bf16)(pass, channels, begin, end);
}

template <>
void norm_sums(const NormSums<float>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end, double* room) {
  HWY_DYNAMIC_DISPATCH(sums_f32)(pass, channels, begin, end, room);
}
template <>
void norm_sums(const NormSums<double>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end,
               double* room) {
  HWY_DYNAMIC_DISPATCH(sums_f64)(pass, channels, begin, end, room);
}
template <>
void norm_sums(const NormSums<bfloat16>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end,
               double* room) {
  HWY_DYNAMIC_DISPATCH(sums_bf16)(pass, channels, begin, end, room);
}

template <>
void norm_backward(const NormBackward<float>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(pass, channels, begin, end);
}
template <>
void norm_backward(const NormBackward<double>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(pass, channels, begin, end);
}
template <>
void norm_backward(const NormBackward<bfloat16>& pass, std::int64_t channels, std::int64_t begin, std::int64_t end) {
  HWY_DYNAMIC_DISPATCH(backward_bf16)(pass, channels, begin, end);
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

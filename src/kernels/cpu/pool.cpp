// Pooling and the other layout operations of CIFAR networks on the host; channels are the vectors.
#include <algorithm>

#include "kernels/backend/pool.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pool.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

namespace rtl::kernels::cpu {
#ifndef RTL_KERNELS_CPU_POOL_SHAPES
#define RTL_KERNELS_CPU_POOL_SHAPES
/// Extents of a pooling: x [n, height, width, channels], y [n, out_height, out_width, channels].
struct PoolShapes {
  std::int64_t height, width, channels, out_height, out_width, window, stride;
};
#endif
}  // namespace rtl::kernels::cpu

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Largest elements of the window at `corner` for as many channels as d has lanes. NaN wins and stays.
template <class D, typename T>
void max_window(D d, const PoolShapes& s, const T* image, std::int64_t corner, std::int64_t c, T* y,
                std::int32_t* winners) {
  // Positions are held in the width of the elements, so that one mask serves both.
  using Position = hwy::MakeSigned<T>;
  const hn::Rebind<Position, D> di;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto best = hn::LoadU(d, image + corner * s.channels + c);
  auto winner = hn::Set(di, static_cast<Position>(corner));
  for (std::int64_t row = 0; row < s.window; ++row) {
    for (std::int64_t column = row == 0 ? 1 : 0; column < s.window; ++column) {
      const std::int64_t position = corner + row * s.width + column;
      const auto x = hn::LoadU(d, image + position * s.channels + c);
      const auto wins = hn::AndNot(hn::IsNaN(best), hn::Not(hn::Le(x, best)));
      best = hn::IfThenElse(wins, x, best);
      winner = hn::IfThenElse(hn::RebindMask(di, wins), hn::Set(di, static_cast<Position>(position)), winner);
    }
  }
  hn::StoreU(best, d, y + c);
  if constexpr (sizeof(T) == sizeof(std::int32_t)) {
    hn::StoreU(winner, di, winners + c);
  } else {
    Position wide[hn::MaxLanes(D())];
    hn::StoreU(winner, di, wide);
    for (std::int64_t lane = 0; lane < lanes; ++lane) winners[c + lane] = static_cast<std::int32_t>(wide[lane]);
  }
}

template <typename T>
void copy_elements(const T* from, T* to, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
}

template <typename T>
void add_scaled(const T* from, T scale, T* to, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) to[i] += scale * from[i];
}

template <typename T>
void scale_elements(const T* from, T scale, T* to, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) to[i] = scale * from[i];
}

/// Rows [begin, end) of the output, counted over all images.
template <typename T>
void max_rows(const PoolShapes& s, const T* x, T* y, std::int32_t* winners, std::int64_t begin, std::int64_t end) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t row = begin; row < end; ++row) {
    const T* image = x + row / s.out_height * s.height * s.width * s.channels;
    const std::int64_t top = row % s.out_height * s.stride;
    for (std::int64_t column = 0; column < s.out_width; ++column) {
      const std::int64_t out = (row * s.out_width + column) * s.channels;
      const std::int64_t corner = top * s.width + column * s.stride;
      std::int64_t c = 0;
      for (; c + lanes <= s.channels; c += lanes) max_window(d, s, image, corner, c, y + out, winners + out);
      for (; c < s.channels; ++c) max_window(one, s, image, corner, c, y + out, winners + out);
    }
  }
}

template <typename T>
void average_rows(const PoolShapes& s, const T* x, T* y, std::int64_t begin, std::int64_t end) {
  const T scale = static_cast<T>(1.0 / static_cast<double>(s.window * s.window));
  for (std::int64_t row = begin; row < end; ++row) {
    const T* image = x + row / s.out_height * s.height * s.width * s.channels;
    const std::int64_t top = row % s.out_height * s.stride;
    for (std::int64_t column = 0; column < s.out_width; ++column) {
      T* out = y + (row * s.out_width + column) * s.channels;
      const std::int64_t corner = top * s.width + column * s.stride;
      copy_elements(image + corner * s.channels, out, s.channels);
      for (std::int64_t at = 1; at < s.window * s.window; ++at) {
        const std::int64_t position = corner + at / s.window * s.width + at % s.window;
        add_scaled(image + position * s.channels, T{1}, out, s.channels);
      }
      scale_elements(out, scale, out, s.channels);
    }
  }
}

/// Images [begin, end): windows may overlap, so an image belongs to one thread.
template <typename T>
void max_images_backward(const PoolShapes& s, const T* dy, const std::int32_t* winners, T* dx, std::int64_t begin,
                         std::int64_t end) {
  const std::int64_t size = s.height * s.width * s.channels, out_size = s.out_height * s.out_width * s.channels;
  for (std::int64_t n = begin; n < end; ++n) {
    std::fill_n(dx + n * size, size, T{0});
    for (std::int64_t at = 0; at < out_size; at += s.channels) {
      for (std::int64_t c = 0; c < s.channels; ++c) {
        const std::int64_t out = n * out_size + at + c;
        dx[n * size + winners[out] * s.channels + c] += dy[out];
      }
    }
  }
}

template <typename T>
void gather_images(const PoolShapes& s, const T* x, const std::int32_t* winners, T* y, std::int64_t begin,
                   std::int64_t end) {
  const std::int64_t size = s.height * s.width * s.channels, out_size = s.out_height * s.out_width * s.channels;
  for (std::int64_t n = begin; n < end; ++n) {
    for (std::int64_t at = 0; at < out_size; at += s.channels) {
      for (std::int64_t c = 0; c < s.channels; ++c) {
        const std::int64_t out = n * out_size + at + c;
        y[out] = x[n * size + winners[out] * s.channels + c];
      }
    }
  }
}

template <typename T>
void average_images_backward(const PoolShapes& s, const T* dy, T* dx, std::int64_t begin, std::int64_t end) {
  const T scale = static_cast<T>(1.0 / static_cast<double>(s.window * s.window));
  const std::int64_t size = s.height * s.width * s.channels;
  for (std::int64_t row = begin * s.out_height; row < end * s.out_height; ++row) {
    T* image = dx + row / s.out_height * size;
    if (row % s.out_height == 0) std::fill_n(image, size, T{0});
    for (std::int64_t column = 0; column < s.out_width; ++column) {
      const std::int64_t corner = row % s.out_height * s.stride * s.width + column * s.stride;
      for (std::int64_t at = 0; at < s.window * s.window; ++at) {
        const std::int64_t position = corner + at / s.window * s.width + at % s.window;
        add_scaled(dy + (row * s.out_width + column) * s.channels, scale, image + position * s.channels, s.channels);
      }
    }
  }
}

/// Means of images [begin, end), sixteen channels at a time in f64.
template <typename T>
void global_images(const PoolShapes& s, const T* x, T* y, std::int64_t begin, std::int64_t end) {
  const std::int64_t positions = s.height * s.width;
  const T scale = static_cast<T>(1.0 / static_cast<double>(positions));
  for (std::int64_t n = begin; n < end; ++n) {
    const T* image = x + n * positions * s.channels;
    T* out = y + n * s.channels;
    for (std::int64_t c = 0; c < s.channels; c += 16) {
      const std::int64_t width = std::min<std::int64_t>(16, s.channels - c);
      double sums[16] = {};
      for (std::int64_t position = 0; position < positions; ++position) {
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) sums[i] += static_cast<double>(image[position * s.channels + c + i]);
      }
      for (std::int64_t i = 0; i < width; ++i) out[c + i] = static_cast<T>(sums[i] * static_cast<double>(scale));
    }
  }
}

template <typename T>
void global_images_backward(const PoolShapes& s, const T* dy, T* dx, std::int64_t begin, std::int64_t end) {
  const std::int64_t positions = s.height * s.width;
  const T scale = static_cast<T>(1.0 / static_cast<double>(positions));
  for (std::int64_t n = begin; n < end; ++n) {
    for (std::int64_t position = 0; position < positions; ++position) {
      scale_elements(dy + n * s.channels, scale, dx + (n * positions + position) * s.channels, s.channels);
    }
  }
}

void max_rows_target(const PoolShapes& s, ConstView x, View y, std::int32_t* winners, std::int64_t begin,
                     std::int64_t end) {
  functors::visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    max_rows(s, x.data_as<T>(), y.data_as<T>(), winners, begin, end);
  });
}

void average_rows_target(const PoolShapes& s, ConstView x, View y, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average_rows(s, x.data_as<T>(), y.data_as<T>(), begin, end);
  });
}

void max_backward_target(const PoolShapes& s, ConstView dy, const std::int32_t* winners, View dx, std::int64_t begin,
                         std::int64_t end) {
  functors::visit_floating(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    max_images_backward(s, dy.data_as<T>(), winners, dx.data_as<T>(), begin, end);
  });
}

void gather_target(const PoolShapes& s, ConstView x, const std::int32_t* winners, View y, std::int64_t begin,
                   std::int64_t end) {
  functors::visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    gather_images(s, x.data_as<T>(), winners, y.data_as<T>(), begin, end);
  });
}

void average_backward_target(const PoolShapes& s, ConstView dy, View dx, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average_images_backward(s, dy.data_as<T>(), dx.data_as<T>(), begin, end);
  });
}

void global_target(const PoolShapes& s, ConstView x, View y, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    global_images(s, x.data_as<T>(), y.data_as<T>(), begin, end);
  });
}

void global_backward_target(const PoolShapes& s, ConstView dy, View dx, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    global_images_backward(s, dy.data_as<T>(), dx.data_as<T>(), begin, end);
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(max_rows_target);
HWY_EXPORT(average_rows_target);
HWY_EXPORT(max_backward_target);
HWY_EXPORT(gather_target);
HWY_EXPORT(average_backward_target);
HWY_EXPORT(global_target);
HWY_EXPORT(global_backward_target);

PoolShapes shapes_of(const Shape& x, const Shape& y, const PoolOptions& options) {
  return {x[1], x[2], x[3], y[1], y[2], options.window, options.stride};
}

PoolShapes global_shapes(const Shape& x) { return {x[1], x[2], x[3], 1, 1, 0, 0}; }

std::int64_t image_size(const Shape& x) { return x[1] * x[2] * x[3]; }

}  // namespace

void max_pool_forward(const Device&, ConstView x, const PoolOptions& options, View y, View winners) {
  const PoolShapes s = shapes_of(x.shape(), y.shape(), options);
  const std::int64_t row_size = s.out_width * s.channels * s.window * s.window;
  parallel_ranges(x.extent(0) * s.out_height, grain_of(row_size), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(max_rows_target)(s, x, y, winners.data_as<std::int32_t>(), begin, end);
  });
}

void max_pool_backward(const Device&, ConstView dy, ConstView winners, const PoolOptions& options, View dx) {
  const PoolShapes s = shapes_of(dx.shape(), dy.shape(), options);
  parallel_ranges(dx.extent(0), grain_of(image_size(dx.shape())), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(max_backward_target)(s, dy, winners.data_as<std::int32_t>(), dx, begin, end);
  });
}

void max_pool_gather(const Device&, ConstView x, ConstView winners, const PoolOptions& options, View y) {
  const PoolShapes s = shapes_of(x.shape(), y.shape(), options);
  parallel_ranges(x.extent(0), grain_of(image_size(y.shape())), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(gather_target)(s, x, winners.data_as<std::int32_t>(), y, begin, end);
  });
}

void average_pool_forward(const Device&, ConstView x, const PoolOptions& options, View y) {
  const PoolShapes s = shapes_of(x.shape(), y.shape(), options);
  const std::int64_t row_size = s.out_width * s.channels * s.window * s.window;
  parallel_ranges(x.extent(0) * s.out_height, grain_of(row_size), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(average_rows_target)(s, x, y, begin, end);
  });
}

void average_pool_backward(const Device&, ConstView dy, const PoolOptions& options, View dx) {
  const PoolShapes s = shapes_of(dx.shape(), dy.shape(), options);
  parallel_ranges(dx.extent(0), grain_of(image_size(dx.shape())), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(average_backward_target)(s, dy, dx, begin, end);
  });
}

void global_average_pool_forward(const Device&, ConstView x, View y) {
  const PoolShapes s = global_shapes(x.shape());
  parallel_ranges(x.extent(0), grain_of(image_size(x.shape())), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(global_target)(s, x, y, begin, end);
  });
}

void global_average_pool_backward(const Device&, ConstView dy, View dx) {
  const PoolShapes s = global_shapes(dx.shape());
  parallel_ranges(dx.extent(0), grain_of(image_size(dx.shape())), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(global_backward_target)(s, dy, dx, begin, end);
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

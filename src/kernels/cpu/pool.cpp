// Pooling and the other layout operations of CIFAR networks on the host; channels are the vectors.
#include <algorithm>

#include "kernels/backend/pool.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pool.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
// clang-format on

namespace rtl::kernels::cpu {
#ifndef RTL_KERNELS_CPU_POOL_SHAPES
#define RTL_KERNELS_CPU_POOL_SHAPES
/// Extents of a pooling: x [n, height, width, channels], y [n, out_height, out_width, channels].
struct PoolShapes {
  std::int64_t height, width, channels, out_height, out_width, window, stride, padding;
};
#endif
}  // namespace rtl::kernels::cpu

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Largest elements of the window with the corner (top, left), which may lie outside, for as many channels as d has
/// lanes. NaN wins and stays.
template <class D, typename T>
HWY_INLINE void max_window(D d, const PoolShapes& s, const T* image, std::int64_t top, std::int64_t left,
                           std::int64_t c, T* y, std::int32_t* winners) {
  // Positions are held in the width of the elements, so that one mask serves both.
  using Position = hwy::MakeSigned<Arithmetic<T> >;
  const hn::Rebind<Position, D> di;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t first_row = std::max<std::int64_t>(top, 0), last_row = std::min(top + s.window, s.height);
  const std::int64_t first_column = std::max<std::int64_t>(left, 0), last_column = std::min(left + s.window, s.width);
  const std::int64_t first = first_row * s.width + first_column;
  auto best = load(d, image + first * s.channels + c);
  auto winner = hn::Set(di, static_cast<Position>(first));
  for (std::int64_t row = first_row; row < last_row; ++row) {
    for (std::int64_t column = first_column + (row == first_row ? 1 : 0); column < last_column; ++column) {
      const std::int64_t position = row * s.width + column;
      const auto x = load(d, image + position * s.channels + c);
      const auto wins = hn::AndNot(hn::IsNaN(best), hn::Not(hn::Le(x, best)));
      best = hn::IfThenElse(wins, x, best);
      winner = hn::IfThenElse(hn::RebindMask(di, wins), hn::Set(di, static_cast<Position>(position)), winner);
    }
  }
  store(best, d, y + c);
  if constexpr (sizeof(Position) == sizeof(std::int32_t)) {
    hn::StoreU(winner, di, winners + c);
  } else {
    Position wide[hn::MaxLanes(D())];
    hn::StoreU(winner, di, wide);
    for (std::int64_t lane = 0; lane < lanes; ++lane) winners[c + lane] = static_cast<std::int32_t>(wide[lane]);
  }
}

/// Mean of the window at `corner` for as many channels as d has lanes.
template <class D, typename T>
HWY_INLINE void average_window(D d, const PoolShapes& s, const T* image, std::int64_t corner, std::int64_t c, T* y) {
  const auto scale = hn::Set(d, static_cast<Arithmetic<T> >(1.0 / static_cast<double>(s.window * s.window)));
  auto sum = hn::Zero(d);
  for (std::int64_t row = 0; row < s.window; ++row) {
    for (std::int64_t column = 0; column < s.window; ++column) {
      const auto x = load(d, image + (corner + row * s.width + column) * s.channels + c);
      sum = row + column == 0 ? x : hn::Add(sum, x);
    }
  }
  store(hn::Mul(sum, scale), d, y + c);
}

template <typename T>
void copy_channels(const T* from, T* to, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) to[i] = functors::Copy()(from[i]);
}

/// `scale` is float for To bf16, else a To.
template <typename From, typename To>
void scale_elements(const From* from, Arithmetic<To> scale, To* to, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    to[i] = functors::convert<To>(scale * functors::convert<Arithmetic<To> >(from[i]));
  }
}

/// Calls f(d, image, top and left of the window, first channel, place in the output) for the windows of output rows
/// [begin, end), counted over all images, and for as many channels at a time as d has lanes.
template <typename T, typename F>
HWY_INLINE void for_windows(const PoolShapes& s, const T* x, std::int64_t begin, std::int64_t end, const F& f) {
  const hn::ScalableTag<Arithmetic<T> > d;
  const hn::CappedTag<Arithmetic<T>, 1> one;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t row = begin; row < end; ++row) {
    const T* image = x + row / s.out_height * s.height * s.width * s.channels;
    const std::int64_t top = row % s.out_height * s.stride - s.padding;
    for (std::int64_t column = 0; column < s.out_width; ++column) {
      const std::int64_t out = (row * s.out_width + column) * s.channels;
      const std::int64_t left = column * s.stride - s.padding;
      std::int64_t c = 0;
      for (; c + lanes <= s.channels; c += lanes) f(d, image, top, left, c, out);
      for (; c < s.channels; ++c) f(one, image, top, left, c, out);
    }
  }
}

template <typename T>
void max_rows(const PoolShapes& s, const T* x, T* y, std::int32_t* winners, std::int64_t begin, std::int64_t end) {
  for_windows(s, x, begin, end,
              [&s, y, winners](auto d, const T* image, std::int64_t top, std::int64_t left, std::int64_t c,
                               std::int64_t out) { max_window(d, s, image, top, left, c, y + out, winners + out); });
}

template <typename T>
void average_rows(const PoolShapes& s, const T* x, T* y, std::int64_t begin, std::int64_t end) {
  for_windows(s, x, begin, end,
              [&s, y](auto d, const T* image, std::int64_t top, std::int64_t left, std::int64_t c, std::int64_t out) {
                average_window(d, s, image, top * s.width + left, c, y + out);
              });
}

/// Adds to a sum; one of bf16 is rounded, and is of one term.
template <typename A, typename T>
void add_term(A& sum, T term) {
  sum += functors::convert<A>(term);
}

inline void add_term(bfloat16& sum, bfloat16 term) { sum = term; }

template <typename T>
void add_scaled(const T* from, Arithmetic<T> scale, Arithmetic<T>* to, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) to[i] += scale * functors::convert<Arithmetic<T> >(from[i]);
}

inline void add_scaled(const bfloat16* from, float scale, bfloat16* to, std::int64_t count) {
  scale_elements(from, scale, to, count);
}

/// Calls f(n, sums) for images [begin, end), whose pixels f adds to; windows may overlap, so an image belongs to one
/// thread. `sums` is the image itself, or for bf16 with overlapping windows the `room` from which it is rounded.
template <typename T, typename F>
void for_image_sums(const PoolShapes& s, T* dx, [[maybe_unused]] float* room, std::int64_t begin, std::int64_t end,
                    const F& f) {
  const std::int64_t size = s.height * s.width * s.channels;
  for (std::int64_t n = begin; n < end; ++n) {
    if constexpr (std::is_same_v<T, bfloat16>) {
      if (s.stride < s.window) {
        std::fill_n(room, size, 0.0F);
        f(n, room);
        narrow(room, dx + n * size, size);
        continue;
      }
    }
    std::fill_n(dx + n * size, size, T{});
    f(n, dx + n * size);
  }
}

template <typename T>
void max_images_backward(const PoolShapes& s, const T* dy, const std::int32_t* winners, T* dx, float* room,
                         std::int64_t begin, std::int64_t end) {
  const std::int64_t out_size = s.out_height * s.out_width * s.channels;
  for_image_sums(s, dx, room, begin, end, [&](std::int64_t n, auto* sums) {
    for (std::int64_t at = 0; at < out_size; at += s.channels) {
      for (std::int64_t c = 0; c < s.channels; ++c) {
        const std::int64_t out = n * out_size + at + c;
        add_term(sums[winners[out] * s.channels + c], dy[out]);
      }
    }
  });
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
void average_images_backward(const PoolShapes& s, const T* dy, T* dx, float* room, std::int64_t begin,
                             std::int64_t end) {
  const auto scale = static_cast<Arithmetic<T> >(1.0 / static_cast<double>(s.window * s.window));
  for_image_sums(s, dx, room, begin, end, [&](std::int64_t n, auto* sums) {
    for (std::int64_t out = 0; out < s.out_height * s.out_width; ++out) {
      const std::int64_t corner = out / s.out_width * s.stride * s.width + out % s.out_width * s.stride;
      const T* from = dy + (n * s.out_height * s.out_width + out) * s.channels;
      for (std::int64_t at = 0; at < s.window * s.window; ++at) {
        const std::int64_t position = corner + at / s.window * s.width + at % s.window;
        add_scaled(from, scale, sums + position * s.channels, s.channels);
      }
    }
  });
}

/// Means of images [begin, end), sixteen channels at a time in f64.
template <typename T, typename Mean>
void global_images(const PoolShapes& s, const T* x, Mean* y, std::int64_t begin, std::int64_t end) {
  const std::int64_t positions = s.height * s.width;
  const auto scale = static_cast<Arithmetic<T> >(1.0 / static_cast<double>(positions));
  for (std::int64_t n = begin; n < end; ++n) {
    const T* image = x + n * positions * s.channels;
    Mean* out = y + n * s.channels;
    for (std::int64_t c = 0; c < s.channels; c += 16) {
      const std::int64_t width = std::min<std::int64_t>(16, s.channels - c);
      double sums[16] = {};
      for (std::int64_t position = 0; position < positions; ++position) {
        const T* from = image + position * s.channels + c;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) sums[i] += functors::convert<double>(from[i]);
      }
      for (std::int64_t i = 0; i < width; ++i) {
        out[c + i] = functors::convert<Mean>(sums[i] * static_cast<double>(scale));
      }
    }
  }
}

template <typename Mean, typename T>
void global_images_backward(const PoolShapes& s, const Mean* dy, T* dx, std::int64_t begin, std::int64_t end) {
  const std::int64_t positions = s.height * s.width;
  const auto scale = static_cast<Arithmetic<T> >(1.0 / static_cast<double>(positions));
  for (std::int64_t n = begin; n < end; ++n) {
    T* first = dx + n * positions * s.channels;
    scale_elements(dy + n * s.channels, scale, first, s.channels);
    for (std::int64_t position = 1; position < positions; ++position) {
      copy_channels(first, first + position * s.channels, s.channels);
    }
  }
}

void max_rows_target(const PoolShapes& s, ConstView x, View y, std::int32_t* winners, std::int64_t begin,
                     std::int64_t end) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    max_rows(s, x.data_as<T>(), y.data_as<T>(), winners, begin, end);
  });
}

void average_rows_target(const PoolShapes& s, ConstView x, View y, std::int64_t begin, std::int64_t end) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average_rows(s, x.data_as<T>(), y.data_as<T>(), begin, end);
  });
}

void max_backward_target(const PoolShapes& s, ConstView dy, const std::int32_t* winners, View dx, float* room,
                         std::int64_t begin, std::int64_t end) {
  functors::visit_activations(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    max_images_backward(s, dy.data_as<T>(), winners, dx.data_as<T>(), room, begin, end);
  });
}

void gather_target(const PoolShapes& s, ConstView x, const std::int32_t* winners, View y, std::int64_t begin,
                   std::int64_t end) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    gather_images(s, x.data_as<T>(), winners, y.data_as<T>(), begin, end);
  });
}

void average_backward_target(const PoolShapes& s, ConstView dy, View dx, float* room, std::int64_t begin,
                             std::int64_t end) {
  functors::visit_activations(dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average_images_backward(s, dy.data_as<T>(), dx.data_as<T>(), room, begin, end);
  });
}

void global_target(const PoolShapes& s, ConstView x, View y, std::int64_t begin, std::int64_t end) {
  functors::visit_sums(x.dtype(), y.dtype(), [&](auto zero, auto mean) {
    global_images(s, x.data_as<decltype(zero)>(), y.data_as<decltype(mean)>(), begin, end);
  });
}

void global_backward_target(const PoolShapes& s, ConstView dy, View dx, std::int64_t begin, std::int64_t end) {
  functors::visit_sums(dx.dtype(), dy.dtype(), [&](auto zero, auto mean) {
    global_images_backward(s, dy.data_as<decltype(mean)>(), dx.data_as<decltype(zero)>(), begin, end);
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
  return {x[1], x[2], x[3], y[1], y[2], options.window, options.stride, options.padding};
}

PoolShapes global_shapes(const Shape& x) { return {x[1], x[2], x[3], 1, 1, 0, 0, 0}; }

std::int64_t image_size(const Shape& x) { return x[1] * x[2] * x[3]; }

/// Calls f(room for the sums of one image, begin, end) on ranges of images; there is none unless they are bf16.
template <typename F>
void for_images(const Device& device, const View& images, const F& f) {
  const std::int64_t size = image_size(images.shape());
  const int chunks = chunk_count(images.extent(0), grain_of(size));
  const Scratch<float> rooms(device, images.dtype() == DType::bf16 ? chunks * size : 0);
  parallel_chunks(images.extent(0), chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
    f(rooms.data() + (rooms.size() > 0 ? chunk * size : 0), begin, end);
  });
}

}  // namespace

void max_pool_forward(const Device&, ConstView x, const PoolOptions& options, View y, View winners) {
  const PoolShapes s = shapes_of(x.shape(), y.shape(), options);
  const std::int64_t row_size = s.out_width * s.channels * s.window * s.window;
  parallel_ranges(x.extent(0) * s.out_height, grain_of(row_size), [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(max_rows_target)(s, x, y, winners.data_as<std::int32_t>(), begin, end);
  });
}

void max_pool_backward(const Device& device, ConstView dy, ConstView winners, const PoolOptions& options, View dx) {
  const PoolShapes s = shapes_of(dx.shape(), dy.shape(), options);
  for_images(device, dx, [&](float* room, std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(max_backward_target)(s, dy, winners.data_as<std::int32_t>(), dx, room, begin, end);
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

void average_pool_backward(const Device& device, ConstView dy, const PoolOptions& options, View dx) {
  const PoolShapes s = shapes_of(dx.shape(), dy.shape(), options);
  for_images(device, dx, [&](float* room, std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(average_backward_target)(s, dy, dx, room, begin, end);
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

// The copying operations of "rtl/kernels/pool.hpp" on the host: flatten and the parameter-free shortcut.
#include <algorithm>

#include "kernels/backend/pool.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"

namespace rtl::kernels::cpu {
namespace {

/// Calls f(x's element type, image) for every image of x, in parallel.
template <typename F>
void for_images(ConstView x, const F& f) {
  const std::int64_t size = x.count() / x.extent(0);
  functors::visit_floating(x.dtype(), [&](auto zero) {
    parallel_ranges(x.extent(0), grain_of(size), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) f(zero, n);
    });
  });
}

/// to[column * rows + row] = from[row * columns + column], in square tiles that fit the cache.
template <typename T>
void transpose(const T* from, std::int64_t rows, std::int64_t columns, T* to) {
  constexpr std::int64_t tile = 16;
  for (std::int64_t row = 0; row < rows; row += tile) {
    for (std::int64_t column = 0; column < columns; column += tile) {
      for (std::int64_t c = column; c < std::min(column + tile, columns); ++c) {
        for (std::int64_t r = row; r < std::min(row + tile, rows); ++r) to[c * rows + r] = from[r * columns + c];
      }
    }
  }
}

}  // namespace

void flatten_forward(const Device&, ConstView x, View y) {
  const std::int64_t positions = x.extent(1) * x.extent(2), channels = x.extent(3);
  for_images(x, [&](auto zero, std::int64_t n) {
    using T = decltype(zero);
    const std::int64_t at = n * positions * channels;
    transpose(x.data_as<T>() + at, positions, channels, y.data_as<T>() + at);
  });
}

void flatten_backward(const Device&, ConstView dy, View dx) {
  const std::int64_t positions = dx.extent(1) * dx.extent(2), channels = dx.extent(3);
  for_images(dx, [&](auto zero, std::int64_t n) {
    using T = decltype(zero);
    const std::int64_t at = n * positions * channels;
    transpose(dy.data_as<T>() + at, channels, positions, dx.data_as<T>() + at);
  });
}

void shortcut_a_forward(const Device&, ConstView x, View y) {
  const std::int64_t height = y.extent(1), width = y.extent(2), channels = x.extent(3), wide = y.extent(3);
  const std::int64_t pad = (wide - channels) / 2;
  for_images(y, [&](auto zero, std::int64_t n) {
    using T = decltype(zero);
    T* to = y.data_as<T>() + n * height * width * wide;
    const T* from = x.data_as<T>() + n * x.extent(1) * x.extent(2) * channels;
    std::fill_n(to, height * width * wide, T{0});
    for (std::int64_t h = 0; h < height; ++h) {
      for (std::int64_t w = 0; w < width; ++w) {
        std::copy_n(from + (2 * h * x.extent(2) + 2 * w) * channels, channels, to + (h * width + w) * wide + pad);
      }
    }
  });
}

void shortcut_a_backward(const Device&, ConstView dy, View dx) {
  const std::int64_t height = dy.extent(1), width = dy.extent(2), channels = dx.extent(3), wide = dy.extent(3);
  const std::int64_t pad = (wide - channels) / 2;
  for_images(dx, [&](auto zero, std::int64_t n) {
    using T = decltype(zero);
    const T* from = dy.data_as<T>() + n * height * width * wide;
    T* to = dx.data_as<T>() + n * dx.extent(1) * dx.extent(2) * channels;
    std::fill_n(to, dx.extent(1) * dx.extent(2) * channels, T{0});
    for (std::int64_t h = 0; h < height; ++h) {
      for (std::int64_t w = 0; w < width; ++w) {
        std::copy_n(from + (h * width + w) * wide + pad, channels, to + (2 * h * dx.extent(2) + 2 * w) * channels);
      }
    }
  });
}

}  // namespace rtl::kernels::cpu

// The copying operations of "rtl/kernels/pool.hpp" on the host: flatten and the parameter-free shortcut.
#include <algorithm>

#include "kernels/backend/pool.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/layout.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
template <typename T>
constexpr std::int64_t square = 1;

template <typename T>
void transpose_square(const T* from, std::int64_t, T* to, std::int64_t) {
  *to = *from;
}
#else
/// Rows and columns of the squares that are turned in registers of 128 bits.
template <typename T>
constexpr std::int64_t square = 16 / sizeof(T);

/// to[j * to_step + i] = from[i * from_step + j] for a square.
template <typename T>
void transpose_square(const T* from, std::int64_t from_step, T* to, std::int64_t to_step) {
  const hn::FixedTag<T, square<T> > d;
  const auto row0 = hn::LoadU(d, from), row1 = hn::LoadU(d, from + from_step);
  const auto low01 = hn::InterleaveLower(d, row0, row1), high01 = hn::InterleaveUpper(d, row0, row1);
  if constexpr (square<T> == 2) {
    hn::StoreU(low01, d, to);
    hn::StoreU(high01, d, to + to_step);
  } else {
    const auto row2 = hn::LoadU(d, from + 2 * from_step), row3 = hn::LoadU(d, from + 3 * from_step);
    const auto low23 = hn::InterleaveLower(d, row2, row3), high23 = hn::InterleaveUpper(d, row2, row3);
    hn::StoreU(hn::ConcatLowerLower(d, low23, low01), d, to);
    hn::StoreU(hn::ConcatUpperUpper(d, low23, low01), d, to + to_step);
    hn::StoreU(hn::ConcatLowerLower(d, high23, high01), d, to + 2 * to_step);
    hn::StoreU(hn::ConcatUpperUpper(d, high23, high01), d, to + 3 * to_step);
  }
}
#endif

/// to[column * rows + row] = from[row * columns + column], in tiles that fill cache lines of `to`.
template <typename T>
void transpose(const T* from, std::int64_t rows, std::int64_t columns, T* to) {
  constexpr std::int64_t side = square<T>, tile = 16;
  const std::int64_t whole_rows = rows / side * side, whole_columns = columns / side * side;
  for (std::int64_t top = 0; top < whole_rows; top += tile) {
    const std::int64_t bottom = std::min(top + tile, whole_rows);
    for (std::int64_t column = 0; column < whole_columns; column += side) {
      for (std::int64_t row = top; row < bottom; row += side) {
        transpose_square(from + row * columns + column, columns, to + column * rows + row, rows);
      }
    }
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t first = row < whole_rows ? whole_columns : 0;
    for (std::int64_t column = first; column < columns; ++column)
      to[column * rows + row] = from[row * columns + column];
  }
}

void transpose_f32(const float* from, std::int64_t rows, std::int64_t columns, float* to) {
  transpose(from, rows, columns, to);
}

void transpose_f64(const double* from, std::int64_t rows, std::int64_t columns, double* to) {
  transpose(from, rows, columns, to);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(transpose_f32);
HWY_EXPORT(transpose_f64);

void transpose(const float* from, std::int64_t rows, std::int64_t columns, float* to) {
  HWY_DYNAMIC_DISPATCH(transpose_f32)(from, rows, columns, to);
}

void transpose(const double* from, std::int64_t rows, std::int64_t columns, double* to) {
  HWY_DYNAMIC_DISPATCH(transpose_f64)(from, rows, columns, to);
}

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
#endif  // HWY_ONCE

// The copying operations of "rtl/kernels/pool.hpp" on the host: flatten and the parameter-free shortcut.
#include <algorithm>
#include <cstring>

#include "kernels/backend/pool.hpp"
#include "kernels/cpu/parallel.hpp"

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

/// to[j * to_step + i] = from[i * from_step + j] for a square. Each round interleaves the rows of its upper with those
/// of its lower half; after as many rounds as the side has bits, rows are columns.
template <typename T>
HWY_INLINE void transpose_square(const T* from, std::int64_t from_step, T* to, std::int64_t to_step) {
  constexpr std::int64_t side = square<T>;
  const hn::FixedTag<T, side> d;
  hn::Vec<decltype(d)> rows[side], turned[side];
  for (std::int64_t i = 0; i < side; ++i) rows[i] = hn::LoadU(d, from + i * from_step);
  for (std::int64_t round = 1; round < side; round *= 2) {
    for (std::int64_t i = 0; i < side / 2; ++i) {
      turned[2 * i] = hn::InterleaveLower(d, rows[i], rows[i + side / 2]);
      turned[2 * i + 1] = hn::InterleaveUpper(d, rows[i], rows[i + side / 2]);
    }
    for (std::int64_t i = 0; i < side; ++i) rows[i] = turned[i];
  }
  for (std::int64_t i = 0; i < side; ++i) hn::StoreU(rows[i], d, to + i * to_step);
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

void transpose_target(std::size_t size, const void* from, std::int64_t rows, std::int64_t columns, void* to) {
  if (size == 2) {
    transpose(static_cast<const std::uint16_t*>(from), rows, columns, static_cast<std::uint16_t*>(to));
  } else if (size == 4) {
    transpose(static_cast<const std::uint32_t*>(from), rows, columns, static_cast<std::uint32_t*>(to));
  } else {
    transpose(static_cast<const std::uint64_t*>(from), rows, columns, static_cast<std::uint64_t*>(to));
  }
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(transpose_target);

/// Calls f(image) for every image of x, in parallel.
template <typename F>
void for_images(ConstView x, const F& f) {
  parallel_ranges(x.extent(0), grain_of(x.count() / x.extent(0)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) f(n);
  });
}

/// to[n, column, row] = from[n, row, column] for every image n.
void transpose_images(ConstView from, std::int64_t rows, std::int64_t columns, View to) {
  const std::size_t size = size_of(from.dtype());
  const auto* in = static_cast<const std::byte*>(from.data());
  auto* out = static_cast<std::byte*>(to.data());
  for_images(from, [&](std::int64_t n) {
    const std::int64_t at = n * rows * columns * static_cast<std::int64_t>(size);
    HWY_DYNAMIC_DISPATCH(transpose_target)(size, in + at, rows, columns, out + at);
  });
}

/// The pixels that the shortcut copies: those of `images` with even row and column to or from channels [pad, ...) of
/// `halved`.
class Shortcut {
 public:
  Shortcut(const Shape& images, const Shape& halved, DType dtype)
      : element_(static_cast<std::int64_t>(size_of(dtype))),
        width_(images[2]),
        half_height_(halved[1]),
        half_width_(halved[2]),
        pixel_(images[3] * element_),
        wide_pixel_(halved[3] * element_),
        pad_((halved[3] - images[3]) / 2 * element_),
        image_(images[1] * images[2] * pixel_),
        halved_(halved[1] * halved[2] * wide_pixel_) {}
  std::int64_t image_bytes() const { return image_; }
  std::int64_t halved_bytes() const { return halved_; }
  /// Calls f(byte in an image, byte in a halved one, bytes) for every pixel.
  template <typename F>
  void for_pixels(const F& f) const {
    for (std::int64_t h = 0; h < half_height_; ++h) {
      for (std::int64_t w = 0; w < half_width_; ++w) {
        f((2 * h * width_ + 2 * w) * pixel_, (h * half_width_ + w) * wide_pixel_ + pad_,
          static_cast<std::size_t>(pixel_));
      }
    }
  }

 private:
  std::int64_t element_, width_, half_height_, half_width_, pixel_, wide_pixel_, pad_, image_, halved_;
};

}  // namespace

void flatten_forward(const Device&, ConstView x, View y) {
  transpose_images(x, x.extent(1) * x.extent(2), x.extent(3), y);
}

void flatten_backward(const Device&, ConstView dy, View dx) {
  transpose_images(dy, dx.extent(3), dx.extent(1) * dx.extent(2), dx);
}

void shortcut_a_forward(const Device&, ConstView x, View y) {
  const Shortcut shortcut(x.shape(), y.shape(), x.dtype());
  for_images(y, [&](std::int64_t n) {
    const auto* from = static_cast<const std::byte*>(x.data()) + n * shortcut.image_bytes();
    auto* to = static_cast<std::byte*>(y.data()) + n * shortcut.halved_bytes();
    std::memset(to, 0, static_cast<std::size_t>(shortcut.halved_bytes()));
    shortcut.for_pixels([&](std::int64_t image, std::int64_t halved, std::size_t bytes) {
      std::memcpy(to + halved, from + image, bytes);
    });
  });
}

void shortcut_a_backward(const Device&, ConstView dy, View dx) {
  const Shortcut shortcut(dx.shape(), dy.shape(), dx.dtype());
  for_images(dx, [&](std::int64_t n) {
    const auto* from = static_cast<const std::byte*>(dy.data()) + n * shortcut.halved_bytes();
    auto* to = static_cast<std::byte*>(dx.data()) + n * shortcut.image_bytes();
    std::memset(to, 0, static_cast<std::size_t>(shortcut.image_bytes()));
    shortcut.for_pixels([&](std::int64_t image, std::int64_t halved, std::size_t bytes) {
      std::memcpy(to + image, from + halved, bytes);
    });
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

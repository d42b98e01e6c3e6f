// How an image is cut into the tiles of F(4x4, 3x3), and their transform; for winograd.cpp and winograd_weights.cpp,
// which include this once for each vector extension.
#include "kernels/cpu/winograd_transform-inl.hpp"

#if defined(RTL_KERNELS_CPU_WINOGRAD_TILES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef RTL_KERNELS_CPU_WINOGRAD_TILES_INL
#undef RTL_KERNELS_CPU_WINOGRAD_TILES_INL
#else
#define RTL_KERNELS_CPU_WINOGRAD_TILES_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Where a tile lies.
struct Tile {
  std::int64_t image, row, column;  ///< of its first output pixel
};

inline Tile tile_at(const WinogradShape& s, std::int64_t index) {
  const std::int64_t across = (s.width + winograd_tile - 1) / winograd_tile;
  const std::int64_t down = (s.height + winograd_tile - 1) / winograd_tile;
  return {index / (across * down), index / across % down * winograd_tile, index % across * winograd_tile};
}

/// B^T x B of one tile; pixels outside the image are zero.
template <bool kInterior>
HWY_INLINE void transform_input_tile(const WinogradShape& s, const Tile& tile, const float* x, float* to,
                                     std::int64_t stride) {
  const hn::CappedTag<float, 16> d;
  constexpr int size = winograd_size;
  const std::int64_t row_stride = s.width * s.channels;
  const std::int64_t corner = ((tile.image * s.height + tile.row - 1) * s.width + tile.column - 1) * s.channels;
  const auto inside = [&](int i, int j) {
    return tile.row - 1 + i >= 0 && tile.row - 1 + i < s.height && tile.column - 1 + j >= 0 &&
           tile.column - 1 + j < s.width;
  };
  for (std::int64_t c = 0; c < s.channels; c += static_cast<std::int64_t>(hn::Lanes(d))) {
    hn::Vec<decltype(d)> half[size][size];
#pragma GCC unroll 6
    for (int j = 0; j < size; ++j) {
      hn::Vec<decltype(d)> column[size];
#pragma GCC unroll 6
      for (int i = 0; i < size; ++i) {
        column[i] =
            kInterior || inside(i, j) ? hn::LoadU(d, x + corner + i * row_stride + j * s.channels + c) : hn::Zero(d);
      }
      transform_input(d, column, half[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < size; ++i) {
      hn::Vec<decltype(d)> line[size];
      hn::Vec<decltype(d)> done[size];
#pragma GCC unroll 6
      for (int j = 0; j < size; ++j) line[j] = half[j][i];
      transform_input(d, line, done);
#pragma GCC unroll 6
      for (int j = 0; j < size; ++j) hn::Store(done[j], d, to + (i * size + j) * stride + c);
    }
  }
}

/// to [positions][tiles][channels] = B^T x B for `count` tiles from `first` on, `stride` floats from position to
/// position.
HWY_INLINE void transform_inputs(const WinogradShape& s, std::int64_t first, std::int64_t count, const float* x,
                                 float* to, std::int64_t stride) {
  for (std::int64_t t = 0; t < count; ++t) {
    const Tile tile = tile_at(s, first + t);
    const bool interior =
        tile.row > 0 && tile.column > 0 && tile.row + winograd_tile < s.height && tile.column + winograd_tile < s.width;
    if (interior) {
      transform_input_tile<true>(s, tile, x, to + t * s.channels, stride);
    } else {
      transform_input_tile<false>(s, tile, x, to + t * s.channels, stride);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();
#endif  // RTL_KERNELS_CPU_WINOGRAD_TILES_INL

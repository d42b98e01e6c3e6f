// Winograd convolution, compiled for every vector extension and chosen at run time. A block of tiles goes through three
// stages that leave its intermediate values in cache: transform the input tiles, multiply for each of the positions in
// the transformed domain (tiles x channels) by (channels x out_channels), transform back and apply the epilogue.
#include "kernels/cpu/winograd.hpp"

#include <algorithm>

#include "kernels/cpu/lender.hpp"
#include "kernels/cpu/threads.hpp"
#include "kernels/cpu/workspace.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/winograd.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
#include "kernels/cpu/finish-inl.hpp"
#include "kernels/cpu/winograd_transform-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Where a tile lies: of its first output pixel.
struct Tile {
  std::int64_t image, row, column;

  HWY_INLINE void next(const WinogradShape& s) {
    column += winograd_tile;
    if (column < s.width) return;
    column = 0;
    row += winograd_tile;
    if (row < s.height) return;
    row = 0;
    ++image;
  }
};

inline Tile tile_at(const WinogradShape& s, std::int64_t index) {
  const std::int64_t across = (s.width + winograd_tile - 1) / winograd_tile;
  const std::int64_t down = (s.height + winograd_tile - 1) / winograd_tile;
  return {index / (across * down), index / across % down * winograd_tile, index % across * winograd_tile};
}

/// Up to winograd_block consecutive tiles (counted over images, tile rows, tile columns) and their values in the
/// transformed domain, 16 channels after the other: [channels / 16][places][winograd_block][16], so that all places of
/// a tile lie at distances that the compiler knows. Position p of the inputs is at place p + 1 and its products go to
/// place p, whose inputs are no longer needed: half the memory, and what is written lies in the first-level cache.
struct Block {
  const WinogradShape& shape;
  float* values;
  Tile first{};
  std::int64_t count = 0;  ///< tiles
};

/// Where the pixels of a tile's input lie that are inside the image, and zeros for the others.
template <typename T>
struct EdgeTile {
  HWY_INLINE EdgeTile(const WinogradShape& s, const Tile& tile, const T* corner) {
    for (int i = 0; i < winograd_size; ++i) {
      const std::int64_t row = tile.row - 1 + i;
      const bool inside = row >= 0 && row < s.height;
      for (int j = 0; j < winograd_size; ++j) {
        const std::int64_t column = tile.column - 1 + j;
        const T* from = corner + (i * s.width + j) * s.channels;
        at[i][j] = inside && column >= 0 && column < s.width ? from : zeros;
      }
    }
  }
  HWY_INLINE const T* operator()(int i, int j) const { return at[i][j]; }

  static constexpr T zeros[winograd_channels] = {};
  const T* at[winograd_size][winograd_size];
};

template <typename T>
struct InteriorTile {
  HWY_INLINE InteriorTile(const WinogradShape& s, const Tile& /*tile*/, const T* first)
      : corner(first), row(s.width * s.channels), column(s.channels) {}
  HWY_INLINE const T* operator()(int i, int j) const { return corner + i * row + j * column; }

  const T* corner;
  std::int64_t row, column;
};

/// One row of positions, of which the columns are done.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void transform_input_row(D d, const V (&x)[winograd_size], float* to) {
  V done[winograd_size];
  done[0] = transform_input_end(d, x[0], x[2], x[4]);
  transform_input_middle(d, x[1], x[2], x[3], x[4], done);
  done[5] = transform_input_end(d, x[1], x[3], x[5]);
#pragma GCC unroll 6
  for (int j = 0; j < winograd_size; ++j) hn::Store(done[j], d, to + j * winograd_stride);
}

/// One vector of channels, from `c` on. `pixels` gives the address of pixel (i, j). Not inline: a loop over the
/// channels makes the compiler compute all addresses before it, more than it has registers for.
template <typename Pixels>
HWY_NOINLINE void transform_input_vector(const Pixels& pixels, std::int64_t c, float* to) {
  const hn::CappedTag<float, 16> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int size = winograd_size;
  const auto at = [&](int i, int j) HWY_ATTR { return load(d, pixels(i, j) + c); };
  V rows[size][size];
#pragma GCC unroll 6
  for (int j = 0; j < size; ++j) {
    V column[size];
    transform_input_middle(d, at(1, j), at(2, j), at(3, j), at(4, j), column);
#pragma GCC unroll 4
    for (int i = 1; i < 5; ++i) rows[i][j] = column[i];
  }
#pragma GCC unroll 4
  for (int i = 1; i < 5; ++i) transform_input_row(d, rows[i], to + i * size * winograd_stride);
#pragma GCC unroll 6
  for (int j = 0; j < size; ++j) {
    rows[0][j] = transform_input_end(d, at(0, j), at(2, j), at(4, j));
    rows[5][j] = transform_input_end(d, at(1, j), at(3, j), at(5, j));
  }
  transform_input_row(d, rows[0], to);
  transform_input_row(d, rows[5], to + 5 * size * winograd_stride);
}

template <typename Pixels>
HWY_INLINE void transform_input_tile(const Pixels& pixels, std::int64_t channels, float* to) {
  const hn::CappedTag<float, 16> d;
  for (std::int64_t c = 0; c < channels; c += static_cast<std::int64_t>(hn::Lanes(d))) {
    transform_input_vector(pixels, c, to + c / 16 * winograd_plane + c % 16);
  }
}

template <typename T>
HWY_INLINE void transform_inputs(const Block& block, const T* x) {
  const WinogradShape& s = block.shape;
  Tile tile = block.first;
  for (std::int64_t t = 0; t < block.count; ++t, tile.next(s)) {
    const bool interior =
        tile.row > 0 && tile.column > 0 && tile.row + winograd_tile < s.height && tile.column + winograd_tile < s.width;
    const T* corner = x + ((tile.image * s.height + tile.row - 1) * s.width + tile.column - 1) * s.channels;
    float* to = block.values + winograd_stride + t * 16;
    if (interior) {
      transform_input_tile(InteriorTile<T>(s, tile, corner), s.channels, to);
    } else {
      transform_input_tile(EdgeTile<T>(s, tile, corner), s.channels, to);
    }
  }
}

/// Zeros for the tiles that a panel has and the block lacks: what an earlier block left could be subnormal, and slow.
inline void pad_inputs(const Block& block) {
  if (block.count == winograd_block) return;
  for (std::int64_t plane = 0; plane < block.shape.channels / 16; ++plane) {
    for (int p = 0; p < winograd_positions; ++p) {
      float* to = block.values + plane * winograd_plane + (p + 1) * winograd_stride;
      std::fill(to + block.count * 16, to + winograd_block * 16, 0.0F);
    }
  }
}

/// products[kTiles, kVectors vectors] = inputs[kTiles, channels] * weights[channels, out_channels].
template <int kTiles, int kVectors>
HWY_INLINE void multiply_panel(const float* inputs, const float* weights, float* products, std::int64_t channels,
                               std::int64_t out_channels) {
  const hn::CappedTag<float, 16> d;
  constexpr int lanes = static_cast<int>(hn::MaxLanes(hn::CappedTag<float, 16>()));
  hn::Vec<decltype(d)> sums[kTiles][kVectors];
#pragma GCC unroll 24
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[t][v] = hn::Zero(d);
  }
  for (std::int64_t plane = 0; plane < channels / 16; ++plane, inputs += winograd_plane) {
    for (int c = 0; c < 16; ++c, weights += out_channels) {
      hn::Vec<decltype(d)> w[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) w[v] = hn::Load(d, weights + v * lanes);
#pragma GCC unroll 24
      for (int t = 0; t < kTiles; ++t) {
        const auto x = hn::Set(d, inputs[t * 16 + c]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[t][v] = hn::MulAdd(x, w[v], sums[t][v]);
      }
    }
  }
#pragma GCC unroll 24
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      hn::Store(sums[t][v], d, products + t * 16 + v * lanes / 16 * winograd_plane + v * lanes % 16);
    }
  }
}

/// One position of all tiles, for kVectors vectors of output channels.
template <int kTiles, int kVectors>
HWY_NOINLINE void multiply_columns(const Block& block, int position, const float* weights, std::int64_t column) {
  const std::int64_t channels = block.shape.channels;
  const std::int64_t outs = block.shape.out_channels;
  const float* inputs = block.values + (position + 1) * winograd_stride;
  float* products = block.values + position * winograd_stride + column / 16 * winograd_plane + column % 16;
  for (std::int64_t t = 0; t < block.count; t += kTiles) {
    multiply_panel<kTiles, kVectors>(inputs + t * 16, weights + position * channels * outs + column, products + t * 16,
                                     channels, outs);
  }
}

/// Panels are as large as the registers allow: 32 with AVX-512 and 16 elsewhere.
HWY_INLINE void multiply(const Block& block, const float* weights) {
  const std::int64_t outs = block.shape.out_channels;
  for (int p = 0; p < winograd_positions; ++p) {
#if HWY_TARGET <= HWY_AVX3
    std::int64_t column = 0;
    for (; column + 64 <= outs; column += 64) multiply_columns<6, 4>(block, p, weights, column);
    for (; column + 32 <= outs; column += 32) multiply_columns<12, 2>(block, p, weights, column);
    for (; column < outs; column += 16) multiply_columns<24, 1>(block, p, weights, column);
#else
    const hn::CappedTag<float, 16> d;
    const std::int64_t step = 2 * static_cast<std::int64_t>(hn::Lanes(d));
    for (std::int64_t column = 0; column < outs; column += step) multiply_columns<6, 2>(block, p, weights, column);
#endif
  }
}

/// Where the pixels of a tile's output lie, `rows` x `columns` of which are inside the image.
template <typename T>
struct OutputTile {
  T* y;
  std::int64_t at, row_stride, column_stride;
  int rows, columns;
};

/// One row of pixels; all of its columns where kWhole.
template <bool kWhole, class D, typename T, class V = hn::Vec<D>>
HWY_INLINE void transform_output_row(D d, const V (&x)[winograd_size], int i, const OutputTile<T>& tile,
                                     const Finish<D, T>& finish) {
  if (!kWhole && i >= tile.rows) return;
  V done[winograd_tile];
  transform_output_even(d, x[0], x[1], x[2], x[3], x[4], done[0], done[2]);
  transform_output_odd(d, x[1], x[2], x[3], x[4], x[5], done[1], done[3]);
#pragma GCC unroll 4
  for (int j = 0; j < winograd_tile; ++j) {
    if (!kWhole && j >= tile.columns) return;
    finish(d, done[j], tile.at + i * tile.row_stride + j * tile.column_stride, tile.y);
  }
}

/// One vector of channels. `tile` and `finish` are copies, which no store can change: they stay in registers.
template <bool kWhole, class D, typename T>
HWY_NOINLINE void transform_output_vector(D d, const float* from, OutputTile<T> tile, Finish<D, T> finish) {
  constexpr int size = winograd_size;
  const auto at = [&](int i, int j) HWY_ATTR { return hn::Load(d, from + (i * size + j) * winograd_stride); };
  hn::Vec<D> first[size], second[size];
#pragma GCC unroll 6
  for (int j = 0; j < size; ++j) {
    transform_output_even(d, at(0, j), at(1, j), at(2, j), at(3, j), at(4, j), first[j], second[j]);
  }
  transform_output_row<kWhole>(d, first, 0, tile, finish);
  transform_output_row<kWhole>(d, second, 2, tile, finish);
#pragma GCC unroll 6
  for (int j = 0; j < size; ++j) {
    transform_output_odd(d, at(1, j), at(2, j), at(3, j), at(4, j), at(5, j), first[j], second[j]);
  }
  transform_output_row<kWhole>(d, first, 1, tile, finish);
  transform_output_row<kWhole>(d, second, 3, tile, finish);
}

template <typename T>
HWY_INLINE void transform_outputs(const Block& block, const DepthwiseEpilogue<T>& epilogue, T* y) {
  const hn::CappedTag<float, 16> d;
  const WinogradShape& s = block.shape;
  const std::int64_t outs = s.out_channels;
  Tile tile = block.first;
  for (std::int64_t t = 0; t < block.count; ++t, tile.next(s)) {
    const std::int64_t at = ((tile.image * s.height + tile.row) * s.width + tile.column) * outs;
    const int rows = static_cast<int>(std::min<std::int64_t>(winograd_tile, s.height - tile.row));
    const int columns = static_cast<int>(std::min<std::int64_t>(winograd_tile, s.width - tile.column));
    const bool whole = rows == winograd_tile && columns == winograd_tile;
    for (std::int64_t k = 0; k < outs; k += static_cast<std::int64_t>(hn::Lanes(d))) {
      const float* from = block.values + k / 16 * winograd_plane + t * 16 + k % 16;
      const Finish finish(d, epilogue, k);
      const OutputTile<T> pixels{y, at + k, s.width * outs, outs, rows, columns};
      if (whole) {
        transform_output_vector<true>(d, from, pixels, finish);
      } else {
        transform_output_vector<false>(d, from, pixels, finish);
      }
    }
  }
}

template <typename T>
HWY_INLINE void convolve(const WinogradShape& shape, const T* x, const float* weights,
                         const DepthwiseEpilogue<T>& epilogue, T* y, std::int64_t first, std::int64_t count,
                         float* workspace) {
  Block block{shape, workspace};
  for (std::int64_t begin = first; begin < first + count; begin += winograd_block) {
    block.first = tile_at(shape, begin);
    block.count = std::min(winograd_block, first + count - begin);
    transform_inputs(block, x);
    pad_inputs(block);
    multiply(block, weights);
    transform_outputs(block, epilogue, y);
  }
}

void convolve_f32(const WinogradShape& shape, const float* x, const float* weights,
                  const DepthwiseEpilogue<float>& epilogue, float* y, std::int64_t first, std::int64_t count,
                  float* workspace) {
  convolve(shape, x, weights, epilogue, y, first, count, workspace);
}

void convolve_bf16(const WinogradShape& shape, const bfloat16* x, const float* weights,
                   const DepthwiseEpilogue<bfloat16>& epilogue, bfloat16* y, std::int64_t first, std::int64_t count,
                   float* workspace) {
  convolve(shape, x, weights, epilogue, y, first, count, workspace);
}

/// All filters that share one row of the transformed matrices, 16 at a time, in double: rounded once, at the end.
void transform_filters(std::int64_t channels, std::int64_t out_channels, const float* w, WinogradWeights kind,
                       std::int64_t row, float* transformed) {
  constexpr std::int64_t group = 16;
  const std::int64_t columns = kind.backward_data ? channels : out_channels;
  const std::int64_t column_stride = (kind.backward_data ? 1 : channels) * 9;
  const float* filters = w + row * (kind.backward_data ? channels : 1) * 9;
  for (std::int64_t column = 0; column < columns; column += group) {
    double filter[9][group];
    double result[winograd_positions][group];
    for (int i = 0; i < 9; ++i) {
      const float* from = filters + column * column_stride + (kind.backward_data ? 8 - i : i);
      for (int lane = 0; lane < group; ++lane) {
        const float value = from[lane * column_stride];
        filter[i][lane] = static_cast<double>(kind.bf16 ? to_float(to_bfloat16(value)) : value);
      }
    }
    transform_filter(filter, result);
    for (int p = 0; p < winograd_positions; ++p) {
      float* to = transformed + p * channels * out_channels + row * columns + column;
      for (int lane = 0; lane < group; ++lane) to[lane] = static_cast<float>(result[p][lane]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
HWY_EXPORT(convolve_f32);
HWY_EXPORT(convolve_bf16);
HWY_EXPORT(transform_filters);

namespace {

auto convolution_of(float) { return HWY_DYNAMIC_DISPATCH(convolve_f32); }
auto convolution_of(bfloat16) { return HWY_DYNAMIC_DISPATCH(convolve_bf16); }

}  // namespace

bool winograd_fits(std::int64_t channels, std::int64_t out_channels) {
  return channels % 16 == 0 && out_channels % 16 == 0 && std::min(channels, out_channels) > 0 &&
         std::max(channels, out_channels) <= winograd_channels;
}

bool winograd_pays(std::int64_t height, std::int64_t width) { return std::min(height, width) > winograd_tile; }

std::int64_t winograd_weight_count(std::int64_t channels, std::int64_t out_channels) {
  return winograd_positions * channels * out_channels;
}

void winograd_transform_weights(std::int64_t channels, std::int64_t out_channels, const float* w, WinogradWeights kind,
                                float* transformed) {
  const auto run = HWY_DYNAMIC_DISPATCH(transform_filters);
  const std::int64_t rows = kind.backward_data ? out_channels : channels;
#pragma omp parallel for schedule(static) if (channels * out_channels >= 32768)
  for (std::int64_t row = 0; row < rows; ++row) run(channels, out_channels, w, kind, row, transformed);
}

template <typename T>
void winograd_forward(const Device& device, const WinogradShape& shape, const T* x, const float* transformed,
                      const DepthwiseEpilogue<T>& epilogue, T* y) {
  const std::int64_t tiles = shape.images * ((shape.height + winograd_tile - 1) / winograd_tile) *
                             ((shape.width + winograd_tile - 1) / winograd_tile);
  const std::int64_t blocks = (tiles + winograd_block - 1) / winograd_block;
  const std::int64_t workspace = std::max(shape.channels, shape.out_channels) / 16 * winograd_plane;
  // 36 multiplications for 16 results.
  const double operations = 2.25 * 2.0 * static_cast<double>(shape.images * shape.height * shape.width) *
                            static_cast<double>(shape.channels * shape.out_channels);
  const int threads = static_cast<int>(std::min<std::int64_t>(threads_worth(operations), blocks));
  const auto lent = Lender<Workspace>::lend(device);
  float* memory = lent->floats(threads * workspace);
  const auto run = convolution_of(T());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int thread = 0; thread < threads; ++thread) {
    const std::int64_t first = blocks * thread / threads * winograd_block;
    const std::int64_t last = std::min(tiles, blocks * (thread + 1) / threads * winograd_block);
    run(shape, x, transformed, epilogue, y, first, last - first, memory + thread * workspace);
  }
}

template void winograd_forward(const Device&, const WinogradShape&, const float*, const float*,
                               const DepthwiseEpilogue<float>&, float*);
template void winograd_forward(const Device&, const WinogradShape&, const bfloat16*, const float*,
                               const DepthwiseEpilogue<bfloat16>&, bfloat16*);

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

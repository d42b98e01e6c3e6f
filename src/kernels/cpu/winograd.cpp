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
#include "kernels/cpu/winograd_transform-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// One block of consecutive tiles (counted over images, tile rows, tile columns) and its places in the workspace.
struct Block {
  const WinogradShape* shape;
  std::int64_t first, count;  ///< tiles
  float* inputs;              ///< [positions][padded tiles][channels], position stride input_stride
  float* products;            ///< [positions][padded tiles][out_channels]
  std::int64_t input_stride, product_stride;
};

/// Where a tile lies.
struct Tile {
  std::int64_t image, row, column;  ///< of its first output pixel
};

inline Tile tile_at(const WinogradShape& s, std::int64_t index) {
  const std::int64_t across = (s.width + winograd_tile - 1) / winograd_tile;
  const std::int64_t down = (s.height + winograd_tile - 1) / winograd_tile;
  return {index / (across * down), index / across % down * winograd_tile, index % across * winograd_tile};
}

template <bool kInterior, typename T>
HWY_INLINE void transform_input_tile(const WinogradShape& s, const Tile& tile, const T* x, float* to,
                                     std::int64_t stride) {
  const hn::CappedTag<float, 16> d;
  constexpr int size = winograd_size;
  const std::int64_t row_stride = s.width * s.channels;
  const T* corner = x + ((tile.image * s.height + tile.row - 1) * s.width + tile.column - 1) * s.channels;
  const auto in_bounds = [&](int i, int j) {
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
        column[i] = kInterior || in_bounds(i, j) ? load(d, corner + i * row_stride + j * s.channels + c) : hn::Zero(d);
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

template <typename T>
HWY_INLINE void transform_inputs(const Block& block, const T* x) {
  const WinogradShape& s = *block.shape;
  for (std::int64_t t = 0; t < block.count; ++t) {
    const Tile tile = tile_at(s, block.first + t);
    const bool interior =
        tile.row > 0 && tile.column > 0 && tile.row + winograd_tile < s.height && tile.column + winograd_tile < s.width;
    float* to = block.inputs + t * s.channels;
    if (interior) {
      transform_input_tile<true>(s, tile, x, to, block.input_stride);
    } else {
      transform_input_tile<false>(s, tile, x, to, block.input_stride);
    }
  }
}

/// products[tiles, kVectors vectors] = inputs[tiles, channels] * weights[channels, ...]. kChannels is the number of
/// channels where it is known to the compiler (else 0): then all addresses are one register plus a constant.
template <int kTiles, int kVectors, int kChannels>
HWY_INLINE void multiply_panel(const float* HWY_RESTRICT inputs, const float* HWY_RESTRICT weights,
                               float* HWY_RESTRICT products, std::int64_t runtime_channels, std::int64_t out_channels) {
  const hn::CappedTag<float, 16> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t channels = kChannels > 0 ? kChannels : runtime_channels;
  hn::Vec<decltype(d)> sums[kTiles][kVectors];
#pragma GCC unroll 24
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[t][v] = hn::Zero(d);
  }
  for (std::int64_t c = 0; c < channels; ++c) {
    hn::Vec<decltype(d)> w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = hn::Load(d, weights + c * out_channels + v * lanes);
#pragma GCC unroll 24
    for (int t = 0; t < kTiles; ++t) {
      const auto x = hn::Set(d, inputs[t * channels + c]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[t][v] = hn::MulAdd(x, w[v], sums[t][v]);
    }
  }
#pragma GCC unroll 24
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[t][v], d, products + t * out_channels + v * lanes);
  }
}

/// All tiles of the block (a multiple of kTiles) for kVectors vectors of output channels.
template <int kTiles, int kVectors>
HWY_NOINLINE void multiply_columns(const Block& block, std::int64_t tiles, const float* weights, std::int64_t column) {
  const std::int64_t channels = block.shape->channels;
  const std::int64_t outs = block.shape->out_channels;
  for (int p = 0; p < winograd_positions; ++p) {
    const float* w = weights + p * channels * outs + column;
    for (std::int64_t t = 0; t < tiles; t += kTiles) {
      const float* from = block.inputs + p * block.input_stride + t * channels;
      float* to = block.products + p * block.product_stride + t * outs + column;
      switch (channels) {
        case 16:
          multiply_panel<kTiles, kVectors, 16>(from, w, to, channels, outs);
          break;
        case 32:
          multiply_panel<kTiles, kVectors, 32>(from, w, to, channels, outs);
          break;
        case 64:
          multiply_panel<kTiles, kVectors, 64>(from, w, to, channels, outs);
          break;
        default:
          multiply_panel<kTiles, kVectors, 0>(from, w, to, channels, outs);
      }
    }
  }
}

/// Panels are as large as the registers allow: 32 with AVX-512 and 16 elsewhere.
HWY_INLINE void multiply(const Block& block, const float* weights) {
  const std::int64_t outs = block.shape->out_channels;
  const std::int64_t tiles = (block.count + winograd_panel - 1) / winograd_panel * winograd_panel;
#if HWY_TARGET <= HWY_AVX3
  std::int64_t column = 0;
  for (; column + 64 <= outs; column += 64) multiply_columns<6, 4>(block, tiles, weights, column);
  for (; column + 32 <= outs; column += 32) multiply_columns<12, 2>(block, tiles, weights, column);
  for (; column < outs; column += 16) multiply_columns<24, 1>(block, tiles, weights, column);
#else
  const hn::CappedTag<float, 16> d;
  const std::int64_t step = 2 * static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t column = 0; column < outs; column += step) multiply_columns<6, 2>(block, tiles, weights, column);
#endif
}

template <typename T>
HWY_INLINE void transform_outputs(const Block& block, const WinogradEpilogue<T>& epilogue, T* y) {
  const hn::CappedTag<float, 16> d;
  constexpr int size = winograd_size;
  constexpr int tile_size = winograd_tile;
  const WinogradShape& s = *block.shape;
  const std::int64_t outs = s.out_channels;
  for (std::int64_t t = 0; t < block.count; ++t) {
    const Tile tile = tile_at(s, block.first + t);
    const std::int64_t at = ((tile.image * s.height + tile.row) * s.width + tile.column) * outs;
    const int rows = static_cast<int>(std::min<std::int64_t>(tile_size, s.height - tile.row));
    const int columns = static_cast<int>(std::min<std::int64_t>(tile_size, s.width - tile.column));
    for (std::int64_t k = 0; k < outs; k += static_cast<std::int64_t>(hn::Lanes(d))) {
      const float* from = block.products + t * outs + k;
      hn::Vec<decltype(d)> half[size][tile_size];
#pragma GCC unroll 6
      for (int j = 0; j < size; ++j) {
        hn::Vec<decltype(d)> column[size];
#pragma GCC unroll 6
        for (int i = 0; i < size; ++i) column[i] = hn::Load(d, from + (i * size + j) * block.product_stride);
        transform_output(d, column, half[j]);
      }
      const auto six = hn::Set(d, 6.0F);
      const auto bias = epilogue.bias != nullptr ? hn::LoadU(d, epilogue.bias + k) : hn::Zero(d);
#pragma GCC unroll 4
      for (int i = 0; i < tile_size; ++i) {
        if (i >= rows) break;
        hn::Vec<decltype(d)> line[size];
        hn::Vec<decltype(d)> done[tile_size];
#pragma GCC unroll 6
        for (int j = 0; j < size; ++j) line[j] = half[j][i];
        transform_output(d, line, done);
#pragma GCC unroll 4
        for (int j = 0; j < tile_size; ++j) {
          if (j >= columns) break;
          const std::int64_t offset = at + (i * s.width + j) * outs + k;
          auto value = hn::Add(done[j], bias);
          if (epilogue.residual != nullptr) value = hn::Add(value, load(d, epilogue.residual + offset));
          // The operand order makes NaN pass through the maximum.
          if (epilogue.activation != Activation::none) value = hn::IfThenZeroElse(hn::Lt(value, hn::Zero(d)), value);
          if (epilogue.activation == Activation::relu6) value = hn::IfThenElse(hn::Gt(value, six), six, value);
          store(value, d, y + offset);
        }
      }
    }
  }
}

template <typename T>
HWY_INLINE void convolve(const WinogradShape& shape, const T* x, const float* weights,
                         const WinogradEpilogue<T>& epilogue, T* y, std::int64_t first, std::int64_t count,
                         std::int64_t block_tiles, float* workspace) {
  Block block{&shape, 0, 0, workspace, nullptr, 0, 0};
  // 16 floats more than a power of two keep the positions of one tile out of the same cache set.
  block.input_stride = block_tiles * shape.channels + 16;
  block.product_stride = block_tiles * shape.out_channels + 16;
  block.products = workspace + winograd_positions * block.input_stride;
  for (std::int64_t begin = first; begin < first + count; begin += block_tiles) {
    block.first = begin;
    block.count = std::min(block_tiles, first + count - begin);
    transform_inputs(block, x);
    multiply(block, weights);
    transform_outputs(block, epilogue, y);
  }
}

void convolve_f32(const WinogradShape& shape, const float* x, const float* weights,
                  const WinogradEpilogue<float>& epilogue, float* y, std::int64_t first, std::int64_t count,
                  std::int64_t block_tiles, float* workspace) {
  convolve(shape, x, weights, epilogue, y, first, count, block_tiles, workspace);
}

void convolve_bf16(const WinogradShape& shape, const bfloat16* x, const float* weights,
                   const WinogradEpilogue<bfloat16>& epilogue, bfloat16* y, std::int64_t first, std::int64_t count,
                   std::int64_t block_tiles, float* workspace) {
  convolve(shape, x, weights, epilogue, y, first, count, block_tiles, workspace);
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

/// As many tiles as keep the block's transformed values within a share of the second-level cache.
std::int64_t block_tiles_of(const WinogradShape& shape) {
  constexpr std::int64_t budget = 96 * 1024;  // floats
  const std::int64_t wanted = budget / (winograd_positions * (shape.channels + shape.out_channels));
  return std::clamp<std::int64_t>(wanted / winograd_panel, 1, 8) * winograd_panel;
}

std::int64_t workspace_of(const WinogradShape& shape, std::int64_t block_tiles) {
  return winograd_positions * (block_tiles * (shape.channels + shape.out_channels) + 32);
}

auto convolution_of(float) { return HWY_DYNAMIC_DISPATCH(convolve_f32); }
auto convolution_of(bfloat16) { return HWY_DYNAMIC_DISPATCH(convolve_bf16); }

}  // namespace

bool winograd_fits(std::int64_t channels, std::int64_t out_channels) {
  // Beyond that the transformed weights leave the second-level cache.
  constexpr std::int64_t largest = 256;
  return channels % 16 == 0 && out_channels % 16 == 0 && std::min(channels, out_channels) > 0 &&
         std::max(channels, out_channels) <= largest;
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
                      const WinogradEpilogue<T>& epilogue, T* y) {
  const std::int64_t tiles = shape.images * ((shape.height + winograd_tile - 1) / winograd_tile) *
                             ((shape.width + winograd_tile - 1) / winograd_tile);
  const std::int64_t block_tiles = block_tiles_of(shape);
  const std::int64_t blocks = (tiles + block_tiles - 1) / block_tiles;
  const std::int64_t workspace = workspace_of(shape, block_tiles);
  // 36 multiplications for 16 results.
  const double operations = 2.25 * 2.0 * static_cast<double>(shape.images * shape.height * shape.width) *
                            static_cast<double>(shape.channels * shape.out_channels);
  const int threads = static_cast<int>(std::min<std::int64_t>(threads_worth(operations), blocks));
  const auto lent = Lender<Workspace>::lend(device);
  float* memory = lent->floats(threads * workspace);
  const auto run = convolution_of(T());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int thread = 0; thread < threads; ++thread) {
    const std::int64_t first = blocks * thread / threads * block_tiles;
    const std::int64_t last = std::min(tiles, blocks * (thread + 1) / threads * block_tiles);
    run(shape, x, transformed, epilogue, y, first, last - first, block_tiles, memory + thread * workspace);
  }
}

template void winograd_forward(const Device&, const WinogradShape&, const float*, const float*,
                               const WinogradEpilogue<float>&, float*);
template void winograd_forward(const Device&, const WinogradShape&, const bfloat16*, const float*,
                               const WinogradEpilogue<bfloat16>&, bfloat16*);

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

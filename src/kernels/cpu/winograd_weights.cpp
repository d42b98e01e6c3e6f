// Gradient of the weights by Winograd's algorithm: with V = B^T x B of an input tile and Z = A dy A^T of an output
// tile, dw = G^T (sum over tiles of V * Z) G, where * multiplies position by position and channel by channel.
#include <algorithm>

#include "kernels/cpu/winograd.hpp"
#include "kernels/cpu/workspace.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/winograd_weights.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/winograd_tiles-inl.hpp"
// clang-format on

#ifndef RTL_KERNELS_CPU_WINOGRAD_WEIGHTS
#define RTL_KERNELS_CPU_WINOGRAD_WEIGHTS
namespace rtl::kernels::cpu {

/// Tiles that are transformed at a time, and the places of their values in the workspace.
struct GradientBlock {
  const WinogradShape* shape;
  float* inputs;     ///< V [positions][tiles][channels], position stride input_stride
  float* gradients;  ///< Z [positions][tiles][out_channels]
  float* sums;       ///< [positions][channels][out_channels]
  std::int64_t input_stride, gradient_stride;
  std::int64_t tiles;  ///< room
};

}  // namespace rtl::kernels::cpu
#endif  // RTL_KERNELS_CPU_WINOGRAD_WEIGHTS

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

/// Z of `count` tiles from `first` on; pixels outside the image have no gradient.
HWY_INLINE void transform_gradients(const GradientBlock& block, std::int64_t first, std::int64_t count,
                                    const float* dy) {
  const hn::CappedTag<float, 16> d;
  constexpr int size = winograd_size;
  constexpr int tile_size = winograd_tile;
  const WinogradShape& s = *block.shape;
  const std::int64_t outs = s.out_channels;
  for (std::int64_t t = 0; t < count; ++t) {
    const Tile tile = tile_at(s, first + t);
    const std::int64_t at = ((tile.image * s.height + tile.row) * s.width + tile.column) * outs;
    const auto inside = [&](int i, int j) { return tile.row + i < s.height && tile.column + j < s.width; };
    for (std::int64_t k = 0; k < outs; k += static_cast<std::int64_t>(hn::Lanes(d))) {
      hn::Vec<decltype(d)> half[tile_size][size];
#pragma GCC unroll 4
      for (int j = 0; j < tile_size; ++j) {
        hn::Vec<decltype(d)> column[tile_size];
#pragma GCC unroll 4
        for (int i = 0; i < tile_size; ++i) {
          column[i] = inside(i, j) ? hn::LoadU(d, dy + at + (i * s.width + j) * outs + k) : hn::Zero(d);
        }
        transform_output_gradient(d, column, half[j]);
      }
#pragma GCC unroll 6
      for (int i = 0; i < size; ++i) {
        hn::Vec<decltype(d)> line[tile_size];
        hn::Vec<decltype(d)> done[size];
#pragma GCC unroll 4
        for (int j = 0; j < tile_size; ++j) line[j] = half[j][i];
        transform_output_gradient(d, line, done);
        float* to = block.gradients + i * size * block.gradient_stride + t * outs + k;
#pragma GCC unroll 6
        for (int j = 0; j < size; ++j) hn::Store(done[j], d, to + j * block.gradient_stride);
      }
    }
  }
}

/// sums[kRows channels, kVectors vectors] += over tiles of inputs[tile, channel] * gradients[tile, vector].
template <int kRows, int kVectors>
HWY_INLINE void add_products(const float* HWY_RESTRICT inputs, std::int64_t channels,
                             const float* HWY_RESTRICT gradients, std::int64_t outs, std::int64_t count,
                             float* HWY_RESTRICT sums) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  for (std::int64_t t = 0; t < count; ++t) {
    hn::Vec<decltype(d)> z[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) z[v] = hn::Load(d, gradients + t * outs + v * lanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const auto x = hn::Set(d, inputs[t * channels + r]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(x, z[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = sums + r * outs + v * lanes;
      hn::Store(hn::Add(hn::Load(d, to), sum[r][v]), d, to);
    }
  }
}

template <int kRows, int kVectors>
HWY_NOINLINE void add_columns(const GradientBlock& block, std::int64_t count, std::int64_t column) {
  const std::int64_t channels = block.shape->channels;
  const std::int64_t outs = block.shape->out_channels;
  for (int p = 0; p < winograd_positions; ++p) {
    const float* inputs = block.inputs + p * block.input_stride;
    const float* gradients = block.gradients + p * block.gradient_stride + column;
    float* sums = block.sums + p * channels * outs + column;
    for (std::int64_t c = 0; c < channels; c += kRows) {
      add_products<kRows, kVectors>(inputs + c, channels, gradients, outs, count, sums + c * outs);
    }
  }
}

/// Panels for 32 registers with AVX-512 and for 16 elsewhere.
HWY_INLINE void add_all_products(const GradientBlock& block, std::int64_t count) {
  const std::int64_t outs = block.shape->out_channels;
#if HWY_TARGET <= HWY_AVX3
  std::int64_t column = 0;
  for (; column + 64 <= outs; column += 64) add_columns<4, 4>(block, count, column);
  for (; column + 32 <= outs; column += 32) add_columns<8, 2>(block, count, column);
  for (; column < outs; column += 16) add_columns<16, 1>(block, count, column);
#else
  const hn::CappedTag<float, 16> d;
  const std::int64_t step = 2 * static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t column = 0; column < outs; column += step) add_columns<4, 2>(block, count, column);
#endif
}

/// Adds the products of `count` tiles from `first` on to block.sums.
void sum_tiles(const GradientBlock& block, const float* x, const float* dy, std::int64_t first, std::int64_t count) {
  for (std::int64_t begin = first; begin < first + count; begin += block.tiles) {
    const std::int64_t now = std::min(block.tiles, first + count - begin);
    transform_inputs(*block.shape, begin, now, x, block.inputs, block.input_stride);
    transform_gradients(block, begin, now, dy);
    add_all_products(block, now);
  }
}

/// dw = G^T (sum over threads of sums) G for one channel, in double; threads' sums are `thread_stride` floats apart.
void transform_sums(const WinogradShape& shape, const float* sums, int threads, std::int64_t thread_stride,
                    std::int64_t channel, float* dw) {
  constexpr int size = winograd_size;
  constexpr int group = 16;
  for (std::int64_t out = 0; out < shape.out_channels; out += group) {
    double half[3][size][group] = {};
    for (int p = 0; p < winograd_positions; ++p) {
      double total[group] = {};
      for (int thread = 0; thread < threads; ++thread) {
        const float* from = sums + thread * thread_stride + (p * shape.channels + channel) * shape.out_channels + out;
        for (int lane = 0; lane < group; ++lane) total[lane] += static_cast<double>(from[lane]);
      }
      for (int i = 0; i < 3; ++i) {
        for (int lane = 0; lane < group; ++lane) half[i][p % size][lane] += winograd_filter[p / size][i] * total[lane];
      }
    }
    for (int position = 0; position < 9; ++position) {
      double value[group] = {};
      for (int q = 0; q < size; ++q) {
        for (int lane = 0; lane < group; ++lane) {
          value[lane] += half[position / 3][q][lane] * winograd_filter[q][position % 3];
        }
      }
      for (int lane = 0; lane < group; ++lane) {
        dw[((out + lane) * shape.channels + channel) * 9 + position] = static_cast<float>(value[lane]);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
HWY_EXPORT(sum_tiles);
HWY_EXPORT(transform_sums);

bool winograd_weights_pay(std::int64_t images, std::int64_t height, std::int64_t width) {
  constexpr std::int64_t enough = 48;
  return images * (height / winograd_tile) * (width / winograd_tile) >= enough;
}

void winograd_backward_weights(const Device& device, const WinogradShape& shape, const float* x, const float* dy,
                               float* dw) {
  constexpr std::int64_t budget = 160 * 1024;  // floats: V and Z of a block, within the second-level cache
  constexpr std::int64_t gap = 16;             // keeps the positions of one tile out of the same cache set
  const std::int64_t tiles = shape.images * ((shape.height + winograd_tile - 1) / winograd_tile) *
                             ((shape.width + winograd_tile - 1) / winograd_tile);
  const std::int64_t both = shape.channels + shape.out_channels;
  const std::int64_t room = std::clamp<std::int64_t>(budget / (winograd_positions * both), 16, 256);
  const int threads = static_cast<int>(std::clamp<std::int64_t>(tiles / room, 1, device.threads()));
  const std::int64_t sums = winograd_positions * shape.channels * shape.out_channels;
  const std::int64_t values = winograd_positions * (room * both + 2 * gap);
  float* memory = device.context().resource<Workspace>().floats(threads * (sums + values));
  std::fill(memory, memory + threads * sums, 0.0F);
  const auto sum = HWY_DYNAMIC_DISPATCH(sum_tiles);
  const auto transform = HWY_DYNAMIC_DISPATCH(transform_sums);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int thread = 0; thread < threads; ++thread) {
    GradientBlock block{&shape,
                        memory + threads * sums + thread * values,
                        nullptr,
                        memory + thread * sums,
                        room * shape.channels + gap,
                        room * shape.out_channels + gap,
                        room};
    block.gradients = block.inputs + winograd_positions * block.input_stride;
    const std::int64_t first = tiles * thread / threads;
    sum(block, x, dy, first, tiles * (thread + 1) / threads - first);
  }
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (std::int64_t channel = 0; channel < shape.channels; ++channel) {
    transform(shape, memory, threads, sums, channel, dw);
  }
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

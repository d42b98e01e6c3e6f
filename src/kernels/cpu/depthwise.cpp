// Depthwise convolution, compiled for every vector extension and chosen at run time.
#include "kernels/cpu/depthwise.hpp"

#include <algorithm>

#include "kernels/cpu/threads.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/depthwise.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
#include "kernels/cpu/finish-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// One row of outputs of one image.
template <typename T>
struct Row {
  const ConvShape& shape;
  const T* image;
  const float* weights;
  DepthwiseEpilogue<T> epilogue;  ///< of this row
  T* y;
  std::int64_t first_row;         ///< of the image, that the first row of the filter lies on; may be outside
  std::int64_t from_tap, to_tap;  ///< rows of the filter that lie inside
};

/// `columns` neighbouring outputs of as many channels as d has lanes. Each input is loaded, and widened, once for all
/// outputs that see it. All columns of the inputs are there if `interior`.
template <int kernel, int stride, int columns, bool interior, class D, typename T>
HWY_INLINE void block_of_columns(D d, const Row<T>& row, std::int64_t column, std::int64_t channel) {
  constexpr int inputs = (columns - 1) * stride + kernel;
  const ConvShape& s = row.shape;
  const std::int64_t first = column * stride - s.padding_left;
  hn::Vec<D> sums[columns];
#pragma GCC unroll 8
  for (int k = 0; k < columns; ++k) sums[k] = hn::Zero(d);
  for (std::int64_t i = row.from_tap; i < row.to_tap; ++i) {
    hn::Vec<D> w[kernel];
#pragma GCC unroll 5
    for (int j = 0; j < kernel; ++j) w[j] = hn::LoadU(d, row.weights + (i * kernel + j) * s.channels + channel);
    const T* from = row.image + ((row.first_row + i) * s.width + first) * s.channels + channel;
#pragma GCC unroll 20
    for (int q = 0; q < inputs; ++q) {
      if (!interior && (first + q < 0 || first + q >= s.width)) continue;
      const auto x = load(d, from + q * s.channels);
#pragma GCC unroll 5
      for (int j = 0; j < kernel; ++j) {
        if (q >= j && (q - j) % stride == 0 && (q - j) / stride < columns) {
          sums[(q - j) / stride] = hn::MulAdd(x, w[j], sums[(q - j) / stride]);
        }
      }
    }
  }
  const Finish finish(d, row.epilogue, channel);
#pragma GCC unroll 8
  for (int k = 0; k < columns; ++k) finish(d, sums[k], (column + k) * s.channels + channel, row.y);
}

#if HWY_TARGET == HWY_AVX3

/// Of a row of the image, or of none, which is read as zeros.
struct PairRow {
  const bfloat16* image;
  __mmask16 present;

  HWY_INLINE __m256i load(std::int64_t at) const { return _mm256_maskz_loadu_epi16(present, image + at); }
};

/// As block_of_columns, of 16 channels, by the processor's products of pairs: two rows of the filter at a time, the
/// pixels below each other as pairs. The last row of an odd filter has zeros for the pixels below.
template <int kernel, int stride, int columns, bool interior>
HWY_INLINE void block_of_pairs(const Row<bfloat16>& row, std::int64_t column, std::int64_t channel) {
  constexpr int inputs = (columns - 1) * stride + kernel;
  const hn::Full512<float> d;
  const hn::Full512<std::uint32_t> word;
  const ConvShape& s = row.shape;
  const std::int64_t first = column * stride - s.padding_left;
  const __m512i alternately =
      _mm512_add_epi16(_mm512_set1_epi32(32 << 16),
                       _mm512_mullo_epi32(_mm512_set1_epi32(0x10001),
                                          _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)));
  const auto row_of = [&](int i) {
    const bool present = i >= row.from_tap && i < row.to_tap;
    return PairRow{row.image + ((present ? row.first_row + i : 0) * s.width + first) * s.channels + channel,
                   static_cast<__mmask16>(present ? 0xffff : 0)};
  };
  const auto tap = [&](int i, int j) { return hn::LoadU(d, row.weights + (i * kernel + j) * s.channels + channel); };
  hn::Vec<decltype(d)> sums[columns];
#pragma GCC unroll 8
  for (int k = 0; k < columns; ++k) sums[k] = hn::Zero(d);
  for (int i = 0; i < kernel; i += 2) {
    const bool pairs = i + 1 < kernel;
    const PairRow above = row_of(i), below = pairs ? row_of(i + 1) : above;
    if (above.present == 0 && (!pairs || below.present == 0)) continue;
    hn::Vec<decltype(word)> w[kernel];
#pragma GCC unroll 5
    for (int j = 0; j < kernel; ++j) {
      w[j] = hn::ShiftRight<16>(hn::BitCast(word, tap(i, j)));
      if (pairs) w[j] = hn::Or(w[j], hn::BitCast(word, tap(i + 1, j)));
    }
#pragma GCC unroll 20
    for (int q = 0; q < inputs; ++q) {
      if (!interior && (first + q < 0 || first + q >= s.width)) continue;
      const std::int64_t at = q * s.channels;
      hn::Vec<decltype(word)> x;
      if (pairs) {
        x.raw = _mm512_permutex2var_epi16(_mm512_castsi256_si512(above.load(at)), alternately,
                                          _mm512_castsi256_si512(below.load(at)));
      } else {
        x.raw = _mm512_cvtepu16_epi32(above.load(at));
      }
#pragma GCC unroll 5
      for (int j = 0; j < kernel; ++j) {
        if (q >= j && (q - j) % stride == 0 && (q - j) / stride < columns) {
          sums[(q - j) / stride] = add_pair_products(d, x, w[j], sums[(q - j) / stride]);
        }
      }
    }
  }
  const Finish finish(d, row.epilogue, channel);
#pragma GCC unroll 8
  for (int k = 0; k < columns; ++k) finish(d, sums[k], (column + k) * s.channels + channel, row.y);
}

template <int kernel, int stride, int columns, bool interior, class D>
HWY_INLINE void block_of(D d, const Row<bfloat16>& row, std::int64_t column, std::int64_t channel) {
  if constexpr (hn::MaxLanes(D()) == 16) {
    if (row.epilogue.native) return block_of_pairs<kernel, stride, columns, interior>(row, column, channel);
  }
  block_of_columns<kernel, stride, columns, interior>(d, row, column, channel);
}

#else

template <int kernel, int stride, int columns, bool interior, class D>
HWY_INLINE void block_of(D d, const Row<bfloat16>& row, std::int64_t column, std::int64_t channel) {
  block_of_columns<kernel, stride, columns, interior>(d, row, column, channel);
}

#endif

template <int kernel, int stride, int columns, bool interior, class D>
HWY_INLINE void block_of(D d, const Row<float>& row, std::int64_t column, std::int64_t channel) {
  block_of_columns<kernel, stride, columns, interior>(d, row, column, channel);
}

/// One output of as many channels as d has lanes, of any filter.
template <class D, typename T>
HWY_INLINE void one_column(D d, const Row<T>& row, std::int64_t column, std::int64_t channel) {
  const ConvShape& s = row.shape;
  auto sum = hn::Zero(d);
  for (std::int64_t i = row.from_tap; i < row.to_tap; ++i) {
    for (std::int64_t j = 0; j < s.kernel_width; ++j) {
      const std::int64_t at = column * s.stride - s.padding_left + j * s.dilation;
      if (at < 0 || at >= s.width) continue;
      const T* from = row.image + ((row.first_row + i * s.dilation) * s.width + at) * s.channels + channel;
      sum = hn::MulAdd(load(d, from), hn::LoadU(d, row.weights + (i * s.kernel_width + j) * s.channels + channel), sum);
    }
  }
  Finish(d, row.epilogue, channel)(d, sum, column * s.channels + channel, row.y);
}

/// All channels of a block, the last ones by themselves.
template <class F>
HWY_INLINE void for_channels(std::int64_t channels, const F& f) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> single;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t channel = 0;
  for (; channel + lanes <= channels; channel += lanes) f(d, channel);
  for (; channel < channels; ++channel) f(single, channel);
}

/// Asks for what the next row of outputs reads below the inputs of this one, of the columns that are read next: the
/// processor does not foresee it where a block of channels is a part of a pixel.
template <int kernel, int stride, int columns, typename T>
[[gnu::always_inline]] inline void prefetch_below(const Row<T>& row, std::int64_t column) {
  const ConvShape& s = row.shape;
  const std::int64_t width = std::min<std::int64_t>(columns * stride, s.width - column * stride);
  for (std::int64_t i = row.first_row + kernel; i < std::min(row.first_row + kernel + stride, s.height); ++i) {
    const auto* from = reinterpret_cast<const std::byte*>(row.image + (i * s.width + column * stride) * s.channels);
    const auto bytes = width * s.channels * static_cast<std::int64_t>(sizeof(T));
    for (std::int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(from + at, 0, 2);
  }
}

template <int kernel, int stride, int columns, typename T>
HWY_INLINE void columns_of(const Row<T>& row, std::int64_t& column) {
  const ConvShape& s = row.shape;
  for (; column + columns <= s.out_width; column += columns) {
    prefetch_below<kernel, stride, columns>(row, column);
    const std::int64_t first = column * stride - s.padding_left;
    if (first >= 0 && first + (columns - 1) * stride + kernel <= s.width) {
      for_channels(s.channels, [&](auto d, std::int64_t channel) {
        block_of<kernel, stride, columns, true>(d, row, column, channel);
      });
    } else {
      for_channels(s.channels, [&](auto d, std::int64_t channel) {
        block_of<kernel, stride, columns, false>(d, row, column, channel);
      });
    }
  }
}

/// Widths that are halves of 224 are multiples of 7 in the end.
template <int kernel, int stride, typename T>
HWY_INLINE void whole_row(const Row<T>& row) {
  std::int64_t column = 0;
  if (row.shape.out_width % 8 != 0 && row.shape.out_width % 7 == 0) columns_of<kernel, stride, 7>(row, column);
  columns_of<kernel, stride, 8>(row, column);
  columns_of<kernel, stride, 4>(row, column);
  columns_of<kernel, stride, 2>(row, column);
  columns_of<kernel, stride, 1>(row, column);
}

template <typename T>
HWY_INLINE void any_row(const Row<T>& row) {
  const ConvShape& s = row.shape;
  const bool dense = s.dilation == 1 && s.kernel_height == s.kernel_width;
  if (dense && s.kernel_width == 3 && s.stride == 1) return whole_row<3, 1>(row);
  if (dense && s.kernel_width == 3 && s.stride == 2) return whole_row<3, 2>(row);
  if (dense && s.kernel_width == 5 && s.stride == 1) return whole_row<5, 1>(row);
  if (dense && s.kernel_width == 5 && s.stride == 2) return whole_row<5, 2>(row);
  for (std::int64_t column = 0; column < s.out_width; ++column) {
    for_channels(s.channels, [&](auto d, std::int64_t channel) { one_column(d, row, column, channel); });
  }
}

/// Rows of outputs, counted over the images.
template <typename T>
HWY_INLINE void convolve_rows(const ConvShape& s, const T* x, const float* weights,
                              const DepthwiseEpilogue<T>& epilogue, T* y, std::int64_t begin, std::int64_t end) {
  for (std::int64_t at = begin; at < end; ++at) {
    const std::int64_t image = at / s.out_height, out_row = at % s.out_height;
    const std::int64_t offset = at * s.out_width * s.channels, first = out_row * s.stride - s.padding_top;
    Row<T> row{
        .shape = s,
        .image = x + image * s.height * s.width * s.channels,
        .weights = weights,
        .epilogue = epilogue,
        .y = y + offset,
        .first_row = first,
        .from_tap = first < 0 ? (-first + s.dilation - 1) / s.dilation : 0,
        .to_tap = std::clamp<std::int64_t>((s.height - first + s.dilation - 1) / s.dilation, 0, s.kernel_height)};
    if (epilogue.residual != nullptr) row.epilogue.residual = epilogue.residual + offset;
    any_row(row);
  }
}

void convolve_f32(const ConvShape& s, const float* x, const float* weights, const DepthwiseEpilogue<float>& epilogue,
                  float* y, std::int64_t begin, std::int64_t end) {
  convolve_rows(s, x, weights, epilogue, y, begin, end);
}

void convolve_bf16(const ConvShape& s, const bfloat16* x, const float* weights,
                   const DepthwiseEpilogue<bfloat16>& epilogue, bfloat16* y, std::int64_t begin, std::int64_t end) {
  convolve_rows(s, x, weights, epilogue, y, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
HWY_EXPORT(convolve_f32);
HWY_EXPORT(convolve_bf16);

namespace {

auto convolution_of(float) { return HWY_DYNAMIC_DISPATCH(convolve_f32); }
auto convolution_of(bfloat16) { return HWY_DYNAMIC_DISPATCH(convolve_bf16); }

}  // namespace

bool depthwise_fits(const ConvShape& shape) {
  return shape.groups > 1 && shape.groups == shape.channels && shape.groups == shape.out_channels;
}

void depthwise_pack_weights(std::int64_t channels, std::int64_t taps, const float* w, bool bf16, float* packed) {
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      const float value = w[channel * taps + tap];
      packed[tap * channels + channel] = bf16 ? to_float(to_bfloat16(value)) : value;
    }
  }
}

template <typename T>
void depthwise_forward(const ConvShape& shape, const T* x, const float* packed, const DepthwiseEpilogue<T>& epilogue,
                       T* y) {
  const std::int64_t rows = shape.images * shape.out_height;
  const int threads = static_cast<int>(std::min<std::int64_t>(threads_worth(shape.operations()), rows));
  const auto run = convolution_of(T());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int thread = 0; thread < threads; ++thread) {
    run(shape, x, packed, epilogue, y, rows * thread / threads, rows * (thread + 1) / threads);
  }
}

template void depthwise_forward(const ConvShape&, const float*, const float*, const DepthwiseEpilogue<float>&, float*);
template void depthwise_forward(const ConvShape&, const bfloat16*, const float*, const DepthwiseEpilogue<bfloat16>&,
                                bfloat16*);

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

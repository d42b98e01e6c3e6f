// Convolution of few channels, compiled for every vector extension and chosen at run time.
#include "kernels/cpu/few_channels.hpp"

#include <algorithm>
#include <array>

#include "kernels/cpu/threads.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/few_channels.cpp"
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

inline float widened(float x) { return x; }
inline float widened(bfloat16 x) { return to_float(x); }

/// One row of outputs of one image.
template <typename T>
struct FewRow {
  const ConvShape& shape;
  const T* image;
  const float* weights;
  DepthwiseEpilogue<T> epilogue;  ///< of this row
  T* y;
  std::int64_t first_row;                ///< of the image, that the first row of the filter lies on; may be outside
  const std::uint32_t* pairs = nullptr;  ///< weights as PairWeights has them, or null
};

/// Writes the sums of a block.
template <int columns, int vectors, class D, typename T>
HWY_INLINE void finish_block(D d, const FewRow<T>& row, const hn::Vec<D> (&sums)[columns][vectors], std::int64_t column,
                             std::int64_t out) {
  const std::int64_t outs = row.shape.out_channels;
#pragma GCC unroll 2
  for (int v = 0; v < vectors; ++v) {
    const std::int64_t channel = out + v * static_cast<std::int64_t>(hn::Lanes(d));
    const Finish finish(d, row.epilogue, channel);
#pragma GCC unroll 8
    for (int k = 0; k < columns; ++k) finish(d, sums[k][v], (column + k) * outs + channel, row.y);
  }
}

/// `columns` neighbouring pixels of `vectors` vectors of outputs.
template <int columns, int vectors, class D, typename T>
HWY_INLINE void block(D d, const FewRow<T>& row, std::int64_t column, std::int64_t out) {
  const ConvShape& s = row.shape;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<D> sums[columns][vectors];
#pragma GCC unroll 8
  for (int k = 0; k < columns; ++k) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sums[k][v] = hn::Zero(d);
  }
  for (std::int64_t i = 0; i < s.kernel_height; ++i) {
    const std::int64_t at_row = row.first_row + i * s.dilation;
    if (at_row < 0 || at_row >= s.height) continue;
    for (std::int64_t j = 0; j < s.kernel_width; ++j) {
      const std::int64_t first = column * s.stride - s.padding_left + j * s.dilation;
      const std::int64_t last = first + (columns - 1) * s.stride;
      const bool interior = first >= 0 && last < s.width;
      const T* from = row.image + (at_row * s.width + first) * s.channels;
      for (std::int64_t c = 0; c < s.channels; ++c) {
        const float* weights = row.weights + ((i * s.kernel_width + j) * s.channels + c) * s.out_channels + out;
        hn::Vec<D> w[vectors];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) w[v] = hn::LoadU(d, weights + v * lanes);
#pragma GCC unroll 8
        for (int k = 0; k < columns; ++k) {
          if (!interior && (first + k * s.stride < 0 || first + k * s.stride >= s.width)) continue;
          const auto x = hn::Set(d, widened(from[k * s.stride * s.channels + c]));
#pragma GCC unroll 2
          for (int v = 0; v < vectors; ++v) sums[k][v] = hn::MulAdd(x, w[v], sums[k][v]);
        }
      }
    }
  }
  finish_block<columns, vectors>(d, row, sums, column, out);
}

/// Weights of bf16 for the processor's products of pairs, of filters that are not too large for it:
/// [height, pairs, out], a pair being numbers that lie beside each other in a row of the filter and of the image.
class PairWeights {
 public:
  PairWeights(const ConvShape& s, const float* weights, bool native) {
    const std::int64_t numbers = s.kernel_width * s.channels, pairs = pairs_of(s);
    fits_ = HWY_TARGET == HWY_AVX3 && native && s.dilation == 1 &&
            s.kernel_height * pairs * s.out_channels <= static_cast<std::int64_t>(words_.size());
    for (std::int64_t at = 0; fits_ && at < s.kernel_height * pairs; ++at) {
      const std::int64_t first = at / pairs * numbers + at % pairs * 2;
      const bool whole = at % pairs * 2 + 1 < numbers;
      for (std::int64_t out = 0; out < s.out_channels; ++out) {
        const std::uint32_t upper = whole ? to_bfloat16(weights[(first + 1) * s.out_channels + out]).bits : 0;
        words_[static_cast<std::size_t>(at * s.out_channels + out)] =
            upper << 16 | to_bfloat16(weights[first * s.out_channels + out]).bits;
      }
    }
  }
  static std::int64_t pairs_of(const ConvShape& s) { return (s.kernel_width * s.channels + 1) / 2; }
  const std::uint32_t* get() const { return fits_ ? words_.data() : nullptr; }

 private:
  bool fits_;
  std::array<std::uint32_t, 8192> words_;
};

/// As block, where all columns of the image that the pixels see are there.
template <int columns, int vectors, class D>
HWY_INLINE void block_of_pairs(D d, const FewRow<bfloat16>& row, std::int64_t column, std::int64_t out) {
  const hn::RebindToUnsigned<D> word;
  const ConvShape& s = row.shape;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t pairs = PairWeights::pairs_of(s);
  hn::Vec<D> sums[columns][vectors];
#pragma GCC unroll 8
  for (int k = 0; k < columns; ++k) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sums[k][v] = hn::Zero(d);
  }
  for (std::int64_t i = 0; i < s.kernel_height; ++i) {
    const std::int64_t at_row = row.first_row + i;
    if (at_row < 0 || at_row >= s.height) continue;
    const bfloat16* from = row.image + (at_row * s.width + column * s.stride - s.padding_left) * s.channels;
    for (std::int64_t p = 0; p < pairs; ++p, from += 2) {
      const bool whole = 2 * p + 1 < s.kernel_width * s.channels;
      const std::uint32_t* weights = row.pairs + (i * pairs + p) * s.out_channels + out;
      hn::Vec<decltype(word)> w[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) w[v] = hn::LoadU(word, weights + v * lanes);
#pragma GCC unroll 8
      for (int k = 0; k < columns; ++k) {
        const auto x = hn::Set(word, pair_at(from + k * s.stride * s.channels, whole));
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) sums[k][v] = add_pair_products(d, x, w[v], sums[k][v]);
      }
    }
  }
  finish_block<columns, vectors>(d, row, sums, column, out);
}

template <int columns, int vectors, class D>
HWY_INLINE void block_of(D d, const FewRow<bfloat16>& row, std::int64_t column, std::int64_t out) {
  const ConvShape& s = row.shape;
  const std::int64_t first = column * s.stride - s.padding_left;
  const bool interior = first >= 0 && first + (columns - 1) * s.stride + s.kernel_width <= s.width;
  if (interior && row.pairs != nullptr) return block_of_pairs<columns, vectors>(d, row, column, out);
  block<columns, vectors>(d, row, column, out);
}

template <int columns, int vectors, class D>
HWY_INLINE void block_of(D d, const FewRow<float>& row, std::int64_t column, std::int64_t out) {
  block<columns, vectors>(d, row, column, out);
}

template <int columns, typename T>
HWY_INLINE void columns_of(const FewRow<T>& row, std::int64_t& column) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t outs = row.shape.out_channels;
  for (; column + columns <= row.shape.out_width; column += columns) {
    std::int64_t out = 0;
    for (; out + 2 * lanes <= outs; out += 2 * lanes) block_of<columns, 2>(d, row, column, out);
    for (; out < outs; out += lanes) block_of<columns, 1>(d, row, column, out);
  }
}

template <typename T>
HWY_INLINE void few_channels_rows(const ConvShape& s, const T* x, const float* weights,
                                  const DepthwiseEpilogue<T>& epilogue, const std::uint32_t* pairs, T* y,
                                  std::int64_t begin, std::int64_t end) {
  for (std::int64_t at = begin; at < end; ++at) {
    const std::int64_t image = at / s.out_height, offset = at * s.out_width * s.out_channels;
    FewRow<T> row{.shape = s,
                  .image = x + image * s.height * s.width * s.channels,
                  .weights = weights,
                  .epilogue = epilogue,
                  .y = y + offset,
                  .first_row = at % s.out_height * s.stride - s.padding_top,
                  .pairs = pairs};
    if (epilogue.residual != nullptr) row.epilogue.residual = epilogue.residual + offset;
    std::int64_t column = 0;
    columns_of<8>(row, column);
    columns_of<1>(row, column);
  }
}

void few_channels_f32(const ConvShape& s, const float* x, const float* weights,
                      const DepthwiseEpilogue<float>& epilogue, float* y, std::int64_t begin, std::int64_t end) {
  few_channels_rows(s, x, weights, epilogue, nullptr, y, begin, end);
}

void few_channels_bf16(const ConvShape& s, const bfloat16* x, const float* weights,
                       const DepthwiseEpilogue<bfloat16>& epilogue, bfloat16* y, std::int64_t begin, std::int64_t end) {
  const PairWeights pairs(s, weights, epilogue.native);
  few_channels_rows(s, x, weights, epilogue, pairs.get(), y, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
HWY_EXPORT(few_channels_f32);
HWY_EXPORT(few_channels_bf16);

namespace {

auto convolution_of(float) { return HWY_DYNAMIC_DISPATCH(few_channels_f32); }
auto convolution_of(bfloat16) { return HWY_DYNAMIC_DISPATCH(few_channels_bf16); }

}  // namespace

bool few_channels_fit(const ConvShape& shape) {
  constexpr std::int64_t most_channels = 4;
  return shape.groups == 1 && shape.channels <= most_channels && shape.out_channels % 16 == 0 &&
         shape.kernel_height * shape.kernel_width > 1;
}

void few_channels_pack_weights(const ConvShape& shape, const float* w, bool bf16, float* packed) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width;
  for (std::int64_t out = 0; out < shape.out_channels; ++out) {
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const float value = w[(out * shape.channels + c) * taps + tap];
        packed[(tap * shape.channels + c) * shape.out_channels + out] = bf16 ? to_float(to_bfloat16(value)) : value;
      }
    }
  }
}

template <typename T>
void few_channels_forward(const ConvShape& shape, const T* x, const float* packed, const DepthwiseEpilogue<T>& epilogue,
                          T* y) {
  const std::int64_t rows = shape.images * shape.out_height;
  const int threads = static_cast<int>(std::min<std::int64_t>(threads_worth(shape.operations()), rows));
  const auto run = convolution_of(T());
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int thread = 0; thread < threads; ++thread) {
    run(shape, x, packed, epilogue, y, rows * thread / threads, rows * (thread + 1) / threads);
  }
}

template void few_channels_forward(const ConvShape&, const float*, const float*, const DepthwiseEpilogue<float>&,
                                   float*);
template void few_channels_forward(const ConvShape&, const bfloat16*, const float*, const DepthwiseEpilogue<bfloat16>&,
                                   bfloat16*);

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

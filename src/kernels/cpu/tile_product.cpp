#include "kernels/cpu/tile_product.hpp"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile_product.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Vectors of a row of the result that stay in registers with six rows.
constexpr int most_vectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

/// `rows` rows by `vectors` vectors of the result; of the last vector, what `inside` says.
template <int rows, int vectors, class D, class Mask, typename T>
HWY_INLINE void multiply_block(D d, const TileProduct<T>& p, std::int64_t row, std::int64_t column, Mask inside) {
  using V = hn::VFromD<D>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sums[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sums[r][v] = hn::Zero(d);
  }
  const T *a = p.a + row * p.a_row, *b = p.b + column;
  for (std::int64_t k = 0; k < p.k; ++k) {
    V other[vectors];
    for (int v = 0; v + 1 < vectors; ++v) other[v] = hn::LoadU(d, b + v * lanes);
    other[vectors - 1] = hn::MaskedLoad(inside, d, b + (vectors - 1) * lanes);
    for (int r = 0; r < rows; ++r) {
      const V factor = hn::Set(d, a[r * p.a_row]);
      for (int v = 0; v < vectors; ++v) sums[r][v] = hn::MulAdd(factor, other[v], sums[r][v]);
    }
    a += p.a_step;
    b += p.b_row;
  }
  for (int r = 0; r < rows; ++r) {
    T* c = p.c + (row + r) * p.c_row + column;
    for (int v = 0; v + 1 < vectors; ++v) {
      T* to = c + v * lanes;
      hn::StoreU(p.add ? hn::Add(sums[r][v], hn::LoadU(d, to)) : sums[r][v], d, to);
    }
    T* to = c + (vectors - 1) * lanes;
    const V last = sums[r][vectors - 1];
    hn::BlendedStore(p.add ? hn::Add(last, hn::MaskedLoad(inside, d, to)) : last, inside, d, to);
  }
}

/// All rows of some vectors of columns.
template <int vectors, class D, class Mask, typename T>
HWY_INLINE void multiply_columns(D d, const TileProduct<T>& p, std::int64_t column, Mask inside) {
  std::int64_t row = 0;
  for (; row + 6 <= p.m; row += 6) multiply_block<6, vectors>(d, p, row, column, inside);
  for (; row + 4 <= p.m; row += 4) multiply_block<4, vectors>(d, p, row, column, inside);
  for (; row + 2 <= p.m; row += 2) multiply_block<2, vectors>(d, p, row, column, inside);
  if (row < p.m) multiply_block<1, vectors>(d, p, row, column, inside);
}

template <typename T>
void multiply(const TileProduct<T>& p) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t column = 0; column < p.n; column += most_vectors * lanes) {
    const std::int64_t rest = std::min(p.n - column, most_vectors * lanes), vectors = (rest + lanes - 1) / lanes;
    const auto inside = hn::FirstN(d, static_cast<std::size_t>(rest - (vectors - 1) * lanes));
    if (vectors == 1) {
      multiply_columns<1>(d, p, column, inside);
    } else if (vectors == 2) {
      multiply_columns<2>(d, p, column, inside);
    } else if constexpr (most_vectors > 2) {
      vectors == 3 ? multiply_columns<3>(d, p, column, inside) : multiply_columns<4>(d, p, column, inside);
    }
  }
}

#if HWY_TARGET != HWY_SCALAR
/// Four rows of four from as many columns.
HWY_INLINE void transpose_square(const float* from, std::int64_t step, float* to, std::int64_t to_step) {
  const hn::CappedTag<float, 4> d;
  const auto a = hn::LoadU(d, from), b = hn::LoadU(d, from + step);
  const auto c = hn::LoadU(d, from + 2 * step), e = hn::LoadU(d, from + 3 * step);
  const auto ac = hn::InterleaveLower(d, a, c), be = hn::InterleaveLower(d, b, e);
  const auto upper_ac = hn::InterleaveUpper(d, a, c), upper_be = hn::InterleaveUpper(d, b, e);
  hn::StoreU(hn::InterleaveLower(d, ac, be), d, to);
  hn::StoreU(hn::InterleaveUpper(d, ac, be), d, to + to_step);
  hn::StoreU(hn::InterleaveLower(d, upper_ac, upper_be), d, to + 2 * to_step);
  hn::StoreU(hn::InterleaveUpper(d, upper_ac, upper_be), d, to + 3 * to_step);
}
#endif

/// By squares, so that both sides' lines are used whole.
template <typename T>
void transpose(const T* from, std::int64_t step, std::int64_t rows, std::int64_t columns, T* to, std::int64_t to_step) {
  constexpr std::int64_t side = 16;
  for (std::int64_t i = 0; i < rows; i += side) {
    const std::int64_t end = std::min(rows, i + side);
    std::int64_t j = 0;
#if HWY_TARGET != HWY_SCALAR
    if constexpr (std::is_same_v<T, float>) {
      for (; end - i == side && j + 4 <= columns; j += 4) {
        for (std::int64_t r = i; r < end; r += 4)
          transpose_square(from + r * step + j, step, to + j * to_step + r, to_step);
      }
    }
#endif
    for (; j < columns; ++j) {
      for (std::int64_t r = i; r < end; ++r) to[j * to_step + r] = from[r * step + j];
    }
  }
}

void multiply_f32(const TileProduct<float>& p) { multiply(p); }
void multiply_f64(const TileProduct<double>& p) { multiply(p); }
void transpose_f32(const float* from, std::int64_t step, std::int64_t rows, std::int64_t columns, float* to,
                   std::int64_t to_step) {
  transpose(from, step, rows, columns, to, to_step);
}
void transpose_f64(const double* from, std::int64_t step, std::int64_t rows, std::int64_t columns, double* to,
                   std::int64_t to_step) {
  transpose(from, step, rows, columns, to, to_step);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(multiply_f32);
HWY_EXPORT(multiply_f64);
HWY_EXPORT(transpose_f32);
HWY_EXPORT(transpose_f64);

void multiply_tile(const TileProduct<float>& product) { HWY_DYNAMIC_DISPATCH(multiply_f32)(product); }
void multiply_tile(const TileProduct<double>& product) { HWY_DYNAMIC_DISPATCH(multiply_f64)(product); }

void transpose_tile(const float* from, std::int64_t from_step, std::int64_t rows, std::int64_t columns, float* to,
                    std::int64_t to_step) {
  HWY_DYNAMIC_DISPATCH(transpose_f32)(from, from_step, rows, columns, to, to_step);
}
void transpose_tile(const double* from, std::int64_t from_step, std::int64_t rows, std::int64_t columns, double* to,
                    std::int64_t to_step) {
  HWY_DYNAMIC_DISPATCH(transpose_f64)(from, from_step, rows, columns, to, to_step);
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

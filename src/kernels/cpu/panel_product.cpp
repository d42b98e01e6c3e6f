#include "kernels/cpu/panel_product.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/cpu/tile_product.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/panel_product.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/cpu/bfloat16-inl.hpp"
#include "kernels/cpu/activations-inl.hpp"
#include "kernels/cpu/clamp-inl.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Vectors of a row of the result that stay in registers with six rows.
constexpr int most_vectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

/// Columns of a panel that lie side by side, row after row. Of f32 those that a block of the result takes: with others
/// between them, rows would be so far apart that few find a place in the first-level cache.
template <typename T>
constexpr std::int64_t strip_columns =
    sizeof(T) == 2 ? panel_columns : most_vectors* static_cast<std::int64_t>(hn::MaxLanes(hn::CappedTag<float, 16>()));

/// These products of bf16 are for processors that have the instructions.
constexpr bool native_rounding = true;
constexpr float infinity = std::numeric_limits<float>::infinity();

/// What a step of k takes of b, as vectors, and of a, as one for all lanes.
template <class D>
HWY_INLINE auto load_step(D d, const float* b) {
  return hn::LoadU(d, b);
}
template <class D>
HWY_INLINE auto load_step(D /*d*/, const bfloat16* b) {
  const hn::RebindToUnsigned<D> word;
  return hn::LoadU(word, reinterpret_cast<const std::uint32_t*>(b));
}
template <class D>
HWY_INLINE auto repeat_step(D d, const float* a, bool /*whole*/) {
  return hn::Set(d, *a);
}
template <class D>
HWY_INLINE auto repeat_step(D /*d*/, const bfloat16* a, bool whole) {
  return hn::Set(hn::RebindToUnsigned<D>(), pair_at(a, whole));
}
template <class D, class V>
HWY_INLINE V add_step(D /*d*/, V a, V b, V sums, float /*type*/) {
  return hn::MulAdd(a, b, sums);
}
template <class D, class Pairs, class V>
HWY_INLINE V add_step(D d, Pairs a, Pairs b, V sums, bfloat16 /*type*/) {
  return add_pair_products(d, a, b, sums);
}

/// The first `count` lanes of memory, zeros behind them.
template <class D>
HWY_INLINE auto load_some(D d, const float* from, std::int64_t count) {
  return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(count)), d, from);
}
template <class D>
HWY_INLINE auto load_some(D d, const bfloat16* from, std::int64_t count) {
  bfloat16 part[HWY_MAX_BYTES / sizeof(float)] = {};
  std::copy_n(from, count, part);
  return load(d, part);
}
template <class D, class V>
HWY_INLINE void store_some(V value, D d, float* to, std::int64_t count) {
  hn::BlendedStore(value, hn::FirstN(d, static_cast<std::size_t>(count)), d, to);
}
template <class D, class V>
HWY_INLINE void store_some(V value, D d, bfloat16* to, std::int64_t count) {
  const hn::Rebind<std::uint16_t, D> half;
  bfloat16 part[HWY_MAX_BYTES / sizeof(float)];
  store_sum(value, d, part, native_rounding);
  hn::BlendedStore(hn::LoadU(half, &part->bits), hn::FirstN(half, static_cast<std::size_t>(count)), half, &to->bits);
}

/// The bits of the activation's kernel on the product's: bf16 is rounded between them, where that makes a difference.
template <class D, class V, typename Result>
HWY_INLINE V activate(D d, V x, LinearActivation activation, Result /*type*/) {
  if (activation == LinearActivation::none) return x;
  if (activation == LinearActivation::relu) return at_least(hn::Zero(d), x);
  if (activation == LinearActivation::relu6) return at_most(hn::Set(d, 6.0F), at_least(hn::Zero(d), x));
  if constexpr (sizeof(Result) == 2) {
    Result part[HWY_MAX_BYTES / sizeof(float)];
    store_sum(x, d, part, native_rounding);
    x = load(d, part);
  }
  switch (activation) {
    case LinearActivation::gelu:
      return activation_vector(functors::Gelu(), d, x);
    case LinearActivation::gelu_tanh:
      return activation_vector(functors::GeluTanh(), d, x);
    default:
      return activation_vector(functors::Silu(), d, x);
  }
}

/// One vector of the result on its way out. `count` of its lanes are columns.
template <class D, class V, typename T, typename Result>
HWY_INLINE void finish_vector(D d, V sum, const PanelProduct<T, Result>& p, std::int64_t at, std::int64_t column,
                              std::int64_t count) {
  const bool whole = count == static_cast<std::int64_t>(hn::Lanes(d));
  const auto values = [&](const auto* from) HWY_ATTR { return whole ? load(d, from) : load_some(d, from, count); };
  if (p.add) sum = hn::Add(sum, values(p.c + at));
  if (p.bias != nullptr) sum = hn::Add(sum, values(p.bias + column));
  if (p.residual != nullptr) sum = hn::Add(sum, values(p.residual + at));
  sum = activate(d, sum, p.activation, Result{});
  whole ? store_sum(sum, d, p.c + at, native_rounding) : store_some(sum, d, p.c + at, count);
}

/// A block of whole vectors, with bias, ReLU and ReLU6 alone, from its registers.
template <int rows, int vectors, class D, class V, typename T, typename Result>
HWY_INLINE void finish_plain(D d, const PanelProduct<T, Result>& p, V (&sums)[rows][vectors], std::int64_t row,
                             std::int64_t column) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    const auto bias = p.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, p.bias + column + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) sums[r][v] = hn::Add(sums[r][v], bias);
  }
  const auto lowest = hn::Set(d, p.activation == LinearActivation::none ? -infinity : 0.0F);
  const auto highest = hn::Set(d, p.activation == LinearActivation::relu6 ? 6.0F : infinity);
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    Result* c = p.c + (row + r) * p.c_row + column;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      store_sum(at_most(highest, at_least(lowest, sums[r][v])), d, c + v * lanes, native_rounding);
    }
  }
}

/// The block of sums at a row and a column on its way out; the last vector of a row may be a part of one.
template <class D, typename T, typename Result>
HWY_NOINLINE void finish_block(D d, const PanelProduct<T, Result>& p, const float* block, int rows, int vectors,
                               std::int64_t row, std::int64_t column) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) {
      const std::int64_t here = column + v * lanes;
      finish_vector(d, hn::Load(d, block + (r * vectors + v) * lanes), p, (row + r) * p.c_row + here, here,
                    std::min(lanes, p.n - here));
    }
  }
}

/// Steps of k that a line of the cache holds of a row of a.
constexpr std::int64_t steps_of_a_line = 16;

/// Asks for a line of each of the rows of a that come next, and for a row of the block's place in c: rows are too short
/// for the processor to fetch them on its own, and all asked for at once would wait for each other.
template <int rows, int vectors, class D, typename T, typename Result>
HWY_INLINE void ask_for_line(D d, const PanelProduct<T, Result>& p, const T* a, int line, std::int64_t row,
                             std::int64_t column) {
  for (int r = rows; r < 2 * rows; ++r) __builtin_prefetch(a + r * p.a_row);
  if (line >= rows) return;
  const Result* c = p.c + (row + line) * p.c_row + column;
  for (int v = 0; v < vectors; ++v) __builtin_prefetch(c + v * static_cast<std::int64_t>(hn::Lanes(d)));
}

/// `rows` rows by `vectors` vectors of the result.
template <int rows, int vectors, class D, typename T, typename Result>
HWY_INLINE void multiply_block(D d, const PanelProduct<T, Result>& p, std::int64_t row, std::int64_t column) {
  constexpr int pair = sizeof(T) == 2 ? 2 : 1;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::VFromD<D> sums[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[r][v] = hn::Zero(d);
  }
  constexpr std::int64_t strip = strip_columns<T>;
  const std::int64_t steps = (p.k + pair - 1) / pair, padded = panel_elements<T>(1, p.k) / panel_columns;
  const T* a = p.a + row * p.a_row;
  const T* b = p.panels + column / strip * strip * padded + column % strip * pair;
  const auto step = [&](bool whole) HWY_ATTR {
    decltype(load_step(d, b)) other[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) other[v] = load_step(d, b + v * lanes * pair);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const auto factor = repeat_step(d, a + r * p.a_row, whole);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] = add_step(d, factor, other[v], sums[r][v], T{});
    }
    a += p.a_step;
    b += strip * pair;
  };
  const std::int64_t whole_steps = p.k / pair;
  std::int64_t done = 0;
  for (int line = 0; done + steps_of_a_line <= whole_steps; ++line) {
    ask_for_line<rows, vectors>(d, p, a, line, row, column);
    for (const std::int64_t end = done + steps_of_a_line; done < end; ++done) step(true);
  }
  for (; done < whole_steps; ++done) step(true);
  if (whole_steps < steps) step(false);
  const bool plain =
      !p.add && p.residual == nullptr && p.activation <= LinearActivation::relu6 && column + vectors * lanes <= p.n;
  if (plain) return finish_plain<rows, vectors>(d, p, sums, row, column);
  HWY_ALIGN float block[rows * vectors * HWY_MAX_BYTES / sizeof(float)];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) hn::Store(sums[r][v], d, block + (r * vectors + v) * lanes);
  }
  finish_block(d, p, block, rows, vectors, row, column);
}

template <int vectors, class D, typename T, typename Result>
HWY_INLINE void multiply_columns(D d, const PanelProduct<T, Result>& p, std::int64_t begin, std::int64_t end,
                                 std::int64_t column) {
  std::int64_t row = begin;
  for (; row + 6 <= end; row += 6) multiply_block<6, vectors>(d, p, row, column);
  for (; row + 4 <= end; row += 4) multiply_block<4, vectors>(d, p, row, column);
  for (; row + 2 <= end; row += 2) multiply_block<2, vectors>(d, p, row, column);
  if (row < end) multiply_block<1, vectors>(d, p, row, column);
}

/// Rows of a that stay in the second-level cache while all panels pass.
template <typename T, typename Result>
std::int64_t rows_at_a_time(const PanelProduct<T, Result>& p) {
  constexpr std::int64_t bytes = std::int64_t{256} << 10;
  constexpr std::int64_t least = 24;
  return std::max(least, bytes / std::max<std::int64_t>(1, p.k * static_cast<std::int64_t>(sizeof(T))) / 6 * 6);
}

template <typename T, typename Result>
void multiply_all(const PanelProduct<T, Result>& p) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t at_once = rows_at_a_time(p);
  for (std::int64_t begin = 0; begin < p.m; begin += at_once) {
    const std::int64_t end = std::min(p.m, begin + at_once);
    for (std::int64_t column = 0; column < p.n; column += most_vectors * lanes) {
      const std::int64_t vectors = (std::min(p.n - column, most_vectors * lanes) + lanes - 1) / lanes;
      if (vectors == 1) {
        multiply_columns<1>(d, p, begin, end, column);
      } else if (vectors == 2) {
        multiply_columns<2>(d, p, begin, end, column);
      } else if constexpr (most_vectors > 2) {
        vectors == 3 ? multiply_columns<3>(d, p, begin, end, column) : multiply_columns<4>(d, p, begin, end, column);
      }
    }
  }
}

void multiply_f32(const PanelProduct<float, float>& p) { multiply_all(p); }
void multiply_bf16_f32(const PanelProduct<bfloat16, float>& p) { multiply_all(p); }
void multiply_bf16(const PanelProduct<bfloat16, bfloat16>& p) { multiply_all(p); }

/// Pairs of neighbours in a row of b, for one panel of its transpose.
void transpose_pairs(const bfloat16* from, std::int64_t step, std::int64_t columns, std::int64_t k, bfloat16* to) {
  constexpr std::int64_t side = 16;
  for (std::int64_t i = 0; i < k; i += side) {
    const std::int64_t end = std::min(k, i + side);
    for (std::int64_t j = 0; j < columns; ++j) {
      for (std::int64_t r = i; r < end; r += 2) {
        const std::uint32_t pair = pair_at(from + j * step + r, r + 1 < k);
        std::memcpy(&to[r * panel_columns + 2 * j].bits, &pair, sizeof pair);
      }
    }
  }
}

/// Two rows as one of pairs.
void zip_rows(const bfloat16* even, const bfloat16* odd, std::int64_t count, bfloat16* pairs) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t pair = even[i].bits | static_cast<std::uint32_t>(odd[i].bits) << 16;
    std::memcpy(&pairs[2 * i].bits, &pair, sizeof pair);
  }
}

/// Rows of pairs from `count` columns of [k, ..]; `odd` stands for a row that is not there.
void zip_all(const bfloat16* from, std::int64_t step, std::int64_t count, std::int64_t k, std::int64_t width,
             bfloat16* to) {
  for (std::int64_t r = 0; r < k; r += 2, to += 2 * width) {
    if (r + 1 < k) {
      zip_rows(from + r * step, from + (r + 1) * step, count, to);
    } else {
      for (std::int64_t i = 0; i < count; ++i) to[2 * i] = from[r * step + i], to[2 * i + 1] = bfloat16{};
    }
  }
}

void pack_f32(const float* b, std::int64_t step, bool transposed, std::int64_t n, std::int64_t k, float* panels) {
  constexpr std::int64_t strip = strip_columns<float>;
  const std::int64_t all_columns = (n + panel_columns - 1) / panel_columns * panel_columns;
  for (std::int64_t column = 0; column < all_columns; column += strip, panels += strip * k) {
    const std::int64_t count = std::clamp<std::int64_t>(n - column, 0, strip);
    if (count < strip) std::fill_n(panels, strip * k, 0.0F);
    if (count == 0) continue;
    if (transposed) {
      transpose_tile(b + column * step, step, count, k, panels, strip);
    } else {
      for (std::int64_t r = 0; r < k; ++r) std::copy_n(b + r * step + column, count, panels + r * strip);
    }
  }
}

void pack_bf16(const bfloat16* b, std::int64_t step, bool transposed, std::int64_t n, std::int64_t k,
               bfloat16* panels) {
  const std::int64_t size = panel_elements<bfloat16>(1, k);
  for (std::int64_t column = 0; column < n; column += panel_columns, panels += size) {
    const std::int64_t count = std::min(panel_columns, n - column);
    if (count < panel_columns) std::fill_n(panels, size, bfloat16{});
    if (transposed) {
      transpose_pairs(b + column * step, step, count, k, panels);
    } else {
      zip_all(b + column, step, count, k, panel_columns, panels);
    }
  }
}

void pack_pairs_of(const bfloat16* a, std::int64_t step, std::int64_t m, std::int64_t k, bfloat16* pairs) {
  zip_all(a, step, m, k, m, pairs);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {

HWY_EXPORT(multiply_f32);
HWY_EXPORT(multiply_bf16_f32);
HWY_EXPORT(multiply_bf16);
HWY_EXPORT(pack_f32);
HWY_EXPORT(pack_bf16);
HWY_EXPORT(pack_pairs_of);

void multiply_panels(const PanelProduct<float, float>& product) { HWY_DYNAMIC_DISPATCH(multiply_f32)(product); }
void multiply_panels(const PanelProduct<bfloat16, float>& product) { HWY_DYNAMIC_DISPATCH(multiply_bf16_f32)(product); }
void multiply_panels(const PanelProduct<bfloat16, bfloat16>& product) { HWY_DYNAMIC_DISPATCH(multiply_bf16)(product); }

void pack_panels(const float* b, std::int64_t step, bool transposed, std::int64_t n, std::int64_t k, float* panels) {
  HWY_DYNAMIC_DISPATCH(pack_f32)(b, step, transposed, n, k, panels);
}
void pack_panels(const bfloat16* b, std::int64_t step, bool transposed, std::int64_t n, std::int64_t k,
                 bfloat16* panels) {
  HWY_DYNAMIC_DISPATCH(pack_bf16)(b, step, transposed, n, k, panels);
}
void pack_pairs(const bfloat16* a, std::int64_t step, std::int64_t m, std::int64_t k, bfloat16* pairs) {
  HWY_DYNAMIC_DISPATCH(pack_pairs_of)(a, step, m, k, pairs);
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

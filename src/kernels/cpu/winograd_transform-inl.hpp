// The one-dimensional transforms of F(4, 3) for winograd.cpp, which includes this once for each vector extension.
//
// Interpolation points are 0, +-a, +-b and infinity with a = 1/sqrt(2) and b = sqrt(2), not the usual 0, +-1, +-2:
// with a b = 1 the entries of the three matrices are of like size, and the rounding error is 2.3 times smaller (root
// mean square, 64 channels).

#ifndef RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_CONSTANTS
#define RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_CONSTANTS
namespace rtl::kernels::cpu {

inline constexpr int winograd_tile = 4;                                   // output pixels, each way
inline constexpr int winograd_size = 6;                                   // input pixels, each way
inline constexpr int winograd_positions = winograd_size * winograd_size;  // of the transformed domain
/// Tiles that go through the stages together: a multiple of the panels' heights.
inline constexpr std::int64_t winograd_block = 24;
/// Floats between the places of a block. 16 more than its values keep the places of a tile out of the same cache set.
inline constexpr std::int64_t winograd_stride = winograd_block * 16 + 16;
/// Floats of 16 channels of a block.
inline constexpr std::int64_t winograd_plane = (winograd_positions + 1) * winograd_stride;
/// Most channels: beyond that the transformed weights leave the second-level cache.
inline constexpr std::int64_t winograd_channels = 256;
inline constexpr double winograd_a = 0.70710678118654752440;
inline constexpr double winograd_b = 1.41421356237309504880;

}  // namespace rtl::kernels::cpu
#endif  // RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_CONSTANTS

#if defined(RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_INL
#undef RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_INL
#else
#define RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

/// result = G filter G^T for `kGroup` 3x3 filters side by side.
template <std::int64_t kGroup>
HWY_INLINE void transform_filter(const double (&filter)[9][kGroup], double (&result)[winograd_positions][kGroup]) {
  constexpr double a = winograd_a;
  constexpr double b = winograd_b;
  // Row i of G is [1, p, p^2] / prod over the other points q of (p - q).
  constexpr double g[winograd_size][3] = {{1.0, 0.0, 0.0},
                                          {-1.0 / 1.5, -a / 1.5, -0.5 / 1.5},
                                          {-1.0 / 1.5, a / 1.5, -0.5 / 1.5},
                                          {1.0 / 6.0, b / 6.0, 2.0 / 6.0},
                                          {1.0 / 6.0, -b / 6.0, 2.0 / 6.0},
                                          {0.0, 0.0, 1.0}};
  double half[winograd_size][3][kGroup];
  for (int i = 0; i < winograd_size; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int lane = 0; lane < kGroup; ++lane) {
        half[i][j][lane] = g[i][0] * filter[j][lane] + g[i][1] * filter[3 + j][lane] + g[i][2] * filter[6 + j][lane];
      }
    }
  }
  for (int i = 0; i < winograd_size; ++i) {
    for (int j = 0; j < winograd_size; ++j) {
      for (int lane = 0; lane < kGroup; ++lane) {
        result[i * winograd_size + j][lane] =
            half[i][0][lane] * g[j][0] + half[i][1][lane] * g[j][1] + half[i][2][lane] * g[j][2];
      }
    }
  }
}

/// The transforms come in parts whose intermediate values fit into the registers. Rows 1 to 4 of B^T x.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void transform_input_middle(D d, V x1, V x2, V x3, V x4, V (&to)[winograd_size]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V a = hn::Set(d, static_cast<float>(winograd_a));
  const V b = hn::Set(d, static_cast<float>(winograd_b));
  const V two = hn::Set(d, 2.0F);
  const V half = hn::Set(d, 0.5F);
  const V even_a = hn::NegMulAdd(two, x2, x4);
  const V odd_a = hn::NegMulAdd(two, x1, x3);
  const V even_b = hn::NegMulAdd(half, x2, x4);
  const V odd_b = hn::NegMulAdd(half, x1, x3);
  to[1] = hn::MulAdd(a, odd_a, even_a);
  to[2] = hn::NegMulAdd(a, odd_a, even_a);
  to[3] = hn::MulAdd(b, odd_b, even_b);
  to[4] = hn::NegMulAdd(b, odd_b, even_b);
}

/// Row 0 of B^T x, of x[0], x[2], x[4]; and row 5, of x[1], x[3], x[5].
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V transform_input_end(D d, V first, V middle, V last) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::NegMulAdd(hn::Set(d, 2.5F), middle, hn::Add(first, last));
}

/// Rows 0 and 2 of A^T x.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void transform_output_even(D d, V x0, V x1, V x2, V x3, V x4, V& to0, V& to2) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V even_a = hn::Add(x1, x2);
  const V even_b = hn::Add(x3, x4);
  to0 = hn::Add(x0, hn::Add(even_a, even_b));
  to2 = hn::MulAdd(hn::Set(d, 0.5F), even_a, hn::Add(even_b, even_b));
}

/// Rows 1 and 3 of A^T x; a^3 = a / 2 and b^3 = 2 b.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void transform_output_odd(D d, V x1, V x2, V x3, V x4, V x5, V& to1, V& to3) {
  namespace hn = hwy::HWY_NAMESPACE;
  constexpr auto a = static_cast<float>(winograd_a);
  constexpr auto b = static_cast<float>(winograd_b);
  const V odd_a = hn::Sub(x1, x2);
  const V odd_b = hn::Sub(x3, x4);
  to1 = hn::MulAdd(hn::Set(d, a), odd_a, hn::Mul(hn::Set(d, b), odd_b));
  to3 = hn::MulAdd(hn::Set(d, a / 2), odd_a, hn::MulAdd(hn::Set(d, 2 * b), odd_b, x5));
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();
#endif  // RTL_KERNELS_CPU_WINOGRAD_TRANSFORM_INL

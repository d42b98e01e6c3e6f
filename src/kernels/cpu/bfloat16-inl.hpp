// Vectors of elements as they are stored, for files that are compiled once for each vector extension: f32 and f64 as
// they are, bf16 widened to f32 when loaded and rounded to nearest even when stored (bit for bit as to_bfloat16).
#if defined(RTL_KERNELS_CPU_BFLOAT16_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef RTL_KERNELS_CPU_BFLOAT16_INL
#undef RTL_KERNELS_CPU_BFLOAT16_INL
#else
#define RTL_KERNELS_CPU_BFLOAT16_INL
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "rtl/core/dtype.hpp"

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE auto load(D d, const hwy::HWY_NAMESPACE::TFromD<D>* from) {
  return hwy::HWY_NAMESPACE::LoadU(d, from);
}

template <class D>
HWY_INLINE auto load(D d, const bfloat16* from) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> word;
  const hn::Rebind<std::uint16_t, D> half;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(word, hn::LoadU(half, &from->bits))));
}

template <class D, class V>
HWY_INLINE void store(V value, D d, hwy::HWY_NAMESPACE::TFromD<D>* to) {
  hwy::HWY_NAMESPACE::StoreU(value, d, to);
}

template <class D, class V>
HWY_INLINE void store(V value, D /*d*/, bfloat16* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> word;
  const hn::Rebind<std::uint16_t, D> half;
  const auto bits = hn::BitCast(word, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(word, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(word, 0x7fffu)));
  const auto quiet = hn::Or(bits, hn::Set(word, 0x400000u));
  const auto chosen = hn::IfThenElse(hn::RebindMask(word, hn::IsNaN(value)), quiet, rounded);
  hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(chosen)), half, &to->bits);
}

/// The same by the processor's own instruction, if it has one (`native`): of whole vectors numbers below the smallest
/// normal one, 1.2e-38, become zeros. For sums, whose roundoff is larger.
template <class D, class V, typename T>
HWY_INLINE void store_sum(V value, D d, T* to, [[maybe_unused]] bool native) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (sizeof(value) == 64 && sizeof(T) == 2) {
    if (native) {
      hwy::HWY_NAMESPACE::Vec256<std::uint16_t> half;
      asm("vcvtneps2bf16 %1, %0" : "=v"(half.raw) : "v"(value.raw));
      return hwy::HWY_NAMESPACE::StoreU(half, hwy::HWY_NAMESPACE::Full256<std::uint16_t>(), &to->bits);
    }
  }
#endif
  store(value, d, to);
}

/// As store, bit for bit, by that instruction where no number is so small.
template <class D, class V, typename T>
HWY_INLINE void store_fast(V value, D d, T* to, [[maybe_unused]] bool native) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (sizeof(value) == 64 && sizeof(T) == 2) {
    constexpr int subnormal = 0x20;
    if (native && _mm512_fpclass_ps_mask(value.raw, subnormal) == 0) return store_sum(value, d, to, true);
  }
#endif
  store(value, d, to);
}

/// The pair that begins at `a`, as a word; unless it is `whole` its second number is 0.
HWY_INLINE std::uint32_t pair_at(const bfloat16* a, bool whole) {
  if (!whole) return a->bits;
  std::uint32_t pair;
  std::memcpy(&pair, a, sizeof pair);
  return pair;
}

/// sums + a[0] b[0] + a[1] b[1] of pairs of bf16, by the processor's own instruction where this is compiled for
/// AVX-512: for processors that have it.
template <class D, class Pairs, class V>
HWY_INLINE V add_pair_products(D d, Pairs a, Pairs b, V sums) {
#if HWY_TARGET == HWY_AVX3
  asm("vdpbf16ps %2, %1, %0" : "+v"(sums.raw) : "v"(a.raw), "v"(b.raw));
  return sums;
#else
  const auto upper = hwy::HWY_NAMESPACE::Set(hwy::HWY_NAMESPACE::RebindToUnsigned<D>(), 0xffff0000u);
  sums = hwy::HWY_NAMESPACE::MulAdd(hwy::HWY_NAMESPACE::BitCast(d, hwy::HWY_NAMESPACE::ShiftLeft<16>(a)),
                                    hwy::HWY_NAMESPACE::BitCast(d, hwy::HWY_NAMESPACE::ShiftLeft<16>(b)), sums);
  return hwy::HWY_NAMESPACE::MulAdd(hwy::HWY_NAMESPACE::BitCast(d, hwy::HWY_NAMESPACE::And(a, upper)),
                                    hwy::HWY_NAMESPACE::BitCast(d, hwy::HWY_NAMESPACE::And(b, upper)), sums);
#endif
}

/// y[i] = x[i], rounded.
HWY_INLINE void narrow(const float* x, bfloat16* y, std::int64_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(hn::LoadU(d, x + i), d, y + i);
  for (; i < count; ++i) y[i] = to_bfloat16(x[i]);
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // RTL_KERNELS_CPU_BFLOAT16_INL

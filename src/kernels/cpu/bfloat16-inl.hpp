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

/// Words whose upper half is the nearest bf16.
template <class D, class V>
HWY_INLINE auto rounded_words(D /*d*/, V value) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> word;
  const auto bits = hn::BitCast(word, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(word, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(word, 0x7fffu)));
  const auto quiet = hn::Or(bits, hn::Set(word, 0x400000u));
  return hn::IfThenElse(hn::RebindMask(word, hn::IsNaN(value)), quiet, rounded);
}

/// The nearest bf16, widened again.
template <class D, class V>
HWY_INLINE V rounded(D d, V value) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> word;
  return hn::BitCast(d, hn::And(rounded_words(d, value), hn::Set(word, 0xffff0000u)));
}

template <class D, class V>
HWY_INLINE void store(V value, D d, bfloat16* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Rebind<std::uint16_t, D> half;
  hn::StoreU(hn::TruncateTo(half, hn::ShiftRight<16>(rounded_words(d, value))), half, &to->bits);
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

// Limits of vectors that leave NaN as it is, for files that are compiled once for each vector extension.
#if defined(RTL_KERNELS_CPU_CLAMP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef RTL_KERNELS_CPU_CLAMP_INL
#undef RTL_KERNELS_CPU_CLAMP_INL
#else
#define RTL_KERNELS_CPU_CLAMP_INL
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

/// max(lowest, x). x86 gives the second operand where one is NaN; other extensions may give the number.
template <class V>
HWY_INLINE V at_least(V lowest, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR
  return hn::Max(lowest, x);
#else
  return hn::IfThenElse(hn::Lt(x, lowest), lowest, x);
#endif
}

/// min(highest, x).
template <class V>
HWY_INLINE V at_most(V highest, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR
  return hn::Min(highest, x);
#else
  return hn::IfThenElse(hn::Gt(x, highest), highest, x);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // RTL_KERNELS_CPU_CLAMP_INL

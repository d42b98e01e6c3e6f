// The end of direct convolutions: bias, residual and activation of a vector of sums. For files that are compiled once
// for each vector extension.
#if defined(RTL_KERNELS_CPU_FINISH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef RTL_KERNELS_CPU_FINISH_INL
#undef RTL_KERNELS_CPU_FINISH_INL
#else
#define RTL_KERNELS_CPU_FINISH_INL
#endif

#include <hwy/highway.h>

#include "kernels/cpu/bfloat16-inl.hpp"
#include "kernels/cpu/depthwise.hpp"

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

/// y[at..] = activation(value [+ bias[channel..]] [+ residual[at..]]).
template <class D, class V, typename T>
HWY_INLINE void finish(D d, V value, const DepthwiseEpilogue<T>& epilogue, std::int64_t at, std::int64_t channel,
                       T* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (epilogue.bias != nullptr) value = hn::Add(value, hn::LoadU(d, epilogue.bias + channel));
  if (epilogue.residual != nullptr) value = hn::Add(value, load(d, epilogue.residual + at));
  // NaN passes: it is the second operand.
  if (epilogue.activation != Activation::none) value = hn::Max(hn::Zero(d), value);
  if (epilogue.activation == Activation::relu6) value = hn::Min(hn::Set(d, 6.0F), value);
  store_sum(value, d, y + at, epilogue.native);
}

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // RTL_KERNELS_CPU_FINISH_INL

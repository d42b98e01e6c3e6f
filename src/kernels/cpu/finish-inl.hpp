// The end of direct convolutions: bias, residual and activation of a vector of sums. For files that are compiled once
// for each vector extension.
#if defined(RTL_KERNELS_CPU_FINISH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef RTL_KERNELS_CPU_FINISH_INL
#undef RTL_KERNELS_CPU_FINISH_INL
#else
#define RTL_KERNELS_CPU_FINISH_INL
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <limits>

#include "kernels/cpu/bfloat16-inl.hpp"
#include "kernels/cpu/clamp-inl.hpp"
#include "kernels/cpu/depthwise.hpp"

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu {
namespace HWY_NAMESPACE {

/// Of the channels of one vector: y[at..] = activation(value [+ bias] [+ residual[at..]]). What is absent is an operand
/// that changes nothing, so that a vector of sums takes no branches.
template <class D, typename T>
class Finish {
 public:
  HWY_INLINE Finish(D d, const DepthwiseEpilogue<T>& epilogue, std::int64_t channel)
      : bias_(epilogue.bias != nullptr ? hwy::HWY_NAMESPACE::LoadU(d, epilogue.bias + channel)
                                       : hwy::HWY_NAMESPACE::Set(d, -0.0F)),
        lowest_(hwy::HWY_NAMESPACE::Set(d, epilogue.activation == Activation::none ? -infinity : 0.0F)),
        highest_(hwy::HWY_NAMESPACE::Set(d, epilogue.activation == Activation::relu6 ? 6.0F : infinity)),
        residual_(epilogue.residual),
        native_(epilogue.native) {}

  HWY_INLINE void operator()(D d, hwy::HWY_NAMESPACE::Vec<D> value, std::int64_t at, T* y) const {
    namespace hn = hwy::HWY_NAMESPACE;
    value = hn::Add(value, bias_);
    if (residual_ != nullptr) value = hn::Add(value, load(d, residual_ + at));
    store_sum(at_most(highest_, at_least(lowest_, value)), d, y + at, native_);
  }

 private:
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  hwy::HWY_NAMESPACE::Vec<D> bias_, lowest_, highest_;
  const T* residual_;
  bool native_;
};

}  // namespace HWY_NAMESPACE
}  // namespace rtl::kernels::cpu
HWY_AFTER_NAMESPACE();

#endif  // RTL_KERNELS_CPU_FINISH_INL

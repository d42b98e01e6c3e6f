// Conversion between all pairs of dtypes: many kernels, hence a file of their own.
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

template <typename To, typename From>
struct Convert {
  __device__ To operator()(From x) const { return functors::convert<To>(x); }
};

template <typename T>
constexpr bool is_real = std::is_floating_point_v<T> || functors::is_half<T>;

}  // namespace

void cast(const Device& device, ConstView x, View y) {
  functors::visit_any(y.dtype(), [&](auto to) {
    functors::visit_any(x.dtype(), [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      // Only features and weights are converted in bulk.
      if constexpr (is_real<To> && is_real<From>) {
        map<To, From>(device, Convert<To, From>(), y, x);
      } else {
        map_any<To, From>(device, Convert<To, From>(), y, x);
      }
    });
  });
}

}  // namespace rtl::kernels::cuda

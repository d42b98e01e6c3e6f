// The part of the CUDA language that kernels of rtl use. The names are CUDA's, so they are reserved or lack our style.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <type_traits>

#include "emulation/scheduler.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

/// Set by the scheduler whenever it goes to another thread.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
constexpr int warpSize = 32;

// RTL_SHARED(float, tile, [32][33]) stands for `__shared__ float tile[32][33]`.
#define RTL_SHARED(type, name, extents)                           \
  static const char rtl_key_##name = 0;                           \
  auto& name = *static_cast<std::type_identity_t<type extents>*>( \
      ::emulation::shared_memory(&rtl_key_##name, sizeof(std::type_identity_t<type extents>)))
// RTL_DYNAMIC_SHARED(float, tile) points to the launch's dynamic shared memory.
#define RTL_DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(::emulation::dynamic_shared_memory())

namespace emulation {

/// What a lane brings to a primitive that exchanges values.
template <typename T>
struct ValueCall : WarpCall {
  const T* value;
};

/// Reads what the lanes of one warp primitive brought.
template <typename T>
class Lanes {
 public:
  Lanes(const WarpCall& own, const WarpCall* const* lanes) : own_(own), lanes_(lanes) {}
  bool has(unsigned lane) const { return lane < 32 && (own_.mask >> lane & 1u) != 0; }
  T operator[](unsigned lane) const {
    if (!has(lane)) fail("a shuffle reads a lane that is not in its mask", own_.where);
    return *static_cast<const ValueCall<T>*>(lanes_[lane])->value;
  }

 private:
  const WarpCall& own_;
  const WarpCall* const* lanes_;
};

/// Every lane of `mask` brings `value`; each gets pick(its own index, lanes).
template <typename T, typename Pick>
auto exchange(unsigned mask, const T& value, const Pick& pick, const std::source_location& where) {
  using Result = std::invoke_result_t<const Pick&, unsigned, const Lanes<T>&>;
  struct Call : ValueCall<T> {
    const Pick* pick;
    unsigned lane;
    Result result;
  };
  Call call{{{mask, where, nullptr}, &value}, &pick, lane_index(), Result{}};
  call.resolve = [](WarpCall& own, const WarpCall* const* lanes) {
    Call& typed = static_cast<Call&>(own);
    typed.result = (*typed.pick)(typed.lane, Lanes<T>(typed, lanes));
  };
  synchronize_warp(call);
  return call.result;
}

/// `combine` over all lanes of the mask, in the order of the lanes.
template <typename T, typename Combine>
T reduce_lanes(unsigned mask, T value, const Combine& combine, const std::source_location& where) {
  const auto pick = [&](unsigned, const auto& lanes) {
    T total{};
    bool first = true;
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (!lanes.has(lane)) continue;
      total = first ? lanes[lane] : combine(total, lanes[lane]);
      first = false;
    }
    return total;
  };
  return exchange(mask, value, pick, where);
}

using Location = std::source_location;

}  // namespace emulation

inline void __syncthreads(emulation::Location where = emulation::Location::current()) {
  emulation::synchronize_block(false, where);
}
inline int __syncthreads_or(int predicate, emulation::Location where = emulation::Location::current()) {
  return emulation::synchronize_block(predicate != 0, where) ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, emulation::Location where = emulation::Location::current()) {
  emulation::exchange(
      mask, 0, [](unsigned, const auto&) { return 0; }, where);
}

/// Threads change at barriers and warp primitives only.
inline unsigned atomicAdd(unsigned* address, unsigned value) {
  const unsigned before = *address;
  *address += value;
  return before;
}
inline void __threadfence() {}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              emulation::Location where = emulation::Location::current()) {
  const auto pick = [=](unsigned lane, const auto& lanes) {
    const auto segment = lane & ~static_cast<unsigned>(width - 1);
    return lanes[segment + (static_cast<unsigned>(source) & static_cast<unsigned>(width - 1))];
  };
  return emulation::exchange(mask, value, pick, where);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  emulation::Location where = emulation::Location::current()) {
  const auto pick = [=](unsigned lane, const auto& lanes) {
    const unsigned source = lane ^ static_cast<unsigned>(bits);
    const unsigned end = (lane & ~static_cast<unsigned>(width - 1)) + static_cast<unsigned>(width);
    return source < end ? lanes[source] : value;
  };
  return emulation::exchange(mask, value, pick, where);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   emulation::Location where = emulation::Location::current()) {
  const auto pick = [=](unsigned lane, const auto& lanes) {
    const unsigned end = (lane & ~static_cast<unsigned>(width - 1)) + static_cast<unsigned>(width);
    return lane + delta < end ? lanes[lane + delta] : value;
  };
  return emulation::exchange(mask, value, pick, where);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 emulation::Location where = emulation::Location::current()) {
  const auto pick = [=](unsigned lane, const auto& lanes) {
    const unsigned begin = lane & ~static_cast<unsigned>(width - 1);
    return lane >= begin + delta ? lanes[lane - delta] : value;
  };
  return emulation::exchange(mask, value, pick, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              emulation::Location where = emulation::Location::current()) {
  const auto pick = [](unsigned, const auto& lanes) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (lanes.has(lane) && lanes[lane] != 0) votes |= 1u << lane;
    }
    return votes;
  };
  return emulation::exchange(mask, predicate, pick, where);
}
inline int __any_sync(unsigned mask, int predicate, emulation::Location where = emulation::Location::current()) {
  return __ballot_sync(mask, predicate, where) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, emulation::Location where = emulation::Location::current()) {
  return __ballot_sync(mask, predicate == 0 ? 1 : 0, where) == 0 ? 1 : 0;
}
template <typename T>
T __reduce_add_sync(unsigned mask, T value, emulation::Location where = emulation::Location::current()) {
  static_assert(std::is_integral_v<T>);
  return emulation::reduce_lanes(
      mask, value, [](T a, T b) { return a + b; }, where);
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value, emulation::Location where = emulation::Location::current()) {
  static_assert(std::is_integral_v<T>);
  return emulation::reduce_lanes(
      mask, value, [](T a, T b) { return a > b ? a : b; }, where);
}
template <typename T>
T __reduce_min_sync(unsigned mask, T value, emulation::Location where = emulation::Location::current()) {
  static_assert(std::is_integral_v<T>);
  return emulation::reduce_lanes(
      mask, value, [](T a, T b) { return a < b ? a : b; }, where);
}

inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }

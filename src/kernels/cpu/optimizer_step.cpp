// Optimizer steps on the host: all parameters are one range that the threads share, so small tensors cost nothing
// extra.
#include <cmath>

#include "kernels/backend/optimizer_step.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/optimizer_step.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {

/// Elements [begin, end) of one slot. Without a start point the weights stand in for it: no pull. The update comes by
/// value: its factors cannot change with what the loop writes.
template <typename T>
void sgd_range(functors::SgdUpdate<T> update, const OptimizerSlot& slot, std::int64_t begin, std::int64_t end) {
  T* w = slot.weight.data_as<T>();
  const T* g = slot.gradient.data_as<T>();
  const T* start = slot.start.given() ? slot.start.data_as<T>() : w;
  if (update.momentum == T{0}) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      T unused = 0;
      update(w[i], g[i], unused, start[i]);
    }
  } else {
    T* v = slot.first.data_as<T>();
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) update(w[i], g[i], v[i], start[i]);
  }
}

template <typename T>
void adam_range(functors::AdamUpdate<T> update, const OptimizerSlot& slot, std::int64_t begin, std::int64_t end) {
  T* w = slot.weight.data_as<T>();
  const T* g = slot.gradient.data_as<T>();
  const T* start = slot.start.given() ? slot.start.data_as<T>() : w;
  T* m = slot.first.data_as<T>();
  T* v = slot.second.data_as<T>();
#pragma omp simd
  for (std::int64_t i = begin; i < end; ++i) update(w[i], g[i], m[i], v[i], start[i]);
}

void sgd_target(const SgdOptions& o, bool first_step, const OptimizerSlot& slot, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(slot.weight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    sgd_range<T>(functors::sgd_update<T>(o, first_step), slot, begin, end);
  });
}

void adam_target(const AdamOptions& o, std::int64_t step, const OptimizerSlot& slot, std::int64_t begin,
                 std::int64_t end) {
  functors::visit_floating(slot.weight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    adam_range<T>(functors::adam_update<T>(o, step), slot, begin, end);
  });
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(sgd_target);
HWY_EXPORT(adam_target);

/// Calls f(slot, begin, end) on parts that together cover every element of every slot.
template <typename F>
void for_all_elements(std::span<const OptimizerSlot> slots, const F& f) {
  std::int64_t total = 0;
  for (const OptimizerSlot& slot : slots) total += slot.weight.count();
  parallel_ranges(total, elements_per_thread, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t offset = 0;
    for (const OptimizerSlot& slot : slots) {
      const std::int64_t count = slot.weight.count();
      const std::int64_t from = std::max<std::int64_t>(begin - offset, 0), to = std::min(end - offset, count);
      if (from < to) f(slot, from, to);
      offset += count;
    }
  });
}

}  // namespace

void sgd_step(const Device&, std::span<const OptimizerSlot> slots, const SgdOptions& options, bool first_step) {
  for_all_elements(slots, [&](const OptimizerSlot& slot, std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(sgd_target)(options, first_step, slot, begin, end);
  });
}

void adam_step(const Device&, std::span<const OptimizerSlot> slots, const AdamOptions& options, std::int64_t step) {
  for_all_elements(slots, [&](const OptimizerSlot& slot, std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(adam_target)(options, step, slot, begin, end);
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

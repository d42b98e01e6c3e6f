// Optimizer steps on the host: all parameters are one range that the threads share, so small tensors cost nothing
// extra.
#include <cmath>

#include "kernels/backend/optimizer_step.hpp"
#include "kernels/backend/step_state.hpp"
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

/// Elements [begin, end) of one slot; the start point's are `start_shift` elements further on. Without a start point
/// the weights stand in for it: no pull. The update comes by value: its factors cannot change with what the loop
/// writes.
template <typename T>
void update_range(functors::SgdUpdate<T> update, const OptimizerSlot& slot, std::int64_t start_shift,
                  std::int64_t begin, std::int64_t end) {
  T* w = slot.weight.data_as<T>();
  const T* g = slot.gradient.data_as<T>();
  const T* start = slot.start.given() ? slot.start.data_as<T>() + start_shift : w;
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
void update_range(functors::AdamUpdate<T> update, const OptimizerSlot& slot, std::int64_t start_shift,
                  std::int64_t begin, std::int64_t end) {
  T* w = slot.weight.data_as<T>();
  const T* g = slot.gradient.data_as<T>();
  const T* start = slot.start.given() ? slot.start.data_as<T>() + start_shift : w;
  T* m = slot.first.data_as<T>();
  T* v = slot.second.data_as<T>();
#pragma omp simd
  for (std::int64_t i = begin; i < end; ++i) update(w[i], g[i], m[i], v[i], start[i]);
}

template <typename Rule>
void update_slot(const Rule& rule, const functors::StepNumbers& numbers, const OptimizerSlot& slot,
                 std::int64_t start_shift, std::int64_t begin, std::int64_t end) {
  functors::visit_floating(slot.weight.dtype(), [&](auto zero) {
    update_range(functors::update_of<decltype(zero)>(rule, numbers), slot, start_shift, begin, end);
  });
}

void sgd_target(const SgdRule& rule, const functors::StepNumbers& numbers, const OptimizerSlot& slot,
                std::int64_t start_shift, std::int64_t begin, std::int64_t end) {
  update_slot(rule, numbers, slot, start_shift, begin, end);
}

void adam_target(const AdamRule& rule, const functors::StepNumbers& numbers, const OptimizerSlot& slot,
                 std::int64_t start_shift, std::int64_t begin, std::int64_t end) {
  update_slot(rule, numbers, slot, start_shift, begin, end);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(sgd_target);
HWY_EXPORT(adam_target);

/// Calls f(numbers of the replica, slot, shift of the start point, begin, end) on parts, each of one replica, that
/// together cover every element of every slot.
template <typename F>
void for_all_elements(std::span<const OptimizerSlot> slots, const OptimizerState& state, const F& f) {
  const auto* counters = state.counters.data_as<std::int64_t>();
  const auto* rates = state.rates.data_as<double>();
  const bool own_counters = state.counters.rank() == 2, own_rates = state.rates.rank() == 2;
  std::int64_t total = 0;
  for (const OptimizerSlot& slot : slots) total += slot.weight.count();
  parallel_ranges(total, elements_per_thread, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t offset = 0;
    for (const OptimizerSlot& slot : slots) {
      const std::int64_t count = slot.weight.count(), size = count / state.replicas;
      const std::int64_t last = std::min(end - offset, count);
      for (std::int64_t from = std::max<std::int64_t>(begin - offset, 0); from < last;) {
        const std::int64_t replica = from / size, to = std::min(last, (replica + 1) * size);
        const functors::StepNumbers numbers{counters + (own_counters ? replica * Counters::count : 0),
                                            rates + (own_rates ? replica * Rates::count : 0)};
        const bool shared = slot.start.given() && slot.start.count() != count;
        f(numbers, slot, shared ? -replica * size : 0, from, to);
        from = to;
      }
      offset += count;
    }
  });
}

void end_step(const Device& device, const StepEnd& end) {
  if (end.counters.given()) cpu::advance(device, end.counters, end.losses, end.loss, end.batch_size);
}

}  // namespace

void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdRule& rule,
              const OptimizerState& state) {
  for_all_elements(slots, state,
                   [&](const functors::StepNumbers& numbers, const OptimizerSlot& slot, std::int64_t start_shift,
                       std::int64_t begin, std::int64_t end) {
                     HWY_DYNAMIC_DISPATCH(sgd_target)(rule, numbers, slot, start_shift, begin, end);
                   });
  end_step(device, state.end);
}

void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamRule& rule,
               const OptimizerState& state) {
  for_all_elements(slots, state,
                   [&](const functors::StepNumbers& numbers, const OptimizerSlot& slot, std::int64_t start_shift,
                       std::int64_t begin, std::int64_t end) {
                     HWY_DYNAMIC_DISPATCH(adam_target)(rule, numbers, slot, start_shift, begin, end);
                   });
  end_step(device, state.end);
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

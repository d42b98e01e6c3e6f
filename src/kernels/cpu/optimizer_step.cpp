// Optimizer steps on the host: all parameters are one range that the threads share, so small tensors cost nothing
// extra.
#include <algorithm>
#include <cmath>

#include "kernels/backend/optimizer_step.hpp"
#include "kernels/backend/step_state.hpp"
#include "kernels/cpu/optimizer_part.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/functors.hpp"
#include "kernels/optimizer_functors.hpp"

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

/// Of rules with two moments.
template <template <typename> typename Update, typename T>
void update_range(Update<T> update, const OptimizerSlot& slot, std::int64_t start_shift, std::int64_t begin,
                  std::int64_t end) {
  T* w = slot.weight.data_as<T>();
  const T* g = slot.gradient.data_as<T>();
  const T* start = slot.start.given() ? slot.start.data_as<T>() + start_shift : w;
  T* m = slot.first.data_as<T>();
  T* v = slot.second.data_as<T>();
#pragma omp simd
  for (std::int64_t i = begin; i < end; ++i) update(w[i], g[i], m[i], v[i], start[i]);
}

template <typename T>
void average_range(functors::AverageUpdate<T> update, const OptimizerSlot& slot, std::int64_t begin, std::int64_t end) {
  const T* w = slot.weight.data_as<T>();
  T* average = slot.average.data_as<T>();
#pragma omp simd
  for (std::int64_t i = begin; i < end; ++i) update(average[i], w[i]);
}

/// Weights that are averaged are read again while they are in the cache.
constexpr std::int64_t averaged_at_once = 4096;

template <typename Rule>
void update_slot(const Rule& rule, const Part& part, const OptimizerSlot& slot) {
  functors::visit_floating(slot.weight.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto update = functors::update_of<T>(rule, part.numbers);
    if (part.average_decay == 0) return update_range(update, slot, part.start_shift, part.begin, part.end);
    const auto average = functors::average_of<T>(part.average_decay, part.numbers);
    for (std::int64_t begin = part.begin; begin < part.end; begin += averaged_at_once) {
      const std::int64_t end = std::min(part.end, begin + averaged_at_once);
      update_range(update, slot, part.start_shift, begin, end);
      average_range(average, slot, begin, end);
    }
  });
}

void sgd_target(const SgdRule& rule, const Part& part, const OptimizerSlot& slot) { update_slot(rule, part, slot); }

void adam_target(const AdamRule& rule, const Part& part, const OptimizerSlot& slot) { update_slot(rule, part, slot); }

void schedule_free_target(const ScheduleFreeRule& rule, const Part& part, const OptimizerSlot& slot) {
  update_slot(rule, part, slot);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(sgd_target);
HWY_EXPORT(adam_target);
HWY_EXPORT(schedule_free_target);

/// Calls f(part, slot) on parts that together cover every element of every slot.
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
        f(Part{numbers, shared ? -replica * size : 0, from, to, state.average_decay}, slot);
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
  for_all_elements(slots, state, [&](const Part& part, const OptimizerSlot& slot) {
    HWY_DYNAMIC_DISPATCH(sgd_target)(rule, part, slot);
  });
  end_step(device, state.end);
}

void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamRule& rule,
               const OptimizerState& state) {
  for_all_elements(slots, state, [&](const Part& part, const OptimizerSlot& slot) {
    HWY_DYNAMIC_DISPATCH(adam_target)(rule, part, slot);
  });
  end_step(device, state.end);
}

void schedule_free_step(const Device& device, std::span<const OptimizerSlot> slots, const ScheduleFreeRule& rule,
                        const OptimizerState& state) {
  for_all_elements(slots, state, [&](const Part& part, const OptimizerSlot& slot) {
    HWY_DYNAMIC_DISPATCH(schedule_free_target)(rule, part, slot);
  });
  end_step(device, state.end);
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE

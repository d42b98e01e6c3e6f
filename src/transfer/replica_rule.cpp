#include "transfer/replica_rule.hpp"

#include <algorithm>

#include "transfer/step.hpp"

namespace rtl::transfer::detail {

std::int64_t replicas_that_pay(const graph::PlanFacts& step, double bytes, std::int64_t most) {
  constexpr double launch_bytes = 10e6, launch_flops = 150e6, memory = 4.0 * (std::int64_t{1} << 30);
  const auto launches = static_cast<double>(step.launches);
  if (step.bytes >= launch_bytes * launches || step.flops >= launch_flops * launches) return 1;
  const double fit = memory / (static_cast<double>(step.arena_bytes) + bytes);
  return static_cast<std::int64_t>(std::clamp(fit, 1.0, static_cast<double>(most)));
}

/// Weights, two moments and start point, of the model and side by side; the data's rows twice as well.
std::int64_t replicas_that_pay(const Replica& one, std::int64_t most) {
  const auto weights = static_cast<double>(one.model->state().parameter_count()) * 8 * sizeof(float);
  auto rows = static_cast<double>(one.model->wants_inputs() ? one.data.dataset->inputs.bytes() : 0);
  for (const ConstView& features : one.data.features) rows += static_cast<double>(features.bytes());
  return replicas_that_pay(step_facts(one), weights + 2 * rows, most);
}

}  // namespace rtl::transfer::detail

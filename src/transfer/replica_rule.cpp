#include "transfer/replica_rule.hpp"

#include <algorithm>

#include "transfer/step.hpp"

namespace rtl::transfer::detail {

bool waits_for_launches(const graph::PlanFacts& step, DeviceKind kind) {
  const bool cuda = kind == DeviceKind::cuda;
  const auto launches = static_cast<double>(step.launches);
  return step.bytes < launches * (cuda ? 10e6 : 100e3) && step.flops < launches * (cuda ? 150e6 : 250e3);
}

std::int64_t replicas_that_pay(const graph::PlanFacts& step, DeviceKind kind, double bytes, std::int64_t most) {
  if (!waits_for_launches(step, kind)) return 1;
  const double memory = 4.0 * (std::int64_t{1} << 30);
  const double fit = memory / (static_cast<double>(step.arena_bytes) + bytes);
  return static_cast<std::int64_t>(std::clamp(fit, 1.0, static_cast<double>(most)));
}

/// Weights, two moments and start point, of the model and side by side; the data's rows twice as well.
std::int64_t replicas_that_pay(const Replica& one, std::int64_t most) {
  const layers::ModuleState state = one.model->state();
  const auto weights = static_cast<double>(state.parameter_count()) * 8 * sizeof(float);
  auto rows = static_cast<double>(one.model->wants_inputs() ? one.data.dataset->input_bytes() : 0);
  for (const kernels::StoredFeatures& features : one.data.features) rows += static_cast<double>(features.table.bytes());
  const DeviceKind kind = state.parameters.front().value().device().kind();
  return replicas_that_pay(step_facts(one), kind, weights + 2 * rows, most);
}

}  // namespace rtl::transfer::detail

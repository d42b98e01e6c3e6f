// One description of a layer or model gives its checks as plans: what the passes and shared memory make of a recorded
// pass or training step is bit for bit what its nodes give one by one, and three replicas are three separate runs. In
// bf16, where passes leave roundings out, the nodes are those behind them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "rtl/layers/module.hpp"

namespace rtl::layers {

struct PlanCase {
  std::string name;
  std::function<std::unique_ptr<Module>(const Construction&)> make;
  Shape input;  ///< with the samples
  /// Of inputs that are padded token ids [N, T]; 0: they are activations.
  std::int64_t vocabulary = 0;
  bool on_host_only = false;  ///< of millions of parameters, made of blocks that are cases of their own
};

enum class PlanMode : std::uint8_t { evaluation, sgd, adam, evaluation_bf16, sgd_bf16 };

/// Expects it on every device of the build.
void check_plans(const PlanCase& one, PlanMode mode);
/// In every mode.
void check_plans(const PlanCase& one);

}  // namespace rtl::layers

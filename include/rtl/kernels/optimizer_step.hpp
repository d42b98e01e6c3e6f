// One optimizer step over all parameters in a single launch, with PyTorch's update rules and an optional L2-SP term
// (Li, Grandvalet and Davoine 2018): the penalty (strength / 2) * ||w - start||^2, added to the gradient before
// anything else. Bandwidth bound: each parameter's weight, gradient and state once in, once out. Deterministic.
#pragma once

#include <span>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// One parameter tensor. All views of a slot have one shape and dtype (f32 or f64), contiguous.
struct OptimizerSlot {
  View weight;
  ConstView gradient;
  View first;            ///< SGD: momentum buffer (absent without momentum); Adam: first moment
  View second = {};      ///< Adam: second moment
  ConstView start = {};  ///< L2-SP start point; absent: no pull for this tensor
};

struct SgdOptions {
  double learning_rate = 0.01;
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
  double l2sp_strength = 0.0;
};

/// g += weight_decay * w + l2sp_strength * (w - start); the first step sets v = g, later ones v = momentum * v + g; w
/// -= learning_rate * (nesterov ? g + momentum * v : v). `first_step` says whether the momentum buffers hold nothing
/// yet. Throws ValueError for Nesterov without momentum.
void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdOptions& options, bool first_step);

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;      ///< added after the bias-corrected square root
  double weight_decay = 0.0;  ///< Adam: added to the gradient; AdamW: w *= 1 - learning_rate * weight_decay first
  bool decoupled = false;     ///< true is AdamW
  double l2sp_strength = 0.0;
};

/// Step number `step` counts from 1 (bias correction); ValueError below 1. Moments start at zero.
void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamOptions& options,
               std::int64_t step);

}  // namespace rtl::kernels

// One optimizer step over all parameters in a single launch, with PyTorch's update rules and an optional L2-SP term
// (Li, Grandvalet and Davoine 2018): the penalty (l2sp_strength / 2) * ||w - start||^2, added to the gradient before
// anything else. Bandwidth bound: each parameter's weight, gradient and state once in, once out. Deterministic.
#pragma once

#include <span>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels {

/// One parameter tensor. All views of a slot have one shape and dtype (f32 or f64), contiguous. Moments start at zero.
struct OptimizerSlot {
  View weight;
  ConstView gradient;
  View first;            ///< SGD: momentum buffer (absent without momentum); Adam: first moment
  View second = {};      ///< Adam: second moment
  ConstView start = {};  ///< L2-SP start point; absent: no pull for this tensor
  View average = {};     ///< of the weights, see OptimizerState::average_decay; starts at the weights
};

/// The end of a training step, as `advance` makes it (step_state.hpp), of the counters that the optimizer step reads.
struct StepEnd {
  View counters;
  View losses;
  ConstView loss;
  std::int64_t batch_size = 0;
};

/// What changes from step to step, in memory of the device: counters i64 [4] and rates f64 [5], see step_state.hpp.
/// With `replicas` above 1, views of slots have a leading axis of that extent, and one launch does all replicas;
/// counters, rates and start points then have one too, or are shared.
struct OptimizerState {
  ConstView counters;
  ConstView rates;
  std::int64_t replicas = 1;
  /// Above 0: every slot has an average, and after the update average += (1 - d) * (w - average), with d =
  /// min(average_decay, (1 + t) / (10 + t)) in step t, counted from 1, so that the start is soon forgotten (Polyak and
  /// Juditsky 1992, in the form of TensorFlow's ExponentialMovingAverage).
  double average_decay = 0;
  /// Where its counters are given, they are moved on behind the last parameter; on CUDA in the same launch where the
  /// parameters are one launch of the dtype of losses and loss.
  StepEnd end = {};
};

struct SgdRule {
  double momentum = 0.0;
  bool nesterov = false;
};

/// g += weight_decay * w + l2sp_strength * (w - start); v = momentum * v + g; w -= learning_rate * (nesterov ? g +
/// momentum * v : v). Throws ValueError for Nesterov without momentum.
void sgd_step(const Device& device, std::span<const OptimizerSlot> slots, const SgdRule& rule,
              const OptimizerState& state);

struct AdamRule {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;   ///< added after the bias-corrected square root
  bool decoupled = false;  ///< true is AdamW: w *= 1 - learning_rate * weight_decay first; else weight_decay * w is
                           ///< added to the gradient
};

/// The step's number in the bias corrections is counters[step] + 1.
void adam_step(const Device& device, std::span<const OptimizerSlot> slots, const AdamRule& rule,
               const OptimizerState& state);

struct ScheduleFreeRule {
  double beta1 = 0.9;  ///< in (0, 1]
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// A step of AdamW without a schedule (Defazio et al. 2024, "The Road Less Scheduled", algorithm 1). `weight` holds y,
/// at which gradients are taken, `first` z, which starts at the weights, `second` v, which starts at zero. In step t,
/// counted from 1, with rate = learning_rate sqrt(1 - beta2^t) min(1, t / warmup_steps): v = beta2 v + (1 - beta2) g^2;
/// z -= rate (g / (sqrt(v) + epsilon) + weight_decay y); c = rate^2 / (sum of the squared rates of steps 1 to t);
/// x = (1 - c) x + c z; y = (1 - beta1) z + beta1 x. What is to be evaluated, x = (y - (1 - beta1) z) / beta1, is not
/// kept. The learning rate is the same in all steps; those of this epoch (counters[batch] + 1) are added up here, the
/// earlier ones are Rates::weight_sum. Takes no average.
void schedule_free_step(const Device& device, std::span<const OptimizerSlot> slots, const ScheduleFreeRule& rule,
                        const OptimizerState& state);

}  // namespace rtl::kernels

// Optimizers with PyTorch's update rules, and schedule-free AdamW, all parameters in one launch
// (rtl/kernels/optimizer_step.hpp has the equations), with an optional L2-SP pull toward a start point (Li, Grandvalet
// and Davoine 2018). An optimizer owns moments, averages and start points and records its step in a graph; rates and
// step numbers are memory that the step reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rtl/graph/optimizer_step.hpp"
#include "rtl/graph/step_state.hpp"

namespace rtl::optim {

/// A piece of an optimizer's state on its way to or from a file.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// A tensor that is trained, by the name that errors and files use.
struct NamedStorage {
  std::string name;
  graph::Storage storage;
};

/// Options that may change from step to step, and lie in the device's memory (graph::StepState).
struct Rates {
  double learning_rate = 0.01;
  double weight_decay = 0;
  double l2sp_strength = 0;
  double warmup_steps = 0;  ///< the rate of step t, from 1, is multiplied by min(1, t / warmup_steps); 0: by 1
  double weight_sum = 0;    ///< kernels::Rates::weight_sum, which `start_epoch` finds
};

class Optimizer {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer() = default;

  const Rates& rates() const noexcept { return rates_; }
  /// Takes effect when it is written to the step's state. Throws ValueError for a negative rate.
  void set_learning_rate(double learning_rate);
  /// Throws ValueError for a negative number.
  void set_warmup_steps(double steps);
  /// Before the first step of an epoch, with the number of steps made in all epochs before. O(steps).
  void start_epoch(std::int64_t steps) { rates_.weight_sum = weight_sum(steps); }
  /// Writes the rates to where the recorded step reads them.
  void write_rates(graph::StepState& state) const {
    state.set_rates(rates_.learning_rate, rates_.weight_decay, rates_.l2sp_strength, rates_.warmup_steps,
                    rates_.weight_sum);
  }

  /// The parameters as variables of a graph, in order.
  std::vector<graph::Value> parameters(graph::Graph& graph) const;
  /// Records the update of every parameter from its gradient; a parameter whose gradient is not defined (the loss does
  /// not depend on it) is left alone.
  void record(const graph::StepState::Values& step, std::span<const graph::Value> gradients) const;

  /// Start point of the L2-SP term for one parameter (by name), a copy of the tensor; without one there is no pull on
  /// it. To be set before `record`. Throws ValueError for an unknown name, ShapeError for another shape.
  void set_start(const std::string& parameter, const Tensor& start);
  /// The present weights of every parameter become its start point.
  void start_from_here();

  /// From the next `record` on the step keeps an exponential moving average of every parameter, which begins with the
  /// present weights (kernels::OptimizerState::average_decay). Throws ValueError for a decay outside (0, 1), and in an
  /// optimizer that has another average.
  virtual void average_weights(double decay);
  /// Puts what is to be evaluated in the place of the weights, at the end of a training: the averages, where they are
  /// kept, or what the optimizer says.
  void take_evaluated_weights() const;

  /// Where moments, averages and start points lie, parameter by parameter: of equal optimizers in equal order.
  std::vector<graph::Storage> storages() const;
  /// Moments, averages and start points, as tensors on the host. With the weights and the step's counters they decide
  /// all that follows: loading them into a new optimizer of the same parameters continues bit for bit.
  std::vector<NamedTensor> state() const;
  /// Throws ValueError for a missing or unknown name, ShapeError or DTypeError for a tensor of another kind; then
  /// nothing is changed. Graphs that were recorded before see the new numbers.
  void load_state(const std::vector<NamedTensor>& state);

 protected:
  /// Each parameter has a moment (zero at first) for each of `moment_names`. Throws ValueError without parameters, for
  /// two of one name and for negative rates.
  Optimizer(const char* name, std::vector<NamedStorage> parameters, std::vector<std::string> moment_names,
            const Rates& rates);
  virtual void record_step(const graph::StepState::Values& step,
                           std::span<const graph::OptimizedParameter> parameters) const = 0;
  void check_not_negative(const char* option, double value) const;
  double average_decay() const noexcept { return average_decay_; }
  /// What `start_epoch` writes into the rates.
  virtual double weight_sum(std::int64_t /*steps*/) const { return 0; }
  /// Puts what is to be evaluated into a weight, which is that already by default.
  virtual void evaluate(Tensor& /*weight*/, const std::vector<graph::Storage>& /*moments*/) const {}
  /// One of the moments of every parameter is the present weight.
  void start_at_weights(std::size_t moment);

 private:
  struct Slot {
    NamedStorage parameter;
    std::vector<graph::Storage> moments;
    graph::Storage start, average;
  };
  /// All that a slot keeps beside its parameter, by name.
  std::vector<NamedStorage> kept(const Slot& slot) const;

  const char* name_;
  std::vector<Slot> slots_;
  std::vector<std::string> moment_names_;
  Rates rates_;
  double average_decay_ = 0;
};

/// Stochastic gradient descent with momentum, Nesterov's form, weight decay.
class Sgd final : public Optimizer {
 public:
  /// Throws ValueError for a negative option, and for Nesterov without momentum.
  Sgd(std::vector<NamedStorage> parameters, const Rates& rates, const kernels::SgdRule& options = {});

 private:
  void record_step(const graph::StepState::Values& step,
                   std::span<const graph::OptimizedParameter> parameters) const override;
  kernels::SgdRule options_;
};

/// Adam (Kingma and Ba 2015); with options.decoupled AdamW (Loshchilov and Hutter 2019).
class Adam final : public Optimizer {
 public:
  /// Throws ValueError for options outside PyTorch's ranges.
  Adam(std::vector<NamedStorage> parameters, const Rates& rates, const kernels::AdamRule& options = {});

 private:
  void record_step(const graph::StepState::Values& step,
                   std::span<const graph::OptimizedParameter> parameters) const override;
  kernels::AdamRule options_;
};
/// AdamW without a schedule (Defazio et al. 2024): kernels::schedule_free_step has the equations. While it trains the
/// parameters hold y; take_evaluated_weights puts the average x in their place. The learning rate is to be the same in
/// all steps, but for the warm-up.
class ScheduleFreeAdamW final : public Optimizer {
 public:
  /// Throws ValueError for a beta1 outside (0, 1], a beta2 outside [0, 1) and negative options.
  ScheduleFreeAdamW(std::vector<NamedStorage> parameters, const Rates& rates,
                    const kernels::ScheduleFreeRule& options = {});
  void average_weights(double decay) override;

 private:
  void record_step(const graph::StepState::Values& step,
                   std::span<const graph::OptimizedParameter> parameters) const override;
  double weight_sum(std::int64_t steps) const override;
  void evaluate(Tensor& weight, const std::vector<graph::Storage>& moments) const override;
  kernels::ScheduleFreeRule options_;
};

}  // namespace rtl::optim

// Optimizers with PyTorch's update rules, all parameters in one kernel call (rtl/kernels/optimizer_step.hpp has the
// equations), with an optional L2-SP pull toward a start point (Li, Grandvalet and Davoine 2018).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "rtl/autodiff/variable.hpp"
#include "rtl/kernels/optimizer_step.hpp"

namespace rtl::optim {

struct SgdOptions {
  double learning_rate = 0.01;
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
  double l2sp_strength = 0.0;
};

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;      ///< added after the bias-corrected square root
  double weight_decay = 0.0;  ///< Adam: added to the gradient; AdamW: w *= 1 - learning_rate * weight_decay first
  bool decoupled = false;     ///< true is AdamW
  double l2sp_strength = 0.0;
};

/// A piece of an optimizer's state on its way to or from a file.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// Parameters are given once and shared with the network. A parameter whose gradient is not defined at a step (frozen,
/// or not used) is left alone in that step, as in PyTorch.
class Optimizer {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer() = default;

  /// Updates every parameter from its gradient; the gradients stay.
  virtual void step() = 0;
  /// Forgets all gradients; to be called between steps.
  void clear_gradients();

  virtual double learning_rate() const = 0;
  virtual void set_learning_rate(double learning_rate) = 0;

  /// Start point of the L2-SP term for one parameter (by name), a copy of the tensor; without one there is no pull on
  /// it. Throws ValueError for an unknown name, ShapeError for another shape.
  void set_start(const std::string& parameter, const Tensor& start);
  /// The present weights of every parameter become its start point.
  void start_from_here();

  /// Everything that the next step depends on, apart from weights and options, as tensors on the host: step counts,
  /// momenta, moments and start points. Loading it into a new optimizer of the same parameters continues bit for bit.
  std::vector<NamedTensor> state() const;
  /// Throws ValueError for a missing or unknown name, ShapeError or DTypeError for a tensor of another kind; then
  /// nothing is changed.
  void load_state(const std::vector<NamedTensor>& state);

 protected:
  /// Each parameter has a state tensor for each of `moment_names`. Throws ValueError without parameters, and for two of
  /// one name.
  Optimizer(std::vector<autodiff::NamedParameter> parameters, std::vector<std::string> moment_names);

  using Update = std::function<void(std::span<const kernels::OptimizerSlot>, const kernels::OptimizerState&)>;
  /// Calls `update` for the slots whose gradient is defined, grouped by their number of steps (nearly always one
  /// group), and counts the step.
  void update_groups(double learning_rate, double weight_decay, double l2sp_strength, const Update& update);
  const Device& device() const;

 private:
  struct Slot {
    autodiff::NamedParameter parameter;
    std::vector<Tensor> moments;  ///< made (zero) when first needed
    Tensor start;
    std::int64_t steps = 0;
  };
  void make_moments(Slot& slot) const;

  std::vector<Slot> slots_;
  std::vector<std::string> moment_names_;
  std::vector<Slot*> pending_;
  std::vector<kernels::OptimizerSlot> group_;
};

/// Stochastic gradient descent with momentum, Nesterov's form, weight decay.
class Sgd final : public Optimizer {
 public:
  /// Throws ValueError for a negative option, and for Nesterov without momentum.
  Sgd(std::vector<autodiff::NamedParameter> parameters, const SgdOptions& options);
  void step() override;
  double learning_rate() const override { return options_.learning_rate; }
  void set_learning_rate(double learning_rate) override { options_.learning_rate = learning_rate; }

 private:
  SgdOptions options_;
};

/// Adam (Kingma and Ba 2015); with options.decoupled AdamW (Loshchilov and Hutter 2019).
class Adam : public Optimizer {
 public:
  /// Throws ValueError for options outside PyTorch's ranges.
  Adam(std::vector<autodiff::NamedParameter> parameters, const AdamOptions& options);
  void step() override;
  double learning_rate() const override { return options_.learning_rate; }
  void set_learning_rate(double learning_rate) override { options_.learning_rate = learning_rate; }

 private:
  AdamOptions options_;
};

/// Adam with decoupled weight decay, 0.01 unless stated.
class AdamW final : public Adam {
 public:
  explicit AdamW(std::vector<autodiff::NamedParameter> parameters, AdamOptions options = {.weight_decay = 0.01});
};

}  // namespace rtl::optim

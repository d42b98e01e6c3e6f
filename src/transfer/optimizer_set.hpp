// The optimizers of one training: one a parameter group.
#pragma once

#include <memory>
#include <vector>

#include "rtl/optim/optimizer.hpp"
#include "rtl/transfer/training.hpp"

namespace rtl::transfer::detail {

class OptimizerSet {
 public:
  /// L2-SP, where a group has it, draws to the present weights. Throws ValueError for a model without groups, a group
  /// without parameters and a parameter in two groups.
  OptimizerSet(const TrainingOptions& options, Trainable& model);

  std::size_t size() const noexcept { return entries_.size(); }
  const optim::Optimizer& optimizer(std::size_t group) const { return *entries_.at(group).optimizer; }
  std::size_t objective(std::size_t group) const { return entries_.at(group).objective; }

  /// Of the warm-up.
  void set_warmup_steps(double steps);
  /// As optim::Optimizer::start_epoch.
  void start_epoch(std::int64_t steps);
  /// As optim::Optimizer::take_evaluated_weights.
  void take_evaluated_weights() const;

  /// What the schedule makes of TrainingOptions::learning_rate; groups with a rate of their own follow in proportion.
  void set_learning_rate(double scheduled);
  std::vector<optim::Rates> rates() const;

  /// Of all parameters.
  std::int64_t elements() const noexcept { return elements_; }

  /// Of all optimizers, group by group.
  std::vector<graph::Storage> storages() const;
  std::vector<optim::NamedTensor> state() const;
  void load_state(const std::vector<optim::NamedTensor>& state);

 private:
  struct Entry {
    std::unique_ptr<optim::Optimizer> optimizer;
    std::size_t objective = 0;
    double share = 1;  ///< of the training's learning rate
  };
  std::vector<Entry> entries_;
  std::int64_t elements_ = 0;
};

}  // namespace rtl::transfer::detail

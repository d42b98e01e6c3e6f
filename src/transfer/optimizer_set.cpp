#include "transfer/optimizer_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "rtl/core/error.hpp"

namespace rtl::transfer::detail {
namespace {

std::unique_ptr<optim::Optimizer> make_optimizer(const TrainingOptions& options, ParameterGroup group, double rate) {
  const OptimizerKind kind = group.optimizer.value_or(options.optimizer);
  const optim::Rates rates{.learning_rate = rate,
                           .weight_decay = group.weight_decay.value_or(options.weight_decay),
                           .l2sp_strength = group.l2sp_strength.value_or(options.l2sp_strength)};
  if (kind == OptimizerKind::sgd) {
    const double momentum = group.momentum.value_or(options.momentum);
    return std::make_unique<optim::Sgd>(
        std::move(group.parameters), rates,
        kernels::SgdRule{.momentum = momentum, .nesterov = options.nesterov && momentum > 0});
  }
  if (kind == OptimizerKind::schedule_free_adamw) {
    return std::make_unique<optim::ScheduleFreeAdamW>(std::move(group.parameters), rates);
  }
  return std::make_unique<optim::Adam>(std::move(group.parameters), rates,
                                       kernels::AdamRule{.decoupled = kind == OptimizerKind::adamw});
}

}  // namespace

OptimizerSet::OptimizerSet(const TrainingOptions& options, Trainable& model) {
  std::set<std::string> names;
  for (ParameterGroup& group : model.groups()) {
    for (const optim::NamedStorage& parameter : group.parameters) {
      elements_ += parameter.storage.tensor().count();
      if (names.insert(parameter.name).second) continue;
      throw ValueError(fmt::format("train: the parameter {} stands in two groups", parameter.name));
    }
    const double rate = group.learning_rate.value_or(options.learning_rate) * group.rate_factor;
    const std::size_t objective = group.objective;
    entries_.push_back({make_optimizer(options, std::move(group), rate), objective, rate / options.learning_rate});
  }
  if (entries_.empty()) throw ValueError("train: the model has no parameters");
  for (const Entry& entry : entries_) {
    if (entry.optimizer->rates().l2sp_strength > 0) entry.optimizer->start_from_here();
    if (options.ema > 0) entry.optimizer->average_weights(options.ema);
  }
}

void OptimizerSet::set_learning_rate(double scheduled) {
  for (Entry& entry : entries_) entry.optimizer->set_learning_rate(entry.share * scheduled);
}

void OptimizerSet::set_warmup_steps(double steps) {
  for (Entry& entry : entries_) entry.optimizer->set_warmup_steps(steps);
}

void OptimizerSet::start_epoch(std::int64_t steps) {
  for (Entry& entry : entries_) entry.optimizer->start_epoch(steps);
}

void OptimizerSet::take_evaluated_weights() const {
  for (const Entry& entry : entries_) entry.optimizer->take_evaluated_weights();
}

std::vector<optim::Rates> OptimizerSet::rates() const {
  std::vector<optim::Rates> all;
  for (const Entry& entry : entries_) all.push_back(entry.optimizer->rates());
  return all;
}

std::vector<graph::Storage> OptimizerSet::storages() const {
  std::vector<graph::Storage> all;
  for (const Entry& entry : entries_) {
    const std::vector<graph::Storage> storages = entry.optimizer->storages();
    all.insert(all.end(), storages.begin(), storages.end());
  }
  return all;
}

std::vector<optim::NamedTensor> OptimizerSet::state() const {
  std::vector<optim::NamedTensor> all;
  for (const Entry& entry : entries_) {
    std::vector<optim::NamedTensor> state = entry.optimizer->state();
    std::move(state.begin(), state.end(), std::back_inserter(all));
  }
  return all;
}

void OptimizerSet::load_state(const std::vector<optim::NamedTensor>& state) {
  std::vector<std::vector<optim::NamedTensor>> parts;
  std::size_t taken = 0;
  for (const Entry& entry : entries_) {
    parts.emplace_back();
    for (const optim::NamedTensor& own : entry.optimizer->state()) {
      const auto found =
          std::find_if(state.begin(), state.end(), [&](const auto& given) { return given.name == own.name; });
      if (found == state.end()) throw ValueError(fmt::format("Optimizer: '{}' is missing in the state", own.name));
      if (found->tensor.shape() != own.tensor.shape() || found->tensor.dtype() != own.tensor.dtype()) {
        throw ShapeError(fmt::format("Optimizer: '{}' is {} {}, its parameter {} {}", own.name,
                                     name_of(found->tensor.dtype()), found->tensor.shape().to_string(),
                                     name_of(own.tensor.dtype()), own.tensor.shape().to_string()));
      }
      parts.back().push_back({found->name, found->tensor.clone()});
      ++taken;
    }
  }
  if (taken != state.size()) {
    throw ValueError(fmt::format("Optimizer: {} of the {} tensors of the state belong to no parameter",
                                 state.size() - taken, state.size()));
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i].optimizer->load_state(parts[i]);
}

}  // namespace rtl::transfer::detail

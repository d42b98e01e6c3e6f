#include "rtl/optim/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace rtl::optim {
namespace {

using autodiff::NamedParameter;

void check_not_negative(const char* optimizer, const char* option, double value) {
  if (!(value >= 0)) throw ValueError(fmt::format("{}: {} is {}; it must not be negative", optimizer, option, value));
}

const Tensor* find(const std::vector<NamedTensor>& state, const std::string& name) {
  const auto found = std::find_if(state.begin(), state.end(), [&](const NamedTensor& t) { return t.name == name; });
  return found == state.end() ? nullptr : &found->tensor;
}

void check_like(const std::string& name, const Tensor& given, const autodiff::Variable& parameter) {
  if (given.shape() != parameter.shape()) {
    throw ShapeError(fmt::format("Optimizer: {} is {}, its parameter {}", name, given.shape().to_string(),
                                 parameter.shape().to_string()));
  }
  if (given.dtype() != parameter.dtype()) {
    throw DTypeError(
        fmt::format("Optimizer: {} is {}, its parameter {}", name, name_of(given.dtype()), name_of(parameter.dtype())));
  }
}

}  // namespace

Optimizer::Optimizer(std::vector<NamedParameter> parameters, std::vector<std::string> moment_names)
    : moment_names_(std::move(moment_names)) {
  if (parameters.empty()) throw ValueError("Optimizer: there are no parameters to train");
  slots_.reserve(parameters.size());
  for (NamedParameter& parameter : parameters) {
    if (std::any_of(slots_.begin(), slots_.end(),
                    [&](const Slot& slot) { return slot.parameter.name == parameter.name; })) {
      throw ValueError(fmt::format("Optimizer: two parameters are called '{}'", parameter.name));
    }
    slots_.push_back({std::move(parameter), {}, {}, 0});
  }
}

const Device& Optimizer::device() const { return slots_.front().parameter.variable.device(); }

void Optimizer::clear_gradients() {
  for (Slot& slot : slots_) slot.parameter.variable.clear_gradient();
}

void Optimizer::make_moments(Slot& slot) const {
  const Tensor& weight = slot.parameter.variable.value();
  while (slot.moments.size() < moment_names_.size()) {
    slot.moments.push_back(Tensor::zeros(weight.shape(), weight.dtype(), weight.device()));
  }
}

void Optimizer::update_groups(
    const std::function<void(std::span<const kernels::OptimizerSlot>, std::int64_t)>& update) {
  pending_.clear();
  for (Slot& slot : slots_) {
    if (slot.parameter.variable.gradient().defined()) pending_.push_back(&slot);
  }
  while (!pending_.empty()) {
    const std::int64_t steps = pending_.front()->steps;
    const auto rest = std::stable_partition(pending_.begin(), pending_.end(),
                                            [steps](const Slot* slot) { return slot->steps == steps; });
    group_.clear();
    for (auto slot = pending_.begin(); slot != rest; ++slot) {
      make_moments(**slot);
      const autodiff::Variable& parameter = (*slot)->parameter.variable;
      std::vector<Tensor>& moments = (*slot)->moments;
      group_.push_back({.weight = parameter.value(),
                        .gradient = parameter.gradient(),
                        .first = moments.empty() ? View() : moments[0].view(),
                        .second = moments.size() < 2 ? View() : moments[1].view(),
                        .start = std::as_const((*slot)->start).view()});
    }
    update(group_, steps);
    for (auto slot = pending_.begin(); slot != rest; ++slot) ++(*slot)->steps;
    pending_.erase(pending_.begin(), rest);
  }
}

void Optimizer::set_start(const std::string& parameter, const Tensor& start) {
  for (Slot& slot : slots_) {
    if (slot.parameter.name != parameter) continue;
    check_like("the start point of " + parameter, start, slot.parameter.variable);
    slot.start = start.to(slot.parameter.variable.device());
    return;
  }
  throw ValueError(fmt::format("Optimizer::set_start: there is no parameter '{}'", parameter));
}

void Optimizer::start_from_here() {
  for (Slot& slot : slots_) slot.start = slot.parameter.variable.value().clone();
}

std::vector<NamedTensor> Optimizer::state() const {
  const Device host = device().host();
  std::vector<NamedTensor> state;
  std::vector<std::int64_t> steps;
  for (const Slot& slot : slots_) {
    steps.push_back(slot.steps);
    for (std::size_t i = 0; i < slot.moments.size(); ++i) {
      state.push_back({moment_names_[i] + "/" + slot.parameter.name, slot.moments[i].to(host)});
    }
    if (slot.start.defined()) state.push_back({"start/" + slot.parameter.name, slot.start.to(host)});
  }
  state.push_back({"steps", Tensor::from(steps, {static_cast<std::int64_t>(steps.size())}, host)});
  return state;
}

void Optimizer::load_state(const std::vector<NamedTensor>& state) {
  constexpr std::int64_t most_steps = std::int64_t{1} << 53;  // beyond these a double does not tell two apart
  const Tensor* counts = find(state, "steps");
  if (counts == nullptr || counts->dtype() != DType::i64 ||
      counts->count() != static_cast<std::int64_t>(slots_.size())) {
    throw ValueError(fmt::format("Optimizer::load_state: 'steps' with {} i64 numbers is needed", slots_.size()));
  }
  const std::vector<std::int64_t> steps = counts->to_vector<std::int64_t>();
  std::vector<std::vector<Tensor>> moments(slots_.size());
  std::vector<Tensor> starts(slots_.size());
  std::size_t used = 1;
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    const NamedParameter& parameter = slots_[s].parameter;
    const auto take = [&](const std::string& name) -> std::optional<Tensor> {
      const Tensor* found = find(state, name);
      if (found == nullptr) return std::nullopt;
      check_like(name, *found, parameter.variable);
      ++used;
      return found->to(parameter.variable.device());
    };
    if (steps[s] < 0 || steps[s] >= most_steps)
      throw ValueError(fmt::format("Optimizer::load_state: {} has made {} steps", parameter.name, steps[s]));
    for (const std::string& moment : moment_names_) {
      std::optional<Tensor> tensor = take(moment + "/" + parameter.name);
      if (tensor) moments[s].push_back(std::move(*tensor));
    }
    if (moments[s].size() != (steps[s] > 0 ? moment_names_.size() : 0)) {
      throw ValueError(
          fmt::format("Optimizer::load_state: {} has made {} steps, but {} of its {} state tensors are there",
                      parameter.name, steps[s], moments[s].size(), moment_names_.size()));
    }
    if (std::optional<Tensor> start = take("start/" + parameter.name)) starts[s] = std::move(*start);
  }
  if (used != state.size()) {
    throw ValueError(fmt::format("Optimizer::load_state: {} of the {} tensors belong to no parameter of this optimizer",
                                 state.size() - used, state.size()));
  }
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    slots_[s].moments = std::move(moments[s]);
    slots_[s].start = std::move(starts[s]);
    slots_[s].steps = steps[s];
  }
}

Sgd::Sgd(std::vector<NamedParameter> parameters, const kernels::SgdOptions& options)
    : Optimizer(std::move(parameters),
                options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
      options_(options) {
  check_not_negative("Sgd", "learning_rate", options.learning_rate);
  check_not_negative("Sgd", "momentum", options.momentum);
  check_not_negative("Sgd", "weight_decay", options.weight_decay);
  check_not_negative("Sgd", "l2sp_strength", options.l2sp_strength);
  if (options.nesterov && options.momentum == 0) throw ValueError("Sgd: Nesterov's form needs a momentum above 0");
}

void Sgd::step() {
  update_groups([this](std::span<const kernels::OptimizerSlot> slots, std::int64_t steps) {
    kernels::sgd_step(device(), slots, options_, steps == 0);
  });
}

Adam::Adam(std::vector<NamedParameter> parameters, const kernels::AdamOptions& options)
    : Optimizer(std::move(parameters), {"first_moment", "second_moment"}), options_(options) {
  const char* name = options.decoupled ? "AdamW" : "Adam";
  check_not_negative(name, "learning_rate", options.learning_rate);
  check_not_negative(name, "epsilon", options.epsilon);
  check_not_negative(name, "weight_decay", options.weight_decay);
  check_not_negative(name, "l2sp_strength", options.l2sp_strength);
  for (const double beta : {options.beta1, options.beta2}) {
    if (!(beta >= 0 && beta < 1)) throw ValueError(fmt::format("{}: a beta of {}; it must be in [0, 1)", name, beta));
  }
}

void Adam::step() {
  update_groups([this](std::span<const kernels::OptimizerSlot> slots, std::int64_t steps) {
    kernels::adam_step(device(), slots, options_, steps + 1);
  });
}

AdamW::AdamW(std::vector<NamedParameter> parameters, kernels::AdamOptions options)
    : Adam(std::move(parameters), [&options] {
        options.decoupled = true;
        return options;
      }()) {}

}  // namespace rtl::optim

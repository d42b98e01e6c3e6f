#include "rtl/optim/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace rtl::optim {
namespace {

const Tensor* find(const std::vector<NamedTensor>& state, const std::string& name) {
  const auto found = std::find_if(state.begin(), state.end(), [&](const NamedTensor& t) { return t.name == name; });
  return found == state.end() ? nullptr : &found->tensor;
}

void check_like(const std::string& name, const Tensor& given, const graph::Storage& parameter) {
  if (given.shape() != parameter.shape()) {
    throw ShapeError(fmt::format("Optimizer: {} is {}, its parameter {}", name, given.shape().to_string(),
                                 parameter.shape().to_string()));
  }
  if (given.dtype() != parameter.dtype()) {
    throw DTypeError(
        fmt::format("Optimizer: {} is {}, its parameter {}", name, name_of(given.dtype()), name_of(parameter.dtype())));
  }
}

std::vector<std::string> sgd_moments(const kernels::SgdRule& options) {
  return options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
}

}  // namespace

Optimizer::Optimizer(const char* name, std::vector<NamedStorage> parameters, std::vector<std::string> moment_names,
                     const Rates& rates)
    : name_(name), moment_names_(std::move(moment_names)), rates_(rates) {
  if (parameters.empty()) throw ValueError(fmt::format("{}: there are no parameters to train", name));
  check_not_negative("learning_rate", rates.learning_rate);
  check_not_negative("weight_decay", rates.weight_decay);
  check_not_negative("l2sp_strength", rates.l2sp_strength);
  check_not_negative("warmup_steps", rates.warmup_steps);
  for (NamedStorage& parameter : parameters) {
    const auto same = [&](const Slot& slot) { return slot.parameter.name == parameter.name; };
    if (std::any_of(slots_.begin(), slots_.end(), same)) {
      throw ValueError(fmt::format("{}: two parameters are called '{}'", name, parameter.name));
    }
    Slot slot{std::move(parameter), {}, {}, {}};
    const Tensor& weight = slot.parameter.storage.tensor();
    while (slot.moments.size() < moment_names_.size()) {
      slot.moments.emplace_back(Tensor::zeros(weight.shape(), weight.dtype(), weight.device()));
    }
    slots_.push_back(std::move(slot));
  }
}

void Optimizer::check_not_negative(const char* option, double value) const {
  if (!(value >= 0)) throw ValueError(fmt::format("{}: {} is {}; it must not be negative", name_, option, value));
}

void Optimizer::set_learning_rate(double learning_rate) {
  check_not_negative("learning_rate", learning_rate);
  rates_.learning_rate = learning_rate;
}

void Optimizer::set_warmup_steps(double steps) {
  check_not_negative("warmup_steps", steps);
  rates_.warmup_steps = steps;
}

std::vector<graph::Value> Optimizer::parameters(graph::Graph& graph) const {
  std::vector<graph::Value> values;
  for (const Slot& slot : slots_) values.push_back(graph.variable(slot.parameter.name, slot.parameter.storage));
  return values;
}

void Optimizer::record(const graph::StepState::Values& step, std::span<const graph::Value> gradients) const {
  if (gradients.size() != slots_.size()) {
    throw ValueError(fmt::format("{}: {} gradients for {} parameters", name_, gradients.size(), slots_.size()));
  }
  graph::Graph& graph = step.counters.graph();
  std::vector<graph::OptimizedParameter> optimized;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const Slot& slot = slots_[i];
    const auto moment = [&](std::size_t m) {
      return m < slot.moments.size() ? graph.variable(moment_names_[m] + "/" + slot.parameter.name, slot.moments[m])
                                     : graph::Value();
    };
    optimized.push_back(
        {.weight = graph.variable(slot.parameter.name, slot.parameter.storage),
         .gradient = gradients[i],
         .first = moment(0),
         .second = moment(1),
         .start = slot.start.defined() ? graph.variable("start/" + slot.parameter.name, slot.start) : graph::Value(),
         .average =
             slot.average.defined() ? graph.variable("average/" + slot.parameter.name, slot.average) : graph::Value()});
  }
  if (!optimized.empty()) record_step(step, optimized);
}

void Optimizer::set_start(const std::string& parameter, const Tensor& start) {
  for (Slot& slot : slots_) {
    if (slot.parameter.name != parameter) continue;
    check_like("the start point of " + parameter, start, slot.parameter.storage);
    slot.start = graph::Storage(start.to(slot.parameter.storage.device()));
    return;
  }
  throw ValueError(fmt::format("{}: there is no parameter '{}'", name_, parameter));
}

void Optimizer::start_from_here() {
  for (Slot& slot : slots_) slot.start = graph::Storage(slot.parameter.storage.tensor().clone());
}

void Optimizer::average_weights(double decay) {
  if (!(decay > 0 && decay < 1)) {
    throw ValueError(fmt::format("{}: a decay of the average of {}; it must be in (0, 1)", name_, decay));
  }
  average_decay_ = decay;
  for (Slot& slot : slots_) slot.average = graph::Storage(slot.parameter.storage.tensor().clone());
}

void Optimizer::take_evaluated_weights() const {
  for (const Slot& slot : slots_) {
    Tensor& weight = slot.parameter.storage.tensor();
    slot.average.defined() ? copy_bytes(slot.average.tensor(), weight) : evaluate(weight, slot.moments);
  }
}

void Optimizer::start_at_weights(std::size_t moment) {
  for (Slot& slot : slots_) copy_bytes(slot.parameter.storage.tensor(), slot.moments.at(moment).tensor());
}

std::vector<NamedStorage> Optimizer::kept(const Slot& slot) const {
  std::vector<NamedStorage> all;
  for (std::size_t i = 0; i < slot.moments.size(); ++i) {
    all.push_back({moment_names_[i] + "/" + slot.parameter.name, slot.moments[i]});
  }
  if (slot.start.defined()) all.push_back({"start/" + slot.parameter.name, slot.start});
  if (slot.average.defined()) all.push_back({"average/" + slot.parameter.name, slot.average});
  return all;
}

std::vector<graph::Storage> Optimizer::storages() const {
  std::vector<graph::Storage> all;
  for (const Slot& slot : slots_) {
    for (NamedStorage& own : kept(slot)) all.push_back(std::move(own.storage));
  }
  return all;
}

std::vector<NamedTensor> Optimizer::state() const {
  const Device host = slots_.front().parameter.storage.device().host();
  std::vector<NamedTensor> state;
  for (const Slot& slot : slots_) {
    for (const NamedStorage& own : kept(slot)) state.push_back({own.name, own.storage.tensor().to(host)});
  }
  return state;
}

void Optimizer::load_state(const std::vector<NamedTensor>& state) {
  std::vector<std::pair<const Tensor*, graph::Storage>> ready;
  for (const Slot& slot : slots_) {
    for (const NamedStorage& own : kept(slot)) {
      const Tensor* found = find(state, own.name);
      if (found == nullptr) throw ValueError(fmt::format("{}: '{}' is missing in the state", name_, own.name));
      check_like(own.name, *found, slot.parameter.storage);
      ready.emplace_back(found, own.storage);
    }
  }
  if (ready.size() != state.size()) {
    throw ValueError(fmt::format("{}: {} of the {} tensors of the state belong to no parameter of this optimizer",
                                 name_, state.size() - ready.size(), state.size()));
  }
  for (const auto& [from, to] : ready) copy_bytes(*from, to.tensor());
}

Sgd::Sgd(std::vector<NamedStorage> parameters, const Rates& rates, const kernels::SgdRule& options)
    : Optimizer("Sgd", std::move(parameters), sgd_moments(options), rates), options_(options) {
  check_not_negative("momentum", options.momentum);
  if (options.nesterov && options.momentum == 0) throw ValueError("Sgd: Nesterov's form needs a momentum above 0");
}

void Sgd::record_step(const graph::StepState::Values& step,
                      std::span<const graph::OptimizedParameter> parameters) const {
  graph::record_sgd_step(step.counters, step.rates, parameters, options_, average_decay());
}

Adam::Adam(std::vector<NamedStorage> parameters, const Rates& rates, const kernels::AdamRule& options)
    : Optimizer(options.decoupled ? "AdamW" : "Adam", std::move(parameters), {"first_moment", "second_moment"}, rates),
      options_(options) {
  check_not_negative("epsilon", options.epsilon);
  for (const double beta : {options.beta1, options.beta2}) {
    if (!(beta >= 0 && beta < 1)) throw ValueError(fmt::format("Adam: a beta of {}; it must be in [0, 1)", beta));
  }
}

void Adam::record_step(const graph::StepState::Values& step,
                       std::span<const graph::OptimizedParameter> parameters) const {
  graph::record_adam_step(step.counters, step.rates, parameters, options_, average_decay());
}

ScheduleFreeAdamW::ScheduleFreeAdamW(std::vector<NamedStorage> parameters, const Rates& rates,
                                     const kernels::ScheduleFreeRule& options)
    : Optimizer("ScheduleFreeAdamW", std::move(parameters), {"base", "second_moment"}, rates), options_(options) {
  check_not_negative("epsilon", options.epsilon);
  if (!(options.beta1 > 0 && options.beta1 <= 1 && options.beta2 >= 0 && options.beta2 < 1)) {
    throw ValueError(fmt::format("ScheduleFreeAdamW: betas {} and {}; they must be in (0, 1] and in [0, 1)",
                                 options.beta1, options.beta2));
  }
  start_at_weights(0);
}

void ScheduleFreeAdamW::average_weights(double /*decay*/) {
  throw ValueError(
      "ScheduleFreeAdamW: it has an average of its own, and takes no exponential moving average beside it");
}

void ScheduleFreeAdamW::record_step(const graph::StepState::Values& step,
                                    std::span<const graph::OptimizedParameter> parameters) const {
  graph::record_schedule_free_step(step.counters, step.rates, parameters, options_);
}

double ScheduleFreeAdamW::weight_sum(std::int64_t steps) const {
  double sum = 0, rest = 0;
  for (std::int64_t t = 1; t <= steps; ++t) {
    const auto number = static_cast<double>(t);
    const double share = number < rates().warmup_steps ? number / rates().warmup_steps : 1.0;
    rest = (1.0 - options_.beta2) + options_.beta2 * rest;
    sum += rest * share * share;
  }
  return sum;
}

/// x = y + (y - z) (1 - beta1) / beta1, calculated in double on the host: once a training.
void ScheduleFreeAdamW::evaluate(Tensor& weight, const std::vector<graph::Storage>& moments) const {
  const double factor = (1.0 - options_.beta1) / options_.beta1;
  const auto put = [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> values = weight.to_vector<T>();
    const std::vector<T> base = moments.front().tensor().to_vector<T>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double y = values[i], z = base[i];
      values[i] = static_cast<T>(y + (y - z) * factor);
    }
    copy_bytes(Tensor::from(values, weight.shape(), weight.device().host()), weight);
  };
  weight.dtype() == DType::f64 ? put(double{}) : put(float{});
}

}  // namespace rtl::optim

// Optimizer steps: many parameters, changed in place in one launch.
#include <array>
#include <optional>
#include <type_traits>

#include "graph/operations/optimizer.hpp"
#include "graph/operations/support.hpp"
#include "rtl/graph/optimizer_step.hpp"

namespace rtl::graph {
namespace {

using kernels::AdamRule;
using kernels::OptimizerSlot;
using kernels::OptimizerState;
using kernels::ScheduleFreeRule;
using kernels::SgdRule;

void check_rule(const SgdRule& rule) {
  if (!(rule.momentum >= 0)) {
    throw ValueError(fmt::format("sgd_step: a momentum of {}; it must not be negative", rule.momentum));
  }
  if (rule.nesterov && rule.momentum == 0) throw ValueError("sgd_step: Nesterov's form needs a momentum above 0");
}
void check_second(const char* call, double beta2, double epsilon) {
  if (!(beta2 >= 0 && beta2 < 1)) {
    throw ValueError(fmt::format("{}: a beta of {}; it must be in [0, 1)", call, beta2));
  }
  if (!(epsilon >= 0)) throw ValueError(fmt::format("{}: an epsilon of {}; it must not be negative", call, epsilon));
}
void check_rule(const AdamRule& rule) {
  if (!(rule.beta1 >= 0 && rule.beta1 < 1)) {
    throw ValueError(fmt::format("adam_step: a beta of {}; it must be in [0, 1)", rule.beta1));
  }
  check_second("adam_step", rule.beta2, rule.epsilon);
}
void check_rule(const ScheduleFreeRule& rule) {
  if (!(rule.beta1 > 0 && rule.beta1 <= 1)) {
    throw ValueError(fmt::format("schedule_free_step: beta1 is {}; it must be in (0, 1]", rule.beta1));
  }
  check_second("schedule_free_step", rule.beta2, rule.epsilon);
}

std::string text_of(const SgdRule& rule) {
  return fmt::format("momentum {}{}", rule.momentum, rule.nesterov ? " nesterov" : "");
}
std::string text_of(const AdamRule& rule) {
  return fmt::format("betas {} {}{}", rule.beta1, rule.beta2, rule.decoupled ? " decoupled" : "");
}
std::string text_of(const ScheduleFreeRule& rule) { return fmt::format("betas {} {}", rule.beta1, rule.beta2); }

constexpr std::string_view name_of_step(const SgdRule&) { return "sgd_step"; }
constexpr std::string_view name_of_step(const AdamRule&) { return "adam_step"; }
constexpr std::string_view name_of_step(const ScheduleFreeRule&) { return "schedule_free_step"; }

std::size_t moments_of(const SgdRule& rule) { return rule.momentum > 0 ? 1 : 0; }
std::size_t moments_of(const AdamRule&) { return 2; }
std::size_t moments_of(const ScheduleFreeRule&) { return 2; }

void step(const Device& device, std::span<const OptimizerSlot> slots, const SgdRule& rule,
          const OptimizerState& state) {
  kernels::sgd_step(device, slots, rule, state);
}
void step(const Device& device, std::span<const OptimizerSlot> slots, const AdamRule& rule,
          const OptimizerState& state) {
  kernels::adam_step(device, slots, rule, state);
}
void step(const Device& device, std::span<const OptimizerSlot> slots, const ScheduleFreeRule& rule,
          const OptimizerState& state) {
  kernels::schedule_free_step(device, slots, rule, state);
}

/// Operands: counters, rates, then of each parameter weight, gradient, start and its moments, the last of which is its
/// average where there is one. Results: of each parameter the weight and its moments, in place. With the size of the
/// batch the step ends here: then operands losses and loss, and results counters and losses, stand behind the others.
template <typename Rule>
class OptimizerStep final : public Operation {
 public:
  OptimizerStep(const Rule& rule, std::size_t parameters, double average_decay,
                std::optional<std::int64_t> advanced = std::nullopt)
      : rule_(rule),
        moments_(moments_of(rule) + (average_decay > 0 ? 1 : 0)),
        parameters_(parameters),
        average_decay_(average_decay),
        advanced_(advanced) {}
  std::shared_ptr<const Operation> ending(std::int64_t batch_size) const {
    return std::make_shared<const OptimizerStep>(rule_, parameters_, average_decay_, batch_size);
  }
  std::string_view name() const noexcept override { return name_of_step(rule_); }
  std::string attributes() const override {
    std::string end = average_decay_ > 0 ? fmt::format(", averaged by {}", average_decay_) : "";
    if (advanced_) end += fmt::format(", advance by {}", *advanced_);
    return fmt::format("{} parameters, {}{}", parameters_, text_of(rule_), end);
  }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_rule(rule_);
    if (!(average_decay_ >= 0 && average_decay_ < 1)) {
      throw ValueError(fmt::format("{}: a decay of the average of {}; it must be in [0, 1)", name(), average_decay_));
    }
    check_counters(name(), operands[0]);
    check_rates(operands[1]);
    std::vector<Type> types;
    for (std::size_t p = 0; p < parameters_; ++p) {
      const std::span<const Value> own = operands.subspan(place(p), 3 + moments_);
      check_floating(name(), own);
      for (const Value& value : own) {
        check_shape(!value.defined() || value.shape() == own[0].shape(), name(),
                    "a weight is {}, its gradient, moment, average or start point {}", own[0].shape().to_string(),
                    value.defined() ? value.shape().to_string() : "");
      }
      types.insert(types.end(), 1 + moments_, own[0].type());
    }
    if (advanced_) {
      const Value &losses = operands[place(parameters_)], &loss = operands[place(parameters_) + 1];
      check_advance(name(), operands[0], losses, loss);
      types.push_back(operands[0].type());
      types.push_back(losses.type());
    }
    return types;
  }
  void run(const Call& call) const override { run_all(call, 1); }
  void run_replicas(const Call& call) const override { run_all(call, call.out(0).extent(0)); }
  std::optional<Aliasing> aliasing(std::size_t result) const override {
    if (const std::size_t own = parameters_ * (1 + moments_); result >= own) {
      return Aliasing{.operand = result == own ? 0 : static_cast<int>(place(parameters_)), .writes = true};
    }
    const std::size_t parameter = result / (1 + moments_), which = result % (1 + moments_);
    return Aliasing{.operand = static_cast<int>(place(parameter) + (which == 0 ? 0 : 2 + which)), .writes = true};
  }
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    for (std::size_t p = 0; p < parameters_; ++p) {
      for (std::size_t i = 0; i < 3 + moments_; ++i) {
        const std::size_t at = place(p) + i;
        if (i != start && operands[at].defined() && !replicated[at]) return false;
      }
    }
    return !advanced_ || (replicated[0] && replicated[place(parameters_)] && replicated[place(parameters_) + 1]);
  }
  double flops(std::span<const Value> operands) const override {
    double elements = 0;
    for (std::size_t p = 0; p < parameters_; ++p) elements += static_cast<double>(operands[place(p)].shape().count());
    return elements * (is_sgd ? 6 : 16);
  }
  int launches(std::span<const Value>) const override {
    return static_cast<int>((parameters_ + at_once - 1) / at_once);
  }

 private:
  static constexpr bool is_sgd = std::is_same_v<Rule, SgdRule>;
  static constexpr std::size_t start = 2;
  /// Parameters of one launch: their views lie on the stack. Of few there are fewer to make.
  static constexpr std::size_t at_once = 128, few = 8;

  std::size_t place(std::size_t parameter) const { return 2 + parameter * (3 + moments_); }

  void check_rates(const Value& rates) const {
    if (!rates.defined()) throw ValueError(fmt::format("{}: no rates are given", name()));
    if (rates.dtype() != DType::f64) {
      throw DTypeError(fmt::format("{}: the rates are {}; f64 is needed", name(), rates.type().to_string()));
    }
    check_shape(rates.shape() == Shape{kernels::Rates::count}, name(), "the rates are {}; [{}] is needed",
                rates.shape().to_string(), kernels::Rates::count);
  }

  void run_all(const Call& call, std::int64_t replicas) const {
    parameters_ <= few ? run_parts<few>(call, replicas) : run_parts<at_once>(call, replicas);
  }

  template <std::size_t capacity>
  void run_parts(const Call& call, std::int64_t replicas) const {
    OptimizerState state{
        .counters = call.in(0), .rates = call.in(1), .replicas = replicas, .average_decay = average_decay_, .end = {}};
    const std::size_t own = moments_of(rule_);
    std::array<OptimizerSlot, capacity> slots;
    for (std::size_t first = 0; first < parameters_; first += capacity) {
      const std::size_t count = std::min(capacity, parameters_ - first);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t in = place(first + i), out = (first + i) * (1 + moments_);
        slots[i] = {.weight = call.out(out),
                    .gradient = call.in(in + 1),
                    .first = own > 0 ? call.out(out + 1) : View(),
                    .second = own > 1 ? call.out(out + 2) : View(),
                    .start = call.in(in + start),
                    .average = moments_ > own ? call.out(out + moments_) : View()};
      }
      if (advanced_ && first + count == parameters_) {
        const std::size_t in = place(parameters_), out = parameters_ * (1 + moments_);
        state.end = {call.out(out), call.out(out + 1), call.in(in + 1), *advanced_};
      }
      step(call.device(), {slots.data(), count}, rule_, state);
    }
  }

  Rule rule_;
  std::size_t moments_, parameters_;  ///< moments with the average
  double average_decay_;
  std::optional<std::int64_t> advanced_;
};

template <typename Rule>
void record_step(const char* name, const Value& counters, const Value& rates,
                 std::span<const OptimizedParameter> parameters, const Rule& rule, double average_decay) {
  const std::size_t moments = moments_of(rule);
  std::vector<Value> operands = {counters, rates};
  std::size_t changed = 0;
  for (const OptimizedParameter& parameter : parameters) {
    if (!parameter.gradient.defined()) continue;
    if (parameter.first.defined() != (moments > 0) || parameter.second.defined() != (moments > 1)) {
      throw ValueError(fmt::format("{}: {} moments of each parameter are needed, others are given", name, moments));
    }
    if (parameter.average.defined() != (average_decay > 0)) {
      throw ValueError(fmt::format("{}: an average of each parameter is needed with a decay above 0, which is {}", name,
                                   average_decay));
    }
    operands.insert(operands.end(), {parameter.weight, parameter.gradient, parameter.start});
    if (moments > 0) operands.push_back(parameter.first);
    if (moments > 1) operands.push_back(parameter.second);
    if (average_decay > 0) operands.push_back(parameter.average);
    ++changed;
  }
  if (changed == 0) throw ValueError(fmt::format("{}: no parameter has a gradient; there is nothing to train", name));
  operands[2].graph().add(std::make_shared<const OptimizerStep<Rule>>(rule, changed, average_decay), operands);
}

}  // namespace

std::shared_ptr<const Operation> make_ending_step(const Operation& step, std::int64_t batch_size) {
  if (const auto* sgd = dynamic_cast<const OptimizerStep<SgdRule>*>(&step)) return sgd->ending(batch_size);
  if (const auto* adam = dynamic_cast<const OptimizerStep<AdamRule>*>(&step)) return adam->ending(batch_size);
  if (const auto* free = dynamic_cast<const OptimizerStep<ScheduleFreeRule>*>(&step)) return free->ending(batch_size);
  return nullptr;
}

void record_sgd_step(const Value& counters, const Value& rates, std::span<const OptimizedParameter> parameters,
                     const SgdRule& rule, double average_decay) {
  record_step("sgd_step", counters, rates, parameters, rule, average_decay);
}

void record_adam_step(const Value& counters, const Value& rates, std::span<const OptimizedParameter> parameters,
                      const AdamRule& rule, double average_decay) {
  record_step("adam_step", counters, rates, parameters, rule, average_decay);
}

void record_schedule_free_step(const Value& counters, const Value& rates,
                               std::span<const OptimizedParameter> parameters, const ScheduleFreeRule& rule) {
  record_step("schedule_free_step", counters, rates, parameters, rule, 0);
}

}  // namespace rtl::graph

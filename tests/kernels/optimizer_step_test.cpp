#include "rtl/kernels/optimizer_step.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/devices.hpp"
#include "support/kernel_case.hpp"

namespace rtl::test {
namespace {

using kernels::AdamRule;
using kernels::OptimizerSlot;
using kernels::SgdRule;

/// Several parameters of awkward sizes, so that a launch covers tensors of very different lengths.
const std::vector<Shape> parameters = {{1}, {31, 33}, {0}, {33}, {1025}, {3, 3, 5, 7}, {20011}};

struct StepRates {
  double learning_rate, weight_decay = 0, l2sp_strength = 0, warmup_steps = 0, weight_sum = 0;
  /// Of step number `number`, from 1.
  long double at(std::int64_t number) const {
    const auto t = static_cast<long double>(number);
    return learning_rate * (t < warmup_steps ? t / warmup_steps : 1);
  }
};

/// The step's counters and rates, last among the inputs.
void add_state(KernelCase& c, const std::vector<std::int64_t>& steps, const std::vector<StepRates>& rates,
               std::int64_t batch = 2) {
  Reals counters, numbers;
  for (const std::int64_t step : steps)
    counters.insert(counters.end(), {7, static_cast<long double>(step), 128, static_cast<long double>(batch)});
  for (const StepRates& r : rates)
    numbers.insert(numbers.end(), {r.learning_rate, r.weight_decay, r.l2sp_strength, r.warmup_steps, r.weight_sum});
  const auto shape = [](std::size_t replicas, std::int64_t count) {
    return replicas == 1 ? Shape{count} : Shape{static_cast<std::int64_t>(replicas), count};
  };
  c.inputs.push_back({"counters", shape(steps.size(), kernels::Counters::count), counters, DType::i64});
  c.inputs.push_back({"rates", shape(rates.size(), kernels::Rates::count), numbers, DType::f64});
}

kernels::OptimizerState state_of(const std::vector<View>& in, double average_decay) {
  return {.counters = in[in.size() - 2], .rates = in[in.size() - 1], .average_decay = average_decay};
}

/// Gradients and start points as inputs; weights and states as outputs with initial values, `states` a parameter, of
/// which the last is the average where there is one.
KernelCase step_case(std::size_t states, bool positive_second, Random& random, double roundoffs) {
  KernelCase c;
  for (const Shape& shape : parameters) {
    c.inputs.push_back({"gradient", shape, random.normal(shape)});
    c.inputs.push_back({"start", shape, random.normal(shape)});
    c.outputs.push_back({"weight", shape, roundoffs, 0, random.normal(shape)});
    for (std::size_t state = 0; state < states; ++state) {
      const bool positive = positive_second && state == 1;
      c.outputs.push_back(
          {"state", shape, roundoffs, 0, positive ? random.uniform(shape, 0, 2) : random.normal(shape)});
    }
  }
  return c;
}

std::vector<OptimizerSlot> slots_of(const std::vector<View>& in, const std::vector<View>& out, std::size_t states,
                                    bool started, bool averaged = false) {
  std::vector<OptimizerSlot> slots;
  const std::size_t moments = states - (averaged ? 1 : 0);
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const View* mine = out.data() + p * (1 + states);
    slots.push_back({mine[0], in[2 * p], moments > 0 ? mine[1] : View(), moments > 1 ? mine[2] : View(),
                     // Every other tensor has no start point, and so no pull.
                     started && p % 2 == 0 ? ConstView(in[2 * p + 1]) : ConstView(), averaged ? mine[states] : View()});
  }
  return slots;
}

struct Element {
  long double w, g, first, second, start;
  long double scale = 0;        ///< magnitudes that the weight's update adds up
  long double first_scale = 0;  ///< .. and the first moment's
  /// Moves an average toward the weight, in step number t from 1.
  void average(long double& average, double decay, std::int64_t t) const {
    const auto number = static_cast<long double>(t);
    const long double d = std::min<long double>(decay, (1 + number) / (10 + number));
    average = d * average + (1 - d) * w;
  }
};

struct Averaged {
  double decay = 0;
  std::int64_t number = 1;  ///< of the step
};

/// Applies `update` to every element of every parameter, and averages where there is a decay.
template <typename Update>
std::vector<Expected> stepped(const std::vector<Reals>& in, const std::vector<Reals>& initial, std::size_t states,
                              bool started, const Update& update, const Averaged& averaged = {}) {
  std::vector<Expected> out(initial.size());
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::size_t at = p * (1 + states);
    for (std::size_t i = 0; i < in[2 * p].size(); ++i) {
      const long double w = initial[at][i];
      const std::size_t moments = states - (averaged.decay > 0 ? 1 : 0);
      Element e{w, in[2 * p][i], moments > 0 ? initial[at + 1][i] : 0, moments > 1 ? initial[at + 2][i] : 0,
                started && p % 2 == 0 ? in[2 * p + 1][i] : w};
      const long double magnitudes = std::fabs(e.w) + std::fabs(e.g) + std::fabs(e.first) + std::fabs(e.start);
      update(e);
      out[at].value.push_back(e.w);
      out[at].scale.push_back(magnitudes + e.scale);
      const long double values[] = {e.first, e.second};
      if (averaged.decay > 0) {
        long double average = initial[at + states][i];
        const long double before = std::fabs(average);
        e.average(average, averaged.decay, averaged.number);
        out[at + states].value.push_back(average);
        out[at + states].scale.push_back(before + magnitudes + e.scale);
      }
      for (std::size_t state = 0; state < moments; ++state) {
        out[at + 1 + state].value.push_back(values[state]);
        // The second moment adds up squares.
        out[at + 1 + state].scale.push_back(state == 0 ? magnitudes + e.first_scale
                                                       : e.second + magnitudes * magnitudes);
      }
    }
  }
  return out;
}

using Real = long double;

void sgd_reference(Element& e, const SgdRule& rule, const StepRates& rates, std::int64_t step) {
  Real g = e.g + rates.weight_decay * e.w + rates.l2sp_strength * (e.w - e.start);
  if (rule.momentum != 0) {
    e.first = rule.momentum * e.first + g;
    g = rule.nesterov ? g + rule.momentum * e.first : e.first;
  }
  e.w -= rates.at(step + 1) * g;
}

const bool sgd_registered = register_cases("sgd_step", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const std::string& label, const SgdRule& rule, const StepRates& rates, bool started,
                       double decay = 0) {
    const std::size_t states = (rule.momentum != 0 ? 1 : 0) + (decay > 0 ? 1 : 0);
    // Five rounded factors, as many products and sums; the scale is the sum of the magnitudes of w, g, v and start.
    KernelCase c = step_case(states, false, random, 8);
    c.label = label;
    add_state(c, {3}, {rates});
    c.run = [=](const Device& device, auto& in, auto& out) {
      kernels::sgd_step(device, slots_of(in, out, states, started, decay > 0), rule, state_of(in, decay));
    };
    c.reference = [=](auto& in, auto& initial) {
      return stepped(in, initial, states, started, [&](Element& e) { sgd_reference(e, rule, rates, 3); }, {decay, 4});
    };
    cases.push_back(c);
  };
  add("plain", {}, {.learning_rate = 0.1}, false);
  add("momentum", {.momentum = 0.9}, {.learning_rate = 0.1, .weight_decay = 0.01}, false);
  add("nesterov", {.momentum = 0.8, .nesterov = true}, {.learning_rate = 0.1}, false);
  add("l2sp", {.momentum = 0.9}, {.learning_rate = 0.1, .weight_decay = 0.02, .l2sp_strength = 0.3}, true);
  add("l2sp_plain", {}, {.learning_rate = 0.1, .l2sp_strength = 0.3}, true);
  add("warmup", {}, {.learning_rate = 0.1, .warmup_steps = 6.5}, false);
  add("warmed_up", {}, {.learning_rate = 0.1, .warmup_steps = 4}, false);
  add("averaged", {}, {.learning_rate = 0.1}, false, 0.999);
  add("averaged_momentum", {.momentum = 0.9}, {.learning_rate = 0.1}, true, 0.25);
  return cases;
});

void adam_reference(Element& e, const AdamRule& rule, const StepRates& rates, std::int64_t step) {
  const auto number = static_cast<Real>(step + 1);
  const Real correction1 = 1 - std::pow(static_cast<Real>(rule.beta1), number);
  const Real correction2 = 1 - std::pow(static_cast<Real>(rule.beta2), number);
  Real g = e.g + rates.l2sp_strength * (e.w - e.start);
  if (!rule.decoupled) g += rates.weight_decay * e.w;
  if (rule.decoupled) e.w *= 1 - rates.at(step + 1) * rates.weight_decay;
  e.first = rule.beta1 * e.first + (1 - static_cast<Real>(rule.beta1)) * g;
  e.second = rule.beta2 * e.second + (1 - static_cast<Real>(rule.beta2)) * g * g;
  const Real update = e.first / correction1 / (std::sqrt(e.second / correction2) + rule.epsilon);
  e.w -= rates.at(step + 1) * update;
  e.scale = rates.at(step + 1) * std::fabs(update);
}

const bool adam_registered = register_cases("adam_step", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const std::string& label, const AdamRule& rule, const StepRates& rates, std::int64_t step,
                       bool started, double decay = 0) {
    const std::size_t states = decay > 0 ? 3 : 2;
    // As above, with a root and a quotient more.
    KernelCase c = step_case(states, true, random, 12);
    c.label = label;
    add_state(c, {step}, {rates});
    c.run = [=](const Device& device, auto& in, auto& out) {
      kernels::adam_step(device, slots_of(in, out, states, started, decay > 0), rule, state_of(in, decay));
    };
    c.reference = [=](auto& in, auto& initial) {
      return stepped(in, initial, states, started, [&](Element& e) { adam_reference(e, rule, rates, step); },
                     {decay, step + 1});
    };
    cases.push_back(c);
  };
  const AdamRule adamw{.decoupled = true};
  add("first", {}, {.learning_rate = 0.01}, 0, false);
  add("later", {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6}, {.learning_rate = 0.01}, 16, false);
  add("coupled_decay", {}, {.learning_rate = 0.01, .weight_decay = 0.1}, 2, false);
  add("adamw", adamw, {.learning_rate = 0.01, .weight_decay = 0.1}, 2, false);
  add("adamw_warmup", adamw, {.learning_rate = 0.01, .weight_decay = 0.1, .warmup_steps = 10}, 2, false);
  add("adamw_averaged", adamw, {.learning_rate = 0.01, .weight_decay = 0.1}, 2, true, 0.5);
  add("adamw_l2sp", adamw, {.learning_rate = 0.01, .weight_decay = 0.1, .l2sp_strength = 0.5}, 2, true);
  return cases;
});

/// Rate and c of a step of the published algorithm; steps count from 0.
struct FreeStep {
  Real rate, share;
  FreeStep(const kernels::ScheduleFreeRule& rule, const StepRates& rates, std::int64_t step) : rate(0), share(0) {
    Real sum = 0;
    for (std::int64_t t = 1; t <= step + 1; ++t) {
      rate = rates.at(t) * std::sqrt(1 - std::pow(static_cast<Real>(rule.beta2), static_cast<Real>(t)));
      sum += rate * rate;
    }
    share = rate * rate / sum;
  }
};

/// With x, which the kernel does not keep.
void schedule_free_reference(Element& e, const kernels::ScheduleFreeRule& rule, const StepRates& rates,
                             const FreeStep& step) {
  const Real beta1 = rule.beta1, beta2 = rule.beta2;
  const Real y = e.w, g = e.g + rates.l2sp_strength * (e.w - e.start);
  Real x = (y - (1 - beta1) * e.first) / beta1;
  e.second = beta2 * e.second + (1 - beta2) * g * g;
  const Real moved = step.rate * (g / (std::sqrt(e.second) + rule.epsilon) + rates.weight_decay * y);
  e.first -= moved;
  x = (1 - step.share) * x + step.share * e.first;
  e.w = (1 - beta1) * e.first + beta1 * x;
  e.scale = e.first_scale = std::fabs(moved);
}

const bool schedule_free_registered = register_cases("schedule_free_step", [](Random& random) {
  std::vector<KernelCase> cases;
  const auto add = [&](const std::string& label, const kernels::ScheduleFreeRule& rule, StepRates rates,
                       std::int64_t step, std::int64_t batch, bool started) {
    KernelCase c = step_case(2, true, random, 16);
    c.label = label;
    Real before = 0;
    for (std::int64_t t = 1; t <= step - batch; ++t) {
      const Real share = rates.at(t) / rates.learning_rate;
      before += (1 - std::pow(static_cast<Real>(rule.beta2), static_cast<Real>(t))) * share * share;
    }
    rates.weight_sum = static_cast<double>(before);
    add_state(c, {step}, {rates}, batch);
    c.run = [=](const Device& device, auto& in, auto& out) {
      kernels::schedule_free_step(device, slots_of(in, out, 2, started), rule, state_of(in, 0));
    };
    const FreeStep numbers(rule, rates, step);
    c.reference = [=](auto& in, auto& initial) {
      return stepped(in, initial, 2, started, [&](Element& e) { schedule_free_reference(e, rule, rates, numbers); });
    };
    cases.push_back(c);
  };
  add("first", {}, {.learning_rate = 0.01}, 0, 0, false);
  add("later", {.beta1 = 0.7, .beta2 = 0.95, .epsilon = 1e-6}, {.learning_rate = 0.01}, 16, 2, false);
  add("decay", {}, {.learning_rate = 0.01, .weight_decay = 0.1}, 5, 5, false);
  add("warmup", {}, {.learning_rate = 0.01, .weight_decay = 0.1, .warmup_steps = 9.5}, 7, 3, false);
  add("behind_warmup", {}, {.learning_rate = 0.01, .warmup_steps = 6}, 11, 8, false);
  add("many_batches", {.beta2 = 0.9}, {.learning_rate = 0.01, .warmup_steps = 6}, 107, 100, false);
  add("l2sp", {}, {.learning_rate = 0.01, .l2sp_strength = 0.5}, 2, 1, true);
  return cases;
});

/// Replicas in one launch, each with its own step and rates, against one launch for each.
template <typename T, typename Rule>
void expect_replicas_alone(const Device& device, const Rule& rule, bool own_start) {
  const double decay = std::is_same_v<Rule, kernels::ScheduleFreeRule> ? 0 : 0.75;
  constexpr std::int64_t replicas = 3, size = 5001;
  Random random(11);
  const auto stored = [&](const Shape& shape, double low) {
    const Reals values = random.uniform(shape, low, 2);
    return Tensor::from(std::vector<T>(values.begin(), values.end()), shape, device);
  };
  const Shape shape{replicas, size};
  const Tensor gradient = stored(shape, -2), start = stored(own_start ? shape : Shape{size}, -2);
  Tensor w = stored(shape, -2), first = stored(shape, -2), second = stored(shape, 0), average = stored(shape, -2);
  Tensor w_alone = w.clone(), first_alone = first.clone(), second_alone = second.clone(),
         average_alone = average.clone();
  const Tensor counters =
      Tensor::from(std::vector<std::int64_t>{1, 0, 0, 0, 1, 5, 0, 0, 1, 9, 0, 0}, {replicas, 4}, device);
  const Tensor rates = Tensor::from(std::vector<double>{0.1, 0, 0, 0, 1, 0.2, 0.1, 0.3, 7, 2, 0.05, 0.2, 0.1, 20, 0},
                                    {replicas, 5}, device);
  const auto step = [&](const OptimizerSlot& slot, const kernels::OptimizerState& state) {
    if constexpr (std::is_same_v<Rule, SgdRule>) {
      kernels::sgd_step(device, {&slot, 1}, rule, state);
    } else if constexpr (std::is_same_v<Rule, kernels::ScheduleFreeRule>) {
      kernels::schedule_free_step(device, {&slot, 1}, rule, state);
    } else {
      kernels::adam_step(device, {&slot, 1}, rule, state);
    }
  };
  step({w, gradient, first, second, start, average},
       {.counters = counters, .rates = rates, .replicas = replicas, .average_decay = decay});
  const auto of = [](auto& tensor, std::int64_t replica) {
    return tensor.view().slice(0, replica, replica + 1).reshaped({tensor.shape()[-1]});
  };
  for (std::int64_t r = 0; r < replicas; ++r) {
    step({of(w_alone, r), of(gradient, r), of(first_alone, r), of(second_alone, r),
          own_start ? of(start, r) : ConstView(start), of(average_alone, r)},
         {.counters = of(counters, r), .rates = of(rates, r), .average_decay = decay});
  }
  EXPECT_EQ(w.template to_vector<T>(), w_alone.template to_vector<T>());
  EXPECT_EQ(first.template to_vector<T>(), first_alone.template to_vector<T>());
  EXPECT_EQ(second.template to_vector<T>(), second_alone.template to_vector<T>());
  EXPECT_EQ(average.template to_vector<T>(), average_alone.template to_vector<T>());
}

TEST(OptimizerStep, ReplicasInOneLaunchAreThoseOfSeparateLaunches) {
  for (const Device& device : devices_and_threads()) {
    for (const bool own_start : {false, true}) {
      SCOPED_TRACE(name_of(device) + (own_start ? ", own start points" : ", shared start point"));
      expect_replicas_alone<float>(device, SgdRule{.momentum = 0.9}, own_start);
      expect_replicas_alone<double>(device, SgdRule{}, own_start);
      expect_replicas_alone<float>(device, AdamRule{}, own_start);
      expect_replicas_alone<double>(device, AdamRule{.decoupled = true}, own_start);
      expect_replicas_alone<float>(device, kernels::ScheduleFreeRule{}, own_start);
    }
  }
}

}  // namespace
}  // namespace rtl::test

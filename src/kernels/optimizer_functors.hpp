// The updates of optimizer steps, element by element, which both devices run: the equations are in
// "rtl/kernels/optimizer_step.hpp". Factors are derived once a step, in f64.
#pragma once

#include <cmath>
#include <cstdint>

#include "rtl/core/macros.hpp"
#include "rtl/kernels/optimizer_step.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels::functors {

/// The numbers of one replica that an optimizer step depends on.
struct StepNumbers {
  const std::int64_t* counters;
  const double* rates;
  RTL_HOST_DEVICE double rate(std::int64_t which) const { return rates[which]; }
  /// With the warm-up.
  RTL_HOST_DEVICE double learning_rate() const {
    const double warmup = rate(Rates::warmup_steps);
    return rate(Rates::learning_rate) * (number() < warmup ? number() / warmup : 1.0);
  }
  /// Number of this step, from 1.
  RTL_HOST_DEVICE double number() const { return static_cast<double>(counters[Counters::step] + 1); }
};

/// One element of an SGD step: see sgd_step in "rtl/kernels/optimizer_step.hpp".
template <typename T>
struct SgdUpdate {
  T learning_rate, momentum, weight_decay, l2sp_strength;
  bool nesterov;
  /// `start` is w itself where there is no start point; `v` is passed through without momentum.
  RTL_HOST_DEVICE void operator()(T& w, T g, T& v, T start) const {
    g += weight_decay * w + l2sp_strength * (w - start);
    if (momentum != T{0}) {
      v = momentum * v + g;
      g = nesterov ? g + momentum * v : v;
    }
    w -= learning_rate * g;
  }
};

/// One element of an Adam or AdamW step.
template <typename T>
struct AdamUpdate {
  T step_size;        ///< learning_rate / (1 - beta1^step)
  T beta1, rest1;     ///< rest1 = 1 - beta1
  T beta2, rest2;     ///< rest2 = 1 - beta2
  T root_correction;  ///< sqrt(1 - beta2^step)
  T epsilon;
  T weight_decay;  ///< coupled: into the gradient; 0 for AdamW
  T shrink;        ///< AdamW: 1 - learning_rate * weight_decay; else 1
  T l2sp_strength;
  RTL_HOST_DEVICE void operator()(T& w, T g, T& m, T& v, T start) const {
    g += weight_decay * w + l2sp_strength * (w - start);
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    w = shrink * w - step_size * m / (std::sqrt(v) / root_correction + epsilon);
  }
};

template <typename T>
RTL_HOST_DEVICE SgdUpdate<T> update_of(const SgdRule& rule, const StepNumbers& numbers) {
  return {static_cast<T>(numbers.learning_rate()), static_cast<T>(rule.momentum),
          static_cast<T>(numbers.rate(Rates::weight_decay)), static_cast<T>(numbers.rate(Rates::l2sp_strength)),
          rule.nesterov};
}

template <typename T>
RTL_HOST_DEVICE AdamUpdate<T> update_of(const AdamRule& rule, const StepNumbers& numbers) {
  const double learning_rate = numbers.learning_rate(), decay = numbers.rate(Rates::weight_decay);
  const double correction1 = 1.0 - std::pow(rule.beta1, numbers.number());
  const double correction2 = 1.0 - std::pow(rule.beta2, numbers.number());
  return {static_cast<T>(learning_rate / correction1),
          static_cast<T>(rule.beta1),
          static_cast<T>(1.0 - rule.beta1),
          static_cast<T>(rule.beta2),
          static_cast<T>(1.0 - rule.beta2),
          static_cast<T>(std::sqrt(correction2)),
          static_cast<T>(rule.epsilon),
          static_cast<T>(rule.decoupled ? 0.0 : decay),
          static_cast<T>(rule.decoupled ? 1.0 - learning_rate * decay : 1.0),
          static_cast<T>(numbers.rate(Rates::l2sp_strength))};
}

/// One element of a schedule-free AdamW step.
template <typename T>
struct ScheduleFreeUpdate {
  T beta2, rest2;  ///< rest2 = 1 - beta2
  T epsilon, weight_decay, l2sp_strength;
  T rate;       ///< of z
  T rate_of_y;  ///< rate * (1 - beta1 * (1 - share))
  T share;      ///< c, of z in x
  RTL_HOST_DEVICE void operator()(T& y, T g, T& z, T& v, T start) const {
    g += l2sp_strength * (y - start);
    v = beta2 * v + rest2 * g * g;
    const T direction = g / (std::sqrt(v) + epsilon) + weight_decay * y;
    y = y + share * (z - y) - rate_of_y * direction;
    z -= rate * direction;
  }
};

/// What a schedule-free step depends on: 1 - beta2^t, and c, the step's weight (1 - beta2^t) min(1, t / warmup)^2 over
/// the sum of all so far.
struct ScheduleFreeNumbers {
  double rest, share;
};

RTL_HOST_DEVICE inline ScheduleFreeNumbers schedule_free_numbers(const ScheduleFreeRule& rule,
                                                                 const StepNumbers& numbers) {
  const std::int64_t step = numbers.counters[Counters::step], before = step - numbers.counters[Counters::batch];
  const double warmup = numbers.rate(Rates::warmup_steps), beta = rule.beta2;
  // 1 - beta2^t without cancellation.
  const auto rest_of = [&](std::int64_t t) {
    return t == 0 ? 0.0 : -std::expm1(static_cast<double>(t) * std::log(beta));
  };
  double rest = rest_of(before), weight = 0, sum = numbers.rate(Rates::weight_sum);
  std::int64_t t = before + 1;
  // Behind the warm-up the weights of many steps are a geometric series.
  if (constexpr std::int64_t many = 64; static_cast<double>(t) >= warmup && step - before > many) {
    sum += static_cast<double>(step - before) - (1.0 - rest) * beta * rest_of(step - before) / (1.0 - beta);
    rest = rest_of(step);
    t = step + 1;
  }
  for (; t <= step + 1; ++t) {
    const double number = static_cast<double>(t), share = number < warmup ? number / warmup : 1.0;
    rest = (1.0 - beta) + beta * rest;
    weight = rest * share * share;
    sum += weight;
  }
  return {rest, weight / sum};
}

template <typename T>
RTL_HOST_DEVICE ScheduleFreeUpdate<T> update_of(const ScheduleFreeRule& rule, const StepNumbers& numbers) {
  const ScheduleFreeNumbers own = schedule_free_numbers(rule, numbers);
  const double rate = numbers.learning_rate() * std::sqrt(own.rest);
  return {static_cast<T>(rule.beta2),
          static_cast<T>(1.0 - rule.beta2),
          static_cast<T>(rule.epsilon),
          static_cast<T>(numbers.rate(Rates::weight_decay)),
          static_cast<T>(numbers.rate(Rates::l2sp_strength)),
          static_cast<T>(rate),
          static_cast<T>(rate * (1.0 - rule.beta1 * (1.0 - own.share))),
          static_cast<T>(own.share)};
}

/// One element of the exponential moving average of the weights.
template <typename T>
struct AverageUpdate {
  T share;  ///< of the weight
  RTL_HOST_DEVICE void operator()(T& average, T w) const { average += share * (w - average); }
};

template <typename T>
RTL_HOST_DEVICE AverageUpdate<T> average_of(double decay, const StepNumbers& numbers) {
  const double early = (1.0 + numbers.number()) / (10.0 + numbers.number());
  return {static_cast<T>(1.0 - (early < decay ? early : decay))};
}

}  // namespace rtl::kernels::functors

// Weights that are evaluated as an average: the exponential moving average, and schedule-free AdamW, against double.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "rtl/graph/plan.hpp"
#include "rtl/optim/optimizer.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace rtl::optim {
namespace {

using Numbers = std::vector<double>;

/// One parameter and a step that is recorded once, in f64. An epoch has `batches` steps.
class Trial {
 public:
  Trial(std::uint64_t seed, const Device& device)
      : random_(seed), device_(device), start_(random_.values(size)), weight_(Tensor::from(start_, {size}, device)) {}

  std::vector<NamedStorage> parameters() const { return {{"w", weight_}}; }
  const Numbers& start() const { return start_; }
  Numbers weights() const { return weight_.tensor().to_vector<double>(); }

  /// Calls `update(gradient, t)` for each step t, from 1, beside it.
  template <typename Update>
  void run(Optimizer& optimizer, std::int64_t steps, std::int64_t batches, const Update& update) {
    const auto graph = std::make_shared<graph::Graph>(device_);
    graph::StepState state(device_);
    const graph::Storage gradient(Tensor::zeros({size}, DType::f64, device_));
    const graph::Value values[] = {graph->variable("gradient", gradient)};
    optimizer.record(state.values(*graph), values);
    graph::Execution execution(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>()));
    for (std::int64_t step = 0; step < steps; ++step) {
      if (step % batches == 0) optimizer.start_epoch(step);
      optimizer.write_rates(state);
      state.set_counters(0, step, 0, step % batches);
      const Numbers numbers = random_.values(size);
      copy_bytes(Tensor::from(numbers, {size}, device_.host()), gradient.tensor());
      execution.run();
      update(numbers, step + 1);
    }
  }

  static constexpr std::int64_t size = 77;

 private:
  test::RandomTensors random_;
  Device device_;
  Numbers start_;
  graph::Storage weight_;
};

void expect_near(const Numbers& found, const Numbers& wanted, double tolerance) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], wanted[i], tolerance) << i;
}

TEST(WeightAverage, IsTheExponentialMovingAverage) {
  for (const Device& device : test::devices()) {
    for (const double decay : {0.3, 0.999}) {
      SCOPED_TRACE(fmt::format("{}, decay {}", device.name(), decay));
      Trial trial(test::fresh_seed(), device);
      Sgd optimizer(trial.parameters(), {.learning_rate = 0.5});
      optimizer.average_weights(decay);
      Numbers w = trial.start(), average = w;
      trial.run(optimizer, 12, 12, [&](const Numbers& gradient, std::int64_t t) {
        const auto number = static_cast<double>(t);
        const double d = std::min(decay, (1 + number) / (10 + number));
        for (std::size_t i = 0; i < w.size(); ++i) {
          w[i] -= 0.5 * gradient[i];
          average[i] = d * average[i] + (1 - d) * w[i];
        }
      });
      expect_near(trial.weights(), w, 1e-13);
      optimizer.take_evaluated_weights();
      expect_near(trial.weights(), average, 1e-13);
    }
  }
}

/// Algorithm 1 of Defazio et al. 2024 as it is published, with x, y and z.
struct Published {
  kernels::ScheduleFreeRule rule;
  Rates rates;
  Numbers x, y, z, v;
  double sum = 0;

  Published(const kernels::ScheduleFreeRule& rule, const Rates& rates, const Numbers& start)
      : rule(rule), rates(rates), x(start), y(start), z(start), v(start.size()) {}

  void operator()(const Numbers& gradient, std::int64_t t) {
    const auto number = static_cast<double>(t);
    const double rate = rates.learning_rate * std::sqrt(1 - std::pow(rule.beta2, number)) *
                        (rates.warmup_steps > 0 ? std::min(1.0, number / rates.warmup_steps) : 1.0);
    sum += rate * rate;
    const double c = rate * rate / sum;
    for (std::size_t i = 0; i < x.size(); ++i) {
      v[i] = rule.beta2 * v[i] + (1 - rule.beta2) * gradient[i] * gradient[i];
      z[i] -= rate * gradient[i] / (std::sqrt(v[i]) + rule.epsilon) + rate * rates.weight_decay * y[i];
      x[i] = (1 - c) * x[i] + c * z[i];
      y[i] = (1 - rule.beta1) * z[i] + rule.beta1 * x[i];
    }
  }
};

TEST(ScheduleFree, FollowsThePublishedAlgorithm) {
  struct Case {
    kernels::ScheduleFreeRule rule;
    Rates rates;
    std::int64_t steps, batches;
    double tolerance;
  };
  // A long epoch adds up its weights as a geometric series.
  const Case cases[] = {{{}, {.learning_rate = 0.1}, 15, 4, 1e-12},
                        {{}, {.learning_rate = 0.1, .weight_decay = 0.1, .warmup_steps = 7.5}, 15, 4, 1e-12},
                        {{.beta1 = 1, .beta2 = 0}, {.learning_rate = 0.1, .warmup_steps = 3}, 9, 3, 1e-12},
                        {{.beta1 = 0.5, .beta2 = 0.7, .epsilon = 1e-3}, {.learning_rate = 0.3}, 9, 100, 1e-12},
                        {{}, {.learning_rate = 0.1, .warmup_steps = 90}, 260, 100, 1e-9}};
  for (const Device& device : test::devices()) {
    for (const Case& one : cases) {
      SCOPED_TRACE(fmt::format("{}, {} steps, warm-up {}", device.name(), one.steps, one.rates.warmup_steps));
      Trial trial(test::fresh_seed(), device);
      ScheduleFreeAdamW optimizer(trial.parameters(), one.rates, one.rule);
      Published published(one.rule, one.rates, trial.start());
      trial.run(optimizer, one.steps, one.batches, std::ref(published));
      expect_near(trial.weights(), published.y, one.tolerance);
      optimizer.take_evaluated_weights();
      expect_near(trial.weights(), published.x, one.tolerance);
    }
  }
}

TEST(ScheduleFree, ContinuesFromItsStateBitForBit) {
  const Device device = Device::cpu(1);
  const Rates rates{.learning_rate = 0.1, .warmup_steps = 7};
  const auto nothing = [](const Numbers&, std::int64_t) {};
  Trial whole(3, device), parted(3, device);
  ScheduleFreeAdamW one(whole.parameters(), rates), before(parted.parameters(), rates);
  whole.run(one, 5, 5, nothing);
  parted.run(before, 5, 5, nothing);
  ScheduleFreeAdamW after(parted.parameters(), rates);
  EXPECT_NE(after.state()[0].tensor.to_vector<double>(), before.state()[0].tensor.to_vector<double>());
  after.load_state(before.state());
  whole.run(one, 5, 5, nothing);
  parted.run(after, 5, 5, nothing);
  EXPECT_EQ(whole.weights(), parted.weights());
}

TEST(Averages, RefuseBadOptions) {
  const Trial trial(4, Device::cpu(1));
  Sgd sgd(trial.parameters(), {});
  for (const double decay : {0.0, 1.0, -0.1, std::nan("")}) EXPECT_THROW(sgd.average_weights(decay), ValueError);
  EXPECT_THROW(sgd.set_warmup_steps(-1), ValueError);
  EXPECT_THROW(ScheduleFreeAdamW(trial.parameters(), {}, {.beta1 = 0}), ValueError);
  EXPECT_THROW(ScheduleFreeAdamW(trial.parameters(), {}, {.beta2 = 1}), ValueError);
  EXPECT_THROW(ScheduleFreeAdamW(trial.parameters(), {}, {.epsilon = -1}), ValueError);
  ScheduleFreeAdamW free(trial.parameters(), {});
  EXPECT_THROW(free.average_weights(0.9), ValueError);
}

}  // namespace
}  // namespace rtl::optim

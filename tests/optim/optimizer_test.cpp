// Optimizers against the update rules of PyTorch's documentation, written out here in double.
#include "rtl/optim/optimizer.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "rtl/graph/plan.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace rtl::optim {
namespace {

/// One parameter's reference state.
struct Reference {
  std::vector<double> w, v, m, s, start;
};

/// What an optimizer is made with.
struct SgdCase {
  Rates rates;
  kernels::SgdRule options = {};
};
struct AdamCase {
  Rates rates = {.learning_rate = 1e-3};
  kernels::AdamRule options = {};
};

/// Records and runs one update; a gradient that is not defined is none.
void apply(const Optimizer& optimizer, std::vector<Tensor> gradients, std::int64_t step, const Device& device) {
  const auto graph = std::make_shared<graph::Graph>(device);
  graph::StepState state(device);
  state.set_counters(0, step, 0, 0);
  optimizer.write_rates(state);
  std::vector<graph::Value> values;
  for (Tensor& gradient : gradients) {
    values.push_back(gradient.defined() ? graph->constant("gradient", std::move(gradient)) : graph::Value());
  }
  optimizer.record(state.values(*graph), values);
  graph::Execution(std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>())).run();
}

void sgd_reference(Reference& r, const std::vector<double>& gradient, const SgdCase& o) {
  for (std::size_t i = 0; i < r.w.size(); ++i) {
    double g = gradient[i] + o.rates.weight_decay * r.w[i];
    if (!r.start.empty()) g += o.rates.l2sp_strength * (r.w[i] - r.start[i]);
    double update = g;
    if (o.options.momentum != 0) {
      r.v[i] = o.options.momentum * r.v[i] + g;
      update = o.options.nesterov ? g + o.options.momentum * r.v[i] : r.v[i];
    }
    r.w[i] -= o.rates.learning_rate * update;
  }
}

/// `step` counts from 0.
void adam_reference(Reference& r, const std::vector<double>& gradient, const AdamCase& o, std::int64_t step) {
  const auto t = static_cast<double>(step + 1);
  for (std::size_t i = 0; i < r.w.size(); ++i) {
    double g = gradient[i];
    if (!r.start.empty()) g += o.rates.l2sp_strength * (r.w[i] - r.start[i]);
    if (o.options.decoupled) {
      r.w[i] -= o.rates.learning_rate * o.rates.weight_decay * r.w[i];
    } else {
      g += o.rates.weight_decay * r.w[i];
    }
    r.m[i] = o.options.beta1 * r.m[i] + (1 - o.options.beta1) * g;
    r.s[i] = o.options.beta2 * r.s[i] + (1 - o.options.beta2) * g * g;
    const double m_hat = r.m[i] / (1 - std::pow(o.options.beta1, t));
    const double s_hat = r.s[i] / (1 - std::pow(o.options.beta2, t));
    r.w[i] -= o.rates.learning_rate * m_hat / (std::sqrt(s_hat) + o.options.epsilon);
  }
}

/// Three parameters of odd sizes; the second has no gradient in the first two steps, as a loss that does not reach it.
class Problem {
 public:
  Problem(std::uint64_t seed, const Device& device) : random_(seed), device_(device) {
    for (const Shape& shape : {Shape{33}, Shape{5, 7}, Shape{1025}}) {
      const std::vector<double> w = random_.values(shape.count());
      const std::vector<double> zeros(w.size());
      references_.push_back({w, zeros, zeros, zeros, {}});
      parameters_.push_back(
          {fmt::format("layer{}.weight", parameters_.size()), graph::Storage(Tensor::from(w, shape, device))});
    }
  }
  const std::vector<NamedStorage>& parameters() const { return parameters_; }
  std::vector<Reference>& references() { return references_; }

  template <typename Update>
  void run(const Optimizer& optimizer, int steps, const Update& update) {
    for (int step = 0; step < steps; ++step, ++done_) {
      std::vector<Tensor> gradients(parameters_.size());
      for (std::size_t p = 0; p < parameters_.size(); ++p) {
        if (p == 1 && done_ < 2) continue;
        const std::vector<double> gradient = random_.values(parameters_[p].storage.shape().count());
        gradients[p] = Tensor::from(gradient, parameters_[p].storage.shape(), device_);
        update(references_[p], gradient, done_);
      }
      apply(optimizer, std::move(gradients), done_, device_);
    }
  }
  void expect_equal() const {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      const std::vector<double> w = parameters_[p].storage.tensor().to_vector<double>();
      for (std::size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(w[i], references_[p].w[i], 1e-14) << p << ", " << i;
    }
  }
  void set_starts(Optimizer& optimizer) {
    for (const std::size_t p : {std::size_t{0}, std::size_t{1}}) {
      references_[p].start = random_.values(parameters_[p].storage.shape().count());
      optimizer.set_start(parameters_[p].name,
                          Tensor::from(references_[p].start, parameters_[p].storage.shape(), device_));
    }
  }

 private:
  test::RandomTensors random_;
  Device device_;
  std::vector<NamedStorage> parameters_;
  std::vector<Reference> references_;
  std::int64_t done_ = 0;
};

const auto sgd_update = [](const SgdCase& one) {
  return [one](Reference& r, const std::vector<double>& g, std::int64_t) { sgd_reference(r, g, one); };
};
const auto adam_update = [](const AdamCase& one) {
  return [one](Reference& r, const std::vector<double>& g, std::int64_t step) { adam_reference(r, g, one, step); };
};

TEST(Sgd, FollowsTheUpdateRule) {
  const SgdCase variants[] = {
      {{.learning_rate = 0.1}},
      {{.learning_rate = 0.1, .weight_decay = 0.01}},
      {{.learning_rate = 0.1}, {.momentum = 0.9}},
      {{.learning_rate = 0.1}, {.momentum = 0.9, .nesterov = true}},
      {{.learning_rate = 0.1, .weight_decay = 0.1, .l2sp_strength = 0.3}, {.momentum = 0.5, .nesterov = true}}};
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const SgdCase& one : variants) {
      SCOPED_TRACE(fmt::format("{}, seed {}", device.name(), seed));
      Problem problem(seed, device);
      Sgd optimizer(problem.parameters(), one.rates, one.options);
      if (one.rates.l2sp_strength > 0) problem.set_starts(optimizer);
      problem.run(optimizer, 6, sgd_update(one));
      problem.expect_equal();
    }
  }
}

TEST(Adam, FollowsTheUpdateRule) {
  const AdamCase variants[] = {
      {},
      {{.learning_rate = 0.1, .weight_decay = 0.1}, {.beta1 = 0.5, .beta2 = 0.7, .epsilon = 1e-3}},
      {{.learning_rate = 0.1, .weight_decay = 0.1}, {.decoupled = true}},
      {{.learning_rate = 0.1, .weight_decay = 0.1, .l2sp_strength = 0.2}, {.decoupled = true}}};
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const AdamCase& one : variants) {
      SCOPED_TRACE(fmt::format("{}, seed {}", device.name(), seed));
      Problem problem(seed, device);
      Adam optimizer(problem.parameters(), one.rates, one.options);
      if (one.rates.l2sp_strength > 0) problem.set_starts(optimizer);
      problem.run(optimizer, 6, adam_update(one));
      problem.expect_equal();
    }
  }
}

TEST(Optimizer, LearningRateCanChangeBetweenSteps) {
  const Device device = Device::cpu();
  Problem problem(5, device);
  SgdCase one{{.learning_rate = 0.1}, {.momentum = 0.9}};
  Sgd optimizer(problem.parameters(), one.rates, one.options);
  for (const double rate : {0.1, 0.05, 0.2}) {
    one.rates.learning_rate = rate;
    optimizer.set_learning_rate(rate);
    EXPECT_EQ(optimizer.rates().learning_rate, rate);
    problem.run(optimizer, 1, sgd_update(one));
  }
  problem.expect_equal();
}

/// Runs 5 steps, or 2 steps, a move of state and weights into new objects, and 3 steps; gives all weights.
template <typename Make>
std::vector<float> trajectory(const Make& make, bool interrupted, const Device& device) {
  const auto parameters_of = [&](std::vector<Tensor> weights) {
    std::vector<NamedStorage> parameters;
    for (Tensor& weight : weights) {
      parameters.push_back({fmt::format("p{}", parameters.size()), graph::Storage(std::move(weight))});
    }
    return parameters;
  };
  test::RandomTensors random(8);
  std::vector<Tensor> weights;
  for (const std::int64_t size : {31, 1025}) weights.push_back(random.f32({size}, device));
  std::vector<NamedStorage> parameters = parameters_of(std::move(weights));
  std::unique_ptr<Optimizer> optimizer = make(parameters);
  optimizer->start_from_here();
  for (int step = 0; step < 5; ++step) {
    if (interrupted && step == 2) {
      const std::vector<NamedTensor> state = optimizer->state();
      std::vector<Tensor> copies;
      for (const NamedStorage& parameter : parameters) copies.push_back(parameter.storage.tensor().clone());
      parameters = parameters_of(std::move(copies));
      optimizer = make(parameters);
      optimizer->start_from_here();
      optimizer->load_state(state);
    }
    std::vector<Tensor> gradients;
    for (const NamedStorage& parameter : parameters) {
      gradients.push_back(random.f32(parameter.storage.shape(), device));
    }
    apply(*optimizer, std::move(gradients), step, device);
  }
  std::vector<float> all;
  for (const NamedStorage& parameter : parameters) {
    const std::vector<float> values = parameter.storage.tensor().to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST(Optimizer, ResumesBitForBit) {
  for (const Device& device : test::devices()) {
    const Rates rates{.l2sp_strength = 0.1};
    const auto sgd = [&](const std::vector<NamedStorage>& parameters) -> std::unique_ptr<Optimizer> {
      return std::make_unique<Sgd>(parameters, rates, kernels::SgdRule{.momentum = 0.9});
    };
    const auto adam = [&](const std::vector<NamedStorage>& parameters) -> std::unique_ptr<Optimizer> {
      return std::make_unique<Adam>(parameters, rates);
    };
    EXPECT_EQ(trajectory(sgd, false, device), trajectory(sgd, true, device));
    EXPECT_EQ(trajectory(adam, false, device), trajectory(adam, true, device));
  }
}

TEST(Optimizer, RefusesForeignStateAndKeepsItsOwn) {
  const Device device = Device::cpu();
  Problem problem(6, device);
  const AdamCase one;
  Adam optimizer(problem.parameters(), one.rates, one.options);
  const auto update = adam_update(one);
  problem.run(optimizer, 3, update);
  EXPECT_THROW(optimizer.load_state({}), ValueError);
  const auto changed = [&](const auto& change) {
    std::vector<NamedTensor> state = optimizer.state();
    change(state);
    return state;
  };
  using State = std::vector<NamedTensor>;
  EXPECT_THROW(optimizer.load_state(changed([](State& s) { s.erase(s.begin()); })), ValueError);
  EXPECT_THROW(optimizer.load_state(changed([](State& s) { s.front().name = "momentum/nobody"; })), ValueError);
  EXPECT_THROW(optimizer.load_state(changed([&](State& s) {
    s.push_back({"x", s.front().tensor.clone()});
  })),
               ValueError);
  EXPECT_THROW(
      optimizer.load_state(changed([&](State& s) { s.front().tensor = Tensor::zeros({2}, DType::f64, device); })),
      ShapeError);
  EXPECT_THROW(optimizer.load_state(changed(
                   [&](State& s) { s.front().tensor = Tensor::zeros(s.front().tensor.shape(), DType::f32, device); })),
               DTypeError);
  problem.run(optimizer, 2, update);
  problem.expect_equal();
}

TEST(Optimizer, RefusesOptionsOutOfRange) {
  const Device device = Device::cpu();
  const std::vector<NamedStorage> parameters = Problem(7, device).parameters();
  EXPECT_THROW(Sgd({}, {}), ValueError);
  EXPECT_THROW(Sgd({parameters[0], parameters[0]}, {}), ValueError);
  EXPECT_THROW(Sgd(parameters, {.learning_rate = -1}), ValueError);
  EXPECT_THROW(Sgd(parameters, {}, {.momentum = std::nan("")}), ValueError);
  EXPECT_THROW(Sgd(parameters, {}, {.nesterov = true}), ValueError);
  EXPECT_THROW(Adam(parameters, {}, {.beta1 = 1}), ValueError);
  EXPECT_THROW(Adam(parameters, {}, {.epsilon = -1}), ValueError);
  Sgd optimizer(parameters, {});
  EXPECT_THROW(optimizer.set_learning_rate(-1), ValueError);
  graph::Graph graph(device);
  EXPECT_THROW(optimizer.record(graph::StepState(device).values(graph), {}), ValueError) << "a gradient a parameter";
  EXPECT_THROW(optimizer.set_start("nobody", Tensor::zeros({1}, DType::f64, device)), ValueError);
  EXPECT_THROW(optimizer.set_start("layer0.weight", Tensor::zeros({1}, DType::f64, device)), ShapeError);
}

}  // namespace
}  // namespace rtl::optim

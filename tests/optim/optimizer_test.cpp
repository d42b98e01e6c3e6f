// Optimizers against the update rules of PyTorch's documentation, written out here in double.
#include "rtl/optim/optimizer.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rtl/autodiff/operations.hpp"
#include "support/devices.hpp"
#include "support/random_tensor.hpp"

namespace rtl::optim {
namespace {

using autodiff::NamedParameter;
using autodiff::Variable;

/// One parameter's reference state.
struct Reference {
  std::vector<double> w, v, m, s, start;
  std::int64_t steps = 0;
};

void sgd_reference(Reference& r, const std::vector<double>& gradient, const kernels::SgdOptions& o) {
  for (std::size_t i = 0; i < r.w.size(); ++i) {
    double g = gradient[i] + o.weight_decay * r.w[i];
    if (!r.start.empty()) g += o.l2sp_strength * (r.w[i] - r.start[i]);
    double update = g;
    if (o.momentum != 0) {
      r.v[i] = r.steps == 0 ? g : o.momentum * r.v[i] + g;
      update = o.nesterov ? g + o.momentum * r.v[i] : r.v[i];
    }
    r.w[i] -= o.learning_rate * update;
  }
  ++r.steps;
}

void adam_reference(Reference& r, const std::vector<double>& gradient, const kernels::AdamOptions& o) {
  ++r.steps;
  const double t = static_cast<double>(r.steps);
  for (std::size_t i = 0; i < r.w.size(); ++i) {
    double g = gradient[i];
    if (!r.start.empty()) g += o.l2sp_strength * (r.w[i] - r.start[i]);
    if (o.decoupled) {
      r.w[i] -= o.learning_rate * o.weight_decay * r.w[i];
    } else {
      g += o.weight_decay * r.w[i];
    }
    r.m[i] = o.beta1 * r.m[i] + (1 - o.beta1) * g;
    r.s[i] = o.beta2 * r.s[i] + (1 - o.beta2) * g * g;
    const double m_hat = r.m[i] / (1 - std::pow(o.beta1, t));
    const double s_hat = r.s[i] / (1 - std::pow(o.beta2, t));
    r.w[i] -= o.learning_rate * m_hat / (std::sqrt(s_hat) + o.epsilon);
  }
}

/// Three parameters of odd sizes; the second gets its first gradient at the third step, as a layer unfrozen late.
class Problem {
 public:
  Problem(std::uint64_t seed, const Device& device) : random_(seed), device_(device) {
    for (const Shape& shape : {Shape{33}, Shape{5, 7}, Shape{1025}}) {
      const std::vector<double> w = random_.values(shape.count());
      const std::vector<double> zeros(w.size());
      references_.push_back({w, zeros, zeros, zeros, {}, 0});
      parameters_.push_back(
          {fmt::format("layer{}.weight", parameters_.size()), Variable(Tensor::from(w, shape, device), true)});
    }
  }
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  std::vector<Reference>& references() { return references_; }

  template <typename Update>
  void run(Optimizer& optimizer, int steps, const Update& update) {
    for (int step = 0; step < steps; ++step, ++done_) {
      optimizer.clear_gradients();
      for (std::size_t p = 0; p < parameters_.size(); ++p) {
        if (p == 1 && done_ < 2) continue;
        const std::vector<double> gradient = random_.values(parameters_[p].variable.shape().count());
        accumulate(parameters_[p].variable, Tensor::from(gradient, parameters_[p].variable.shape(), device_));
        update(references_[p], gradient);
      }
      optimizer.step();
    }
  }
  void expect_equal() const {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      const std::vector<double> w = parameters_[p].variable.value().to_vector<double>();
      for (std::size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(w[i], references_[p].w[i], 1e-14) << p << ", " << i;
    }
  }
  void set_starts(Optimizer& optimizer) {
    for (const std::size_t p : {std::size_t{0}, std::size_t{1}}) {
      references_[p].start = random_.values(parameters_[p].variable.shape().count());
      optimizer.set_start(parameters_[p].name,
                          Tensor::from(references_[p].start, parameters_[p].variable.shape(), device_));
    }
  }

 private:
  test::RandomTensors random_;
  Device device_;
  std::vector<NamedParameter> parameters_;
  std::vector<Reference> references_;
  int done_ = 0;
};

TEST(Sgd, FollowsTheUpdateRule) {
  const kernels::SgdOptions variants[] = {
      {.learning_rate = 0.1},
      {.learning_rate = 0.1, .weight_decay = 0.01},
      {.learning_rate = 0.1, .momentum = 0.9},
      {.learning_rate = 0.1, .momentum = 0.9, .nesterov = true},
      {.learning_rate = 0.1, .momentum = 0.5, .nesterov = true, .weight_decay = 0.1, .l2sp_strength = 0.3}};
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const kernels::SgdOptions& options : variants) {
      SCOPED_TRACE(fmt::format("{}, seed {}", device.name(), seed));
      Problem problem(seed, device);
      Sgd optimizer(problem.parameters(), options);
      if (options.l2sp_strength > 0) problem.set_starts(optimizer);
      problem.run(optimizer, 6, [&](Reference& r, const std::vector<double>& g) { sgd_reference(r, g, options); });
      problem.expect_equal();
    }
  }
}

TEST(Adam, FollowsTheUpdateRule) {
  const kernels::AdamOptions variants[] = {
      {},
      {.learning_rate = 0.1, .beta1 = 0.5, .beta2 = 0.7, .epsilon = 1e-3, .weight_decay = 0.1},
      {.learning_rate = 0.1, .weight_decay = 0.1, .decoupled = true},
      {.learning_rate = 0.1, .weight_decay = 0.1, .decoupled = true, .l2sp_strength = 0.2}};
  const std::uint64_t seed = test::fresh_seed();
  for (const Device& device : test::devices()) {
    for (const kernels::AdamOptions& options : variants) {
      SCOPED_TRACE(fmt::format("{}, seed {}", device.name(), seed));
      Problem problem(seed, device);
      Adam optimizer(problem.parameters(), options);
      if (options.l2sp_strength > 0) problem.set_starts(optimizer);
      problem.run(optimizer, 6, [&](Reference& r, const std::vector<double>& g) { adam_reference(r, g, options); });
      problem.expect_equal();
    }
  }
}

TEST(AdamW, IsAdamWithDecoupledDecay) {
  const Device device = Device::cpu();
  Problem problem(4, device);
  AdamW optimizer(problem.parameters());
  const kernels::AdamOptions options{.weight_decay = 0.01, .decoupled = true};
  problem.run(optimizer, 4, [&](Reference& r, const std::vector<double>& g) { adam_reference(r, g, options); });
  problem.expect_equal();
}

TEST(Optimizer, LearningRateCanChangeBetweenSteps) {
  const Device device = Device::cpu();
  Problem problem(5, device);
  kernels::SgdOptions options{.learning_rate = 0.1, .momentum = 0.9};
  Sgd optimizer(problem.parameters(), options);
  for (const double rate : {0.1, 0.05, 0.2}) {
    options.learning_rate = rate;
    optimizer.set_learning_rate(rate);
    EXPECT_EQ(optimizer.learning_rate(), rate);
    problem.run(optimizer, 1, [&](Reference& r, const std::vector<double>& g) { sgd_reference(r, g, options); });
  }
  problem.expect_equal();
}

/// Runs 5 steps, or 2 steps, a move of state and weights into new objects, and 3 steps; gives all weights.
template <typename Make>
std::vector<float> trajectory(const Make& make, bool interrupted, const Device& device) {
  const auto parameters_of = [&](std::vector<Tensor> weights) {
    std::vector<NamedParameter> parameters;
    for (Tensor& weight : weights) {
      parameters.push_back({fmt::format("p{}", parameters.size()), Variable(std::move(weight), true)});
    }
    return parameters;
  };
  test::RandomTensors random(8);
  std::vector<Tensor> weights;
  for (const std::int64_t size : {31, 1025}) weights.push_back(random.f32({size}, device));
  std::vector<NamedParameter> parameters = parameters_of(std::move(weights));
  std::unique_ptr<Optimizer> optimizer = make(parameters);
  optimizer->start_from_here();
  for (int step = 0; step < 5; ++step) {
    if (interrupted && step == 2) {
      const std::vector<NamedTensor> state = optimizer->state();
      std::vector<Tensor> copies;
      for (const NamedParameter& parameter : parameters) copies.push_back(parameter.variable.value().clone());
      parameters = parameters_of(std::move(copies));
      optimizer = make(parameters);
      optimizer->load_state(state);
    }
    optimizer->clear_gradients();
    for (NamedParameter& parameter : parameters) {
      accumulate(parameter.variable, random.f32(parameter.variable.shape(), device));
    }
    optimizer->step();
  }
  std::vector<float> all;
  for (const NamedParameter& parameter : parameters) {
    const std::vector<float> values = parameter.variable.value().to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST(Optimizer, ResumesBitForBit) {
  for (const Device& device : test::devices()) {
    const auto sgd = [](const std::vector<NamedParameter>& parameters) -> std::unique_ptr<Optimizer> {
      return std::make_unique<Sgd>(parameters, kernels::SgdOptions{.momentum = 0.9, .l2sp_strength = 0.1});
    };
    const auto adam = [](const std::vector<NamedParameter>& parameters) -> std::unique_ptr<Optimizer> {
      return std::make_unique<Adam>(parameters, kernels::AdamOptions{.l2sp_strength = 0.1});
    };
    EXPECT_EQ(trajectory(sgd, false, device), trajectory(sgd, true, device));
    EXPECT_EQ(trajectory(adam, false, device), trajectory(adam, true, device));
  }
}

TEST(Optimizer, RefusesForeignStateAndKeepsItsOwn) {
  const Device device = Device::cpu();
  Problem problem(6, device);
  const kernels::AdamOptions options;
  Adam optimizer(problem.parameters(), options);
  const auto update = [&](Reference& r, const std::vector<double>& g) { adam_reference(r, g, options); };
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
  for (const std::int64_t steps : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_THROW(optimizer.load_state(changed([&](State& s) {
      auto* counts = s.back().tensor.data_as<std::int64_t>();
      std::fill_n(counts, s.back().tensor.count(), steps);
    })),
                 ValueError);
  }
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
  const std::vector<NamedParameter> parameters = Problem(7, device).parameters();
  EXPECT_THROW(Sgd({}, {}), ValueError);
  EXPECT_THROW(Sgd({parameters[0], parameters[0]}, {}), ValueError);
  EXPECT_THROW(Sgd(parameters, {.learning_rate = -1}), ValueError);
  EXPECT_THROW(Sgd(parameters, {.momentum = std::nan("")}), ValueError);
  EXPECT_THROW(Sgd(parameters, {.nesterov = true}), ValueError);
  EXPECT_THROW(Adam(parameters, {.beta1 = 1}), ValueError);
  EXPECT_THROW(Adam(parameters, {.epsilon = -1}), ValueError);
  Sgd optimizer(parameters, {});
  EXPECT_THROW(optimizer.set_start("nobody", Tensor::zeros({1}, DType::f64, device)), ValueError);
  EXPECT_THROW(optimizer.set_start("layer0.weight", Tensor::zeros({1}, DType::f64, device)), ShapeError);
}

}  // namespace
}  // namespace rtl::optim

// Optimizer steps and the state that they read, against update rules written out in double.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>

#include "rtl/graph/operations.hpp"
#include "rtl/graph/optimizer_step.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

using kernels::AdamRule;
using kernels::Counters;
using kernels::Rates;
using kernels::SgdRule;
using rtl::test::devices;
using Numbers = std::vector<double>;

constexpr std::int64_t batches = 4, batch_size = 16;
const std::vector<Shape> shapes = {{33}, {5, 7}, {1025}};

Numbers drawn(rtl::test::Random& random, std::int64_t count) {
  const rtl::test::Reals values = random.normal({count});
  return {values.begin(), values.end()};
}

/// Numbers of R replicas, one after the other.
struct Start {
  std::vector<Numbers> weights, starts, targets;
  Numbers rates;
  std::int64_t replicas;

  explicit Start(std::int64_t replicas) : replicas(replicas) {
    rtl::test::Random random(21);
    for (const Shape& shape : shapes) {
      for (std::vector<Numbers>* all : {&weights, &starts, &targets}) {
        all->push_back(drawn(random, replicas * shape.count()));
      }
    }
    for (std::int64_t r = 0; r < replicas; ++r) {
      const double own = 0.01 * static_cast<double>(r + 1);
      rates.insert(rates.end(), {own, 3 * own, 20 * own, 0, 0});
    }
  }
  Start one(std::int64_t replica) const {
    Start part(0);
    part.replicas = 1;
    const auto cut = [&](const Numbers& all) {
      const auto size = static_cast<std::ptrdiff_t>(all.size()) / replicas;
      return Numbers(all.begin() + replica * size, all.begin() + (replica + 1) * size);
    };
    for (std::size_t p = 0; p < shapes.size(); ++p) {
      part.weights[p] = cut(weights[p]);
      part.starts[p] = cut(starts[p]);
      part.targets[p] = cut(targets[p]);
    }
    part.rates = cut(rates);
    return part;
  }
};

/// A recorded step: loss = sum over parameters of sum((w - target)^2) / 2, one optimizer, then `advance`.
class Training {
 public:
  using Recorder =
      std::function<void(const Value& counters, const Value& rates, std::span<const OptimizedParameter> parameters)>;

  /// The second parameter has no start point.
  Training(const Device& device, const Start& from, std::size_t moments, const Recorder& recorder) : from_(from) {
    graph_ = std::make_shared<Graph>(device);
    counters_ = variable("counters", {Counters::count}, DType::i64);
    rates_ = variable("rates", {Rates::count}, DType::f64, from.rates);
    losses_ = variable("losses", {batches}, DType::f64);
    Value loss;
    std::vector<OptimizedParameter> parameters;
    for (std::size_t p = 0; p < shapes.size(); ++p) {
      OptimizedParameter parameter;
      parameter.weight = variable("weight", shapes[p], DType::f64, from.weights[p]);
      const Value residual = subtract(parameter.weight, variable("target", shapes[p], DType::f64, from.targets[p]));
      const Value term = scale(sum(square(residual)), 0.5);
      loss = loss.defined() ? add(loss, term) : term;
      parameter.gradient = residual;
      if (moments > 0) parameter.first = variable("first", shapes[p], DType::f64);
      if (moments > 1) parameter.second = variable("second", shapes[p], DType::f64);
      if (p != 1) parameter.start = variable("start", shapes[p], DType::f64, from.starts[p]);
      weights_.push_back(parameter.weight);
      parameters.push_back(parameter);
    }
    recorder(counters_, rates_, parameters);
    advance(counters_, losses_, loss, batch_size);
  }

  void run(std::int64_t steps) {
    PlanOptions options{.replicas = from_.replicas};
    if (from_.replicas > 1) {
      for (const auto& [value, tensor] : memory_) options.replicated.push_back(value);
    }
    const auto plan = std::make_shared<const Plan>(graph_, std::vector<Value>(), options);
    Execution execution(plan);
    for (auto& [value, tensor] : memory_) execution.bind(value, tensor.view());
    for (std::int64_t i = 0; i < steps; ++i) execution.run();
  }
  Numbers weight(std::size_t p) const { return of(weights_[p]).to_vector<double>(); }
  Numbers losses() const { return of(losses_).to_vector<double>(); }
  std::vector<std::int64_t> counters() const { return of(counters_).to_vector<std::int64_t>(); }

 private:
  Value variable(const std::string& name, const Shape& shape, DType dtype, const Numbers& values = {}) {
    const Storage one(Tensor::zeros(shape, dtype, graph_->device()));
    const Value value = graph_->variable(name, one);
    std::vector<std::int64_t> extents(shape.extents().begin(), shape.extents().end());
    if (from_.replicas > 1) extents.insert(extents.begin(), from_.replicas);
    const Shape whole{std::span<const std::int64_t>(extents)};
    memory_.emplace_back(value, values.empty() ? Tensor::zeros(whole, dtype, graph_->device())
                                               : Tensor::from(values, whole, graph_->device()));
    return value;
  }
  const Tensor& of(const Value& value) const {
    return std::find_if(memory_.begin(), memory_.end(), [&](const auto& entry) { return entry.first == value; })
        ->second;
  }

  Start from_;
  std::shared_ptr<Graph> graph_;
  Value counters_, rates_, losses_;
  std::vector<Value> weights_;
  std::vector<std::pair<Value, Tensor>> memory_;
};

/// Weight, two moments, start point (the weight itself where there is none).
struct Element {
  double w, first = 0, second = 0, start, target;
  bool pulled;
};
using UpdateRule = std::function<void(Element& e, double gradient, const double* rates, double step)>;

Training::Recorder recorder(const SgdRule& rule) {
  return [rule](const Value& counters, const Value& rates, std::span<const OptimizedParameter> parameters) {
    record_sgd_step(counters, rates, parameters, rule);
  };
}
Training::Recorder recorder(const AdamRule& rule) {
  return [rule](const Value& counters, const Value& rates, std::span<const OptimizedParameter> parameters) {
    record_adam_step(counters, rates, parameters, rule);
  };
}

UpdateRule reference(const SgdRule& rule) {
  return [rule](Element& e, double g, const double* rates, double step) {
    g += rates[1] * e.w + (e.pulled ? rates[2] * (e.w - e.start) : 0);
    if (rule.momentum > 0) {
      e.first = step == 1 ? g : rule.momentum * e.first + g;
      g = rule.nesterov ? g + rule.momentum * e.first : e.first;
    }
    e.w -= rates[0] * g;
  };
}
UpdateRule reference(const AdamRule& rule) {
  return [rule](Element& e, double g, const double* rates, double step) {
    g += e.pulled ? rates[2] * (e.w - e.start) : 0;
    if (rule.decoupled) {
      e.w -= rates[0] * rates[1] * e.w;
    } else {
      g += rates[1] * e.w;
    }
    e.first = rule.beta1 * e.first + (1 - rule.beta1) * g;
    e.second = rule.beta2 * e.second + (1 - rule.beta2) * g * g;
    const double root = std::sqrt(e.second / (1 - std::pow(rule.beta2, step)));
    e.w -= rates[0] * e.first / (1 - std::pow(rule.beta1, step)) / (root + rule.epsilon);
  };
}

template <typename Rule>
void check_rule(const Rule& rule, std::size_t moments) {
  const Start all(3);
  for (const Device& device : devices()) {
    SCOPED_TRACE(device.name());
    Training together(device, all, moments, recorder(rule));
    together.run(batches);
    for (std::int64_t r = 0; r < all.replicas; ++r) {
      SCOPED_TRACE(fmt::format("replica {}", r));
      const Start from = all.one(r);
      Training alone(device, from, moments, recorder(rule));
      alone.run(batches);
      const std::vector<std::int64_t> counters = {0, batches, batches * batch_size, batches};
      EXPECT_EQ(alone.counters(), counters);
      Numbers losses(batches);
      for (std::size_t p = 0; p < shapes.size(); ++p) {
        const Numbers w = alone.weight(p), whole = together.weight(p);
        const auto begin = whole.begin() + r * static_cast<std::ptrdiff_t>(w.size());
        EXPECT_EQ(Numbers(begin, begin + static_cast<std::ptrdiff_t>(w.size())), w);
        for (std::size_t i = 0; i < w.size(); ++i) {
          Element e{
              .w = from.weights[p][i], .start = from.starts[p][i], .target = from.targets[p][i], .pulled = p != 1};
          for (std::size_t step = 0; step < batches; ++step) {
            losses[step] += (e.w - e.target) * (e.w - e.target) / 2;
            reference(rule)(e, e.w - e.target, from.rates.data(), static_cast<double>(step + 1));
          }
          ASSERT_NEAR(w[i], e.w, 1e-13) << "parameter " << p << ", element " << i;
        }
      }
      const Numbers found = alone.losses(), whole = together.losses();
      for (std::size_t i = 0; i < batches; ++i) {
        EXPECT_NEAR(found[i], losses[i], 1e-10 * losses[i]);
        EXPECT_EQ(whole[static_cast<std::size_t>(r * batches) + i], found[i]);
      }
    }
  }
}

TEST(OptimizerSteps, SgdFollowsItsRule) {
  check_rule(SgdRule{}, 0);
  check_rule(SgdRule{.momentum = 0.9}, 1);
  check_rule(SgdRule{.momentum = 0.7, .nesterov = true}, 1);
}

TEST(OptimizerSteps, AdamFollowsItsRule) {
  check_rule(AdamRule{}, 2);
  check_rule(AdamRule{.beta1 = 0.5, .beta2 = 0.7, .epsilon = 1e-3, .decoupled = true}, 2);
}

TEST(OptimizerSteps, OfReplicasAreOneLaunch) {
  const auto graph = std::make_shared<Graph>(Device::cpu(1));
  std::vector<Value> replicated;
  const auto variable = [&](const Shape& shape, DType dtype) {
    replicated.push_back(graph->variable("v", Storage(Tensor::zeros(shape, dtype, graph->device()))));
    return replicated.back();
  };
  const Value counters = variable({4}, DType::i64), rates = variable({Rates::count}, DType::f64);
  std::vector<OptimizedParameter> parameters;
  for (const Shape& shape : shapes) {
    OptimizedParameter parameter{variable(shape, DType::f32), variable(shape, DType::f32), variable(shape, DType::f32)};
    parameter.second = variable(shape, DType::f32);
    parameter.start = graph->constant("shared", Tensor::zeros(shape, DType::f32, graph->device()));
    parameters.push_back(parameter);
  }
  record_adam_step(counters, rates, parameters);
  advance(counters, variable({batches}, DType::f32), variable({1}, DType::f32), batch_size);
  const Plan plan(graph, {}, {.replicas = 7, .replicated = replicated});
  EXPECT_EQ(plan.facts().nodes, 2);
  EXPECT_EQ(plan.facts().launches, 2);
}

TEST(OptimizerSteps, ChangeMoreParametersThanFitOneLaunch) {
  const auto graph = std::make_shared<Graph>(Device::cpu(1));
  const Value counters = graph->variable("counters", Storage(Tensor::zeros({4}, DType::i64, graph->device())));
  const Value rates =
      graph->variable("rates", Storage(Tensor::from(Numbers{0.5, 0, 0, 0, 0}, {Rates::count}, graph->device())));
  std::vector<OptimizedParameter> parameters;
  std::vector<Storage> weights;
  for (std::size_t i = 0; i < 300; ++i) {
    weights.emplace_back(Tensor::from(Numbers{static_cast<double>(i)}, {1}, graph->device()));
    const Value weight = graph->variable("weight", weights.back());
    parameters.push_back({.weight = weight, .gradient = scale(weight, 1)});
  }
  parameters.push_back({.weight = rates});  // without a gradient: left alone
  record_sgd_step(counters, rates, parameters);
  Execution(std::make_shared<const Plan>(graph, std::vector<Value>())).run();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    EXPECT_EQ(weights[i].tensor().to_vector<double>()[0], 0.5 * static_cast<double>(i));
  }
}

TEST(OptimizerSteps, RefuseWhatDoesNotBelongTogether) {
  Graph graph(Device::cpu(1));
  const auto variable = [&](const Shape& shape, DType dtype) {
    return graph.variable("v", Storage(Tensor::zeros(shape, dtype, graph.device())));
  };
  const Value counters = variable({4}, DType::i64), rates = variable({Rates::count}, DType::f64);
  const Value w = variable({3}, DType::f32), g = variable({3}, DType::f32), m = variable({3}, DType::f32);
  const auto sgd = [&](const OptimizedParameter& parameter, const SgdRule& rule = {}) {
    record_sgd_step(counters, rates, {&parameter, 1}, rule);
  };
  EXPECT_THROW(sgd({.weight = w}), ValueError);
  EXPECT_THROW(sgd({.weight = w, .gradient = g}, {.momentum = 0.9}), ValueError);
  EXPECT_THROW(sgd({.weight = w, .gradient = g, .first = m}), ValueError);
  EXPECT_THROW(sgd({.weight = w, .gradient = g}, {.nesterov = true}), ValueError);
  EXPECT_THROW(sgd({.weight = w, .gradient = variable({4}, DType::f32)}), ShapeError);
  EXPECT_THROW(sgd({.weight = w, .gradient = variable({3}, DType::f64)}), DTypeError);
  const OptimizedParameter adam{.weight = w, .gradient = g, .first = m, .second = variable({3}, DType::f32)};
  EXPECT_THROW(record_adam_step(counters, rates, {&adam, 1}, {.beta1 = 1}), ValueError);
  EXPECT_THROW(record_adam_step(counters, rates, {&adam, 1}, {}, 0.9), ValueError);  // an average is missing
  EXPECT_THROW(record_adam_step(counters, rates, {&adam, 1}, {}, 1.0), ValueError);
  EXPECT_THROW(record_schedule_free_step(counters, rates, {&adam, 1}, {.beta1 = 0}), ValueError);
  EXPECT_THROW(record_schedule_free_step(counters, rates, {&adam, 1}, {.beta2 = 1}), ValueError);
  EXPECT_THROW(record_adam_step(counters, counters, {&adam, 1}), DTypeError);
  EXPECT_THROW(record_adam_step(rates, rates, {&adam, 1}), DTypeError);
  EXPECT_THROW(advance(counters, w, g, 1), ShapeError);
  EXPECT_THROW(advance(rates, w, g, 1), DTypeError);
}

}  // namespace
}  // namespace rtl::graph::test

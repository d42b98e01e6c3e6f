// A whole training step as one plan, run again and again without being told anything: batch, dropout, a linear head,
// its loss and gradients, momentum, and the counters of the next step; against the same arithmetic written out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "rtl/core/random.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/optimizer_step.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "support/devices.hpp"
#include "support/random.hpp"

namespace rtl::graph::test {
namespace {

using rtl::test::devices;
using Numbers = std::vector<double>;

constexpr std::int64_t samples = 29, width = 7, classes = 3, batch = 8, batches = 3, replicas = 3;
constexpr double probability = 0.3, momentum = 0.9;
constexpr std::uint64_t dropout_name = 77;

/// Everything that a run starts from; of the replicas one after the other where they differ.
struct Problem {
  Numbers table, weights, rates;
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> order, counters;

  Problem() {
    rtl::test::Random random(31);
    const auto assign = [](auto& to, const rtl::test::Reals& from) { to.assign(from.begin(), from.end()); };
    assign(table, random.normal({samples, width}));
    assign(weights, random.normal({replicas, classes, width}));
    assign(labels, random.below({samples}, classes));
    assign(order, random.below({replicas, samples}, samples));
    for (std::int64_t r = 0; r < replicas; ++r) {
      counters.insert(counters.end(), {100 + r, 5 * r, 0, 0});
      rates.insert(rates.end(), {0.1 * static_cast<double>(r + 1), 0.01 * static_cast<double>(r), 0, 0, 0});
    }
  }
};

struct Outcome {
  Numbers weights, losses;
  std::vector<std::int64_t> counters;
};

class Step {
 public:
  explicit Step(const Device& device) : graph_(std::make_shared<Graph>(device)) {
    const Problem problem;
    counters_ = variable({4}, DType::i64);
    rates_ = variable({kernels::Rates::count}, DType::f64);
    weights_ = variable({classes, width}, DType::f64);
    moments_ = variable({classes, width}, DType::f64);
    losses_ = variable({batches}, DType::f64);
    order_ = variable({samples}, DType::i64);
    const Value table = graph_->constant("table", Tensor::from(problem.table, {samples, width}, device));
    const Value labels = graph_->constant("labels", Tensor::from(problem.labels, {samples}, device));
    const Value x = gather_batch(table, order_, counters_, batch, DType::f64);
    const Value logits = linear(dropout(x, probability, dropout_name, counters_), weights_, Value());
    const Value loss = cross_entropy_batch(logits, labels, order_, counters_);
    const OptimizedParameter parameter{
        .weight = weights_, .gradient = gradients(loss, {&weights_, 1}).front(), .first = moments_};
    record_sgd_step(counters_, rates_, {&parameter, 1}, {.momentum = momentum});
    advance(counters_, losses_, loss, batch);
  }

  /// One replica, or with -1 all. Where runs are captured, the second is recorded and the third a replay.
  Outcome run(std::int64_t replica, bool share_memory = true, bool captured = false) const {
    PlanOptions options{.share_memory = share_memory};
    if (replica < 0) {
      options.replicas = replicas;
      options.replicated = {counters_, rates_, weights_, moments_, losses_, order_};
    }
    Execution execution(std::make_shared<const Plan>(graph_, std::vector<Value>(), options));
    if (captured) execution.capture();
    const Problem problem;
    const std::int64_t copies = replica < 0 ? replicas : 1;
    Tensor counters = part(problem.counters, counters_, replica), rates = part(problem.rates, rates_, replica);
    Tensor weights = part(problem.weights, weights_, replica), order = part(problem.order, order_, replica);
    Tensor moments = part(Numbers(static_cast<std::size_t>(copies * classes * width)), moments_, -1, copies);
    Tensor losses = part(Numbers(static_cast<std::size_t>(copies * batches)), losses_, -1, copies);
    execution.bind(counters_, counters.view());
    execution.bind(rates_, rates.view());
    execution.bind(weights_, weights.view());
    execution.bind(moments_, moments.view());
    execution.bind(losses_, losses.view());
    execution.bind(order_, order.view());
    for (std::int64_t i = 0; i < batches; ++i) execution.run();
    return {weights.to_vector<double>(), losses.to_vector<double>(), counters.to_vector<std::int64_t>()};
  }

 private:
  Value variable(const Shape& shape, DType dtype) {
    return graph_->variable("variable", Storage(Tensor::zeros(shape, dtype, graph_->device())));
  }
  /// The numbers of one replica, or of `copies` with a leading axis where there are several.
  template <typename T>
  Tensor part(std::vector<T> all, const Value& value, std::int64_t replica, std::int64_t copies = replicas) const {
    std::vector<std::int64_t> extents(value.shape().extents().begin(), value.shape().extents().end());
    if (replica >= 0) {
      const auto size = static_cast<std::ptrdiff_t>(all.size()) / replicas;
      all = std::vector<T>(all.begin() + replica * size, all.begin() + (replica + 1) * size);
    } else if (copies > 1) {
      extents.insert(extents.begin(), copies);
    }
    return Tensor::from(all, Shape(std::span<const std::int64_t>(extents)), graph_->device());
  }

  std::shared_ptr<Graph> graph_;
  Value counters_, rates_, weights_, moments_, losses_, order_;
};

/// The rows of a step's batch, after dropout.
Numbers batch_of(const Problem& problem, std::size_t replica, std::int64_t step) {
  const std::int64_t* counters = problem.counters.data() + 4 * replica;
  const Philox philox(static_cast<std::uint64_t>(counters[0]),
                      mix(dropout_name, static_cast<std::uint64_t>(counters[1] + step)));
  Numbers x;
  for (std::int64_t i = 0; i < batch * width; ++i) {
    const std::int64_t row = problem.order[replica * samples + static_cast<std::size_t>(step * batch + i / width)];
    const double value = problem.table[static_cast<std::size_t>(row * width + i % width)];
    const bool kept = static_cast<double>(philox.uniform(static_cast<std::uint64_t>(i))) >= probability;
    x.push_back(kept ? value / (1 - probability) : 0);
  }
  return x;
}

/// Adds a row's part of the gradient to `gradient`; gives its part of the loss.
double add_row(const double* x, const Numbers& w, std::int32_t label, Numbers& gradient) {
  std::array<double, classes> p{};
  double largest = -INFINITY, sum = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::size_t j = 0; j < width; ++j) p[c] += w[c * width + j] * x[j];
    largest = std::max(largest, p[c]);
  }
  const double chosen = p[static_cast<std::size_t>(label)];
  for (double& value : p) sum += value = std::exp(value - largest);
  for (std::size_t c = 0; c < classes; ++c) {
    const double error = (p[c] / sum - (static_cast<std::int32_t>(c) == label ? 1 : 0)) / batch;
    for (std::size_t j = 0; j < width; ++j) gradient[c * width + j] += error * x[j];
  }
  return (std::log(sum) + largest - chosen) / batch;
}

Outcome reference(std::size_t replica) {
  const Problem problem;
  const auto begin = problem.weights.begin() + static_cast<std::ptrdiff_t>(replica * classes * width);
  Outcome outcome{Numbers(begin, begin + classes * width), {}, {}};
  Numbers velocity(classes * width);
  const double* rates = problem.rates.data() + kernels::Rates::count * replica;
  for (std::int64_t step = 0; step < batches; ++step) {
    const Numbers x = batch_of(problem, replica, step);
    Numbers gradient(classes * width);
    double loss = 0;
    for (std::size_t i = 0; i < batch; ++i) {
      const std::int64_t row = problem.order[replica * samples + static_cast<std::size_t>(step * batch) + i];
      loss += add_row(x.data() + i * width, outcome.weights, problem.labels[static_cast<std::size_t>(row)], gradient);
    }
    outcome.losses.push_back(loss);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      double& w = outcome.weights[i];
      velocity[i] = momentum * velocity[i] + gradient[i] + rates[1] * w;
      w -= rates[0] * velocity[i];
    }
  }
  const std::int64_t* counters = problem.counters.data() + 4 * replica;
  outcome.counters = {counters[0], counters[1] + batches, batches * batch, batches};
  return outcome;
}

template <typename T>
std::vector<T> of_replica(const std::vector<T>& all, std::int64_t replica) {
  const auto size = static_cast<std::ptrdiff_t>(all.size()) / replicas;
  return {all.begin() + replica * size, all.begin() + (replica + 1) * size};
}

TEST(TrainingStep, CapturedStepsGiveTheSameBits) {
  for (const Device& device : devices()) {
    const Step step(device);
    for (const std::int64_t replica : {0, -1}) {
      const Outcome planned = step.run(replica), captured = step.run(replica, true, true);
      EXPECT_EQ(captured.weights, planned.weights);
      EXPECT_EQ(captured.losses, planned.losses);
      EXPECT_EQ(captured.counters, planned.counters);
    }
  }
}

TEST(TrainingStep, IsOnePlanThatRunsAgainAndAgain) {
  for (const Device& device : devices()) {
    const Step step(device);
    const Outcome together = step.run(-1);
    for (std::int64_t r = 0; r < replicas; ++r) {
      SCOPED_TRACE(fmt::format("replica {} on {}", r, device.name()));
      const Outcome alone = step.run(r), wanted = reference(static_cast<std::size_t>(r));
      EXPECT_EQ(alone.counters, wanted.counters);
      for (std::size_t i = 0; i < wanted.losses.size(); ++i) EXPECT_NEAR(alone.losses[i], wanted.losses[i], 1e-13);
      for (std::size_t i = 0; i < wanted.weights.size(); ++i) EXPECT_NEAR(alone.weights[i], wanted.weights[i], 1e-13);
      EXPECT_EQ(step.run(r, false).weights, alone.weights);
      EXPECT_EQ(of_replica(together.weights, r), alone.weights);
      EXPECT_EQ(of_replica(together.losses, r), alone.losses);
      EXPECT_EQ(of_replica(together.counters, r), alone.counters);
    }
  }
}

}  // namespace
}  // namespace rtl::graph::test

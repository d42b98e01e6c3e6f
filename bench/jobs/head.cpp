// A 64-128-10 head on 50,000 cached feature vectors: an epoch of SGD with momentum, rows gathered in a new order.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "jobs.hpp"
#include "random_values.hpp"
#include "rtl/data/sampler.hpp"
#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/layers/models.hpp"
#include "rtl/optim/optimizer.hpp"

namespace rtl::bench {
namespace {

constexpr std::int64_t samples = 50000, features = 64, hidden = 128, classes = 10, batch = 512;
constexpr std::int64_t steps = samples / batch;

struct Cached {
  explicit Cached(const Device& device)
      : features(random_values({samples, bench::features}, device, 1)),
        labels(random_integers(samples, classes, device, 2)) {}
  graph::Storage features, labels;
};

/// Heads of consecutive seeds, as replicas of one plan: from the rows of a batch to the updated weights.
class Heads {
 public:
  Heads(const Cached& cached, const Device& device, std::uint64_t seed, std::int64_t replicas, DType activations)
      : device_(device), seed_(seed), replicas_(replicas), activations_(activations) {
    for (std::int64_t r = 0; r < replicas; ++r) {
      networks_.push_back(models::mlp(
          {.inputs = features, .hidden = {hidden}, .classes = classes, .seed = seed + static_cast<std::uint64_t>(r)},
          device));
      samplers_.emplace_back(samples, batch, seed + static_cast<std::uint64_t>(r));
    }
    record(cached);
  }

  void epoch() {
    std::vector<std::int64_t> order, counters;
    for (std::size_t r = 0; r < samplers_.size(); ++r) {
      samplers_[r].start_epoch(epoch_ + 1);
      order.insert(order.end(), samplers_[r].order().begin(), samplers_[r].order().end());
      counters.insert(counters.end(), {static_cast<std::int64_t>(seed_ + r), epoch_ * steps, 0, 0});
    }
    const View order_memory = execution_->view(order_), counters_memory = execution_->view(counters_);
    copy_bytes(Tensor::from(order, order_memory.shape(), device_.host()), order_memory);
    copy_bytes(Tensor::from(counters, counters_memory.shape(), device_.host()), counters_memory);
    for (std::int64_t step = 0; step < steps; ++step) execution_->run();
    ++epoch_;
  }

 private:
  void record(const Cached& cached) {
    std::vector<optim::NamedStorage> parameters;
    for (const auto& parameter : networks_.front()->state().parameters) {
      parameters.push_back({parameter.name, parameter.parameter->storage});
    }
    const optim::Sgd optimizer(std::move(parameters), {.learning_rate = 0.1}, {.momentum = 0.9});
    graph::StepState state(device_);
    optimizer.write_rates(state);
    const auto graph = std::make_shared<graph::Graph>(device_);
    const graph::StepState::Values step = state.values(*graph);
    counters_ = step.counters;
    order_ = graph->variable("order", graph::Storage(Tensor({samples}, DType::i64, device_)));
    const graph::Value losses = graph->variable("losses", graph::Storage(Tensor::zeros({steps}, DType::f32, device_)));
    const graph::Value x =
        graph::gather_batch(graph->constant("features", cached.features), order_, step.counters, batch, activations_);
    const graph::Value logits =
        graph::cast(networks_.front()->forward(x, {.training = true, .counters = step.counters}), DType::f32);
    const graph::Value loss =
        graph::cross_entropy_batch(logits, graph->constant("labels", cached.labels), order_, step.counters);
    const std::vector<graph::Value> weights = optimizer.parameters(*graph);
    optimizer.record(step, graph::gradients(loss, weights));
    graph::advance(step.counters, losses, loss, batch);
    graph::run_passes(*graph, {});
    make_execution(graph, weights, step.rates);
  }

  /// All variables but the rates have a copy for each head.
  void make_execution(const std::shared_ptr<graph::Graph>& graph, const std::vector<graph::Value>& weights,
                      const graph::Value& rates) {
    graph::PlanOptions options{.replicas = replicas_, .replicas_in_turn = true};
    for (std::size_t i = 0; replicas_ > 1 && i < graph->values().size(); ++i) {
      const graph::Value value = graph->value(static_cast<std::int32_t>(i));
      if (graph->record(value).origin == graph::Origin::variable && value != rates) options.replicated.push_back(value);
    }
    execution_ = std::make_unique<graph::Execution>(
        std::make_shared<const graph::Plan>(graph, std::vector<graph::Value>(), options));
    for (const graph::Value& variable : options.replicated) {
      Tensor& stacked =
          stacked_.emplace_back(Tensor::zeros(graph::stacked(replicas_, variable.shape()), variable.dtype(), device_));
      const auto weight =
          static_cast<std::size_t>(std::find(weights.begin(), weights.end(), variable) - weights.begin());
      for (std::size_t r = 0; weight < weights.size() && r < networks_.size(); ++r) {
        const auto head = static_cast<std::int64_t>(r);
        copy_bytes(networks_[r]->state().parameters[weight].value(),
                   stacked.view().slice(0, head, head + 1).reshaped(variable.shape()));
      }
      execution_->bind(variable, stacked.view());
    }
  }

  Device device_;
  std::uint64_t seed_;
  std::int64_t replicas_;
  DType activations_;
  std::vector<std::unique_ptr<layers::Network>> networks_;
  std::vector<data::BatchSampler> samplers_;
  std::int64_t epoch_ = 0;
  graph::Value order_, counters_;
  std::vector<Tensor> stacked_;
  std::unique_ptr<graph::Execution> execution_;
};

/// Forward, gradients of both weights, gradient of the hidden layer.
constexpr double flop_of_step = 2.0 * batch * (2 * features * hidden + 3 * hidden * classes);

/// Several heads are spread over the threads, each of which runs a plan with its share of them as replicas: independent
/// heads need no synchronisation.
Job head_job(const char* name, const Settings& settings, int seeds, DType activations) {
  const int plans = std::min(seeds, settings.threads);
  const Device device = Device::cpu(seeds > 1 ? 1 : settings.threads);
  const Cached cached(device);
  auto heads = std::make_shared<std::vector<std::unique_ptr<Heads>>>();
  for (int plan = 0; plan < plans; ++plan) {
    const int first = plan * seeds / plans, end = (plan + 1) * seeds / plans;
    heads->push_back(std::make_unique<Heads>(cached, plans > 1 ? device.separate() : device,
                                             static_cast<std::uint64_t>(first), end - first, activations));
  }
  return {.name = name,
          .unit = "steps/s",
          .units = static_cast<double>(steps * seeds),
          .flop = flop_of_step,
          .arithmetic = "matrix products of a step",
          .bf16 = activations == DType::bf16,
          .run = [heads] {
            const auto count = static_cast<std::int64_t>(heads->size());
#pragma omp parallel for schedule(static, 1) num_threads(static_cast <int>(count)) if (count > 1)
            for (std::int64_t i = 0; i < count; ++i) (*heads)[static_cast<std::size_t>(i)]->epoch();
          }};
}

}  // namespace

Job mlp_head(const Settings& settings) { return head_job("mlp_head", settings, 1, DType::f32); }
Job mlp_head_bf16(const Settings& settings) { return head_job("mlp_head_bf16", settings, 1, DType::bf16); }
Job mlp_head_20_seeds(const Settings& settings) { return head_job("mlp_head_20_seeds", settings, 20, DType::f32); }
Job mlp_head_20_seeds_bf16(const Settings& settings) {
  return head_job("mlp_head_20_seeds_bf16", settings, 20, DType::bf16);
}

}  // namespace rtl::bench

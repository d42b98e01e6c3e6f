// Recorded computations in few words: functions that run once, and training steps of modules on fixed samples.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/graph/passes.hpp"
#include "rtl/graph/plan.hpp"
#include "rtl/graph/step_state.hpp"
#include "rtl/layers/module.hpp"
#include "rtl/optim/optimizer.hpp"

namespace rtl::test {

inline Tensor copy_of(ConstView view) {
  Tensor copy(view.shape(), view.dtype(), view.device());
  copy_bytes(view, copy);
  return copy;
}

using RecordResults = std::function<std::vector<graph::Value>(std::span<const graph::Value> inputs)>;

/// Records a function of inputs, plans it, runs it once, and gives copies of its results.
inline std::vector<Tensor> evaluate(const std::vector<ConstView>& inputs, const RecordResults& record) {
  const auto graph = std::make_shared<graph::Graph>(inputs.at(0).device());
  std::vector<graph::Value> values;
  for (const ConstView& input : inputs) values.push_back(graph->input("input", input.shape(), input.dtype()));
  const std::vector<graph::Value> results = record(values);
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, results));
  for (std::size_t i = 0; i < inputs.size(); ++i) execution.bind(values[i], inputs[i]);
  execution.run();
  std::vector<Tensor> copies;
  for (const graph::Value& result : results) copies.push_back(copy_of(execution.view(result)));
  return copies;
}

/// The same for one result of one input.
inline Tensor evaluate(ConstView x, const std::function<graph::Value(const graph::Value& x)>& record) {
  return std::move(evaluate({x}, [&](std::span<const graph::Value> in) { return std::vector{record(in[0])}; })[0]);
}

inline Tensor forward(layers::Module& module, ConstView x, const layers::ForwardContext& context = {}) {
  return evaluate(x, [&](const graph::Value& in) { return module.forward(in, context); });
}

/// Counters of a training step, from which dropout draws.
inline graph::Value counters(graph::Graph& graph, std::uint64_t seed, std::int64_t step) {
  graph::StepState state(graph.device());
  state.set_counters(seed, step, 0, 0);
  return state.values(graph).counters;
}

/// Mean cross-entropy of a module on fixed samples, its gradients and, with an optimizer, the update: recorded, passed
/// and planned once.
class RecordedStep {
 public:
  RecordedStep(layers::Module& module, ConstView x, ConstView labels, const optim::Optimizer* optimizer = nullptr,
               bool training = false)
      : optimizer_(optimizer), state_(x.device()) {
    const auto graph = std::make_shared<graph::Graph>(x.device());
    const graph::StepState::Values step = state_.values(*graph);
    const graph::Value in = graph->input("x", x.shape(), x.dtype());
    const graph::Value wanted = graph->input("labels", labels.shape(), labels.dtype());
    const graph::Value logits = module.forward(in, {.training = training, .counters = step.counters});
    loss_ = graph::cross_entropy(logits, wanted);
    std::vector<graph::Value> parameters, results{loss_};
    for (const layers::NamedParameter& parameter : module.state().parameters) {
      names_.push_back(parameter.name);
      parameters.push_back(graph->variable(parameter.name, parameter.parameter->storage));
    }
    gradients_ = graph::gradients(loss_, parameters);
    results.insert(results.end(), gradients_.begin(), gradients_.end());
    if (optimizer != nullptr) optimizer->record(step, gradients_);
    graph::run_passes(*graph, results);
    execution_ = std::make_unique<graph::Execution>(std::make_shared<const graph::Plan>(graph, results));
    execution_->bind(in, x);
    execution_->bind(wanted, labels);
  }

  /// The next step; its loss.
  Tensor run() {
    state_.set_counters(0, step_++, 0, 0);
    if (optimizer_ != nullptr) optimizer_->write_rates(state_);
    execution_->run();
    return copy_of(execution_->view(loss_));
  }
  /// Of the last step, by the parameter's name.
  std::map<std::string, Tensor> gradients() {
    std::map<std::string, Tensor> all;
    for (std::size_t i = 0; i < names_.size(); ++i) all.emplace(names_[i], copy_of(execution_->view(gradients_[i])));
    return all;
  }

 private:
  const optim::Optimizer* optimizer_;
  graph::StepState state_;
  std::int64_t step_ = 0;
  graph::Value loss_;
  std::vector<std::string> names_;
  std::vector<graph::Value> gradients_;
  std::unique_ptr<graph::Execution> execution_;
};

/// A module's parameters, as an optimizer takes them.
inline std::vector<optim::NamedStorage> storages_of(layers::Module& module) {
  std::vector<optim::NamedStorage> storages;
  for (const layers::NamedParameter& parameter : module.state().parameters) {
    storages.push_back({parameter.name, parameter.parameter->storage});
  }
  return storages;
}

}  // namespace rtl::test

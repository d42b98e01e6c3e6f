#include "transfer/hooked_network.hpp"

#include <memory>

#include "rtl/graph/plan.hpp"

namespace rtl::transfer::detail {

HookedNetwork::HookedNetwork(NetworkPredictor& network, std::string description)
    : network_(network), description_(std::move(description)) {
  network_.network().set_trainable(false);
}

layers::Parameter& HookedNetwork::add(std::string name, Tensor start) {
  return added_.emplace_back(
      layers::Parameter{.name = std::move(name), .storage = graph::Storage(std::move(start)), .trainable = true});
}

graph::Value HookedNetwork::outputs(const Batch& batch, const layers::ForwardContext& context) {
  layers::ForwardContext hooked = context;
  hooked.hooks = &hooks_;
  return network_.outputs(batch, hooked);
}

layers::ModuleState HookedNetwork::state() {
  layers::ModuleState state = network_.state();
  for (layers::Parameter& parameter : added_) state.parameters.push_back({parameter.name, &parameter});
  return state;
}

void HookedNetwork::merge() {
  const Device device = network().device();
  const auto graph = std::make_shared<graph::Graph>(device);
  std::vector<graph::Value> merged;
  std::vector<Tensor*> places;
  for (const auto& [parameter, function] : hooks_.parameters) {
    merged.push_back(function(graph->variable(parameter->name, parameter->storage)));
    places.push_back(&parameter->value());
  }
  hooks_ = {};
  if (merged.empty()) return;
  graph::Execution execution(std::make_shared<const graph::Plan>(graph, merged),
                             std::make_shared<graph::Arena>(device));
  execution.run();
  for (std::size_t i = 0; i < merged.size(); ++i) copy_bytes(execution.view(merged[i]), *places[i]);
}

graph::Value read_in(const graph::Value& x, const layers::Parameter& parameter) {
  return x.graph().variable(parameter.name, parameter.storage);
}

std::vector<layers::NamedParameter> layer_weights(const layers::ModuleState& state) {
  std::vector<layers::NamedParameter> weights;
  for (const layers::NamedParameter& parameter : state.parameters) {
    if (parameter.value().rank() > 1) weights.push_back(parameter);
  }
  return weights;
}

}  // namespace rtl::transfer::detail

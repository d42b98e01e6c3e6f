#include "rtl/layers/module.hpp"

#include <fmt/format.h>

#include "rtl/core/error.hpp"

namespace rtl::layers {

Construction Construction::child(std::string_view name) const {
  Construction construction = *this;
  construction.prefix.append(name).append(".");
  return construction;
}

std::string Construction::take_name(std::string_view name) const {
  std::string full = prefix;
  full.append(name);
  if (drawn->insert(full).second) return full;
  throw ValueError(
      fmt::format("Construction: a layer with the tensor '{}' was made before, and this one would start equal to it; "
                  "give each layer "
                  "of a network a name of its own: construction.child(\"fc2\")",
                  full));
}

std::int64_t ModuleState::parameter_count() const {
  std::int64_t count = 0;
  for (const NamedParameter& parameter : parameters) count += parameter.value().shape().count();
  return count;
}

std::int64_t Module::parameter_count() { return state().parameter_count(); }

void Module::set_trainable(bool trainable) {
  for (const NamedParameter& parameter : state().parameters) parameter.parameter->trainable = trainable;
}

Hooks Hooks::within(const std::string& layer) const {
  Hooks inside{.parameters = parameters, .layers = {}, .branch = branch};
  const std::string prefix = layer + ".";
  for (const auto& [name, function] : layers) {
    if (name.starts_with(prefix)) inside.layers.emplace(name.substr(prefix.size()), function);
  }
  return inside;
}

Value ForwardContext::read(Graph& graph, const Parameter& parameter) const {
  if (!parameter.defined()) return {};
  const bool constant = frozen || !parameter.trainable;
  const Value original =
      constant ? graph.constant(parameter.name, parameter.storage) : graph.variable(parameter.name, parameter.storage);
  if (hooks == nullptr) return original;
  const auto found = hooks->parameters.find(&parameter);
  return found == hooks->parameters.end() ? original : found->second(original);
}

Value ForwardContext::behind_layer(const std::string& name, const Value& y) const {
  if (hooks == nullptr) return y;
  const auto found = hooks->layers.find(name);
  return found == hooks->layers.end() ? y : found->second(y);
}

Value ForwardContext::behind_branch(const Parameter& last, const Value& branch) const {
  return hooks == nullptr || !hooks->branch ? branch : hooks->branch(last, branch);
}

Parameter Construction::parameter(std::string_view name, Tensor tensor) const {
  return {.name = prefix + std::string(name), .storage = graph::Storage(std::move(tensor)), .trainable = true};
}

}  // namespace rtl::layers

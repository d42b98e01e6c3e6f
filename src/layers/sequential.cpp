#include "rtl/layers/sequential.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/joined.hpp"
#include "rtl/core/random.hpp"
#include "rtl/graph/operations.hpp"
#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"

namespace rtl::layers {
namespace {

/// With the lengths of the sequences, where x are token ids.
ForwardContext with_lengths(const Value& x, const ForwardContext& context) {
  ForwardContext inside = context;
  if (!context.lengths.defined() && x.dtype() == DType::i32) inside.lengths = graph::sequence_lengths(x);
  return inside;
}

}  // namespace

Sequential& Sequential::add(std::string name, std::unique_ptr<Module> module) {
  if (!module) throw ValueError(fmt::format("Sequential::add: the module '{}' is null", name));
  const ModuleState old = state();
  ModuleState added;
  module->visit(name.empty() ? "" : name + ".", added);
  for (const NamedParameter& parameter : added.parameters) {
    const auto same = [&](const NamedParameter& other) { return other.name == parameter.name; };
    if (std::none_of(old.parameters.begin(), old.parameters.end(), same)) continue;
    throw ValueError(fmt::format("Sequential::add: there is a tensor '{}' already; give each child a name of its own",
                                 parameter.name));
  }
  children_.push_back({std::move(name), std::move(module)});
  return *this;
}

std::vector<std::string> Sequential::layer_names() const {
  std::vector<std::string> names;
  for (const Child& child : children_) {
    if (child.name.empty()) continue;
    if (const auto* inner = dynamic_cast<const Sequential*>(child.module.get())) {
      for (const std::string& name : inner->layer_names()) names.push_back(child.name + "." + name);
    }
    names.push_back(child.name);
  }
  return names;
}

/// With the hooks of what lies in it, and behind it.
Value Sequential::pass(const Child& child, const Value& x, const ForwardContext& context) {
  auto* inner = dynamic_cast<Sequential*>(child.module.get());
  if (context.hooks == nullptr || child.name.empty()) return child.module->forward(x, context);
  if (inner == nullptr) return context.behind_layer(child.name, child.module->forward(x, context));
  const Hooks hooks = context.hooks->within(child.name);
  ForwardContext inside = context;
  inside.hooks = &hooks;
  return context.behind_layer(child.name, inner->forward(x, inside));
}

Value Sequential::forward_to(const std::string& layer, const Value& x, const ForwardContext& given) {
  const ForwardContext context = with_lengths(x, given);
  Value y = x;
  for (const Child& child : children_) {
    if (!child.name.empty()) {
      if (child.name == layer) return pass(child, y, context);
      auto* inner = dynamic_cast<Sequential*>(child.module.get());
      if (inner != nullptr && layer.starts_with(child.name + ".")) {
        const Hooks hooks = context.hooks != nullptr ? context.hooks->within(child.name) : Hooks();
        ForwardContext inside = context;
        inside.hooks = &hooks;
        return inner->forward_to(layer.substr(child.name.size() + 1), y, inside);
      }
    }
    y = pass(child, y, context);
  }
  throw ValueError(
      fmt::format("Sequential::forward_to: there is no layer '{}'; there are {}", layer, joined(layer_names(), ", ")));
}

Value Sequential::forward(const Value& x, const ForwardContext& given) {
  const ForwardContext context = with_lengths(x, given);
  Value y = x;
  for (const Child& child : children_) y = pass(child, y, context);
  return y;
}

void Sequential::visit(const std::string& prefix, ModuleState& state) {
  for (const Child& child : children_) {
    child.module->visit(child.name.empty() ? prefix : prefix + child.name + ".", state);
  }
}

Value Relu::forward(const Value& x, const ForwardContext&) { return graph::relu(x); }
Value Relu6::forward(const Value& x, const ForwardContext&) { return graph::relu6(x); }
Value MaxPool::forward(const Value& x, const ForwardContext&) { return graph::max_pool(x, options_); }
Value AveragePool::forward(const Value& x, const ForwardContext&) { return graph::average_pool(x, options_); }
Value GlobalAveragePool::forward(const Value& x, const ForwardContext&) { return graph::global_average_pool(x); }
Value Flatten::forward(const Value& x, const ForwardContext&) { return graph::flatten(x); }

Dropout::Dropout(double probability, std::string_view name) : probability_(probability), stream_(stream_of(name)) {
  if (!(probability >= 0 && probability < 1)) {
    throw ValueError(fmt::format("Dropout {}: probability {}; it must be in [0, 1)", name, probability));
  }
}

Value Dropout::forward(const Value& x, const ForwardContext& context) {
  return context.training ? graph::dropout(x, probability_, stream_, context.counters) : x;
}

}  // namespace rtl::layers

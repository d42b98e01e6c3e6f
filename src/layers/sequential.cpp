#include "rtl/layers/sequential.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "rtl/autodiff/operations.hpp"
#include "rtl/core/random.hpp"
#include "rtl/layers/batch_norm.hpp"
#include "rtl/layers/conv2d.hpp"

namespace rtl::layers {

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

Variable Sequential::forward(const Variable& x, const ForwardContext& context) {
  Variable y = x;
  for (const Child& child : children_) y = child.module->forward(y, context);
  return y;
}

void Sequential::visit(const std::string& prefix, ModuleState& state) {
  for (const Child& child : children_) {
    child.module->visit(child.name.empty() ? prefix : prefix + child.name + ".", state);
  }
}

FrozenBuilder::Value Sequential::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const {
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const auto* convolution = dynamic_cast<const Conv2d*>(children_[i].module.get());
    const auto* norm =
        i + 1 < children_.size() ? dynamic_cast<const BatchNorm*>(children_[i + 1].module.get()) : nullptr;
    if (convolution != nullptr && norm != nullptr && !convolution->options().relu) {
      FrozenBuilder::Convolution description = convolution->description();
      description.norm = norm->description();
      description.relu = norm->options().relu;
      x = builder.convolution(x, description);
      ++i;
    } else {
      x = children_[i].module->lower(builder, x);
    }
  }
  return x;
}

Variable Relu::forward(const Variable& x, const ForwardContext&) { return autodiff::relu(x); }
FrozenBuilder::Value Relu::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const { return builder.relu(x); }

Variable MaxPool::forward(const Variable& x, const ForwardContext&) { return autodiff::max_pool(x, options_); }
FrozenBuilder::Value MaxPool::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const {
  return builder.max_pool(x, options_);
}

Variable AveragePool::forward(const Variable& x, const ForwardContext&) { return autodiff::average_pool(x, options_); }
FrozenBuilder::Value AveragePool::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const {
  return builder.average_pool(x, options_);
}

Variable GlobalAveragePool::forward(const Variable& x, const ForwardContext&) {
  return autodiff::global_average_pool(x);
}
FrozenBuilder::Value GlobalAveragePool::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const {
  return builder.global_average_pool(x);
}

Variable Flatten::forward(const Variable& x, const ForwardContext&) { return autodiff::flatten(x); }
FrozenBuilder::Value Flatten::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const { return builder.flatten(x); }

Dropout::Dropout(double probability, std::string_view name) : probability_(probability), stream_(stream_of(name)) {
  if (!(probability >= 0 && probability < 1)) {
    throw ValueError(fmt::format("Dropout {}: probability {}; it must be in [0, 1)", name, probability));
  }
}

Variable Dropout::forward(const Variable& x, const ForwardContext& context) {
  if (!context.training) return x;
  return autodiff::dropout(x, probability_, context.seed, mix(stream_, context.step));
}

FrozenBuilder::Value Dropout::lower(FrozenBuilder&, FrozenBuilder::Value x) const { return x; }

}  // namespace rtl::layers

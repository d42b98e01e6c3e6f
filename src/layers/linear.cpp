#include "rtl/layers/linear.hpp"

#include <fmt/format.h>

#include "rtl/autodiff/operations.hpp"

namespace rtl::layers {

Linear::Linear(const LinearOptions& options, const Construction& construction) : options_(options) {
  if (options.inputs < 1 || options.outputs < 1) {
    throw ValueError(fmt::format("Linear {}: {} inputs and {} outputs; both must be positive", construction.prefix,
                                 options.inputs, options.outputs));
  }
  Tensor weight({options.outputs, options.inputs}, construction.dtype, construction.device);
  initialize_weight(options.initialization, construction.seed, construction.take_name("weight"), weight);
  weight_ = Variable(std::move(weight), true);
  if (!options.bias) return;
  Tensor bias({options.outputs}, construction.dtype, construction.device);
  initialize_bias(options.inputs, construction.seed, construction.take_name("bias"), bias);
  bias_ = Variable(std::move(bias), true);
}

Variable Linear::forward(const Variable& x, const ForwardContext&) {
  return autodiff::linear(x, weight_, bias_, options_.relu);
}

void Linear::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", weight_});
  if (bias_.defined()) state.parameters.push_back({prefix + "bias", bias_});
}

FrozenBuilder::Value Linear::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const {
  return builder.linear(x, weight_.value(), bias_.defined() ? ConstView(bias_.value()) : ConstView(), options_.relu);
}

}  // namespace rtl::layers

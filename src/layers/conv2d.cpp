#include "rtl/layers/conv2d.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"

namespace rtl::layers {

Conv2d::Conv2d(const Conv2dLayerOptions& options, const Construction& construction) : options_(options) {
  if (options.inputs < 1 || options.outputs < 1 || options.kernel < 1) {
    throw ValueError(fmt::format("Conv2d {}: {} inputs, {} outputs, kernel {}; all must be positive",
                                 construction.prefix, options.inputs, options.outputs, options.kernel));
  }
  const int groups = options.geometry.groups;
  if (groups < 1 || options.inputs % groups != 0 || options.outputs % groups != 0) {
    throw ValueError(fmt::format("Conv2d {}: {} inputs and {} outputs cannot be cut into {} groups",
                                 construction.prefix, options.inputs, options.outputs, groups));
  }
  const std::int64_t inputs = options.inputs / groups;
  Tensor weight({options.outputs, inputs, options.kernel, options.kernel}, construction.dtype, construction.device);
  initialize_weight(options.initialization, construction.seed, construction.take_name("weight"), weight);
  weight_ = construction.parameter("weight", std::move(weight));
  if (!options.bias) return;
  Tensor bias({options.outputs}, construction.dtype, construction.device);
  initialize_bias(inputs * options.kernel * options.kernel, construction.seed, construction.take_name("bias"), bias);
  bias_ = construction.parameter("bias", std::move(bias));
}

Value Conv2d::forward(const Value& x, const ForwardContext& context) {
  const Value y = graph::conv2d(x, context.read(x, weight_), context.read(x, bias_), options_.geometry);
  return options_.relu ? graph::relu(y) : y;
}

void Conv2d::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
  if (bias_.defined()) state.parameters.push_back({prefix + "bias", &bias_});
}

}  // namespace rtl::layers

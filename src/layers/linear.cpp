#include "rtl/layers/linear.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "rtl/graph/operations.hpp"

namespace rtl::layers {

Linear::Linear(const LinearOptions& options, const Construction& construction) : options_(options) {
  if (options.inputs < 1 || options.outputs < 1) {
    throw ValueError(fmt::format("Linear {}: {} inputs and {} outputs; both must be positive", construction.prefix,
                                 options.inputs, options.outputs));
  }
  Tensor weight({options.outputs, options.inputs}, construction.dtype, construction.device);
  initialize_weight(options.initialization, construction.seed, construction.take_name("weight"), weight);
  weight_ = construction.parameter("weight", std::move(weight));
  if (!options.bias) return;
  Tensor bias({options.outputs}, construction.dtype, construction.device);
  initialize_bias(options.inputs, construction.seed, construction.take_name("bias"), bias);
  bias_ = construction.parameter("bias", std::move(bias));
}

Value Linear::forward(const Value& x, const ForwardContext& context) {
  const bool rows = x.rank() <= 2;
  const Value flat =
      rows ? x : graph::reshape(x, {x.shape().count() / std::max<std::int64_t>(1, x.extent(-1)), x.extent(-1)});
  const Value product = graph::linear(flat, context.read(x, weight_), context.read(x, bias_));
  const Value y = rows ? product : graph::reshape(product, x.shape().with(-1, options_.outputs));
  return options_.relu ? graph::relu(y) : y;
}

void Linear::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
  if (bias_.defined()) state.parameters.push_back({prefix + "bias", &bias_});
}

}  // namespace rtl::layers

#include "rtl/layers/batch_norm.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::layers {

BatchNorm::BatchNorm(const BatchNormLayerOptions& options, const Construction& construction) : options_(options) {
  if (options.channels < 1) {
    throw ValueError(
        fmt::format("BatchNorm {}: {} channels; at least one is needed", construction.prefix, options.channels));
  }
  const auto constant = [&](double value) {
    Tensor tensor({options.channels}, construction.dtype, construction.device);
    kernels::fill(construction.device, value, tensor);
    return tensor;
  };
  weight_ = construction.parameter("weight", constant(1));
  bias_ = construction.parameter("bias", constant(0));
  running_mean_ = construction.parameter("running_mean", constant(0));
  running_variance_ = construction.parameter("running_var", constant(1));
}

Value BatchNorm::forward(const Value& x, const ForwardContext& context, const Value& residual) {
  const bool trained = context.training && !context.frozen && (weight_.trainable || bias_.trainable);
  const auto norm = trained ? graph::batch_norm_training : graph::batch_norm_evaluation;
  Value y = norm(x, context.read(x, weight_), context.read(x, bias_), context.read(x, running_mean_),
                 context.read(x, running_variance_), {.epsilon = options_.epsilon, .momentum = options_.momentum});
  if (residual.defined()) y = graph::add(y, residual);
  return options_.relu ? graph::relu(y) : y;
}

void BatchNorm::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
  state.parameters.push_back({prefix + "bias", &bias_});
  state.buffers.push_back({prefix + "running_mean", &running_mean_});
  state.buffers.push_back({prefix + "running_var", &running_variance_});
}

}  // namespace rtl::layers

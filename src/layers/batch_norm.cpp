#include "rtl/layers/batch_norm.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/layers/initialization.hpp"

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
  Value y = normalised(x, context);
  if (residual.defined()) y = graph::add(context.behind_branch(weight_, y), residual);
  if (options_.relu6) return graph::relu6(y);
  return options_.relu ? graph::relu(y) : y;
}

Value BatchNorm::normalised(const Value& x, const ForwardContext& context) const {
  const bool trained = context.training && !context.frozen && weight_.trainable;
  const Value weight = context.read(x, weight_), bias = context.read(x, bias_);
  const Value mean = context.read(x, running_mean_), variance = context.read(x, running_variance_);
  const graph::BatchNormOptions options{.epsilon = options_.epsilon, .momentum = options_.momentum};
  if (!trained) return graph::batch_norm_evaluation(x, weight, bias, mean, variance, options);
  if (context.running_share == 0) return graph::batch_norm_training(x, weight, bias, mean, variance, options);
  // As they are before this step: the backward pass would find them moved.
  const Value mean_before = graph::scale(mean, 1), variance_before = graph::scale(variance, 1);
  const Value by_running = graph::batch_norm_evaluation(x, weight, bias, mean_before, variance_before, options);
  const Value by_batch = graph::batch_norm_training(x, weight, bias, mean, variance, options);
  const Value ones = graph::fill(x.graph(), 1, weight.shape(), x.dtype());
  const Value kept = graph::dropout(ones, context.running_share, stream_of(weight_.name), context.counters);
  const Value batch = graph::greater_equal(kept, ones);
  return graph::add(graph::multiply(by_batch, batch), graph::multiply(by_running, graph::subtract(ones, batch)));
}

void BatchNorm::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
  state.parameters.push_back({prefix + "bias", &bias_});
  state.buffers.push_back({prefix + "running_mean", &running_mean_});
  state.buffers.push_back({prefix + "running_var", &running_variance_});
}

}  // namespace rtl::layers

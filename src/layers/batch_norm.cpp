#include "rtl/layers/batch_norm.hpp"

#include <fmt/format.h>

#include "rtl/autodiff/operations.hpp"
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
  weight_ = Variable(constant(1), true);
  bias_ = Variable(constant(0), true);
  running_mean_ = constant(0);
  running_variance_ = constant(1);
}

Variable BatchNorm::forward(const Variable& x, const ForwardContext& context, const Variable& residual) {
  const bool trained = weight_.requires_gradient() || bias_.requires_gradient();
  return autodiff::batch_norm(x, weight_, bias_, running_mean_, running_variance_,
                              {.training = context.training && trained,
                               .epsilon = options_.epsilon,
                               .momentum = options_.momentum,
                               .relu = options_.relu},
                              residual);
}

void BatchNorm::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", weight_});
  state.parameters.push_back({prefix + "bias", bias_});
  state.buffers.push_back({prefix + "running_mean", &running_mean_});
  state.buffers.push_back({prefix + "running_var", &running_variance_});
}

FrozenBuilder::Norm BatchNorm::description() const {
  return {.gamma = weight_.value(),
          .beta = bias_.value(),
          .mean = running_mean_,
          .variance = running_variance_,
          .epsilon = options_.epsilon};
}

FrozenBuilder::Value BatchNorm::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const {
  return builder.batch_norm(x, description(), FrozenBuilder::none, options_.relu);
}

}  // namespace rtl::layers

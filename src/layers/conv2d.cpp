#include "rtl/layers/conv2d.hpp"

#include <fmt/format.h>

#include "rtl/autodiff/operations.hpp"

namespace rtl::layers {

Conv2d::Conv2d(const Conv2dLayerOptions& options, const Construction& construction) : options_(options) {
  if (options.inputs < 1 || options.outputs < 1 || options.kernel < 1) {
    throw ValueError(fmt::format("Conv2d {}: {} inputs, {} outputs, kernel {}; all must be positive",
                                 construction.prefix, options.inputs, options.outputs, options.kernel));
  }
  Tensor weight({options.outputs, options.inputs, options.kernel, options.kernel}, construction.dtype,
                construction.device);
  initialize_weight(options.initialization, construction.seed, construction.take_name("weight"), weight);
  weight_ = Variable(std::move(weight), true);
  if (!options.bias) return;
  Tensor bias({options.outputs}, construction.dtype, construction.device);
  initialize_bias(options.inputs * options.kernel * options.kernel, construction.seed, construction.take_name("bias"),
                  bias);
  bias_ = Variable(std::move(bias), true);
}

Variable Conv2d::forward(const Variable& x, const ForwardContext&) {
  return autodiff::conv2d(x, weight_, bias_, options_.geometry, options_.relu);
}

void Conv2d::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", weight_});
  if (bias_.defined()) state.parameters.push_back({prefix + "bias", bias_});
}

FrozenBuilder::Convolution Conv2d::description() const {
  return {.weight = weight_.value(),
          .bias = bias_.defined() ? ConstView(bias_.value()) : ConstView(),
          .options = options_.geometry,
          .norm = {},
          .residual = FrozenBuilder::none,
          .relu = options_.relu};
}

FrozenBuilder::Value Conv2d::lower(FrozenBuilder& builder, FrozenBuilder::Value x) const {
  return builder.convolution(x, description());
}

}  // namespace rtl::layers

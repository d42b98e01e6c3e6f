#include "rtl/layers/group_norm.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::layers {

GroupNorm::GroupNorm(const GroupNormOptions& options, const Construction& construction) : options_(options) {
  if (options.channels < 1 || options.groups < 1 || options.channels % options.groups != 0) {
    throw ValueError(fmt::format("GroupNorm {}: {} channels cannot be cut into {} groups", construction.prefix,
                                 options.channels, options.groups));
  }
  const auto constant = [&](double value) {
    Tensor tensor({options.channels}, construction.dtype, construction.device);
    kernels::fill(construction.device, value, tensor);
    return tensor;
  };
  weight_ = construction.parameter("weight", constant(1));
  bias_ = construction.parameter("bias", constant(0));
}

Value GroupNorm::forward(const Value& x, const ForwardContext& context) {
  const Shape& shape = x.shape();
  if (shape.rank() != 4 || shape[3] != options_.channels) {
    throw ShapeError(
        fmt::format("GroupNorm: x is {}; images [N, H, W, {}] are needed", shape.to_string(), options_.channels));
  }
  const Value weight = context.read(x, weight_), bias = context.read(x, bias_);
  const Shape grouped{shape[0], shape[1] * shape[2], options_.groups, options_.channels / options_.groups};
  const Value values = graph::reshape(graph::cast(x, weight.dtype()), grouped);
  const graph::ReduceOptions over_group{.axes = {1, 3}, .keep_axes = true};
  const Value centred = graph::subtract(values, graph::mean(values, over_group));
  const Value variance = graph::mean(graph::square(centred), over_group);
  const Value epsilon = graph::fill(x.graph(), options_.epsilon, {1}, weight.dtype());
  const Value normalised = graph::divide(centred, graph::sqrt(graph::add(variance, epsilon)));
  const Value scaled = graph::add(graph::multiply(graph::reshape(normalised, shape), weight), bias);
  const Value y = graph::cast(scaled, x.dtype());
  return options_.relu ? graph::relu(y) : y;
}

void GroupNorm::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
  state.parameters.push_back({prefix + "bias", &bias_});
}

}  // namespace rtl::layers

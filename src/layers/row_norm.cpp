#include "rtl/layers/row_norm.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/pointwise.hpp"

namespace rtl::layers {
namespace {

Parameter constant_vector(const char* name, double value, std::int64_t features, const Construction& construction) {
  if (features < 1) {
    throw ValueError(fmt::format("norm {}: {} features; at least one is needed", construction.prefix, features));
  }
  Tensor tensor({features}, construction.dtype, construction.device);
  kernels::fill(construction.device, value, tensor);
  return construction.parameter(name, std::move(tensor));
}

}  // namespace

LayerNorm::LayerNorm(std::int64_t features, double epsilon, const Construction& construction)
    : epsilon_(epsilon),
      weight_(constant_vector("weight", 1, features, construction)),
      bias_(constant_vector("bias", 0, features, construction)) {}

Value LayerNorm::forward(const Value& x, const ForwardContext& context) {
  return graph::layer_norm(x, context.read(x, weight_), context.read(x, bias_), epsilon_);
}

void LayerNorm::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
  state.parameters.push_back({prefix + "bias", &bias_});
}

RmsNorm::RmsNorm(std::int64_t features, double epsilon, const Construction& construction)
    : epsilon_(epsilon), weight_(constant_vector("weight", 1, features, construction)) {}

Value RmsNorm::forward(const Value& x, const ForwardContext& context) {
  return graph::rms_norm(x, context.read(x, weight_), epsilon_);
}

void RmsNorm::visit(const std::string& prefix, ModuleState& state) {
  state.parameters.push_back({prefix + "weight", &weight_});
}

}  // namespace rtl::layers

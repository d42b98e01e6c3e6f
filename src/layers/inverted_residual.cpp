#include "rtl/layers/inverted_residual.hpp"

#include <fmt/format.h>

namespace rtl::layers {
namespace {

std::unique_ptr<BatchNorm> norm(const InvertedResidualOptions& options, std::int64_t channels, bool relu6,
                                const Construction& construction) {
  return std::make_unique<BatchNorm>(
      BatchNormLayerOptions{
          .channels = channels, .epsilon = options.epsilon, .momentum = options.momentum, .relu6 = relu6},
      construction);
}

}  // namespace

InvertedResidual::InvertedResidual(const InvertedResidualOptions& options, const Construction& construction)
    : options_(options) {
  if (options.expansion < 1) {
    throw ValueError(
        fmt::format("InvertedResidual {}: expansion {}; it must be positive", construction.prefix, options.expansion));
  }
  const std::int64_t inner = options.inputs * options.expansion;
  const auto pointwise = [&](std::int64_t inputs, std::int64_t outputs, const char* name) {
    return std::make_unique<Conv2d>(Conv2dLayerOptions{.inputs = inputs,
                                                       .outputs = outputs,
                                                       .kernel = 1,
                                                       .geometry = {},
                                                       .bias = false,
                                                       .initialization = options.initialization},
                                    construction.child(name));
  };
  if (options.expansion != 1) {
    expand_ = pointwise(options.inputs, inner, "_expand_conv");
    expand_norm_ = norm(options, inner, true, construction.child("_bn0"));
  }
  depthwise_ = std::make_unique<Conv2d>(
      Conv2dLayerOptions{.inputs = inner,
                         .outputs = inner,
                         .kernel = options.kernel,
                         .geometry = {.stride = options.stride, .groups = static_cast<int>(inner), .same = true},
                         .bias = false,
                         .initialization = options.initialization},
      construction.child("_depthwise_conv"));
  depthwise_norm_ = norm(options, inner, true, construction.child("_bn1"));
  project_ = pointwise(inner, options.outputs, "_project_conv");
  project_norm_ = norm(options, options.outputs, false, construction.child("_bn2"));
}

Value InvertedResidual::forward(const Value& x, const ForwardContext& context) {
  Value y = x;
  if (expand_) y = expand_norm_->forward(expand_->forward(y, context), context);
  y = depthwise_norm_->forward(depthwise_->forward(y, context), context);
  const bool skip = options_.stride == 1 && options_.inputs == options_.outputs;
  return project_norm_->forward(project_->forward(y, context), context, skip ? x : Value());
}

void InvertedResidual::visit(const std::string& prefix, ModuleState& state) {
  if (expand_) {
    expand_->visit(prefix + "_expand_conv.", state);
    expand_norm_->visit(prefix + "_bn0.", state);
  }
  depthwise_->visit(prefix + "_depthwise_conv.", state);
  depthwise_norm_->visit(prefix + "_bn1.", state);
  project_->visit(prefix + "_project_conv.", state);
  project_norm_->visit(prefix + "_bn2.", state);
}

}  // namespace rtl::layers

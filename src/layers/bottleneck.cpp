#include "rtl/layers/bottleneck.hpp"

namespace rtl::layers {
namespace {

Conv2dLayerOptions convolution(const BottleneckOptions& options, std::int64_t inputs, std::int64_t outputs, int kernel,
                               int stride) {
  return {.inputs = inputs,
          .outputs = outputs,
          .kernel = kernel,
          .geometry = {.stride = stride, .padding = kernel / 2},
          .bias = false,
          .initialization = options.initialization};
}

}  // namespace

Bottleneck::Bottleneck(const BottleneckOptions& options, const Construction& construction)
    : conv1_(convolution(options, options.inputs, options.inner, 1, 1), construction.child("conv1")),
      bn1_({.channels = options.inner, .relu = true}, construction.child("bn1")),
      conv2_(convolution(options, options.inner, options.inner, 3, options.stride), construction.child("conv2")),
      bn2_({.channels = options.inner, .relu = true}, construction.child("bn2")),
      conv3_(convolution(options, options.inner, options.outputs, 1, 1), construction.child("conv3")),
      bn3_({.channels = options.outputs, .relu = true}, construction.child("bn3")) {
  if (options.stride == 1 && options.inputs == options.outputs) return;
  projection_ = std::make_unique<Conv2d>(convolution(options, options.inputs, options.outputs, 1, options.stride),
                                         construction.child("downsample.0"));
  projection_norm_ = std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = options.outputs},
                                                 construction.child("downsample.1"));
}

Value Bottleneck::forward(const Value& x, const ForwardContext& context) {
  const Value shortcut = projection_ ? projection_norm_->forward(projection_->forward(x, context), context) : x;
  Value y = bn1_.forward(conv1_.forward(x, context), context);
  y = bn2_.forward(conv2_.forward(y, context), context);
  return bn3_.forward(conv3_.forward(y, context), context, shortcut);
}

void Bottleneck::visit(const std::string& prefix, ModuleState& state) {
  conv1_.visit(prefix + "conv1.", state);
  bn1_.visit(prefix + "bn1.", state);
  conv2_.visit(prefix + "conv2.", state);
  bn2_.visit(prefix + "bn2.", state);
  conv3_.visit(prefix + "conv3.", state);
  bn3_.visit(prefix + "bn3.", state);
  if (!projection_) return;
  projection_->visit(prefix + "downsample.0.", state);
  projection_norm_->visit(prefix + "downsample.1.", state);
}

}  // namespace rtl::layers

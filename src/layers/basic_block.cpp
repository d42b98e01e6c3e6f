#include "rtl/layers/basic_block.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"

namespace rtl::layers {
namespace {

Conv2dLayerOptions convolution(const BasicBlockOptions& options, std::int64_t inputs, int kernel, int stride) {
  return {.inputs = inputs,
          .outputs = options.outputs,
          .kernel = kernel,
          .geometry = {.stride = stride, .padding = kernel / 2},
          .bias = false,
          .relu = false,
          .initialization = options.initialization};
}

}  // namespace

BasicBlock::BasicBlock(const BasicBlockOptions& options, const Construction& construction)
    : options_(options),
      conv1_(convolution(options, options.inputs, 3, options.stride), construction.child("conv1")),
      bn1_({.channels = options.outputs, .relu = true}, construction.child("bn1")),
      conv2_(convolution(options, options.outputs, 3, 1), construction.child("conv2")),
      bn2_({.channels = options.outputs, .relu = true}, construction.child("bn2")) {
  if (!changes_shape()) return;
  if (options.shortcut == Shortcut::projection) {
    projection_ = std::make_unique<Conv2d>(convolution(options, options.inputs, 1, options.stride),
                                           construction.child(options.projection_name + ".0"));
    projection_norm_ = std::make_unique<BatchNorm>(BatchNormLayerOptions{.channels = options.outputs},
                                                   construction.child(options.projection_name + ".1"));
  } else if (options.stride != 2 || options.outputs < options.inputs || (options.outputs - options.inputs) % 2 != 0) {
    throw ValueError(fmt::format(
        "BasicBlock {}: {} to {} channels with stride {}; a shortcut by subsampling needs stride 2 and an even number "
        "of added channels, use Shortcut::projection",
        construction.prefix, options.inputs, options.outputs, options.stride));
  }
}

Value BasicBlock::forward(const Value& x, const ForwardContext& context) {
  Value shortcut = x;
  if (projection_) {
    shortcut = projection_norm_->forward(projection_->forward(x, context), context);
  } else if (changes_shape()) {
    shortcut = graph::shortcut_a(x, options_.outputs);
  }
  const Value inner = bn1_.forward(conv1_.forward(x, context), context);
  return bn2_.forward(conv2_.forward(inner, context), context, shortcut);
}

void BasicBlock::visit(const std::string& prefix, ModuleState& state) {
  conv1_.visit(prefix + "conv1.", state);
  bn1_.visit(prefix + "bn1.", state);
  conv2_.visit(prefix + "conv2.", state);
  bn2_.visit(prefix + "bn2.", state);
  if (!projection_) return;
  projection_->visit(prefix + options_.projection_name + ".0.", state);
  projection_norm_->visit(prefix + options_.projection_name + ".1.", state);
}

}  // namespace rtl::layers

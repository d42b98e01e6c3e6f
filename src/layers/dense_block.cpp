#include "rtl/layers/dense_block.hpp"

#include <fmt/format.h>

#include <array>

#include "rtl/graph/operations.hpp"

namespace rtl::layers {
namespace {

std::string name_of(std::size_t layer) { return fmt::format("denselayer{}", layer + 1); }

}  // namespace

DenseBlock::Layer::Layer(const DenseBlockOptions& options, std::int64_t inputs, const Construction& construction)
    : norm1({.channels = inputs, .relu = true}, construction.child("norm1")),
      conv1({.inputs = inputs,
             .outputs = options.bottleneck * options.growth,
             .kernel = 1,
             .geometry = {},
             .bias = false,
             .initialization = Initialization::kaiming_normal},
            construction.child("conv1")),
      norm2({.channels = options.bottleneck * options.growth, .relu = true}, construction.child("norm2")),
      conv2({.inputs = options.bottleneck * options.growth,
             .outputs = options.growth,
             .bias = false,
             .initialization = Initialization::kaiming_normal},
            construction.child("conv2")) {}

DenseBlock::DenseBlock(const DenseBlockOptions& options, const Construction& construction) {
  for (int i = 0; i < options.layers; ++i) {
    layers_.push_back(std::make_unique<Layer>(options, options.inputs + i * options.growth,
                                              construction.child(name_of(static_cast<std::size_t>(i)))));
  }
}

Value DenseBlock::forward(const Value& x, const ForwardContext& context) {
  Value all = x;
  for (const auto& layer : layers_) {
    Value y = layer->conv1.forward(layer->norm1.forward(all, context), context);
    y = layer->conv2.forward(layer->norm2.forward(y, context), context);
    all = graph::concatenate(std::array{all, y}, 3);
  }
  return all;
}

void DenseBlock::visit(const std::string& prefix, ModuleState& state) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::string at = prefix + name_of(i) + ".";
    layers_[i]->norm1.visit(at + "norm1.", state);
    layers_[i]->conv1.visit(at + "conv1.", state);
    layers_[i]->norm2.visit(at + "norm2.", state);
    layers_[i]->conv2.visit(at + "conv2.", state);
  }
}

}  // namespace rtl::layers

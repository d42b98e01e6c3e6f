// What the layers of a network give, and which channels of it matter for a task.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rtl/transfer/predictors.hpp"
#include "transfer/row_targets.hpp"

namespace rtl::transfer::detail {

/// Of each shape that layers of the trunk give, the last layer that gives it: the ends of the stages of a residual
/// network. Images alone, where there are any. Throws ValueError for a network without named layers.
std::vector<std::string> stage_ends(layers::Network& network);

/// Outputs of layers of one recorded pass, by name.
using Maps = std::map<std::string, graph::Value>;
/// The network's features, noting what these layers give on the way.
graph::Value features_and_maps(layers::Network& network, const graph::Value& x, const std::vector<std::string>& layers,
                               layers::ForwardContext context, Maps& maps);

/// For each layer C softmax(z / temperature), f32 [C] of the layer's channels, whose mean is 1. z is by how much the
/// network's mean loss grows on (at most) `rows` evenly spaced samples where a channel is zero, standardised over the
/// channels (DELTA, Li et al. 2019, and its published code). Every channel takes a pass through what lies behind it.
std::vector<Tensor> channel_attention(const NetworkPredictor& model, const data::Dataset& samples,
                                      const RowTargets& targets, const std::vector<std::string>& layers,
                                      std::int64_t rows, double temperature, const Loss& loss = {});

}  // namespace rtl::transfer::detail

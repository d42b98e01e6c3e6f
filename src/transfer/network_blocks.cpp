#include "transfer/network_blocks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"

namespace rtl::transfer::detail {
namespace {

/// The innermost layer that a parameter is in; empty for one without a name.
std::string layer_of(const std::string& parameter, const std::vector<std::string>& layers) {
  std::string found;
  for (const std::string& layer : layers) {
    if (parameter.starts_with(layer + ".") && layer.size() > found.size()) found = layer;
  }
  return found;
}

}  // namespace

std::vector<NetworkBlock> blocks_of(layers::Network& network) {
  layers::ModuleState trunk, head;
  network.visit_trunk("", trunk);
  network.visit_head("", head);
  const std::vector<std::string> layers = network.layer_names();
  std::vector<NetworkBlock> all;
  for (const layers::NamedParameter& parameter : trunk.parameters) {
    std::string layer = layer_of(parameter.name, layers);
    if (all.empty() || all.back().name != layer) all.push_back({std::move(layer), {}});
    all.back().parameters.push_back(parameter);
  }
  std::vector<NetworkBlock> blocks;
  for (NetworkBlock& block : all) {
    const bool vectors =
        std::none_of(block.parameters.begin(), block.parameters.end(),
                     [](const layers::NamedParameter& parameter) { return parameter.value().rank() > 1; });
    if (blocks.empty() || !vectors) {
      blocks.push_back(std::move(block));
    } else {
      auto& before = blocks.back().parameters;
      before.insert(before.end(), block.parameters.begin(), block.parameters.end());
    }
  }
  if (!head.parameters.empty()) blocks.push_back({"head", std::move(head.parameters)});
  return blocks;
}

void train_last(layers::Network& network, std::int64_t count) {
  const std::vector<NetworkBlock> blocks = blocks_of(network);
  const auto all = static_cast<std::int64_t>(blocks.size());
  if (count > all) {
    std::vector<std::string> names;
    for (const NetworkBlock& block : blocks) names.push_back(block.name);
    throw ValueError(fmt::format("the last {} blocks are to be trained, but {} has {}: {}", count,
                                 network.architecture().to_string(), all, joined(names, ", ")));
  }
  for (std::int64_t i = 0; i < all; ++i) {
    for (const layers::NamedParameter& parameter : blocks[static_cast<std::size_t>(i)].parameters) {
      parameter.parameter->trainable = count == 0 || i >= all - count;
    }
  }
}

std::vector<ParameterGroup> source_and_head_groups(layers::Network& network, bool own_head,
                                                   const TrainingOptions& training, double strength,
                                                   double head_decay) {
  layers::ModuleState source, fresh;
  network.visit_trunk("", source);
  network.visit_head("", own_head ? source : fresh);
  std::vector<ParameterGroup> groups;
  const auto add = [&](const layers::ModuleState& state, double own_strength, double own_decay) {
    ParameterGroup group{.parameters = trainable_parameters(state)};
    group.l2sp_strength = training.l2sp_strength + own_strength;
    group.weight_decay = training.weight_decay + own_decay;
    if (!group.parameters.empty()) groups.push_back(std::move(group));
  };
  add(source, strength, 0);
  add(fresh, 0, head_decay);
  return groups;
}

}  // namespace rtl::transfer::detail

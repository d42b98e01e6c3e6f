// The blocks of a network, for strategies that treat them differently by their depth.
#pragma once

#include <string>
#include <vector>

#include "rtl/transfer/training.hpp"

namespace rtl::transfer::detail {

struct NetworkBlock {
  std::string name;  ///< that of its first layer, "layer1.0"; of the last one, "head"
  std::vector<layers::NamedParameter> parameters;
};

/// The named layers of the trunk that have parameters, from the inputs on, and the head. A layer of vectors alone, such
/// as a norm, belongs to the block before it.
std::vector<NetworkBlock> blocks_of(layers::Network& network);

/// Freezes all blocks but the last `count`, the head being the last; 0 trains all. Norms of frozen blocks keep their
/// statistics. Throws ValueError where there are fewer blocks, with their names.
void train_last(layers::Network& network, std::int64_t count);

/// Groups of a source's parameters, drawn to where they are by strength/2 |w - w0|^2, and of a new head, which shrinks
/// by head_decay/2 |w|^2: terms of the optimizer that are added to those of the training. `own_head`: the head is the
/// source's too.
std::vector<ParameterGroup> source_and_head_groups(layers::Network& network, bool own_head,
                                                   const TrainingOptions& training, double strength, double head_decay);

}  // namespace rtl::transfer::detail

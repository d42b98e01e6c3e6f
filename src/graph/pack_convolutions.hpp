// The pass that gives convolutions on CUDA weights in the order in which they are multiplied.
#pragma once

#include "rtl/graph/graph.hpp"

namespace rtl::graph {

/// Variables that are weights of convolutions are packed by one node in front of all that read them before they change,
/// and gradients of weights are unpacked by one node in front of what reads them. No bit changes in f32 and f64.
void pack_convolutions(Graph& graph);

}  // namespace rtl::graph

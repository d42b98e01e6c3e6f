// Differentiation of a recorded graph: gradients are values of the same graph, so they can be differentiated again.
#pragma once

#include <span>
#include <vector>

#include "rtl/graph/graph.hpp"

namespace rtl::graph {

/// Gradients of `loss` (one element) with respect to each of `parameters`, of their types; not defined where the loss
/// does not depend on one. Reverse mode, with the operations' own rules; contributions to one value are added in the
/// reverse order of recording. Throws ShapeError for a loss of several elements, ValueError for an operation without
/// a gradient on the way and for values of different graphs.
std::vector<Value> gradients(const Value& loss, std::span<const Value> parameters);

}  // namespace rtl::graph

// An encoder of cells by a graph of those that lie near each other, as an architecture that strategies build by name.
#pragma once

#include <string>

#include "rtl/layers/graph_convolution.hpp"

namespace rtl::studies::refine {

/// Name of an architecture, NAME:WIDTH[-WIDTH..], that takes numbers of these nodes (i32 [N, 1], a vocabulary of all
/// nodes) and is a layers::GraphEncoder. Equal nodes have one name, which is added on first use.
std::string architecture_of(const layers::GraphNodes& nodes);

}  // namespace rtl::studies::refine

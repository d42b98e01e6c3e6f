// Which memory values are, and who changes it.
#pragma once

#include <cstdint>
#include <vector>

#include "rtl/graph/operation.hpp"

namespace rtl::graph {

/// The value whose memory `value` is.
inline std::int32_t memory_of(const Graph& graph, std::int32_t value) {
  for (;;) {
    const ValueRecord& record = graph.values()[static_cast<std::size_t>(value)];
    if (record.node < 0) return value;
    const NodeRecord& node = graph.nodes()[static_cast<std::size_t>(record.node)];
    if (!node.operation) return value;
    const auto aliasing = node.operation->aliasing(static_cast<std::size_t>(record.result));
    if (!aliasing) return value;
    value = node.operands[static_cast<std::size_t>(aliasing->operand)];
  }
}

/// The variables that a node changes.
inline std::vector<std::int32_t> changed_by(const Graph& graph, const NodeRecord& node) {
  std::vector<std::int32_t> changed;
  for (std::size_t i = 0; i < node.results.size(); ++i) {
    const auto aliasing = node.operation->aliasing(i);
    if (aliasing && aliasing->writes) changed.push_back(memory_of(graph, node.results[i]));
  }
  return changed;
}

}  // namespace rtl::graph

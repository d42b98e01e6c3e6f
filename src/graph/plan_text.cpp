// The printed form of a plan.
#include <fmt/format.h>

#include <algorithm>

#include "rtl/graph/plan.hpp"

namespace rtl::graph {
namespace {

std::string shapes(const Graph& graph, const std::vector<std::int32_t>& values) {
  std::string text;
  for (const std::int32_t value : values) {
    if (!text.empty()) text += " ";
    text += value < 0 ? "-" : graph.values()[static_cast<std::size_t>(value)].type.shape.to_string();
  }
  return text;
}

}  // namespace

std::string Plan::to_string(double bandwidth, double flops) const {
  std::string text = fmt::format("{:<36} {:>8} {:>12} {:>12} {:>10}  {}\n", "operation", "launches", "bytes", "FLOP",
                                 bandwidth > 0 && flops > 0 ? "us" : "", "operands -> results");
  double least_time = 0;
  for (const Step& step : steps_) {
    const NodeRecord& node = step.node;
    const PlanFacts facts = facts_of(step);
    std::string name(node.operation->name());
    if (const std::string attributes = node.operation->attributes(); !attributes.empty())
      name += " (" + attributes + ")";
    std::string time;
    if (bandwidth > 0 && flops > 0) {
      const double seconds = std::max(facts.bytes / bandwidth, facts.flops / flops);
      least_time += seconds;
      time = fmt::format("{:.1f}", 1e6 * seconds);
    }
    text += fmt::format("{:<36} {:>8} {:>12.0f} {:>12.0f} {:>10}  {} -> {}\n", name, facts.launches, facts.bytes,
                        facts.flops, time, shapes(*graph_, node.operands), shapes(*graph_, node.results));
  }
  text +=
      fmt::format("{} nodes, {} launches, {:.3g} bytes, {:.3g} FLOP, arena {} bytes of {} in all values", facts_.nodes,
                  facts_.launches, facts_.bytes, facts_.flops, facts_.arena_bytes, facts_.value_bytes);
  if (least_time > 0) text += fmt::format(", at least {:.1f} us", 1e6 * least_time);
  return text + "\n";
}

}  // namespace rtl::graph

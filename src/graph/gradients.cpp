#include "rtl/graph/gradients.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "rtl/graph/operation.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph {
namespace {

class Differentiation {
 public:
  Differentiation(const Value& loss, std::span<const Value> parameters)
      : graph_(loss.graph()), reaches_(graph_.values().size(), 0), gradients_(graph_.values().size()) {
    mark(parameters);
    gradients_[static_cast<std::size_t>(loss.index())] = ones(loss);
  }

  void run(std::int32_t last_node) {
    for (std::int32_t node = last_node; node >= 0; --node) differentiate(node);
  }
  Value gradient(const Value& parameter) const { return gradients_[static_cast<std::size_t>(parameter.index())]; }

 private:
  static Value ones(const Value& loss) { return fill(loss.graph(), 1.0, loss.shape(), loss.dtype()); }

  /// Which values depend on a parameter.
  void mark(std::span<const Value> parameters) {
    for (const Value& parameter : parameters) reaches_[static_cast<std::size_t>(parameter.index())] = 1;
    for (const NodeRecord& node : graph_.nodes()) {
      if (!node.operation) continue;
      const bool reached = std::any_of(node.operands.begin(), node.operands.end(), [&](std::int32_t operand) {
        return operand >= 0 && reaches_[static_cast<std::size_t>(operand)] != 0;
      });
      if (!reached) continue;
      for (const std::int32_t result : node.results) reaches_[static_cast<std::size_t>(result)] = 1;
    }
  }

  void differentiate(std::int32_t position) {
    // A copy: recording moves the nodes.
    const NodeRecord node = graph_.nodes()[static_cast<std::size_t>(position)];
    if (!node.operation) return;
    std::vector<Value> operands, results, incoming;
    bool reached = false;
    for (const std::int32_t result : node.results) {
      results.push_back(graph_.value(result));
      incoming.push_back(gradients_[static_cast<std::size_t>(result)]);
      reached = reached || incoming.back().defined();
    }
    if (!reached) return;
    const auto needed = std::make_unique<bool[]>(node.operands.size());
    bool any = false;
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      const std::int32_t operand = node.operands[i];
      operands.push_back(graph_.value(operand));
      needed[i] = operand >= 0 && reaches_[static_cast<std::size_t>(operand)] != 0;
      any = any || needed[i];
    }
    if (!any) return;
    std::vector<Value> outgoing(node.operands.size());
    GradientCall call(operands, results, incoming, {needed.get(), node.operands.size()}, outgoing);
    node.operation->gradient(call);
    for (std::size_t i = 0; i < outgoing.size(); ++i) accumulate(*node.operation, operands[i], outgoing[i]);
  }

  void accumulate(const Operation& operation, const Value& operand, const Value& gradient) {
    if (!gradient.defined()) return;
    if (gradient.type() != operand.type()) {
      throw ShapeError(fmt::format("{}: its gradient rule gives {} for an operand of {}", operation.name(),
                                   gradient.type().to_string(), operand.type().to_string()));
    }
    Value& sum = gradients_[static_cast<std::size_t>(operand.index())];
    sum = sum.defined() ? add(sum, gradient) : gradient;
  }

  Graph& graph_;
  std::vector<std::uint8_t> reaches_;
  std::vector<Value> gradients_;
};

}  // namespace

std::vector<Value> gradients(const Value& loss, std::span<const Value> parameters) {
  Graph& graph = loss.graph();
  if (loss.shape().count() != 1) {
    throw ShapeError(fmt::format("gradients: the loss is {}; reduce it to one element, by sum or mean, first",
                                 loss.type().to_string()));
  }
  for (const Value& parameter : parameters) graph.record(parameter);
  const auto last = static_cast<std::int32_t>(graph.nodes().size()) - 1;
  Differentiation differentiation(loss, parameters);
  differentiation.run(last);
  std::vector<Value> result;
  for (const Value& parameter : parameters) result.push_back(differentiation.gradient(parameter));
  return result;
}

}  // namespace rtl::graph

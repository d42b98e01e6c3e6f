#include "graph/pack_convolutions.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "graph/aliases.hpp"
#include "graph/operations/fused.hpp"
#include "graph/operations/packed_convolution.hpp"

namespace rtl::graph {
namespace {

using Operands = std::vector<std::int32_t>;

Shape packed_shape(const Shape& w) { return {w[0], w[2], w[3], w[1]}; }

/// One dtype of images: weights of the convolutions that multiply it.
class Packing {
 public:
  Packing(Graph& graph, DType dtype) : graph_(graph), dtype_(dtype) {}

  void pack_weights() {
    find_readers();
    if (readers_.empty()) return;
    const std::int32_t place = readers_.front();
    Operands weights, packed;
    std::map<std::int32_t, std::int32_t> packed_of;
    for (const std::int32_t node : readers_) {
      const std::int32_t w = at(node).operands[1];
      if (packed_of.contains(w)) continue;
      weights.push_back(w);
      packed.push_back(graph_.add_value({packed_shape(type(w).shape), dtype_}));
      packed_of[w] = packed.back();
    }
    graph_.insert(place);
    graph_.replace(place, std::make_shared<const PackWeights>(weights.size(), dtype_), weights, packed);
    for (const std::int32_t reader : readers_) {
      const NodeRecord node = at(reader + 1);
      Operands operands = node.operands;
      operands[1] = packed_of.at(operands[1]);
      operands.resize(std::min<std::size_t>(operands.size(), 3));
      graph_.replace(reader + 1, packed_form(*node.operation), operands, node.results);
    }
  }

  void unpack_gradients() {
    const auto [makers, place] = find_makers();
    if (makers.empty()) return;
    Operands gradients, packed;
    for (const std::int32_t node : makers) {
      const auto* operation = dynamic_cast<const Conv2dBackwardWeights*>(at(node).operation.get());
      const Operands operands = at(node).operands;
      Operands results = at(node).results;
      const Shape w = type(results[0]).shape;
      gradients.push_back(results[0]);
      packed.push_back(results[0] = graph_.add_value({packed_shape(w), dtype_}));
      graph_.replace(node,
                     std::make_shared<const PackedConv2dBackwardWeights>(w, operation->bias(), operation->options()),
                     operands, results);
    }
    graph_.insert(place);
    graph_.replace(place, std::make_shared<const UnpackWeights>(packed.size()), packed, gradients);
  }

 private:
  const NodeRecord& at(std::int32_t node) const { return graph_.nodes()[static_cast<std::size_t>(node)]; }
  const Type& type(std::int32_t value) const { return graph_.values()[static_cast<std::size_t>(value)].type; }
  std::int32_t count() const { return static_cast<std::int32_t>(graph_.nodes().size()); }

  static bool multiplies_weights(const NodeRecord& node) {
    const Operation* operation = node.operation.get();
    if (fused_convolution(*operation)) return node.operands[3] < 0;
    return dynamic_cast<const Conv2d*>(operation) != nullptr ||
           dynamic_cast<const Conv2dBackwardData*>(operation) != nullptr;
  }

  std::shared_ptr<const Operation> packed_form(const Operation& operation) const {
    if (const auto* backward = dynamic_cast<const Conv2dBackwardData*>(&operation)) {
      return std::make_shared<const PackedConv2dBackwardData>(backward->x_shape(), backward->options());
    }
    if (const auto fused = fused_convolution(operation)) {
      return std::make_shared<const PackedConvolution>(fused->options, fused->activation);
    }
    return std::make_shared<const PackedConvolution>(dynamic_cast<const Conv2d&>(operation).options(),
                                                     kernels::Activation::none);
  }

  /// Nodes that multiply a variable as it is at the beginning.
  void find_readers() {
    std::vector<bool> changed(graph_.values().size());
    for (std::int32_t node = 0; node < count(); ++node) {
      if (!at(node).operation) continue;
      if (multiplies_weights(at(node)) && type(at(node).operands[0]).dtype == dtype_) {
        const auto w = static_cast<std::size_t>(at(node).operands[1]);
        if (graph_.values()[w].origin == Origin::variable && !changed[w]) readers_.push_back(node);
      }
      for (const std::int32_t variable : changed_by(graph_, at(node)))
        changed[static_cast<std::size_t>(variable)] = true;
    }
  }

  /// Nodes that make gradients of weights, and the first that reads one of these.
  std::pair<Operands, std::int32_t> find_makers() const {
    Operands makers;
    std::vector<bool> made(graph_.values().size());
    for (std::int32_t node = 0; node < count(); ++node) {
      if (!at(node).operation) continue;
      for (const std::int32_t operand : at(node).operands) {
        if (operand >= 0 && made[static_cast<std::size_t>(operand)]) return {makers, node};
      }
      const auto* operation = dynamic_cast<const Conv2dBackwardWeights*>(at(node).operation.get());
      if (operation == nullptr || type(at(node).operands[0]).dtype != dtype_) continue;
      makers.push_back(node);
      made[static_cast<std::size_t>(at(node).results[0])] = true;
    }
    return {makers, count()};
  }

  Graph& graph_;
  DType dtype_;
  Operands readers_;
};

}  // namespace

void pack_convolutions(Graph& graph) {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    Packing packing(graph, dtype);
    packing.pack_weights();
    packing.unpack_gradients();
  }
}

}  // namespace rtl::graph

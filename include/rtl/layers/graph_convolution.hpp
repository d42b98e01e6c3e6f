// Graph convolutions (Kipf and Welling 2017): layers whose outputs for a node come from its neighbours too.
#pragma once

#include <memory>
#include <vector>

#include "rtl/data/neighbour_graph.hpp"
#include "rtl/graph/sparse.hpp"
#include "rtl/layers/linear.hpp"

namespace rtl::layers {

/// x [nodes, inputs] to [nodes, outputs]: [relu](A x weight^T + bias), A [nodes, nodes] being the graph's normalised
/// weights (data::GraphNormalization). Parameters weight [outputs, inputs] and bias [outputs]. 2 (edges inputs + nodes
/// inputs outputs) FLOP; gradients go back through A's transpose, in a fixed order.
class GraphConvolution final : public Module {
 public:
  /// Throws ValueError for extents that are not positive and a graph that is not square.
  GraphConvolution(const LinearOptions& options, graph::SparseMatrix edges, const Construction& construction);
  Value forward(const Value& x, const ForwardContext& context) override { return transform(aggregate(x), context); }
  /// A x: the part in which nodes meet.
  Value aggregate(const Value& x) const { return graph::sparse_product(edges_, x); }
  /// What is done to each node's row of A x alone.
  Value transform(const Value& sums, const ForwardContext& context) { return linear_.forward(sums, context); }
  void visit(const std::string& prefix, ModuleState& state) override { linear_.visit(prefix, state); }

 private:
  graph::SparseMatrix edges_;
  Linear linear_;
};

/// Nodes that are known beforehand, those without labels too: their graph, and what is known of each.
struct GraphNodes {
  data::NeighbourGraph graph = {};
  std::vector<float> features = {};  ///< [nodes, columns]
  std::int64_t columns = 0;
  /// Throws ShapeError where sizes do not fit.
  void check() const;
};

/// Graph convolutions with ReLUs over all nodes, of which the rows that are asked for are taken: numbers of nodes i32
/// [N, 1] to [N, widths.back()]; zeros for what is no node. So the network of a classifier that is trained on labelled
/// nodes sees the features of the others (transductive learning), and its gradients go through them.
///
/// The nodes are part of the module, not of its parameters: a copy is made of the same nodes. Parameters conv1.weight,
/// conv1.bias, .. . A x of the first layer is computed once, here; the last layer's product with its weight is of the
/// rows that are asked for alone. So a pass takes, for widths w_1 .. w_L, about 2 nodes columns w_1 + sum over l > 1 of
/// 2 (edges w_(l-1) + nodes w_(l-1) w_l) FLOP whatever N is: large batches are cheaper.
class GraphEncoder final : public Module {
 public:
  /// Throws ValueError for no widths, or one that is not positive, and what GraphNodes::check throws.
  GraphEncoder(const GraphNodes& nodes, const std::vector<std::int64_t>& widths, const Construction& construction);
  Value forward(const Value& numbers, const ForwardContext& context) override;
  void visit(const std::string& prefix, ModuleState& state) override;

 private:
  graph::Storage first_sums_;  ///< A x of the nodes' features
  std::vector<std::unique_ptr<GraphConvolution>> convolutions_;
};

}  // namespace rtl::layers

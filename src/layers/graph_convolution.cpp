#include "rtl/layers/graph_convolution.hpp"

#include <fmt/format.h>

#include "rtl/graph/operations.hpp"

namespace rtl::layers {
namespace {

/// A x in double.
std::vector<double> sums_over_neighbours(const GraphNodes& nodes) {
  const auto columns = static_cast<std::size_t>(nodes.columns);
  std::vector<double> sums(nodes.features.size());
  for (std::size_t i = 0; i + 1 < nodes.graph.offsets.size(); ++i) {
    double* to = sums.data() + i * columns;
    const auto end = static_cast<std::size_t>(nodes.graph.offsets[i + 1]);
    for (auto e = static_cast<std::size_t>(nodes.graph.offsets[i]); e < end; ++e) {
      const float* from = nodes.features.data() + static_cast<std::size_t>(nodes.graph.neighbours[e]) * columns;
      for (std::size_t c = 0; c < columns; ++c) to[c] += nodes.graph.weights[e] * static_cast<double>(from[c]);
    }
  }
  return sums;
}

Tensor tensor_of(const std::vector<double>& values, const Shape& shape, const Construction& construction) {
  if (construction.dtype == DType::f64) return Tensor::from(values, shape, construction.device);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape, construction.device);
}

}  // namespace

GraphConvolution::GraphConvolution(const LinearOptions& options, graph::SparseMatrix edges,
                                   const Construction& construction)
    : edges_(std::move(edges)), linear_(options, construction) {
  if (!edges_.defined() || edges_.rows() != edges_.columns()) {
    throw ValueError(fmt::format(
        "GraphConvolution {}: the graph has {}; as many rows as columns are needed", construction.prefix,
        edges_.defined() ? fmt::format("{} rows for {} columns", edges_.rows(), edges_.columns()) : "no edges"));
  }
}

void GraphNodes::check() const {
  const std::int64_t nodes = graph.nodes();
  if (nodes < 1 || columns < 1 || static_cast<std::int64_t>(features.size()) != nodes * columns) {
    throw ShapeError(fmt::format("GraphNodes: {} features for {} nodes of {} each", features.size(), nodes, columns));
  }
}

GraphEncoder::GraphEncoder(const GraphNodes& nodes, const std::vector<std::int64_t>& widths,
                           const Construction& construction) {
  nodes.check();
  if (widths.empty()) throw ValueError(fmt::format("GraphEncoder {}: there are no widths", construction.prefix));
  const std::int64_t count = nodes.graph.nodes();
  const graph::SparseMatrix edges(count, nodes.graph.offsets, nodes.graph.neighbours, nodes.graph.weights,
                                  construction.dtype, construction.device);
  first_sums_ = graph::Storage(tensor_of(sums_over_neighbours(nodes), {count, nodes.columns}, construction));
  std::int64_t inputs = nodes.columns;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const LinearOptions options{.inputs = inputs, .outputs = widths[i], .relu = true};
    convolutions_.push_back(
        std::make_unique<GraphConvolution>(options, edges, construction.child(fmt::format("conv{}", i + 1))));
    inputs = widths[i];
  }
}

Value GraphEncoder::forward(const Value& numbers, const ForwardContext& context) {
  if (numbers.rank() != 2 || numbers.extent(1) != 1) {
    throw ShapeError(
        fmt::format("GraphEncoder: the numbers of nodes are {}; [N, 1] are needed", numbers.shape().to_string()));
  }
  const Value rows = graph::reshape(numbers, {numbers.extent(0)});
  const DType stored = first_sums_.dtype(), dtype = activation_dtype(context.activations, stored);
  Value sums = numbers.graph().constant("sums over neighbours", first_sums_);
  for (std::size_t i = 0; i + 1 < convolutions_.size(); ++i) {
    const Value y = convolutions_[i]->transform(graph::cast(sums, dtype), context);
    sums = convolutions_[i + 1]->aggregate(y);
  }
  // Gradients of gathers are f32 or f64.
  return convolutions_.back()->transform(graph::gather_rows(graph::cast(sums, stored), rows, dtype), context);
}

void GraphEncoder::visit(const std::string& prefix, ModuleState& state) {
  for (std::size_t i = 0; i < convolutions_.size(); ++i) {
    convolutions_[i]->visit(fmt::format("{}conv{}.", prefix, i + 1), state);
  }
}

}  // namespace rtl::layers

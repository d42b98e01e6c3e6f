#include "rtl/transfer/objectives.hpp"

#include <algorithm>

#include "transfer/smallest_eigenvectors.hpp"

namespace rtl::transfer::objectives {

using graph::Value;

Value log_softmax(const Value& x) {
  const graph::ReduceOptions last{.axes = {-1}, .keep_axes = true};
  // The largest is taken off for range only: the result does not depend on it.
  const Value largest = graph::stop_gradient(graph::maximum_of(x, last));
  const Value shifted = graph::subtract(x, graph::broadcast(largest, x.shape()));
  const Value sum = graph::log(graph::sum(graph::exp(shifted), last));
  return graph::subtract(shifted, graph::broadcast(sum, x.shape()));
}

Value cross_entropy_of_each(const Value& logits, const Value& one_hot) {
  return graph::negate(graph::sum(graph::multiply(one_hot, log_softmax(logits)), {.axes = {-1}}));
}

Value distillation(const Value& student, const Value& teacher, double temperature) {
  const Value target = log_softmax(graph::scale(graph::stop_gradient(teacher), 1 / temperature));
  const Value own = log_softmax(graph::scale(student, 1 / temperature));
  const Value divergence = graph::multiply(graph::exp(target), graph::subtract(target, own));
  return graph::mean(graph::sum(divergence, {.axes = {-1}}));
}

/// log(1 + exp(z)) - z y, without overflow: max(z, 0) + log(1 + exp(-|z|)) - z y.
Value binary_cross_entropy(const Value& logits, bool label) {
  const Value ones = graph::fill(logits.graph(), 1.0, logits.shape(), logits.dtype());
  const Value tail = graph::log(graph::add(ones, graph::exp(graph::negate(graph::absolute(logits)))));
  const Value loss = graph::add(graph::relu(logits), tail);
  return graph::mean(label ? graph::subtract(loss, logits) : loss);
}

Value map_distance(const Value& map, const Value& wanted, const Value& attention) {
  const DType dtype = parameter_dtype(map.dtype());
  const Value there = graph::stop_gradient(graph::cast(wanted, dtype));
  const Value squares = graph::square(graph::subtract(graph::cast(map, dtype), there));
  const std::int64_t channels = map.extent(-1);
  const Value rows = graph::reshape(squares, {squares.shape().count() / channels, channels});
  const Value means = graph::mean(rows, {.axes = {0}});
  return graph::sum(attention.defined() ? graph::multiply(means, attention) : means);
}

Value spectral_shrinkage(const Value& features, std::int64_t count) {
  const Value f = graph::cast(features, parameter_dtype(features.dtype()));
  const bool wide = f.extent(0) <= f.extent(1);
  const Value still = graph::stop_gradient(graph::cast(f, DType::f64));
  const Value gram = graph::matmul(still, still, {.transpose_a = !wide, .transpose_b = wide});
  const std::int64_t kept = std::min(count, gram.extent(0));
  const Value vectors = graph::cast(detail::smallest_eigenvectors(gram, kept), f.dtype());
  return graph::sum(graph::square(graph::matmul(vectors, f, {.transpose_b = !wide})));
}

}  // namespace rtl::transfer::objectives

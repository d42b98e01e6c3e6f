#include "rtl/transfer/objectives.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "rtl/core/error.hpp"
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

Value cross_entropy_of_each(const Value& logits, const Value& shares) {
  return graph::negate(graph::sum(graph::multiply(shares, log_softmax(logits)), {.axes = {-1}}));
}

Value distillation(const Value& student, const Value& teacher, double temperature) {
  const Value target = log_softmax(graph::scale(graph::stop_gradient(teacher), 1 / temperature));
  const Value own = log_softmax(graph::scale(student, 1 / temperature));
  const Value divergence = graph::multiply(graph::exp(target), graph::subtract(target, own));
  return graph::mean(graph::sum(divergence, {.axes = {-1}}));
}

namespace {

/// log(1 + exp(z)) without overflow, and without a kink at 0: m + log(exp(-m) + exp(z - m)) with m = max(z, 0), whose
/// derivative is the sigmoid whatever m is.
Value softplus(const Value& z) {
  const Value m = graph::stop_gradient(graph::relu(z));
  const Value sum = graph::add(graph::exp(graph::negate(m)), graph::exp(graph::subtract(z, m)));
  return graph::add(m, graph::log(sum));
}

void check_alike(const char* call, const Value& x, const Value& y) {
  if (x.shape() != y.shape()) {
    throw ShapeError(
        fmt::format("{}: {} and {}; one shape is needed", call, x.shape().to_string(), y.shape().to_string()));
  }
  if (x.dtype() != y.dtype()) {
    throw DTypeError(fmt::format("{}: {} and {}; one dtype is needed", call, name_of(x.dtype()), name_of(y.dtype())));
  }
}

/// softplus(z) - z y.
Value cross_entropies(const Value& logits, const Value& labels) {
  check_alike("binary_cross_entropy", logits, labels);
  return graph::subtract(softplus(logits), graph::multiply(logits, labels));
}

/// With q = min(|r|, delta): q^2 / 2 + delta (|r| - q).
Value hubers(const Value& predicted, const Value& wanted, double delta) {
  check_alike("huber", predicted, wanted);
  if (!(delta > 0)) throw ValueError(fmt::format("huber: delta is {}; it must be above 0", delta));
  const Value size = graph::absolute(graph::subtract(predicted, wanted));
  const Value near = graph::minimum(size, graph::fill(size.graph(), delta, size.shape(), size.dtype()));
  const Value far = graph::scale(graph::subtract(size, near), delta);
  return graph::add(graph::scale(graph::square(near), 0.5), far);
}

}  // namespace

Value loss_of_each(const Loss& loss, const Value& outputs, const Value& wanted) {
  const auto mean = [](const Value& elements) { return graph::mean(elements, {.axes = {-1}}); };
  switch (loss.kind) {
    case LossKind::cross_entropy:
      check_alike("loss_of_each", outputs, wanted);
      return cross_entropy_of_each(outputs, wanted);
    case LossKind::bce:
      return mean(cross_entropies(outputs, wanted));
    case LossKind::squared:
      check_alike("loss_of_each", outputs, wanted);
      return mean(graph::square(graph::subtract(outputs, wanted)));
    case LossKind::huber:
      return mean(hubers(outputs, wanted, loss.huber_delta));
    case LossKind::automatic:
      break;
  }
  throw ValueError(fmt::format("loss_of_each: the loss is {}", to_string(loss.kind)));
}

Value binary_cross_entropy(const Value& logits, bool label) {
  const Value loss = softplus(logits);
  return graph::mean(label ? graph::subtract(loss, logits) : loss);
}

Value binary_cross_entropy(const Value& logits, const Value& labels) {
  return graph::reshape(graph::mean(cross_entropies(logits, labels)), {1});
}

Value huber(const Value& predicted, const Value& wanted, double delta) {
  return graph::reshape(graph::mean(hubers(predicted, wanted, delta)), {1});
}

namespace {

Value covariance(const Value& x) {
  const std::int64_t rows = x.extent(0);
  const Value mean = graph::mean(x, {.axes = {0}, .keep_axes = true});
  const Value centred = graph::subtract(x, graph::broadcast(mean, x.shape()));
  return graph::scale(graph::matmul(centred, centred, {.transpose_a = true}),
                      1.0 / static_cast<double>(std::max<std::int64_t>(rows - 1, 1)));
}

/// |x_i - x_j|^2: [n, n].
Value squared_distances(const Value& x) {
  const std::int64_t rows = x.extent(0);
  const Shape square{rows, rows};
  const Value norms = graph::sum(graph::square(x), {.axes = {1}, .keep_axes = true});
  const Value sums =
      graph::add(graph::broadcast(norms, square), graph::broadcast(graph::reshape(norms, {1, rows}), square));
  // Roundoff can make it negative where rows are alike.
  return graph::relu(graph::subtract(sums, graph::scale(graph::matmul(x, x, {.transpose_b = true}), 2)));
}

}  // namespace

Value coral(const Value& source, const Value& target) {
  const auto width = static_cast<double>(source.extent(1));
  const Value apart = graph::subtract(covariance(source), covariance(target));
  return graph::reshape(graph::scale(graph::sum(graph::square(apart)), 1 / (4 * width * width)), {1});
}

Value mmd(const Value& source, const Value& target) {
  const Value parts[] = {source, target};
  const Value all = graph::concatenate(parts, 0);
  const std::int64_t m = source.extent(0), rows = all.extent(0);
  const Value distances = squared_distances(all);
  const Value known = graph::stop_gradient(distances);
  const Value total = graph::scale(graph::sum(known), 1.0 / static_cast<double>(rows * (rows - 1)));
  // Rows that are all alike are at distance 0 whatever it is divided by.
  const Value least = graph::fill(all.graph(), 1e-30, total.shape(), total.dtype());
  const Value spread = graph::broadcast(graph::reshape(graph::maximum(total, least), {1, 1}), distances.shape());
  const Value relative = graph::divide(distances, spread);
  Value kernel;
  for (const double factor : {0.25, 0.5, 1.0, 2.0, 4.0}) {
    const Value one = graph::exp(graph::scale(relative, -1 / factor));
    kernel = kernel.defined() ? graph::add(kernel, one) : one;
  }
  const auto block = [&](std::int64_t top, std::int64_t bottom, std::int64_t left, std::int64_t right) {
    return graph::mean(graph::slice(graph::slice(kernel, 0, top, bottom), 1, left, right));
  };
  const Value within = graph::add(block(0, m, 0, m), block(m, rows, m, rows));
  const Value apart = graph::subtract(within, graph::scale(block(0, m, m, rows), 2));
  return graph::reshape(graph::scale(apart, 0.2), {1});
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

// Reductions and broadcasting, each the gradient of the other.
#include "rtl/kernels/reduce.hpp"

#include <array>

#include "core/joined.hpp"
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

using kernels::ReduceOp;

Shape with_ones(const Shape& shape, const std::vector<int>& axes) {
  Shape kept = shape;
  for (const int axis : axes) kept = kept.with(axis, 1);
  return kept;
}

class Reduce final : public Operation {
 public:
  Reduce(ReduceOp op, std::vector<int> axes, const ReduceOptions& options)
      : op_(op), axes_(std::move(axes)), keep_axes_(options.keep_axes), wide_(options.wide) {}
  std::string_view name() const noexcept override {
    return op_ == ReduceOp::sum ? "sum" : op_ == ReduceOp::mean ? "mean" : "maximum_of";
  }
  std::string attributes() const override { return fmt::format("axes {}", joined(axes_, " ")); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    const Shape& shape = operands[0].shape();
    check_shape(op_ == ReduceOp::sum || count(shape) > 0, name(), "nothing to reduce in {}", shape.to_string());
    const DType dtype = operands[0].dtype();
    return {{result_shape(shape), wide_ ? parameter_dtype(dtype) : dtype}};
  }
  void run(const Call& call) const override {
    const ConstView x = call.in(0);
    kernels::reduce(call.device(), op_, x, call.out(0).reshaped(with_ones(x.shape(), axes_)));
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  void run_replicas(const Call& call) const override {
    const ConstView x = call.in(0);
    Shape kept = x.shape();
    for (const int axis : axes_) kept = kept.with(axis + 1, 1);
    kernels::reduce_batch(call.device(), op_, x, call.out(0).reshaped(kept));
  }
  void gradient(GradientCall& call) const override {
    const Value& x = call.operand(0);
    const Shape kept = with_ones(x.shape(), axes_);
    const Value dy = reshape(cast(call.gradient(), x.dtype()), kept);
    if (op_ == ReduceOp::sum) return call.give(0, broadcast(dy, x.shape()));
    if (op_ == ReduceOp::mean) {
      return call.give(0, broadcast(scale(dy, 1.0 / static_cast<double>(count(x.shape()))), x.shape()));
    }
    const Value winners = greater_equal(x, reshape(cast(call.result(), x.dtype()), kept));
    const Value shares = divide(dy, sum(winners, {.axes = axes_, .keep_axes = true}));
    call.give(0, multiply(winners, shares));
  }
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(operands[0].shape().count());
  }

 private:
  /// Elements behind one result.
  std::int64_t count(const Shape& shape) const {
    std::int64_t product = 1;
    for (const int axis : axes_) product *= shape[axis];
    return product;
  }
  Shape result_shape(const Shape& shape) const {
    if (keep_axes_) return with_ones(shape, axes_);
    std::vector<std::int64_t> extents;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (std::find(axes_.begin(), axes_.end(), axis) == axes_.end()) extents.push_back(shape[axis]);
    }
    if (extents.empty()) extents.push_back(1);
    return Shape(std::span<const std::int64_t>(extents));
  }

  ReduceOp op_;
  std::vector<int> axes_;
  bool keep_axes_, wide_;
};

class Broadcast final : public Operation {
 public:
  explicit Broadcast(const Shape& shape) : shape_(shape) {}
  std::string_view name() const noexcept override { return "broadcast"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    check_shape(broadcast_shape(name(), operands[0].shape(), shape_) == shape_, name(), "{} does not repeat to {}",
                operands[0].shape().to_string(), shape_.to_string());
    return {{shape_, operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::unary(call.device(), kernels::UnaryOp::copy, call.in(0), call.out(0));
  }
  void gradient(GradientCall& call) const override { call.give(0, sum_to(call.gradient(), call.operand(0).shape())); }
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    return broadcasts_with_replicas(operands, replicated, shape_.rank());
  }

 private:
  Shape shape_;
};

Value reduce(ReduceOp op, const Value& x, const ReduceOptions& options) {
  std::vector<int> axes = options.axes;
  if (axes.empty()) {
    for (int axis = 0; axis < x.rank(); ++axis) axes.push_back(axis);
  }
  for (int& axis : axes) axis = checked_axis("reduce", axis, x.rank());
  std::sort(axes.begin(), axes.end());
  check_shape(std::adjacent_find(axes.begin(), axes.end()) == axes.end(), "reduce", "an axis of {} is named twice",
              x.shape().to_string());
  return record<Reduce>({x}, op, std::move(axes), options);
}

}  // namespace

Value sum(const Value& x, const ReduceOptions& options) { return reduce(ReduceOp::sum, x, options); }
Value mean(const Value& x, const ReduceOptions& options) { return reduce(ReduceOp::mean, x, options); }
Value maximum_of(const Value& x, const ReduceOptions& options) { return reduce(ReduceOp::maximum, x, options); }

Value broadcast(const Value& x, const Shape& shape) { return x.shape() == shape ? x : record<Broadcast>({x}, shape); }

Value sum_to(const Value& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int extra = x.rank() - shape.rank();
  check_shape(extra >= 0, "sum_to", "{} has fewer axes than {}", x.shape().to_string(), shape.to_string());
  std::vector<int> axes;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (axis < extra || (shape[axis - extra] == 1 && x.extent(axis) != 1)) axes.push_back(axis);
  }
  const Value summed = axes.empty() ? x : sum(x, {.axes = std::move(axes), .keep_axes = true});
  return summed.shape() == shape ? summed : reshape(summed, shape);
}

}  // namespace rtl::graph

// Reshape, permute, slice and concatenate.
#include <algorithm>
#include <array>

#include "core/joined.hpp"
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

class Reshape final : public Operation {
 public:
  explicit Reshape(const Shape& shape) : shape_(shape) {}
  std::string_view name() const noexcept override { return "reshape"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_shape(operands[0].shape().count() == shape_.count(), name(), "{} has {} elements, {} has {}",
                operands[0].shape().to_string(), operands[0].shape().count(), shape_.to_string(), shape_.count());
    return {{shape_, operands[0].dtype()}};
  }
  void run(const Call&) const override {}
  void gradient(GradientCall& call) const override { call.give(0, reshape(call.gradient(), call.operand(0).shape())); }
  std::optional<Aliasing> aliasing(std::size_t) const override { return Aliasing{.operand = 0, .writes = false}; }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  int launches(std::span<const Value>) const override { return 0; }

 private:
  Shape shape_;
};

class Permute final : public Operation {
 public:
  explicit Permute(std::vector<int> order) : order_(std::move(order)) {}
  std::string_view name() const noexcept override { return "permute"; }
  std::string attributes() const override { return joined(order_, " "); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    const Shape& shape = operands[0].shape();
    std::vector<int> sorted = order_;
    std::sort(sorted.begin(), sorted.end());
    bool fits = static_cast<int>(order_.size()) == shape.rank();
    for (int axis = 0; fits && axis < shape.rank(); ++axis) fits = sorted[static_cast<std::size_t>(axis)] == axis;
    check_shape(fits, name(), "{} is no order of the {} axes of {}", joined(order_, " "), shape.rank(),
                shape.to_string());
    Shape result = shape;
    for (int axis = 0; axis < shape.rank(); ++axis)
      result = result.with(axis, shape[order_[static_cast<std::size_t>(axis)]]);
    return {{result, operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::unary(call.device(), kernels::UnaryOp::copy, call.in(0).permuted(std::span<const int>(order_)),
                   call.out(0));
  }
  void run_replicas(const Call& call) const override {
    std::array<int, Shape::max_rank> order{};
    for (std::size_t axis = 0; axis < order_.size(); ++axis) order[axis + 1] = order_[axis] + 1;
    kernels::unary(call.device(), kernels::UnaryOp::copy,
                   call.in(0).permuted(std::span<const int>(order.data(), order_.size() + 1)), call.out(0));
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  void gradient(GradientCall& call) const override {
    std::vector<int> inverse(order_.size());
    for (std::size_t axis = 0; axis < order_.size(); ++axis)
      inverse[static_cast<std::size_t>(order_[axis])] = static_cast<int>(axis);
    call.give(0, permute(call.gradient(), inverse));
  }

 private:
  std::vector<int> order_;
};

/// dy written into zeros: the gradient of slice.
class Embed final : public Operation {
 public:
  Embed(const Shape& shape, int axis, std::int64_t begin) : shape_(shape), axis_(axis), begin_(begin) {}
  std::string_view name() const noexcept override { return "embed"; }
  std::string attributes() const override { return fmt::format("axis {} from {}", axis_, begin_); }
  std::vector<Type> infer(std::span<const Value> operands) const override { return {{shape_, operands[0].dtype()}}; }
  void run(const Call& call) const override {
    const View y = call.out(0);
    kernels::fill(call.device(), 0, y);
    kernels::unary(call.device(), kernels::UnaryOp::copy, call.in(0),
                   y.slice(axis_, begin_, begin_ + call.in(0).extent(axis_)));
  }
  void gradient(GradientCall& call) const override {
    call.give(0, slice(call.gradient(), axis_, begin_, begin_ + call.operand(0).extent(axis_)));
  }
  int launches(std::span<const Value>) const override { return 2; }

 private:
  Shape shape_;
  int axis_;
  std::int64_t begin_;
};

class Slice final : public Operation {
 public:
  Slice(int axis, std::int64_t begin, std::int64_t end) : axis_(axis), begin_(begin), end_(end) {}
  std::string_view name() const noexcept override { return "slice"; }
  std::string attributes() const override { return fmt::format("axis {}, {} to {}", axis_, begin_, end_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    const Shape& shape = operands[0].shape();
    check_shape(begin_ >= 0 && begin_ <= end_ && end_ <= shape[axis_], name(), "positions {} to {} of axis {} of {}",
                begin_, end_, axis_, shape.to_string());
    return {{shape.with(axis_, end_ - begin_), operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::unary(call.device(), kernels::UnaryOp::copy, call.in(0).slice(axis_, begin_, end_), call.out(0));
  }
  void gradient(GradientCall& call) const override {
    call.give(0, record<Embed>({call.gradient()}, call.operand(0).shape(), axis_, begin_));
  }

 private:
  int axis_;
  std::int64_t begin_, end_;
};

class Concatenate final : public Operation {
 public:
  explicit Concatenate(int axis) : axis_(axis) {}
  int axis() const noexcept { return axis_; }
  std::string_view name() const noexcept override { return "concatenate"; }
  std::string attributes() const override { return fmt::format("axis {}", axis_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const bool tokens = std::ranges::all_of(operands, [](const Value& part) { return part.dtype() == DType::i32; });
    if (!tokens || axis_ != 0) check_activations(name(), operands);
    const Shape& first = operands[0].shape();
    std::int64_t extent = 0;
    for (const Value& part : operands) {
      check_shape(part.rank() == first.rank() && part.shape().with(axis_, 1) == first.with(axis_, 1), name(),
                  "{} and {} differ in another axis than {}", first.to_string(), part.shape().to_string(), axis_);
      extent += part.extent(axis_);
    }
    return {{first.with(axis_, extent), operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < call.operands().size(); ++i) {
      const std::int64_t end = begin + call.in(i).extent(axis_);
      const View part = call.out(0).slice(axis_, begin, end);
      if (part.dtype() == DType::i32) {
        copy_bytes(call.in(i), part);
      } else {
        kernels::unary(call.device(), kernels::UnaryOp::copy, call.in(i), part);
      }
      begin = end;
    }
  }
  void gradient(GradientCall& call) const override {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < call.operands(); ++i) {
      const std::int64_t end = begin + call.operand(i).extent(axis_);
      if (call.needs(i)) call.give(i, slice(call.gradient(), axis_, begin, end));
      begin = end;
    }
  }

 private:
  int axis_;
};

}  // namespace

bool is_stack(const Operation& operation) {
  const auto* concatenate = dynamic_cast<const Concatenate*>(&operation);
  return concatenate != nullptr && concatenate->axis() == 0;
}

Value reshape(const Value& x, const Shape& shape) { return x.shape() == shape ? x : record<Reshape>({x}, shape); }

Value permute(const Value& x, std::span<const int> order) {
  return record<Permute>({x}, std::vector<int>(order.begin(), order.end()));
}

Value slice(const Value& x, int axis, std::int64_t begin, std::int64_t end) {
  const int from_front = checked_axis("slice", axis, x.rank());
  if (begin == 0 && end == x.extent(from_front)) return x;
  return record<Slice>({x}, from_front, begin, end);
}

Value concatenate(std::span<const Value> parts, int axis) {
  if (parts.empty()) throw ValueError("concatenate: there are no parts");
  if (parts.size() == 1) return parts[0];
  const int from_front = checked_axis("concatenate", axis, parts[0].rank());
  return parts[0].graph().add(std::make_shared<const Concatenate>(from_front), parts).at(0);
}

}  // namespace rtl::graph

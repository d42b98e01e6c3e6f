// A tensor that remembers how it was made, for reverse-mode differentiation.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::autodiff {

class Variable;

namespace detail {

/// One value in the graph. `backward` reads `gradient` and accumulates into the parents.
struct Node {
  Tensor value;
  Tensor gradient;
  bool requires_gradient = false;
  std::vector<Variable> parents;
  std::function<void(Node&)> backward;
};

}  // namespace detail

/// A shared handle to a value. The graph exists only where something requires a gradient: an operation on variables
/// none of which requires one records nothing and keeps nothing alive.
class Variable {
 public:
  Variable() = default;
  /// A leaf: data (no gradient) or a parameter.
  explicit Variable(Tensor value, bool requires_gradient = false);

  bool defined() const noexcept { return node_ != nullptr; }
  Tensor& value() const { return node_->value; }
  const Shape& shape() const { return node_->value.shape(); }
  DType dtype() const { return node_->value.dtype(); }
  const Device& device() const { return node_->value.device(); }

  bool requires_gradient() const { return node_ && node_->requires_gradient; }
  /// Freezes (false) or unfreezes (true) a leaf. Throws ValueError for the result of a recorded operation.
  void set_requires_gradient(bool requires_gradient);
  /// Gradient of the last `backward()`s, summed; not defined() before the first and after `clear_gradient()`.
  const Tensor& gradient() const { return node_->gradient; }
  void clear_gradient() { node_->gradient = Tensor(); }

  /// Differentiates this variable, which must have one element, with respect to every leaf that requires a gradient and
  /// adds the results to the leaves' gradients. Frees the graph behind it as it goes. Deterministic. Throws ShapeError
  /// for more than one element, ValueError if nothing requires a gradient or the graph was already used.
  void backward() const;

  const std::shared_ptr<detail::Node>& node() const noexcept { return node_; }

 private:
  friend Variable make_result(Tensor value, std::vector<Variable> parents, std::function<void(detail::Node&)> backward);
  std::shared_ptr<detail::Node> node_;
};

/// For writing differentiable operations: the result of an operation on `parents`. If none of them requires a gradient,
/// parents and `backward` are dropped at once.
Variable make_result(Tensor value, std::vector<Variable> parents, std::function<void(detail::Node&)> backward);

/// For writing differentiable operations: adds `gradient` to the variable's; takes it over if it is the first.
/// Does nothing if the variable requires none.
void accumulate(const Variable& variable, Tensor gradient);

}  // namespace rtl::autodiff

// A tensor that remembers how it was made, for reverse-mode differentiation.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/core/tensor.hpp"

namespace rtl::autodiff {

class Variable;

namespace detail {

/// One value in the graph. `backward` reads `gradient` (and may overwrite it) and accumulates into the parents.
struct Node {
  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  /// Releases the graph behind it without recursion, so that a graph of any depth can be dropped.
  ~Node();

  Tensor value;
  Tensor gradient;
  bool requires_gradient = false;
  bool is_result = false;    ///< made by a recorded operation; false for leaves
  std::int32_t pending = 0;  ///< during backward(): consumers whose contribution has not arrived
  std::vector<Variable> parents;
  std::vector<Tensor> saved;  ///< what backward needs besides values; freed with it
  std::function<void(Node&)> backward;
};

}  // namespace detail

/// A shared handle to a value. The graph exists only where something requires a gradient: an operation on variables
/// none of which requires one (or under a NoGraph) records nothing and keeps nothing alive.
class Variable {
 public:
  Variable() = default;
  /// A leaf: data (no gradient) or a parameter. Throws DTypeError for a parameter that is not f32 or f64.
  explicit Variable(Tensor value, bool requires_gradient = false);

  bool defined() const noexcept { return node_ != nullptr; }
  /// This and what follows throws ValueError on a variable that is not defined, and so does every operation on one.
  Tensor& value() const { return checked().value; }
  const Shape& shape() const { return checked().value.shape(); }
  DType dtype() const { return checked().value.dtype(); }
  const Device& device() const { return checked().value.device(); }

  bool requires_gradient() const { return node_ && node_->requires_gradient; }
  /// Freezes (false) or unfreezes (true) a leaf. Throws ValueError for the result of a recorded operation.
  void set_requires_gradient(bool requires_gradient);
  /// Gradient of the last `backward()`s, summed; not defined() before the first and after `clear_gradient()`.
  const Tensor& gradient() const { return checked().gradient; }
  void clear_gradient() { checked().gradient = Tensor(); }

  /// Differentiates this variable, which must have one element, with respect to every leaf that requires a gradient and
  /// adds the results to the leaves' gradients. Frees the graph behind it as it goes, so it works once for each graph.
  /// Deterministic; needs no stack depth. Throws ShapeError for more than one element, ValueError if nothing requires a
  /// gradient or the graph was already used.
  void backward() const;

  const std::shared_ptr<detail::Node>& node() const noexcept { return node_; }

 private:
  friend struct detail::Node;
  friend Variable make_result(Tensor value, std::vector<Variable> parents, std::function<void(detail::Node&)> backward);
  detail::Node& checked() const {
    if (!node_) throw ValueError("a variable that is not defined was used; give it a tensor first");
    return *node_;
  }
  std::shared_ptr<detail::Node> node_;
};

/// A parameter and its name within the network ("layer1.0.conv1.weight").
struct NamedParameter {
  std::string name;
  Variable variable;
};

/// While one lives, operations of the calling thread record no graph, whatever their operands require: for evaluating a
/// network that is being trained. May be nested.
class NoGraph {
 public:
  NoGraph() noexcept;
  ~NoGraph();
  NoGraph(const NoGraph&) = delete;
  NoGraph& operator=(const NoGraph&) = delete;

 private:
  bool before_;
};

/// For writing differentiable operations: true if the result of an operation on these operands is to be recorded.
/// Operands that are not defined count as constants.
bool records(std::initializer_list<const Variable*> operands) noexcept;

/// For writing differentiable operations: the result of an operation on `parents`. If none of them requires a gradient,
/// parents and `backward` are dropped at once. `backward` reaches the operands as node.parents[i]; it must not capture
/// Variables. Tensors it needs go to the result's node()->saved, if the result requires a gradient.
Variable make_result(Tensor value, std::vector<Variable> parents, std::function<void(detail::Node&)> backward);

/// For writing differentiable operations: adds `gradient` to the variable's; takes it over if it is the first.
/// Does nothing if the variable requires none. Throws ShapeError if the shapes differ.
void accumulate(const Variable& variable, Tensor gradient);

}  // namespace rtl::autodiff

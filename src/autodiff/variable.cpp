#include "rtl/autodiff/variable.hpp"

#include <fmt/format.h>

#include <utility>

#include "rtl/kernels/pointwise.hpp"

namespace rtl::autodiff {
namespace {

thread_local bool graph_off = false;

using detail::Node;

/// Undoes the counts of whatever an interrupted pass has not reached, from the given variables on.
void reset_counts(std::vector<Variable> stack) {
  while (!stack.empty()) {
    const Variable next = std::move(stack.back());
    stack.pop_back();
    for (const Variable& parent : next.node()->parents) {
      if (parent.requires_gradient() && std::exchange(parent.node()->pending, 0) > 0) stack.push_back(parent);
    }
  }
}

/// Counts, in every node that a gradient will reach, the contributions it has to wait for. False if part of the graph
/// was already used.
bool count_consumers(Node& root) {
  std::vector<Node*> stack{&root};
  while (!stack.empty()) {
    Node& node = *stack.back();
    stack.pop_back();
    if (node.is_result && !node.backward) return false;
    for (const Variable& parent : node.parents) {
      if (parent.requires_gradient() && parent.node()->pending++ == 0) stack.push_back(parent.node().get());
    }
  }
  return true;
}

/// Runs one node's backward and cuts it off; parents that have now heard from all consumers become ready.
void run(Node& node, std::vector<Variable>& ready) {
  if (node.gradient.defined()) node.backward(node);
  node.backward = nullptr;
  node.saved.clear();
  node.gradient = Tensor();
  const std::vector<Variable> parents = std::exchange(node.parents, {});
  for (const Variable& parent : parents) {
    if (parent.requires_gradient() && --parent.node()->pending == 0 && parent.node()->is_result) {
      ready.push_back(parent);
    }
  }
}

}  // namespace

detail::Node::~Node() {
  std::vector<Variable> stack = std::move(parents);
  while (!stack.empty()) {
    const Variable next = std::move(stack.back());
    stack.pop_back();
    if (!next.node_ || next.node_.use_count() > 1) continue;
    for (Variable& parent : next.node_->parents) stack.push_back(std::move(parent));
    next.node_->parents.clear();
  }
}

Variable::Variable(Tensor value, bool requires_gradient) : node_(std::make_shared<detail::Node>()) {
  if (requires_gradient && value.dtype() != DType::f32 && value.dtype() != DType::f64) {
    throw DTypeError(
        fmt::format("Variable: a {} tensor cannot require a gradient; use f32 or f64", name_of(value.dtype())));
  }
  node_->value = std::move(value);
  node_->requires_gradient = requires_gradient;
}

void Variable::set_requires_gradient(bool requires_gradient) {
  if (checked().is_result) {
    throw ValueError(
        "Variable::set_requires_gradient: this is the result of a recorded operation; freeze or unfreeze "
        "the leaves it was made from");
  }
  if (requires_gradient && dtype() != DType::f32 && dtype() != DType::f64) {
    throw DTypeError(
        fmt::format("Variable::set_requires_gradient: a {} tensor cannot require a gradient; use f32 or "
                    "f64",
                    name_of(dtype())));
  }
  node_->requires_gradient = requires_gradient;
}

void Variable::backward() const {
  if (!requires_gradient() || !node_->is_result) {
    throw ValueError(
        "Variable::backward: no graph leads here; make the parameters with requires_gradient and do not "
        "compute under a NoGraph");
  }
  if (node_->value.count() != 1) {
    throw ShapeError(fmt::format("Variable::backward: {} has {} elements; reduce it to one, by sum or mean, first",
                                 shape().to_string(), node_->value.count()));
  }
  Tensor one(shape(), dtype(), device());
  kernels::fill(device(), 1.0, one);
  if (!count_consumers(*node_)) {
    reset_counts({*this});
    throw ValueError("Variable::backward: this graph was already used and freed; run the forward pass again");
  }
  node_->gradient = std::move(one);
  std::vector<Variable> ready{*this};
  while (!ready.empty()) {
    const Variable next = std::move(ready.back());
    ready.pop_back();
    try {
      run(*next.node_, ready);
    } catch (...) {
      ready.push_back(next);
      reset_counts(std::move(ready));
      throw;
    }
  }
}

NoGraph::NoGraph() noexcept : before_(std::exchange(graph_off, true)) {}
NoGraph::~NoGraph() { graph_off = before_; }

bool records(std::initializer_list<const Variable*> operands) noexcept {
  if (graph_off) return false;
  for (const Variable* operand : operands) {
    if (operand->requires_gradient()) return true;
  }
  return false;
}

Variable make_result(Tensor value, std::vector<Variable> parents, std::function<void(detail::Node&)> backward) {
  Variable result(std::move(value));
  if (graph_off) return result;
  bool any = false;
  for (const Variable& parent : parents) any = any || parent.requires_gradient();
  if (any) {
    result.node_->requires_gradient = true;
    result.node_->is_result = true;
    result.node_->parents = std::move(parents);
    result.node_->backward = std::move(backward);
  }
  return result;
}

void accumulate(const Variable& variable, Tensor gradient) {
  if (!variable.requires_gradient()) return;
  if (gradient.shape() != variable.shape() || gradient.dtype() != variable.dtype()) {
    throw ShapeError(fmt::format("accumulate: a gradient {} {} for a value {} {}", gradient.shape().to_string(),
                                 name_of(gradient.dtype()), variable.shape().to_string(), name_of(variable.dtype())));
  }
  Tensor& sum = variable.node()->gradient;
  if (sum.defined()) {
    kernels::scale_add(variable.device(), 1.0, gradient, 1.0, sum);
  } else {
    sum = std::move(gradient);
  }
}

}  // namespace rtl::autodiff

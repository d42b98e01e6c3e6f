#include "graph/operations/plain_gradient.hpp"

#include "rtl/graph/gradients.hpp"
#include "rtl/graph/operations.hpp"

namespace rtl::graph {

void gradient_by_formula(const Operation& operation, GradientCall& call, const std::vector<PlainInput>& inputs, int dy,
                         const std::function<Value(const std::vector<Value>&)>& formula) {
  if (inputs.front().value.dtype() == DType::bf16) return operation.Operation::gradient(call);
  // New values, so that the walks below end at them: dy may itself depend on an input.
  std::vector<Value> copies;
  for (const PlainInput& input : inputs) copies.push_back(scale(input.value, 1));
  const Value upstream = scale(call.operand(static_cast<std::size_t>(dy)), 1);
  const std::vector<Value> first = gradients(sum(multiply(formula(copies), upstream)), copies);
  Value loss;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (!first[i].defined() || !call.gradient(i).defined()) continue;
    const Value part = sum(multiply(first[i], call.gradient(i)));
    loss = loss.defined() ? add(loss, part) : part;
  }
  if (!loss.defined()) return;
  copies.push_back(upstream);
  const std::vector<Value> second = gradients(loss, copies);
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const int operand = i < inputs.size() ? inputs[i].operand : dy;
    if (operand >= 0 && second[i].defined()) call.give(static_cast<std::size_t>(operand), second[i]);
  }
}

}  // namespace rtl::graph

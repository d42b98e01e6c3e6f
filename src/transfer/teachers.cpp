#include "transfer/teachers.hpp"

#include "rtl/graph/operations.hpp"
#include "rtl/transfer/objectives.hpp"

namespace rtl::transfer::detail {

Tensor teacher_outputs(const FitContext& context, const FrozenSource& source) {
  Tensor outputs = source.logits(context.train()).to(context.device());
  if (!context.task().regression) return outputs;
  data::Dataset predicted;
  predicted.targets = in_units(*source.task(), std::move(outputs));
  const Shape shape = predicted.targets.shape();
  return Tensor::from(standardized_targets(context.task(), predicted), shape, context.device());
}

graph::Value teaching(const graph::Value& student, const graph::Value& teacher, bool regression, double temperature) {
  if (regression) return graph::mean(graph::square(graph::subtract(student, graph::stop_gradient(teacher))));
  return graph::scale(objectives::distillation(student, teacher, temperature), temperature * temperature);
}

}  // namespace rtl::transfer::detail

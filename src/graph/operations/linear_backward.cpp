#include "graph/operations/linear_backward.hpp"

#include <array>

#include "graph/operations/fused_loss.hpp"
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

/// Joined by a pass, so without a gradient rule.
class CrossEntropyWithLinearGradients final : public Operation {
 public:
  explicit CrossEntropyWithLinearGradients(const LinearBackwardOptions& layer) : backward_(layer) {}
  std::string_view name() const noexcept override { return "cross_entropy_with_linear_gradients"; }
  std::string attributes() const override { return backward_.attributes(); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    std::vector<Type> types{{{1}, operands[0].dtype()}, operands[0].type()};
    const std::array layer = {operands[4], operands[5], operands[0]};
    for (const Type& type : backward_.infer(layer)) types.push_back(type);
    return types;
  }
  void run(const Call& call) const override {
    kernels::cross_entropy_with_linear_gradients(call.device(), call.in(0), {call.in(1), call.in(2), call.in(3)},
                                                 call.in(4), call.in(5), call.out(1), call.out(0),
                                                 backward_.results(call, 2));
  }
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    return losses_run_replicas(operands, replicated);
  }
  bool may_overwrite(std::size_t result, std::size_t operand) const override { return result == 1 && operand == 0; }
  double flops(std::span<const Value> operands) const override {
    const std::array layer = {operands[4], operands[5], operands[0]};
    return backward_.flops(layer);
  }

 private:
  LinearBackward backward_;
};

}  // namespace

std::vector<Type> LinearBackward::infer(std::span<const Value> operands) const {
  const std::array activations = {operands[0], operands[2], operands[1]};
  check_layer(name(), activations, 2);
  const Shape &x = operands[0].shape(), &w = operands[1].shape(), &dy = operands[2].shape();
  check_shape(x == Shape{options_.extents.rows, options_.extents.inputs} &&
                  w == Shape{options_.extents.outputs, options_.extents.inputs} &&
                  dy == Shape{options_.extents.rows, options_.extents.outputs},
              name(), "x is {}, w {} and dy {} for {} rows, {} inputs and {} outputs", x.to_string(), w.to_string(),
              dy.to_string(), options_.extents.rows, options_.extents.inputs, options_.extents.outputs);
  if (options_.bias && !options_.dw)
    throw ValueError("linear_backward: the gradient of the bias is made beside dw only");
  std::vector<Type> types;
  if (options_.dw) types.push_back(operands[1].type());
  if (options_.bias) types.push_back({{options_.extents.outputs}, operands[1].dtype()});
  if (options_.dx) types.push_back(operands[0].type());
  return types;
}

kernels::LinearGradients LinearBackward::results(const Call& call, std::size_t first) const {
  kernels::LinearGradients gradients{.relu = options_.relu};
  if (options_.dw) gradients.dw = call.out(first);
  if (options_.bias) gradients.dbias = call.out(first + 1);
  if (const auto dx = dx_result()) gradients.dx = call.out(first + *dx);
  return gradients;
}

std::optional<std::size_t> LinearBackward::dx_result() const noexcept {
  if (!options_.dx) return std::nullopt;
  return (options_.dw ? 1U : 0U) + (options_.bias ? 1U : 0U);
}

void LinearBackward::run(const Call& call) const {
  kernels::linear_backward(call.device(), call.in(0), call.in(1), call.in(2), results(call, 0));
}

/// Linear in each operand: with u, v and t for dw, dbias and dx, <u, dy^T x> + <v, sum dy> + <t, dy w>.
void LinearBackward::gradient(GradientCall& call) const {
  const Value &x = call.operand(0), &w = call.operand(1), &dy = call.operand(2);
  const Value u = options_.dw ? call.gradient(0) : Value();
  const Value v = options_.bias ? call.gradient(1) : Value(), t = options_.dx ? call.gradient(*dx_result()) : Value();
  if (call.needs(0) && u.defined()) call.give(0, matmul(dy, u));
  if (call.needs(1) && t.defined()) call.give(1, matmul(dy, t, {.transpose_a = true, .wide = true}));
  if (!call.needs(2)) return;
  Value sum;
  const auto add_term = [&](const Value& term) { sum = sum.defined() ? add(sum, term) : term; };
  if (u.defined()) add_term(linear(x, u, v));
  if (t.defined()) add_term(linear(t, w, u.defined() ? Value() : v));
  if (!sum.defined() && v.defined()) add_term(broadcast(cast(v, dy.dtype()), dy.shape()));
  call.give(2, sum);
}

double LinearBackward::flops(std::span<const Value> operands) const {
  return ((options_.dw ? 2.0 : 0.0) + (options_.dx ? 2.0 : 0.0)) * static_cast<double>(operands[2].shape().count()) *
         static_cast<double>(options_.extents.inputs);
}

int LinearBackward::launches(std::span<const Value> operands) const {
  if (kernels::linear_backward_is_one_launch(options_.extents)) return 1;
  const DType dtype = operands[2].dtype();
  return (options_.dw ? 1 : 0) + (options_.bias ? 1 : 0) +
         (options_.dx ? product_launches(dtype, operands[1].dtype(), dtype, false) : 0) + (options_.relu ? 1 : 0);
}

LinearGradientValues linear_gradients(const Value& x, const Value& w, const Value& dy, bool dw, bool bias, bool dx) {
  const LinearBackwardOptions options{{x.extent(0), x.extent(1), w.extent(0)}, dw, bias, dx};
  const std::array operands = {x, w, dy};
  const std::vector<Value> results = x.graph().add(std::make_shared<const LinearBackward>(options), operands);
  LinearGradientValues found;
  std::size_t next = 0;
  if (dw) found.dw = results[next++];
  if (bias) found.dbias = results[next++];
  if (dx) found.dx = results[next];
  return found;
}

std::shared_ptr<const Operation> make_cross_entropy_with_linear_gradients(const LinearBackwardOptions& layer) {
  if (!kernels::cross_entropy_with_linear_gradients_is_one_launch(layer.extents)) return nullptr;
  return std::make_shared<const CrossEntropyWithLinearGradients>(layer);
}

}  // namespace rtl::graph

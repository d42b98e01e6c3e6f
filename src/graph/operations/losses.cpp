// Softmax and cross-entropy, with the labels of a batch or of a table.
#include <array>

#include "graph/operations/fused_loss.hpp"
#include "graph/operations/recognise.hpp"
#include "graph/operations/support.hpp"
#include "rtl/kernels/softmax.hpp"

namespace rtl::graph {
namespace {

/// Of probabilities p = softmax(x): p * (dp - sum of dp * p over the last axis).
Value softmax_gradient(const Value& p, const Value& dp) {
  return multiply(p, subtract(dp, sum(multiply(dp, p), {.axes = {-1}, .keep_axes = true})));
}

class Softmax final : public Operation {
 public:
  std::string_view name() const noexcept override { return "softmax"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_floating(name(), operands);
    check_shape(operands[0].rank() >= 1, name(), "a scalar has no last axis");
    return {operands[0].type()};
  }
  void run(const Call& call) const override {
    const ConstView x = call.in(0);
    const Shape rows{x.count() / std::max<std::int64_t>(x.extent(-1), 1), x.extent(-1)};
    kernels::softmax(call.device(), x.reshaped(rows), call.out(0).reshaped(rows));
  }
  void gradient(GradientCall& call) const override { call.give(0, softmax_gradient(call.result(), call.gradient())); }
  bool may_overwrite(std::size_t, std::size_t) const override { return true; }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  double flops(std::span<const Value> operands) const override {
    return 4 * static_cast<double>(operands[0].shape().count());
  }
};

/// Operands of every loss: logits or probabilities, labels, rows and counters (both or neither).
void check_loss(std::string_view operation, std::span<const Value> operands) {
  const Value &logits = operands[0], &labels = operands[1], &rows = operands[2];
  check_floating(operation, operands.first(1));
  check_shape(logits.rank() == 2 && logits.shape().count() > 0, operation,
              "the logits are {}; [N, classes] with a row and a class at least is needed", logits.shape().to_string());
  if (!labels.defined()) throw ValueError(fmt::format("{}: no labels are given", operation));
  if (labels.dtype() != DType::i32) {
    throw DTypeError(fmt::format("{}: the labels are {}; i32 is needed", operation, labels.type().to_string()));
  }
  if (!rows.defined()) {
    check_shape(labels.shape() == Shape{logits.extent(0)}, operation, "labels {} for logits {}",
                labels.shape().to_string(), logits.shape().to_string());
    return;
  }
  check_shape(labels.rank() == 1, operation, "the table of labels is {}; one axis is needed",
              labels.shape().to_string());
  check_row_numbers(operation, rows);
  check_counters(operation, operands[3]);
  check_shape(logits.extent(0) <= rows.extent(0), operation, "a batch of {} rows from an order of {}", logits.extent(0),
              rows.extent(0));
}

kernels::Labels labels_of(const Call& call) { return {call.in(1), call.in(2), call.in(3)}; }

/// What the losses below share.
class Loss : public Operation {
 public:
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    return losses_run_replicas(operands, replicated);
  }
  double flops(std::span<const Value> operands) const override {
    return 5 * static_cast<double>(operands[0].shape().count());
  }
};

class CrossEntropyBackward final : public Loss {
 public:
  std::string_view name() const noexcept override { return "cross_entropy_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_loss(name(), operands);
    check_shape(operands[4].shape() == Shape{1}, name(), "the loss's gradient is {}", operands[4].shape().to_string());
    return {operands[0].type()};
  }
  void run(const Call& call) const override {
    kernels::cross_entropy_backward(call.device(), call.in(0), labels_of(call), call.in(4), call.out(0));
  }
  /// Linear in the probabilities, up to a constant, and in dloss.
  void gradient(GradientCall& call) const override {
    const Value &p = call.operand(0), &dloss = call.operand(4), &dy = call.gradient();
    if (call.needs(0)) call.give(0, scale(multiply(dy, dloss), 1 / static_cast<double>(p.extent(0))));
    if (call.needs(4)) {
      const Value one = fill(p.graph(), 1, {1}, p.dtype());
      const Value for_one = record<CrossEntropyBackward>({p, call.operand(1), call.operand(2), call.operand(3), one});
      call.give(4, sum(multiply(dy, for_one)));
    }
  }
  bool may_overwrite(std::size_t, std::size_t operand) const override { return operand == 0; }
};

class CrossEntropy final : public Loss {
 public:
  std::string_view name() const noexcept override { return "cross_entropy"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_loss(name(), operands);
    return {{{1}, operands[0].dtype()}, operands[0].type()};
  }
  void run(const Call& call) const override {
    kernels::cross_entropy_forward(call.device(), call.in(0), labels_of(call), call.out(1), call.out(0));
  }
  /// The probabilities have a gradient where the gradient of the loss is differentiated.
  void gradient(GradientCall& call) const override {
    Value dlogits;
    if (call.gradient(0).defined()) {
      dlogits = record<CrossEntropyBackward>(
          {call.result(1), call.operand(1), call.operand(2), call.operand(3), call.gradient(0)});
    }
    if (call.gradient(1).defined()) {
      const Value through = softmax_gradient(call.result(1), call.gradient(1));
      dlogits = dlogits.defined() ? add(dlogits, through) : through;
    }
    call.give(0, dlogits);
  }
  bool may_overwrite(std::size_t result, std::size_t operand) const override { return result == 1 && operand == 0; }
};

class FusedCrossEntropy final : public Loss {
 public:
  std::string_view name() const noexcept override { return "cross_entropy_with_gradient"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_loss(name(), operands);
    return {{{1}, operands[0].dtype()}, operands[0].type()};
  }
  void run(const Call& call) const override {
    kernels::cross_entropy_with_gradient(call.device(), call.in(0), labels_of(call), call.out(1), call.out(0));
  }
  bool may_overwrite(std::size_t result, std::size_t operand) const override { return result == 1 && operand == 0; }
};

}  // namespace

bool losses_run_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) {
  return replicated[0] && !(operands[2].defined() && replicated[1]);
}

bool is_cross_entropy(const Operation& operation) { return dynamic_cast<const CrossEntropy*>(&operation) != nullptr; }
bool is_cross_entropy_backward(const Operation& operation) {
  return dynamic_cast<const CrossEntropyBackward*>(&operation) != nullptr;
}

std::shared_ptr<const Operation> make_fused_cross_entropy() { return std::make_shared<const FusedCrossEntropy>(); }

Value softmax(const Value& x) { return record<Softmax>({x}); }

Value cross_entropy(const Value& logits, const Value& labels) {
  const std::array operands = {logits, labels, Value(), Value()};
  return logits.graph().add(std::make_shared<const CrossEntropy>(), operands).front();
}

Value cross_entropy_batch(const Value& logits, const Value& labels, const Value& order, const Value& counters) {
  check_row_numbers("cross_entropy", order);
  const std::array operands = {logits, labels, order, counters};
  return logits.graph().add(std::make_shared<const CrossEntropy>(), operands).front();
}

}  // namespace rtl::graph

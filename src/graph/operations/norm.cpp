// Batch normalisation in training and evaluation, and its gradients.
#include "rtl/kernels/norm.hpp"

#include <array>

#include "graph/operations/norm.hpp"

namespace rtl::graph {
namespace {

double elements(const Value& x) { return static_cast<double>(x.shape().count()); }

/// 1 / the number of rows that statistics are taken of.
double share_of(const Value& x) { return static_cast<double>(x.extent(-1)) / elements(x); }

/// a + b, either of which may be not defined.
Value plus(const Value& a, const Value& b) {
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  return add(a, b);
}

/// Sum over the rows.
Value over_rows(const Value& x) { return sum_to(x, {x.extent(-1)}); }

Value ones_like(const Value& vector) { return fill(vector.graph(), 1, vector.shape(), vector.dtype()); }

void check_gradient(std::string_view operation, std::span<const Value> operands) {
  check_batch_norm(operation, operands, 3);
  check_shape(operands[4].type() == operands[0].type(), operation, "x is {}, dy {}", operands[0].type().to_string(),
              operands[4].type().to_string());
}

std::vector<Type> gradient_types(std::span<const Value> operands) {
  return {operands[0].type(), operands[1].type(), operands[1].type()};
}

/// dx, dgamma and dbeta of either form.
struct Gradients {
  Value x, gamma, beta;
};
Gradients record_backward(std::shared_ptr<const Operation> operation, const std::array<Value, 5>& operands) {
  const std::vector<Value> results = operands[0].graph().add(std::move(operation), operands);
  return {results[0], results[1], results[2]};
}

}  // namespace

void check_batch_norm(std::string_view operation, std::span<const Value> operands, std::size_t vectors) {
  check_layer(operation, operands.first(vectors + 1), 1);
  const Shape& x = operands[0].shape();
  check_shape(x.rank() == 2 || x.rank() == 4, operation, "x is {}; [rows, C] or [N, H, W, C] is needed", x.to_string());
  for (const Value& vector : operands.subspan(1, vectors)) {
    check_shape(vector.shape() == Shape{x[-1]}, operation, "x is {}, but a vector of its {} channels is {}",
                x.to_string(), x[-1], vector.shape().to_string());
  }
}

void check_batch_norm_training(std::string_view operation, std::span<const Value> operands) {
  check_batch_norm(operation, operands, 4);
  const Shape& x = operands[0].shape();
  if (x[-1] > 0 && x.count() / x[-1] < 2) {
    throw ValueError(
        fmt::format("{}: x {} has fewer than two rows to take statistics of; use a larger batch or evaluation mode",
                    operation, x.to_string()));
  }
  for (const Value& statistic : operands.subspan(3, 2)) {
    if (statistic.graph().record(statistic).origin != Origin::variable) {
      throw ValueError(fmt::format("{}: the running statistics are changed in place; give variables", operation));
    }
  }
}

void check_options(std::string_view operation, const BatchNormOptions& options) {
  if (options.epsilon >= 0 && options.momentum >= 0 && options.momentum <= 1) return;
  throw ValueError(fmt::format("{}: epsilon {} must not be negative, and momentum {} lie in [0, 1]", operation,
                               options.epsilon, options.momentum));
}

std::string describe(const BatchNormOptions& options) {
  return fmt::format("epsilon {}, momentum {}", options.epsilon, options.momentum);
}

std::vector<Type> BatchNormTraining::infer(std::span<const Value> operands) const {
  check_options(name(), options_);
  check_batch_norm_training(name(), operands);
  const Type& vector = operands[1].type();
  return {operands[0].type(), vector, vector, vector, vector};
}

void BatchNormTraining::run(const Call& call) const {
  kernels::batch_norm_training_forward(call.device(), call.in(0), call.in(1), call.in(2), options_.epsilon,
                                       options_.momentum, call.out(3), call.out(4), call.out(0), call.out(1),
                                       call.out(2));
}

std::optional<Aliasing> BatchNormTraining::aliasing(std::size_t result) const {
  if (result < 3) return std::nullopt;
  return Aliasing{.operand = static_cast<int>(result), .writes = true};
}

void BatchNormTraining::gradient(GradientCall& call) const {
  const Value &x = call.operand(0), &gamma = call.operand(1), &mean = call.result(1), &inverse = call.result(2);
  Value dx;
  if (call.gradient(0).defined()) {
    const Gradients given = record_backward(std::make_shared<const BatchNormTrainingBackward>(),
                                            {x, gamma, mean, inverse, call.gradient(0)});
    dx = given.x;
    call.give(1, given.gamma);
    call.give(2, given.beta);
  }
  if (!call.needs(0)) return;
  // The statistics are read by second derivatives. d(mean) is d(x) / rows; d(inverse) is -inverse^3 (x - mean) d(x) /
  // rows.
  if (call.gradient(1).defined()) dx = plus(dx, broadcast(scale(call.gradient(1), share_of(x)), x.shape()));
  if (call.gradient(2).defined()) {
    const Value factor = multiply(call.gradient(2), multiply(inverse, square(inverse)));
    dx = plus(dx, multiply(subtract(x, mean), scale(factor, -share_of(x))));
  }
  call.give(0, dx);
}

double BatchNormTraining::flops(std::span<const Value> operands) const {
  return batch_norm_training_flops * elements(operands[0]);
}

std::vector<Type> BatchNormTrainingBackward::infer(std::span<const Value> operands) const {
  check_gradient(name(), operands);
  return gradient_types(operands);
}

void BatchNormTrainingBackward::run(const Call& call) const {
  kernels::batch_norm_training_backward(call.device(), call.in(0), {}, call.in(1), call.in(2), call.in(3), call.in(4),
                                        call.out(0), call.out(1), call.out(2));
}

/// With P(a) = a - mean(a) - n mean(a n), n = (x - mean) * inverse, which is symmetric in <u, P(g)>:
/// dx = gamma * inverse * P(dy), dgamma = sum(dy n), dbeta = sum(dy); u, v, w are the gradients of these three.
void BatchNormTrainingBackward::gradient(GradientCall& call) const {
  if (call.operand(0).dtype() == DType::bf16) return Operation::gradient(call);
  const Value &x = call.operand(0), &gamma = call.operand(1), &mean = call.operand(2), &inverse = call.operand(3);
  const Value &dy = call.operand(4), &u = call.gradient(0), &v = call.gradient(1), &w = call.gradient(2);
  const auto backward = [&](const Value& weight, const Value& g) {
    return record_backward(std::make_shared<const BatchNormTrainingBackward>(), {x, weight, mean, inverse, g});
  };
  const Value normalised = multiply(subtract(x, mean), inverse);
  const Gradients of_u = u.defined() ? backward(gamma, u) : Gradients{};
  if (call.needs(4)) {
    Value total = plus(of_u.x, v.defined() ? multiply(v, normalised) : Value());
    call.give(4, plus(total, w.defined() ? broadcast(w, x.shape()) : Value()));
  }
  if (call.needs(1) && u.defined()) call.give(1, over_rows(multiply(u, backward(ones_like(gamma), dy).x)));
  if (!call.needs(0) || (!u.defined() && !v.defined())) return;
  Value of_normalised = v.defined() ? multiply(v, dy) : Value();
  if (u.defined()) {
    const Value factor = scale(multiply(gamma, inverse), -share_of(x));
    const Value products =
        add(multiply(multiply(factor, call.result(1)), u), multiply(multiply(factor, of_u.gamma), dy));
    of_normalised = plus(of_normalised, products);
  }
  Value result = backward(ones_like(gamma), of_normalised).x;
  if (u.defined()) {
    const Value moved = scale(multiply(inverse, over_rows(multiply(u, call.result(0)))), -share_of(x));
    result = add(result, multiply(normalised, moved));
  }
  call.give(0, result);
}

double BatchNormTrainingBackward::flops(std::span<const Value> operands) const {
  return batch_norm_backward_flops * elements(operands[0]);
}

std::vector<Type> BatchNormEvaluation::infer(std::span<const Value> operands) const {
  check_options(name(), options_);
  check_batch_norm(name(), operands, 4);
  return {operands[0].type()};
}

void BatchNormEvaluation::run(const Call& call) const {
  kernels::batch_norm_evaluation_forward(call.device(), call.in(0), call.in(1), call.in(2), call.in(3), call.in(4),
                                         options_.epsilon, call.out(0));
}

void BatchNormEvaluation::gradient(GradientCall& call) const {
  const Gradients given =
      record_backward(std::make_shared<const BatchNormEvaluationBackward>(options_),
                      {call.operand(0), call.operand(1), call.operand(3), call.operand(4), call.gradient()});
  call.give(0, given.x);
  call.give(1, given.gamma);
  call.give(2, given.beta);
}

double BatchNormEvaluation::flops(std::span<const Value> operands) const {
  return batch_norm_evaluation_flops * elements(operands[0]);
}

std::vector<Type> BatchNormEvaluationBackward::infer(std::span<const Value> operands) const {
  check_gradient(name(), operands);
  return gradient_types(operands);
}

void BatchNormEvaluationBackward::run(const Call& call) const {
  kernels::batch_norm_evaluation_backward(call.device(), call.in(0), {}, call.in(1), call.in(2), call.in(3),
                                          options_.epsilon, call.in(4), call.out(0), call.out(1), call.out(2));
}

/// With n = (x - mean) / deviation: dx = gamma / deviation * dy, dgamma = sum(dy n), dbeta = sum(dy); u, v, w are the
/// gradients of these three.
void BatchNormEvaluationBackward::gradient(GradientCall& call) const {
  if (call.operand(0).dtype() == DType::bf16) return Operation::gradient(call);
  const Value &x = call.operand(0), &gamma = call.operand(1), &mean = call.operand(2), &variance = call.operand(3);
  const Value &dy = call.operand(4), &u = call.gradient(0), &v = call.gradient(1), &w = call.gradient(2);
  const auto scaled = [&](const Value& weight, const Value& g) {
    return record_backward(std::make_shared<const BatchNormEvaluationBackward>(options_),
                           {x, weight, mean, variance, g})
        .x;
  };
  if (call.needs(4)) {
    Value total = u.defined() ? scaled(gamma, u) : Value();
    if (v.defined()) {
      const Value shift = w.defined() ? w : fill(x.graph(), 0, gamma.shape(), gamma.dtype());
      total = plus(total, batch_norm_evaluation(x, v, shift, mean, variance, options_));
    } else if (w.defined()) {
      total = plus(total, broadcast(w, x.shape()));
    }
    call.give(4, total);
  }
  if (call.needs(1) && u.defined()) call.give(1, over_rows(multiply(u, scaled(ones_like(gamma), dy))));
  if (call.needs(0) && v.defined()) call.give(0, scaled(v, dy));
}

double BatchNormEvaluationBackward::flops(std::span<const Value> operands) const {
  return batch_norm_backward_flops * elements(operands[0]);
}

Value batch_norm_training(const Value& x, const Value& gamma, const Value& beta, const Value& running_mean,
                          const Value& running_variance, const BatchNormOptions& options) {
  const std::array operands = {x, gamma, beta, running_mean, running_variance};
  return x.graph().add(std::make_shared<const BatchNormTraining>(options), operands).front();
}

Value batch_norm_evaluation(const Value& x, const Value& gamma, const Value& beta, const Value& running_mean,
                            const Value& running_variance, const BatchNormOptions& options) {
  return record<BatchNormEvaluation>({x, gamma, beta, running_mean, running_variance}, options);
}

}  // namespace rtl::graph

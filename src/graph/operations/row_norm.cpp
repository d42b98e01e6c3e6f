// Layer norm and RMS norm, and their gradients.
#include "rtl/kernels/row_norm.hpp"

#include "graph/operations/plain_gradient.hpp"
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

/// Operands x, gamma and, of layer norm, beta; results y, each row's mean (of layer norm), its inverse deviation.
class RowNorm : public Operation {
 public:
  RowNorm(bool centred, double epsilon) : centred_(centred), epsilon_(epsilon) {}
  std::string attributes() const override { return fmt::format("epsilon {}", epsilon_); }

 protected:
  Shape rows_of(const Value& x) const { return {x.extent(-1) == 0 ? 0 : x.shape().count() / x.extent(-1)}; }
  void check_rows(std::span<const Value> operands, std::size_t vectors) const {
    if (!(epsilon_ >= 0)) throw ValueError(fmt::format("{}: epsilon {} must not be negative", name(), epsilon_));
    check_layer(name(), operands.first(vectors + 1), 1);
    const Shape& x = operands[0].shape();
    check_shape(x.rank() >= 1, name(), "x is a scalar; rows [..., C] are needed");
    for (const Value& vector : operands.subspan(1, vectors)) {
      if (!vector.defined()) throw ValueError(fmt::format("{}: a parameter is not defined", name()));
      check_shape(vector.shape() == Shape{x[-1]}, name(), "x is {}, but a vector of its {} columns is {}",
                  x.to_string(), x[-1], vector.shape().to_string());
    }
  }
  double elements(std::span<const Value> operands) const { return static_cast<double>(operands[0].shape().count()); }
  /// The result by operations that have gradients.
  Value formula(const std::vector<Value>& in) const {
    const Value &x = in[0], &gamma = in[1];
    const ReduceOptions over_row{.axes = {-1}, .keep_axes = true};
    const Value centred = centred_ ? subtract(x, mean(x, over_row)) : x;
    const Value variance = mean(square(centred), over_row);
    const Value deviation = sqrt(add(variance, fill(x.graph(), epsilon_, {1}, x.dtype())));
    const Value y = multiply(divide(centred, deviation), gamma);
    return centred_ ? add(y, in[2]) : y;
  }

  bool centred_;
  double epsilon_;
};

/// Operands x, gamma, the saved statistics and dy; results dx, dgamma and, of layer norm, dbeta.
class RowNormBackward final : public RowNorm {
 public:
  using RowNorm::RowNorm;
  std::string_view name() const noexcept override { return centred_ ? "layer_norm_backward" : "rms_norm_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_rows(operands, 1);
    const Type &x = operands[0].type(), &vector = operands[1].type();
    check_shape(operands.back().type() == x, name(), "x is {}, dy {}", x.to_string(),
                operands.back().type().to_string());
    if (centred_) return {x, vector, vector};
    return {x, vector};
  }
  void run(const Call& call) const override {
    if (centred_) {
      kernels::layer_norm_backward(call.device(), call.in(0), call.in(1), call.in(2), call.in(3), call.in(4),
                                   call.out(0), call.out(1), call.out(2));
    } else {
      kernels::rms_norm_backward(call.device(), call.in(0), call.in(1), call.in(2), call.in(3), call.out(0),
                                 call.out(1));
    }
  }
  /// The statistics are functions of x, and are differentiated as such.
  void gradient(GradientCall& call) const override {
    std::vector<PlainInput> inputs{{call.operand(0), 0}, {call.operand(1), 1}};
    const Value& gamma = call.operand(1);
    if (centred_) inputs.push_back({fill(gamma.graph(), 0, gamma.shape(), gamma.dtype()), -1});
    gradient_by_formula(*this, call, inputs, centred_ ? 4 : 3, [this](const auto& in) { return formula(in); });
  }
  bool may_overwrite(std::size_t result, std::size_t operand) const override {
    return result == 0 && operand == (centred_ ? 4U : 3U);
  }
  double flops(std::span<const Value> operands) const override { return (centred_ ? 14 : 11) * elements(operands); }
  int launches(std::span<const Value>) const override { return 2; }
};

class RowNormForward final : public RowNorm {
 public:
  using RowNorm::RowNorm;
  std::string_view name() const noexcept override { return centred_ ? "layer_norm" : "rms_norm"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_rows(operands, centred_ ? 2 : 1);
    const Type statistic{rows_of(operands[0]), operands[1].dtype()};
    if (centred_) return {operands[0].type(), statistic, statistic};
    return {operands[0].type(), statistic};
  }
  void run(const Call& call) const override {
    if (centred_) {
      kernels::layer_norm_forward(call.device(), call.in(0), call.in(1), call.in(2), epsilon_, call.out(0), call.out(1),
                                  call.out(2));
    } else {
      kernels::rms_norm_forward(call.device(), call.in(0), call.in(1), epsilon_, call.out(0), call.out(1));
    }
  }
  void gradient(GradientCall& call) const override {
    std::vector<Value> operands{call.operand(0), call.operand(1), call.result(1)};
    if (centred_) operands.push_back(call.result(2));
    operands.push_back(call.gradient());
    const std::vector<Value> given =
        call.operand(0).graph().add(std::make_shared<const RowNormBackward>(centred_, epsilon_), operands);
    for (std::size_t i = 0; i < given.size(); ++i) call.give(i, given[i]);
  }
  bool may_overwrite(std::size_t, std::size_t) const override { return false; }
  double flops(std::span<const Value> operands) const override { return (centred_ ? 8 : 4) * elements(operands); }
};

}  // namespace

Value layer_norm(const Value& x, const Value& gamma, const Value& beta, double epsilon) {
  const std::vector<Value> operands{x, gamma, beta};
  return x.graph().add(std::make_shared<const RowNormForward>(true, epsilon), operands).front();
}

Value rms_norm(const Value& x, const Value& gamma, double epsilon) {
  const std::vector<Value> operands{x, gamma};
  return x.graph().add(std::make_shared<const RowNormForward>(false, epsilon), operands).front();
}

}  // namespace rtl::graph

// Elementwise operations: the functions of rtl/kernels/elementwise_functions.inc, each with its kernel and its
// gradient, and others that take more than operands.
#include <algorithm>

#include "graph/operations/recognise.hpp"
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

using kernels::BinaryOp;
using kernels::UnaryOp;

using V = const Value&;

Value zero_like(V x) { return scale(x, 0); }
Value plus_number(V x, double number) { return add(x, fill(x.graph(), number, {1}, x.dtype())); }
Value one_minus(V x) { return subtract(fill(x.graph(), 1, {1}, x.dtype()), x); }

Value sign(V x) {
  const Value zero = fill(x.graph(), 0, {1}, x.dtype());
  return subtract(greater_equal(x, zero), greater_equal(zero, x));
}

/// dy where 0 < y < 6.
Value relu6_gradient(V y, V dy) {
  return relu_backward(y, relu_backward(subtract(fill(y.graph(), 6, {1}, y.dtype()), y), dy));
}

/// f'' of exact GELU: (2 - x^2) times the normal density.
Value gelu_curvature(V x) {
  const Value density = scale(exp(scale(square(x), -0.5)), 0.3989422804014327);
  return multiply(density, plus_number(negate(square(x)), 2));
}

/// f'' of silu: s (1 - s) (2 + x (1 - 2 s)), s = sigmoid(x).
Value silu_curvature(V x) {
  const Value s = sigmoid(x);
  return multiply(multiply(s, one_minus(s)), plus_number(multiply(x, plus_number(scale(s, -2), 1)), 2));
}

/// f'' of GELU's tanh form, x sigmoid(u(x)): s (1 - s) (2 u' + x u'' + x u'^2 (1 - 2 s)).
Value gelu_tanh_curvature(V x) {
  constexpr double slope = 1.5957691216057308, cubic = 0.044715;
  const Value s = sigmoid(multiply(scale(x, slope), plus_number(scale(square(x), cubic), 1)));
  const Value first = scale(plus_number(scale(square(x), 3 * cubic), 1), slope);
  const Value second = scale(x, 6 * cubic * slope);
  const Value bend = multiply(square(first), plus_number(scale(s, -2), 1));
  return multiply(multiply(s, one_minus(s)), add(scale(first, 2), multiply(x, add(second, bend))));
}

/// An elementwise function of one operand: its kernel, and its gradient from operand x, result y and dy.
struct UnaryRow {
  UnaryOp op;
  std::string_view name;
  Value (*gradient)(V x, V y, V dy);
};

constexpr UnaryRow unary_rows[] = {
#define RTL_UNARY(name, value, gradient) \
  {UnaryOp::name, #name, []([[maybe_unused]] V x, [[maybe_unused]] V y, V dy) -> Value { return gradient; }},
#include "rtl/kernels/elementwise_functions.inc"
};

struct BinaryRow {
  BinaryOp op;
  std::string_view name;
  Value (*gradient_a)(V a, V b, V y, V dy);
  Value (*gradient_b)(V a, V b, V y, V dy);
};

#define RTL_GRADIENT(gradient) \
  []([[maybe_unused]] V a, [[maybe_unused]] V b, [[maybe_unused]] V y, V dy) -> Value { return gradient; }
constexpr BinaryRow binary_rows[] = {
#define RTL_BINARY(name, value, gradient_a, gradient_b) \
  {BinaryOp::name, #name, RTL_GRADIENT(gradient_a), RTL_GRADIENT(gradient_b)},
#include "rtl/kernels/elementwise_functions.inc"
};
#undef RTL_GRADIENT

class Elementwise : public Operation {
 public:
  bool may_overwrite(std::size_t, std::size_t) const override { return true; }
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    int rank = 0;
    for (const Value& operand : operands) rank = std::max(rank, operand.rank());
    return broadcasts_with_replicas(operands, replicated, rank);
  }
};

class Unary final : public Elementwise {
 public:
  explicit Unary(UnaryOp op)
      : row_(*std::find_if(std::begin(unary_rows), std::end(unary_rows),
                           [op](const UnaryRow& row) { return row.op == op; })) {}
  UnaryOp op() const noexcept { return row_.op; }
  std::string_view name() const noexcept override { return row_.name; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    return {operands[0].type()};
  }
  void run(const Call& call) const override { kernels::unary(call.device(), row_.op, call.in(0), call.out(0)); }
  void gradient(GradientCall& call) const override {
    call.give(0, row_.gradient(call.operand(0), call.result(), call.gradient()));
  }
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(operands[0].shape().count());
  }

 private:
  const UnaryRow& row_;
};

class Binary final : public Elementwise {
 public:
  explicit Binary(BinaryOp op)
      : row_(*std::find_if(std::begin(binary_rows), std::end(binary_rows),
                           [op](const BinaryRow& row) { return row.op == op; })) {}
  BinaryOp op() const noexcept { return row_.op; }
  std::string_view name() const noexcept override { return row_.name; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    return {{broadcast_shape(name(), operands[0].shape(), operands[1].shape()), operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::binary(call.device(), row_.op, call.in(0), call.in(1), call.out(0));
  }
  void gradient(GradientCall& call) const override {
    const Value &a = call.operand(0), &b = call.operand(1), &y = call.result(), &dy = call.gradient();
    if (call.needs(0)) call.give(0, sum_to(row_.gradient_a(a, b, y, dy), a.shape()));
    if (call.needs(1)) call.give(1, sum_to(row_.gradient_b(a, b, y, dy), b.shape()));
  }
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(broadcast_shape(name(), operands[0].shape(), operands[1].shape()).count());
  }

 private:
  const BinaryRow& row_;
};

class Scale final : public Elementwise {
 public:
  explicit Scale(double factor) : factor_(factor) {}
  std::string_view name() const noexcept override { return "scale"; }
  std::string attributes() const override { return fmt::format("{}", factor_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    return {operands[0].type()};
  }
  void run(const Call& call) const override { kernels::scale_add(call.device(), factor_, call.in(0), 0, call.out(0)); }
  void gradient(GradientCall& call) const override { call.give(0, scale(call.gradient(), factor_)); }
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(operands[0].shape().count());
  }

 private:
  double factor_;
};

class ReluBackward final : public Elementwise {
 public:
  std::string_view name() const noexcept override { return "relu_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands);
    check_shape(operands[0].shape() == operands[1].shape(), name(), "y is {}, dy {}", operands[0].shape().to_string(),
                operands[1].shape().to_string());
    return {operands[1].type()};
  }
  void run(const Call& call) const override {
    kernels::relu_backward(call.device(), call.in(0), call.in(1), call.out(0));
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>& replicated) const override {
    return replicated[0] && replicated[1];
  }
  /// Linear in dy; y only says where.
  void gradient(GradientCall& call) const override {
    if (call.needs(0)) call.give(0, zero_like(call.operand(0)));
    if (call.needs(1)) call.give(1, relu_backward(call.operand(0), call.gradient()));
  }
};

class Fill final : public Operation {
 public:
  Fill(double number, const Type& type) : number_(number), type_(type) {}
  double number() const noexcept { return number_; }
  std::string_view name() const noexcept override { return "fill"; }
  std::string attributes() const override { return fmt::format("{}", number_); }
  std::vector<Type> infer(std::span<const Value>) const override { return {type_}; }
  void run(const Call& call) const override { kernels::fill(call.device(), number_, call.out(0)); }
  void gradient(GradientCall&) const override {}

 private:
  double number_;
  Type type_;
};

class Cast final : public Operation {
 public:
  explicit Cast(DType dtype) : dtype_(dtype) {}
  std::string_view name() const noexcept override { return "cast"; }
  std::string attributes() const override { return std::string(name_of(dtype_)); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    for (const DType dtype : {operands[0].dtype(), dtype_}) {
      if (is_arithmetic(dtype) || dtype == DType::bf16) continue;
      throw DTypeError(fmt::format("cast: from {} to {}; it converts between f32, f64 and bf16",
                                   operands[0].type().to_string(), name_of(dtype_)));
    }
    return {{operands[0].shape(), dtype_}};
  }
  void run(const Call& call) const override { kernels::cast(call.device(), call.in(0), call.out(0)); }
  void gradient(GradientCall& call) const override { call.give(0, cast(call.gradient(), call.operand(0).dtype())); }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }

 private:
  DType dtype_;
};

}  // namespace

bool is_add(const Operation& operation) {
  const auto* binary = dynamic_cast<const Binary*>(&operation);
  return binary != nullptr && binary->op() == BinaryOp::add;
}

std::optional<kernels::Activation> activation_of(const Operation& operation) {
  const auto* unary = dynamic_cast<const Unary*>(&operation);
  if (unary != nullptr && unary->op() == UnaryOp::relu) return kernels::Activation::relu;
  if (unary != nullptr && unary->op() == UnaryOp::relu6) return kernels::Activation::relu6;
  return std::nullopt;
}

std::optional<kernels::LinearActivation> linear_activation_of(const Operation& operation) {
  const auto* unary = dynamic_cast<const Unary*>(&operation);
  return unary == nullptr ? std::nullopt : kernels::linear_activation(unary->op());
}

bool is_ones(const Operation& operation) {
  const auto* fill = dynamic_cast<const Fill*>(&operation);
  return fill != nullptr && fill->number() == 1;
}

bool is_relu_backward(const Operation& operation) { return dynamic_cast<const ReluBackward*>(&operation) != nullptr; }

#define RTL_UNARY(name, value, gradient) \
  Value name(V x) { return record<Unary>({x}, UnaryOp::name); }
#define RTL_BINARY(name, value, gradient_a, gradient_b) \
  Value name(V a, V b) { return record<Binary>({a, b}, BinaryOp::name); }
#include "rtl/kernels/elementwise_functions.inc"

Value scale(const Value& x, double factor) { return record<Scale>({x}, factor); }
Value relu_backward(const Value& y, const Value& dy) { return record<ReluBackward>({y, dy}); }
Value cast(const Value& x, DType dtype) { return x.dtype() == dtype ? x : record<Cast>({x}, dtype); }

Value fill(Graph& graph, double number, const Shape& shape, DType dtype) {
  return graph.add_one(std::make_shared<const Fill>(number, Type{shape, dtype}), {});
}

}  // namespace rtl::graph

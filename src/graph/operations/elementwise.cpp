// Elementwise operations: tables with a row for each function, its kernel and its gradient.
#include <array>

#include "graph/operations/recognise.hpp"
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

using kernels::BinaryOp;
using kernels::UnaryOp;

/// An elementwise function of one operand: its kernel, and its gradient from operand x, result y and dy.
struct UnaryRow {
  UnaryOp op;
  std::string_view name;
  Value (*gradient)(const Value& x, const Value& y, const Value& dy);
};

Value sign(const Value& x) {
  const Value zero = fill(x.graph(), 0, {1}, x.dtype());
  return subtract(greater_equal(x, zero), greater_equal(zero, x));
}
Value one_minus(const Value& x) { return subtract(fill(x.graph(), 1, {1}, x.dtype()), x); }

/// dy where 0 < y < 6.
Value relu6_gradient(const Value& /*x*/, const Value& y, const Value& dy) {
  return relu_backward(y, relu_backward(subtract(fill(y.graph(), 6, {1}, y.dtype()), y), dy));
}

using V = const Value&;
Value gelu_backward(V x, V dy);
Value gelu_tanh_backward(V x, V dy);
Value silu_backward(V x, V dy);

constexpr std::array unary_rows = {
    UnaryRow{UnaryOp::negate, "negate", [](V, V, V dy) { return negate(dy); }},
    UnaryRow{UnaryOp::absolute, "absolute", [](V x, V, V dy) { return multiply(dy, sign(x)); }},
    UnaryRow{UnaryOp::exp, "exp", [](V, V y, V dy) { return multiply(dy, y); }},
    UnaryRow{UnaryOp::log, "log", [](V x, V, V dy) { return divide(dy, x); }},
    UnaryRow{UnaryOp::sqrt, "sqrt", [](V, V y, V dy) { return divide(scale(dy, 0.5), y); }},
    UnaryRow{UnaryOp::square, "square", [](V x, V, V dy) { return scale(multiply(dy, x), 2); }},
    UnaryRow{UnaryOp::reciprocal, "reciprocal", [](V, V y, V dy) { return negate(multiply(dy, square(y))); }},
    UnaryRow{UnaryOp::relu, "relu", [](V, V y, V dy) { return relu_backward(y, dy); }},
    UnaryRow{UnaryOp::sigmoid, "sigmoid", [](V, V y, V dy) { return multiply(dy, multiply(y, one_minus(y))); }},
    UnaryRow{UnaryOp::relu6, "relu6", relu6_gradient},
    UnaryRow{UnaryOp::tanh, "tanh", [](V, V y, V dy) { return multiply(dy, one_minus(square(y))); }},
    UnaryRow{UnaryOp::gelu, "gelu", [](V x, V, V dy) { return gelu_backward(x, dy); }},
    UnaryRow{UnaryOp::gelu_tanh, "gelu_tanh", [](V x, V, V dy) { return gelu_tanh_backward(x, dy); }},
    UnaryRow{UnaryOp::silu, "silu", [](V x, V, V dy) { return silu_backward(x, dy); }},
};

const UnaryRow& row_of(UnaryOp op) {
  return *std::find_if(unary_rows.begin(), unary_rows.end(), [op](const UnaryRow& row) { return row.op == op; });
}

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
  explicit Unary(UnaryOp op) : row_(row_of(op)) {}
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

struct BinaryRow {
  BinaryOp op;
  std::string_view name;
  Value (*gradient_a)(const Value& a, const Value& b, const Value& y, const Value& dy);
  Value (*gradient_b)(const Value& a, const Value& b, const Value& y, const Value& dy);
};

Value zero_like(V x) { return scale(x, 0); }
Value plus_number(V x, double number) { return add(x, fill(x.graph(), number, {1}, x.dtype())); }

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

constexpr std::array binary_rows = {
    BinaryRow{BinaryOp::add, "add", [](V, V, V, V dy) { return dy; }, [](V, V, V, V dy) { return dy; }},
    BinaryRow{BinaryOp::subtract, "subtract", [](V, V, V, V dy) { return dy; },
              [](V, V, V, V dy) { return negate(dy); }},
    BinaryRow{BinaryOp::multiply, "multiply", [](V, V b, V, V dy) { return multiply(dy, b); },
              [](V a, V, V, V dy) { return multiply(dy, a); }},
    BinaryRow{BinaryOp::divide, "divide", [](V, V b, V, V dy) { return divide(dy, b); },
              [](V, V b, V y, V dy) { return negate(multiply(dy, divide(y, b))); }},
    BinaryRow{BinaryOp::maximum, "maximum", [](V a, V b, V, V dy) { return multiply(dy, greater_equal(a, b)); },
              [](V a, V b, V, V dy) { return multiply(dy, one_minus(greater_equal(a, b))); }},
    BinaryRow{BinaryOp::minimum, "minimum", [](V a, V b, V, V dy) { return multiply(dy, greater_equal(b, a)); },
              [](V a, V b, V, V dy) { return multiply(dy, one_minus(greater_equal(b, a))); }},
    BinaryRow{BinaryOp::greater_equal, "greater_equal", [](V, V, V, V dy) { return zero_like(dy); },
              [](V, V, V, V dy) { return zero_like(dy); }},
    BinaryRow{BinaryOp::gelu_backward, "gelu_backward",
              [](V x, V g, V, V dy) { return multiply(multiply(dy, g), gelu_curvature(x)); },
              [](V x, V, V, V dy) { return gelu_backward(x, dy); }},
    BinaryRow{BinaryOp::gelu_tanh_backward, "gelu_tanh_backward",
              [](V x, V g, V, V dy) { return multiply(multiply(dy, g), gelu_tanh_curvature(x)); },
              [](V x, V, V, V dy) { return gelu_tanh_backward(x, dy); }},
    BinaryRow{BinaryOp::silu_backward, "silu_backward",
              [](V x, V g, V, V dy) { return multiply(multiply(dy, g), silu_curvature(x)); },
              [](V x, V, V, V dy) { return silu_backward(x, dy); }},
    BinaryRow{BinaryOp::swiglu, "swiglu", [](V gate, V x, V, V dy) { return silu_backward(gate, multiply(dy, x)); },
              [](V gate, V, V, V dy) { return swiglu(gate, dy); }},
};

class Binary final : public Elementwise {
 public:
  explicit Binary(BinaryOp op)
      : row_(*std::find_if(binary_rows.begin(), binary_rows.end(),
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

Value gelu_backward(V x, V dy) { return record<Binary>({x, dy}, BinaryOp::gelu_backward); }
Value gelu_tanh_backward(V x, V dy) { return record<Binary>({x, dy}, BinaryOp::gelu_tanh_backward); }
Value silu_backward(V x, V dy) { return record<Binary>({x, dy}, BinaryOp::silu_backward); }

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

bool is_ones(const Operation& operation) {
  const auto* fill = dynamic_cast<const Fill*>(&operation);
  return fill != nullptr && fill->number() == 1;
}

bool is_relu_backward(const Operation& operation) { return dynamic_cast<const ReluBackward*>(&operation) != nullptr; }

Value add(const Value& a, const Value& b) { return record<Binary>({a, b}, BinaryOp::add); }
Value subtract(const Value& a, const Value& b) { return record<Binary>({a, b}, BinaryOp::subtract); }
Value multiply(const Value& a, const Value& b) { return record<Binary>({a, b}, BinaryOp::multiply); }
Value divide(const Value& a, const Value& b) { return record<Binary>({a, b}, BinaryOp::divide); }
Value maximum(const Value& a, const Value& b) { return record<Binary>({a, b}, BinaryOp::maximum); }
Value minimum(const Value& a, const Value& b) { return record<Binary>({a, b}, BinaryOp::minimum); }
Value greater_equal(const Value& a, const Value& b) { return record<Binary>({a, b}, BinaryOp::greater_equal); }

Value negate(const Value& x) { return record<Unary>({x}, UnaryOp::negate); }
Value absolute(const Value& x) { return record<Unary>({x}, UnaryOp::absolute); }
Value exp(const Value& x) { return record<Unary>({x}, UnaryOp::exp); }
Value log(const Value& x) { return record<Unary>({x}, UnaryOp::log); }
Value sqrt(const Value& x) { return record<Unary>({x}, UnaryOp::sqrt); }
Value square(const Value& x) { return record<Unary>({x}, UnaryOp::square); }
Value reciprocal(const Value& x) { return record<Unary>({x}, UnaryOp::reciprocal); }
Value relu(const Value& x) { return record<Unary>({x}, UnaryOp::relu); }
Value relu6(const Value& x) { return record<Unary>({x}, UnaryOp::relu6); }
Value sigmoid(const Value& x) { return record<Unary>({x}, UnaryOp::sigmoid); }
Value tanh(const Value& x) { return record<Unary>({x}, UnaryOp::tanh); }
Value gelu(const Value& x) { return record<Unary>({x}, UnaryOp::gelu); }
Value gelu_tanh(const Value& x) { return record<Unary>({x}, UnaryOp::gelu_tanh); }
Value silu(const Value& x) { return record<Unary>({x}, UnaryOp::silu); }
Value swiglu(const Value& gate, const Value& x) { return record<Binary>({gate, x}, BinaryOp::swiglu); }

Value scale(const Value& x, double factor) { return record<Scale>({x}, factor); }
Value relu_backward(const Value& y, const Value& dy) { return record<ReluBackward>({y, dy}); }
Value cast(const Value& x, DType dtype) { return x.dtype() == dtype ? x : record<Cast>({x}, dtype); }

Value fill(Graph& graph, double number, const Shape& shape, DType dtype) {
  return graph.add_one(std::make_shared<const Fill>(number, Type{shape, dtype}), {});
}

}  // namespace rtl::graph

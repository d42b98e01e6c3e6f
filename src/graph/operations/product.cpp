// Matrix products: matmul, of batches too, and linear.
#include <algorithm>

#include "graph/operations/linear_backward.hpp"
#include "graph/operations/recognise.hpp"
#include "graph/operations/support.hpp"
#include "rtl/kernels/gemm.hpp"

namespace rtl::graph {
namespace {

using kernels::Epilogue;
using kernels::Transpose;

Transpose transpose_if(bool transposed) { return transposed ? Transpose::yes : Transpose::no; }

/// Extents of one matrix product, and how many of them there are.
struct Extents {
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
};

class Matmul final : public Operation {
 public:
  explicit Matmul(const MatmulOptions& options) : options_(options) {}
  std::string_view name() const noexcept override { return "matmul"; }
  std::string attributes() const override {
    return fmt::format("{}{}", options_.transpose_a ? "a transposed " : "", options_.transpose_b ? "b transposed" : "");
  }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const DType dtype = result_dtype(operands);
    const Shape &a = operands[0].shape(), &b = operands[1].shape();
    check_shape(a.rank() >= 2 && b.rank() >= 2, name(), "{} and {}; matrices are needed", a.to_string(), b.to_string());
    bool leading = true;
    for (int axis = 3; axis <= std::min(a.rank(), b.rank()); ++axis) leading = leading && a[-axis] == b[-axis];
    leading = leading && (a.rank() == b.rank() || a.rank() == 2 || b.rank() == 2);
    check_shape(leading, name(), "the leading axes of {} and {} differ", a.to_string(), b.to_string());
    const std::int64_t inner_a = options_.transpose_a ? a[-2] : a[-1], inner_b = options_.transpose_b ? b[-1] : b[-2];
    check_shape(inner_a == inner_b, name(), "{}{} and {}{} do not multiply", a.to_string(),
                options_.transpose_a ? " transposed" : "", b.to_string(), options_.transpose_b ? " transposed" : "");
    const Extents e = extents(a, b);
    const Shape& longer = a.rank() >= b.rank() ? a : b;
    return {{longer.with(-2, e.m).with(-1, e.n), dtype}};
  }
  void run(const Call& call) const override {
    const ConstView a = call.in(0), b = call.in(1);
    const Extents e = extents(a.shape(), b.shape());
    if (joins_rows(b.rank())) return multiply(call.device(), joined(a, 1), stack(b), joined(call.out(0), 1));
    multiply(call.device(), stack(a), stack(b), call.out(0).reshaped({e.batch, e.m, e.n}));
  }
  /// Where all replicated operands have the rank of the result, ranks tell the others from them.
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    return broadcasts_with_replicas(operands, replicated, std::max(operands[0].rank(), operands[1].rank()));
  }
  /// Products of the same extents as those of separate runs, so that they have the same bits.
  void run_replicas(const Call& call) const override {
    const ConstView a = call.in(0), b = call.in(1);
    const View y = call.out(0);
    const bool a_replicated = a.rank() == y.rank(), b_replicated = b.rank() == y.rank();
    const std::int64_t replicas = y.extent(0);
    if (joins_rows(b_replicated ? b.rank() - 1 : b.rank())) {
      return multiply(call.device(), joined(a, a_replicated ? replicas : 1), stack(b), joined(y, replicas));
    }
    const ConstView as = stack(a), bs = stack(b);
    const View ys = stack(y);
    if ((a_replicated || as.extent(0) == 1) && (b_replicated || bs.extent(0) == 1)) {
      return multiply(call.device(), as, bs, ys);
    }
    const std::int64_t batch = ys.extent(0) / replicas;
    for (std::int64_t r = 0; r < replicas; ++r) {
      const std::int64_t begin = r * batch, end = begin + batch;
      multiply(call.device(), a_replicated ? as.slice(0, begin, end) : as, b_replicated ? bs.slice(0, begin, end) : bs,
               ys.slice(0, begin, end));
    }
  }
  void gradient(GradientCall& call) const override {
    const Value &a = call.operand(0), &b = call.operand(1), &dy = call.gradient();
    const bool ta = options_.transpose_a, tb = options_.transpose_b;
    if (call.needs(0)) {
      const bool wide = a.dtype() == DType::f32;
      const Value da = ta ? matmul(b, dy, {tb, true, wide}) : matmul(dy, b, {false, !tb, wide});
      call.give(0, sum_to(cast(da, a.dtype()), a.shape()));
    }
    if (call.needs(1)) {
      const bool wide = b.dtype() == DType::f32;
      const Value db = tb ? matmul(dy, a, {true, ta, wide}) : matmul(a, dy, {!ta, false, wide});
      call.give(1, sum_to(cast(db, b.dtype()), b.shape()));
    }
  }
  double flops(std::span<const Value> operands) const override {
    const Extents e = extents(operands[0].shape(), operands[1].shape());
    return 2.0 * static_cast<double>(e.batch) * static_cast<double>(e.m) * static_cast<double>(e.n) *
           static_cast<double>(e.k);
  }
  int launches(std::span<const Value> operands) const override {
    return product_launches(operands[0].dtype(), operands[1].dtype(), result_dtype(operands), false);
  }

 private:
  /// bf16 and f32 may meet: the product is one of bf16.
  DType result_dtype(std::span<const Value> operands) const {
    const DType a = operands[0].dtype(), b = operands[1].dtype();
    const bool mixed = (a == DType::bf16 && b == DType::f32) || (a == DType::f32 && b == DType::bf16);
    if (!mixed) check_activations(name(), operands);
    const DType dtype = mixed ? DType::bf16 : a;
    return options_.wide ? parameter_dtype(dtype) : dtype;
  }
  Extents extents(const Shape& a, const Shape& b) const {
    Extents e;
    e.m = options_.transpose_a ? a[-1] : a[-2];
    e.k = options_.transpose_a ? a[-2] : a[-1];
    e.n = options_.transpose_b ? b[-2] : b[-1];
    const Shape& longer = a.rank() >= b.rank() ? a : b;
    for (int axis = 0; axis < longer.rank() - 2; ++axis) e.batch *= longer[axis];
    return e;
  }
  /// A matrix `b` that serves a whole batch of a: the rows of the batch make one product.
  bool joins_rows(int rank_of_b) const { return rank_of_b == 2 && !options_.transpose_a; }
  /// [leading axes, rows, columns].
  template <typename AnyView>
  static AnyView stack(const AnyView& x) {
    return x.reshaped({leading(x), x.extent(-2), x.extent(-1)});
  }
  /// [copies, all rows of a copy, columns].
  template <typename AnyView>
  static AnyView joined(const AnyView& x, std::int64_t copies) {
    return x.reshaped({copies, leading(x) / copies * x.extent(-2), x.extent(-1)});
  }
  static std::int64_t leading(const ConstView& x) {
    std::int64_t count = 1;
    for (int axis = 0; axis < x.rank() - 2; ++axis) count *= x.extent(axis);
    return count;
  }
  void multiply(const Device& device, ConstView a, ConstView b, View y) const {
    kernels::gemm_batched(device, transpose_if(options_.transpose_a), transpose_if(options_.transpose_b), 1, a, b, 0,
                          y);
  }

  MatmulOptions options_;
};

class Linear final : public Operation {
 public:
  std::string_view name() const noexcept override { return "linear"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_layer(name(), operands, 1);
    const Shape &x = operands[0].shape(), &w = operands[1].shape();
    check_shape(x.rank() == 2 && w.rank() == 2 && x[1] == w[1], name(),
                "x is {}, w {}; x [N, in] and w [out, in] are needed", x.to_string(), w.to_string());
    check_shape(!operands[2].defined() || operands[2].shape() == Shape{w[0]}, name(), "the bias is {} for {} outputs",
                operands[2].defined() ? operands[2].shape().to_string() : "", w[0]);
    return {{{x[0], w[0]}, operands[0].dtype()}};
  }
  void run(const Call& call) const override {
    kernels::gemm(call.device(), Transpose::no, Transpose::yes, 1, call.in(0), call.in(1), 0, call.out(0),
                  call.in(2).given() ? Epilogue::bias : Epilogue::none, call.in(2));
  }
  bool runs_replicas(std::span<const Value>, const std::vector<bool>&) const override { return true; }
  void run_replicas(const Call& call) const override {
    const auto batch = [](const ConstView& x) { return x.rank() == 3 ? x : x.reshaped({1, x.extent(0), x.extent(1)}); };
    kernels::gemm_batched(call.device(), Transpose::no, Transpose::yes, 1, batch(call.in(0)), batch(call.in(1)), 0,
                          call.out(0), call.in(2).given() ? Epilogue::bias : Epilogue::none, call.in(2));
  }
  void gradient(GradientCall& call) const override {
    const Value& dy = call.gradient();
    const bool dw = call.needs(1), bias = call.needs(2) && dw, dx = call.needs(0);
    if (dw || dx) {
      const LinearGradientValues found = linear_gradients(call.operand(0), call.operand(1), dy, dw, bias, dx);
      call.give(1, found.dw);
      call.give(0, found.dx);
      if (bias) return call.give(2, found.dbias);
    }
    if (call.needs(2)) call.give(2, sum(dy, {.axes = {0}, .wide = true}));
  }
  double flops(std::span<const Value> operands) const override {
    return 2.0 * static_cast<double>(operands[0].shape().count()) * static_cast<double>(operands[1].extent(0));
  }
  int launches(std::span<const Value> operands) const override {
    return product_launches(operands[0].dtype(), operands[1].dtype(), operands[0].dtype(), operands[2].defined());
  }
};

}  // namespace

bool is_linear(const Operation& operation) { return dynamic_cast<const Linear*>(&operation) != nullptr; }

Value matmul(const Value& a, const Value& b, const MatmulOptions& options) { return record<Matmul>({a, b}, options); }
Value linear(const Value& x, const Value& w, const Value& bias) { return record<Linear>({x, w, bias}); }

}  // namespace rtl::graph

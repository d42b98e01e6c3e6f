// Multi-head attention and its gradient, each one operation.
#include "rtl/kernels/attention.hpp"

#include <array>
#include <cmath>

#include "graph/operations/plain_gradient.hpp"
#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

/// Operands: q, k, v, or one tensor of all three; then lengths, counters. `packed_heads` are those of queries in one
/// tensor, 0 where there are three.
class AttentionBase : public Operation {
 public:
  AttentionBase(std::int64_t packed_heads, const kernels::AttentionOptions& options)
      : packed_heads_(packed_heads), options_(options) {}
  std::string attributes() const override {
    return fmt::format("{}{}{}", packed_heads_ > 0 ? fmt::format("{} heads", packed_heads_) : "",
                       options_.causal ? " causal" : "",
                       options_.dropout > 0 ? fmt::format(" dropout {}", options_.dropout) : "");
  }

 protected:
  bool packed() const { return packed_heads_ > 0; }
  /// Tensors of heads among the operands.
  std::size_t tensors() const { return packed() ? 1 : 3; }

  /// The views of q, k and v in those of the operands, or in results like them.
  template <typename AnyView>
  std::array<AnyView, 3> heads_of(const AnyView& first, const AnyView& second, const AnyView& third) const {
    if (!packed()) return {first, second, third};
    const std::int64_t h = packed_heads_, g = (first.extent(2) - h) / 2;
    return {first.slice(2, 0, h), first.slice(2, h, h + g), first.slice(2, h + g, h + 2 * g)};
  }
  std::array<ConstView, 3> heads_of(const Call& call) const {
    return packed() ? heads_of(call.in(0), {}, {}) : heads_of(call.in(0), call.in(1), call.in(2));
  }

  struct Extents {
    std::int64_t sequences, queries, heads, size, keys, groups;
    double flops() const {
      return 4 * static_cast<double>(sequences * heads) * static_cast<double>(queries) * static_cast<double>(keys) *
             static_cast<double>(size);
    }
  };
  Extents extents(std::span<const Value> operands) const {
    const Shape &q = operands[0].shape(), &k = operands[packed() ? 0 : 1].shape();
    const std::int64_t heads = packed() ? packed_heads_ : q[2], groups = packed() ? (q[2] - heads) / 2 : k[2];
    return {q[0], q[1], heads, q[3], k[1], groups};
  }
  /// The types of out and log_sum_exp.
  std::vector<Type> check_operands(std::span<const Value> operands) const {
    check_activations(name(), operands.first(tensors()));
    for (const Value& heads : operands.first(tensors())) {
      if (!heads.defined()) throw ValueError(fmt::format("{}: q, k or v is not defined", name()));
      check_shape(heads.rank() == 4, name(), "{}; [N, T, heads, head_size] is needed", heads.shape().to_string());
    }
    const Shape& q = operands[0].shape();
    if (packed()) {
      check_shape(q[2] > packed_heads_ && (q[2] - packed_heads_) % 2 == 0, name(),
                  "{} with {} heads of queries; as many of keys as of values are needed", q.to_string(), packed_heads_);
    } else {
      const Shape &k = operands[1].shape(), &v = operands[2].shape();
      check_shape(k == v && k[0] == q[0] && k[3] == q[3], name(), "q is {}, k {}, v {}", q.to_string(), k.to_string(),
                  v.to_string());
    }
    const Extents e = extents(operands);
    check_shape(e.groups > 0 && e.heads % e.groups == 0, name(),
                "{} heads of queries, {} of keys; a multiple is needed", e.heads, e.groups);
    check_shape(e.size <= 256, name(), "heads of {} elements; at most 256 are possible", e.size);
    check_extras(operands, e.sequences);
    return {{{e.sequences, e.queries, e.heads, e.size}, operands[0].dtype()},
            {{e.sequences, e.heads, e.queries}, parameter_dtype(operands[0].dtype())}};
  }
  void check_extras(std::span<const Value> operands, std::int64_t sequences) const {
    const Value &lengths = operands[tensors()], &counters = operands[tensors() + 1];
    if (lengths.defined()) {
      if (lengths.dtype() != DType::i32) {
        throw DTypeError(fmt::format("{}: the lengths are {}; i32 is needed", name(), lengths.type().to_string()));
      }
      check_shape(lengths.shape() == Shape{sequences}, name(), "{} sequences with lengths {}", sequences,
                  lengths.shape().to_string());
    }
    if (!(options_.dropout >= 0 && options_.dropout < 1)) {
      throw ValueError(fmt::format("{}: dropout {} must be in [0, 1)", name(), options_.dropout));
    }
    if (options_.dropout > 0) check_counters(name(), counters);
  }

  /// The result by operations that have gradients of their own, with the whole score matrix.
  Value formula(const std::vector<Value>& in, const Value& lengths, const Value& counters) const;

  std::int64_t packed_heads_;
  kernels::AttentionOptions options_;
};

/// Large enough that its exponential is 0.
constexpr double hidden_score = -1e30;

/// What is added to scores [.., T, S] of hidden keys, by the length of the keys or, if causal, by the query: rows of a
/// triangle.
Value hidden_keys(Graph& graph, std::int64_t rows, std::int64_t keys, std::int64_t first_visible, DType dtype) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < keys; ++j) values.push_back(j < i + first_visible ? 0 : hidden_score);
  }
  const Device& device = graph.device();
  if (dtype == DType::f64) return graph.constant("hidden keys", Tensor::from(values, {rows, keys}, device));
  const std::vector<float> narrow(values.begin(), values.end());
  return graph.constant("hidden keys", Tensor::from(narrow, {rows, keys}, device));
}

Value AttentionBase::formula(const std::vector<Value>& in, const Value& lengths, const Value& counters) const {
  const Extents e = extents(in);
  const DType dtype = in[0].dtype();
  constexpr std::array heads_first{0, 2, 1, 3};
  const auto part = [&](std::size_t tensor, std::int64_t begin, std::int64_t end) {
    return permute(packed() ? slice(in[0], 2, begin, end) : in[tensor], heads_first);
  };
  const auto repeated = [&](const Value& x) {
    const Value apart = reshape(x, {e.sequences, e.groups, 1, e.keys, e.size});
    return reshape(broadcast(apart, {e.sequences, e.groups, e.heads / e.groups, e.keys, e.size}),
                   {e.sequences, e.heads, e.keys, e.size});
  };
  const Value q = part(0, 0, e.heads), k = repeated(part(1, e.heads, e.heads + e.groups));
  const Value v = repeated(part(2, e.heads + e.groups, e.heads + 2 * e.groups));
  const double factor = options_.scale != 0 ? options_.scale : 1 / std::sqrt(static_cast<double>(e.size));
  Value scores = scale(matmul(q, k, {.transpose_b = true}), factor);
  if (options_.causal) {
    scores = add(scores, hidden_keys(q.graph(), e.queries, e.keys, e.keys - e.queries + 1, dtype));
  }
  if (lengths.defined()) {
    const Value rows = gather_rows(hidden_keys(q.graph(), e.keys + 1, e.keys, 0, dtype), lengths, dtype);
    scores = add(scores, reshape(rows, {e.sequences, 1, 1, e.keys}));
  }
  const Shape shape = scores.shape();
  Value weights = reshape(softmax(reshape(scores, {shape.count() / e.keys, e.keys})), shape);
  if (options_.dropout > 0) weights = dropout(weights, options_.dropout, options_.name, counters);
  return permute(matmul(weights, v), heads_first);
}

/// Operands: those of the forward pass, out, log_sum_exp, dout; results: gradients of the tensors of heads.
class AttentionBackward final : public AttentionBase {
 public:
  using AttentionBase::AttentionBase;
  std::string_view name() const noexcept override { return "attention_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const std::vector<Type> forward = check_operands(operands);
    const Value& dout = operands[tensors() + 4];
    check_shape(dout.type() == forward[0], name(), "the gradient is {} of a result {}", dout.type().to_string(),
                forward[0].to_string());
    std::vector<Type> types;
    for (const Value& heads : operands.first(tensors())) types.push_back(heads.type());
    return types;
  }
  void run(const Call& call) const override {
    const auto [q, k, v] = heads_of(call);
    const auto [dq, dk, dv] =
        packed() ? heads_of(call.out(0), View(), View()) : heads_of(call.out(0), call.out(1), call.out(2));
    const std::size_t at = tensors();
    kernels::attention_backward(call.device(), q, k, v, call.in(at), call.in(at + 1), options_, call.in(at + 2),
                                call.in(at + 3), call.in(at + 4), dq, dk, dv);
  }
  void gradient(GradientCall& call) const override {
    std::vector<PlainInput> inputs;
    for (std::size_t i = 0; i < tensors(); ++i) inputs.push_back({call.operand(i), static_cast<int>(i)});
    const Value lengths = call.operand(tensors()), counters = call.operand(tensors() + 1);
    gradient_by_formula(*this, call, inputs, static_cast<int>(tensors()) + 4,
                        [&](const std::vector<Value>& in) { return formula(in, lengths, counters); });
  }
  double flops(std::span<const Value> operands) const override { return 2.5 * extents(operands).flops(); }
  int launches(std::span<const Value>) const override { return 3; }
};

class Attention final : public AttentionBase {
 public:
  using AttentionBase::AttentionBase;
  std::string_view name() const noexcept override { return "attention"; }
  std::vector<Type> infer(std::span<const Value> operands) const override { return check_operands(operands); }
  void run(const Call& call) const override {
    const auto [q, k, v] = heads_of(call);
    const std::size_t at = tensors();
    kernels::attention_forward(call.device(), q, k, v, call.in(at), call.in(at + 1), options_, call.out(0),
                               call.out(1));
  }
  void gradient(GradientCall& call) const override {
    std::vector<Value> operands;
    for (std::size_t i = 0; i < call.operands(); ++i) operands.push_back(call.operand(i));
    operands.insert(operands.end(), {call.result(0), call.result(1), call.gradient()});
    const std::vector<Value> given =
        call.operand(0).graph().add(std::make_shared<const AttentionBackward>(packed_heads_, options_), operands);
    for (std::size_t i = 0; i < given.size(); ++i) call.give(i, given[i]);
  }
  double flops(std::span<const Value> operands) const override { return extents(operands).flops(); }
};

}  // namespace

Value attention(const Value& q, const Value& k, const Value& v, const Value& lengths, const Value& counters,
                const kernels::AttentionOptions& options) {
  const std::array operands{q, k, v, lengths, options.dropout > 0 ? counters : Value()};
  return q.graph().add(std::make_shared<const Attention>(0, options), operands).front();
}

Value packed_attention(const Value& qkv, std::int64_t heads, const Value& lengths, const Value& counters,
                       const kernels::AttentionOptions& options) {
  if (heads < 1) throw ValueError(fmt::format("attention: {} heads; at least one is needed", heads));
  const std::array operands{qkv, lengths, options.dropout > 0 ? counters : Value()};
  return qkv.graph().add(std::make_shared<const Attention>(heads, options), operands).front();
}

}  // namespace rtl::graph

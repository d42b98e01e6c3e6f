// Sequences of tokens: embeddings, lengths, pooling, rotary positions.
#include "rtl/kernels/sequence.hpp"

#include "graph/operations/support.hpp"

namespace rtl::graph {
namespace {

/// i32 [N], or not defined.
void check_lengths(std::string_view operation, const Value& lengths, std::int64_t sequences) {
  if (!lengths.defined()) return;
  if (lengths.dtype() != DType::i32) {
    throw DTypeError(fmt::format("{}: the lengths are {}; i32 is needed", operation, lengths.type().to_string()));
  }
  check_shape(lengths.shape() == Shape{sequences}, operation, "{} sequences with lengths {}", sequences,
              lengths.shape().to_string());
}

class SequenceLengths final : public Operation {
 public:
  std::string_view name() const noexcept override { return "sequence_lengths"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value& ids = operands[0];
    if (ids.dtype() != DType::i32) {
      throw DTypeError(fmt::format("{}: the ids are {}; i32 is needed", name(), ids.type().to_string()));
    }
    check_shape(ids.rank() == 2, name(), "the ids are {}; [N, T] is needed", ids.shape().to_string());
    return {{{ids.extent(0)}, DType::i32}};
  }
  void run(const Call& call) const override { kernels::sequence_lengths(call.device(), call.in(0), call.out(0)); }
  void gradient(GradientCall&) const override {}
};

class SequenceMeanBackward final : public Operation {
 public:
  explicit SequenceMeanBackward(Type sequences) : sequences_(std::move(sequences)) {}
  std::string_view name() const noexcept override { return "sequence_mean_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_floating(name(), operands.first(1));
    check_lengths(name(), operands[1], sequences_.shape[0]);
    return {sequences_};
  }
  void run(const Call& call) const override {
    kernels::sequence_mean_backward(call.device(), call.in(0), call.in(1), call.out(0));
  }
  void gradient(GradientCall& call) const override { call.give(0, sequence_mean(call.gradient(), call.operand(1))); }

 private:
  Type sequences_;
};

class SequenceMean final : public Operation {
 public:
  std::string_view name() const noexcept override { return "sequence_mean"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_activations(name(), operands.first(1));
    const Value& x = operands[0];
    check_shape(x.rank() == 3, name(), "x is {}; [N, T, C] is needed", x.shape().to_string());
    check_lengths(name(), operands[1], x.extent(0));
    return {{{x.extent(0), x.extent(2)}, parameter_dtype(x.dtype())}};
  }
  void run(const Call& call) const override {
    kernels::sequence_mean(call.device(), call.in(0), call.in(1), call.out(0));
  }
  void gradient(GradientCall& call) const override {
    call.give(0, record<SequenceMeanBackward>({call.gradient(), call.operand(1)}, call.operand(0).type()));
  }
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(operands[0].shape().count());
  }
};

class RotatePositions final : public Operation {
 public:
  RotatePositions(kernels::RotaryPairs pairs, std::int64_t heads, bool back)
      : pairs_(pairs), heads_(heads), back_(back) {}
  std::string_view name() const noexcept override { return "rotate_positions"; }
  std::string attributes() const override {
    return fmt::format("{} heads, {}{}", heads_, pairs_ == kernels::RotaryPairs::halves ? "halves" : "interleaved",
                       back_ ? ", back" : "");
  }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    check_layer(name(), operands, 1);
    const Shape& x = operands[0].shape();
    check_shape(x.rank() == 4 && x[3] % 2 == 0, name(), "x is {}; [N, T, heads, an even head_size] is needed",
                x.to_string());
    for (const Value& angles : operands.subspan(1)) {
      if (!angles.defined()) throw ValueError(fmt::format("{}: cosines or sines are not defined", name()));
      const Shape& table = angles.shape();
      check_shape(table.rank() == 2 && table[0] >= x[1] && table[1] == x[3] / 2, name(),
                  "x is {}, but the cosines or sines are {}; [at least {}, {}] are needed", x.to_string(),
                  table.to_string(), x[1], x[3] / 2);
    }
    check_shape(operands[1].shape() == operands[2].shape(), name(), "the cosines are {}, the sines {}",
                operands[1].shape().to_string(), operands[2].shape().to_string());
    if (heads_ < 0 || heads_ > x[2]) {
      throw ValueError(fmt::format("{}: {} of {} heads are to be turned", name(), heads_, x[2]));
    }
    return {operands[0].type()};
  }
  void run(const Call& call) const override {
    kernels::rotate_positions(call.device(), call.in(0), call.in(1), call.in(2), pairs_, heads_, back_, call.out(0));
  }
  void gradient(GradientCall& call) const override {
    call.give(0, rotate_positions(call.gradient(), call.operand(1), call.operand(2), pairs_, heads_, !back_));
  }
  bool may_overwrite(std::size_t, std::size_t operand) const override { return operand == 0; }
  double flops(std::span<const Value> operands) const override {
    return 3 * static_cast<double>(operands[0].shape().count());
  }

 private:
  kernels::RotaryPairs pairs_;
  std::int64_t heads_;
  bool back_;
};

}  // namespace

Value embedding(const Value& table, const Value& ids, DType dtype) {
  check_floating("embedding", {&table, 1});
  check_shape(table.rank() == 2, "embedding", "the table is {}; [V, C] is needed", table.shape().to_string());
  if (ids.dtype() != DType::i32) {
    throw DTypeError(fmt::format("embedding: the ids are {}; i32 is needed", ids.type().to_string()));
  }
  const Value rows = gather_rows(table, reshape(ids, {ids.shape().count()}), dtype);
  std::vector<std::int64_t> extents(ids.shape().extents().begin(), ids.shape().extents().end());
  extents.push_back(table.extent(1));
  return reshape(rows, Shape(extents));
}

Value sequence_lengths(const Value& ids) { return record<SequenceLengths>({ids}); }

Value sequence_mean(const Value& x, const Value& lengths) { return record<SequenceMean>({x, lengths}); }

Value rotate_positions(const Value& x, const Value& cosines, const Value& sines, kernels::RotaryPairs pairs,
                       std::int64_t heads, bool back) {
  return record<RotatePositions>({x, cosines, sines}, pairs, heads, back);
}

}  // namespace rtl::graph

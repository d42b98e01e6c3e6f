// The fused head: logits of several blocks of features, and its gradients.
#include "core/joined.hpp"
#include "graph/operations/short_list.hpp"
#include "graph/operations/support.hpp"
#include "rtl/kernels/residual_fusion.hpp"

namespace rtl::graph {
namespace {

/// Scales of the blocks, and their operands: `first` and on, features and mask of each.
class Blocks {
 public:
  explicit Blocks(std::vector<double> scales) : scales_(std::move(scales)) {}
  std::size_t count() const noexcept { return scales_.size(); }
  const std::vector<double>& scales() const noexcept { return scales_; }

  /// Checks w [C, sum of the blocks' columns]; gives the number of rows.
  std::int64_t check(std::string_view operation, const Value& w, std::span<const Value> operands) const {
    check_shape(w.rank() == 2, operation, "w is {}; [classes, columns] is needed", w.shape().to_string());
    std::int64_t columns = 0;
    const std::int64_t rows = operands[0].rank() == 2 ? operands[0].extent(0) : 0;
    for (std::size_t k = 0; k < count(); ++k) {
      const Value &features = operands[2 * k], &mask = operands[2 * k + 1];
      const bool mixed = w.dtype() == DType::f32 && features.dtype() == DType::bf16;
      if (features.dtype() != w.dtype() && !mixed) {
        throw DTypeError(fmt::format("{}: the features of block {} are {} and w {}; cast one of them", operation, k,
                                     features.type().to_string(), w.type().to_string()));
      }
      check_shape(features.rank() == 2 && features.extent(0) == rows && features.extent(1) > 0, operation,
                  "the features of block {} are {}; [{}, p] with a column at least is needed", k,
                  features.shape().to_string(), rows);
      columns += features.extent(1);
      if (!mask.defined()) continue;
      check_shape(mask.shape() == Shape{rows} && mask.dtype() == w.dtype(), operation,
                  "mask of block {} is {} for w {} and {} rows", k, mask.type().to_string(), w.type().to_string(),
                  rows);
    }
    check_shape(w.extent(1) == columns, operation, "w is {}, the blocks have {} columns", w.shape().to_string(),
                columns);
    return rows;
  }
  ShortList<kernels::FusionBlock> views(const Call& call, std::size_t first) const {
    ShortList<kernels::FusionBlock> blocks(count());
    for (std::size_t k = 0; k < count(); ++k) {
      blocks[k] = {call.in(first + 2 * k), scales_[k], call.in(first + 2 * k + 1)};
    }
    return blocks;
  }

 private:
  std::vector<double> scales_;
};

/// Operands: w, dlogits, then of each block features and mask. Results: dw, then dbias and the gradients of the blocks
/// that are asked for.
class FusionBackward final : public Operation {
 public:
  FusionBackward(const Blocks& blocks, bool bias, std::vector<bool> needed)
      : blocks_(blocks), bias_(bias), needed_(std::move(needed)) {}
  std::string_view name() const noexcept override { return "residual_fusion_backward"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value &w = operands[0], &dlogits = operands[1];
    check_floating(name(), operands.first(2));
    const std::int64_t rows = blocks_.check(name(), w, operands.subspan(2));
    check_shape(dlogits.shape() == Shape{rows, w.extent(0)}, name(), "the logits' gradient is {}",
                dlogits.shape().to_string());
    std::vector<Type> types = {w.type()};
    if (bias_) types.push_back({{w.extent(0)}, w.dtype()});
    for (std::size_t k = 0; k < blocks_.count(); ++k) {
      if (needed_[k]) types.push_back(operands[2 + 2 * k].type());
    }
    return types;
  }
  void run(const Call& call) const override {
    const ShortList<kernels::FusionBlock> blocks = blocks_.views(call, 2);
    ShortList<View> dfeatures(blocks_.count());
    std::size_t result = bias_ ? 2 : 1;
    for (std::size_t k = 0; k < blocks_.count(); ++k) {
      if (needed_[k]) dfeatures[k] = call.out(result++);
    }
    kernels::residual_fusion_backward(call.device(), blocks.span(), call.in(0), call.in(1), call.out(0),
                                      bias_ ? call.out(1) : View(), dfeatures.span());
  }
  /// Bilinear: what comes back is made of the same two operations.
  void gradient(GradientCall& call) const override {
    const Value &w = call.operand(0), &dlogits = call.operand(1), &for_w = call.gradient(0);
    const Value for_bias = bias_ ? call.gradient(1) : Value();
    const std::vector<FusionInput> features = inputs(call, [&](std::size_t k) { return call.operand(2 + 2 * k); });
    bool any = false;
    std::size_t next = bias_ ? 2 : 1;
    const std::vector<FusionInput> for_features = inputs(call, [&](std::size_t k) {
      const Value given = needed_[k] ? call.gradient(next++) : Value();
      any = any || given.defined();
      return given.defined() ? given
                             : fill(w.graph(), 0, call.operand(2 + 2 * k).shape(), call.operand(2 + 2 * k).dtype());
    });
    if (call.needs(1)) {
      Value sum = for_bias.defined() ? broadcast(for_bias, dlogits.shape()) : Value();
      const auto add_term = [&](const Value& term) { sum = sum.defined() ? add(sum, term) : term; };
      if (for_w.defined()) add_term(residual_fusion(features, for_w, Value()));
      if (any) add_term(residual_fusion(for_features, w, Value()));
      call.give(1, sum);
    }
    if (call.needs(0) && any) {
      call.give(0, backward(blocks_, for_features, w, dlogits, std::vector<bool>(blocks_.count()))[0]);
    }
    std::vector<bool> wanted;
    for (std::size_t k = 0; k < blocks_.count(); ++k) wanted.push_back(for_w.defined() && call.needs(2 + 2 * k));
    if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return;
    const std::vector<Value> results = backward(blocks_, features, for_w, dlogits, wanted);
    std::size_t result = 1;
    for (std::size_t k = 0; k < blocks_.count(); ++k) {
      if (wanted[k]) call.give(2 + 2 * k, results[result++]);
    }
  }
  double flops(std::span<const Value> operands) const override {
    double columns = 0;
    for (std::size_t k = 0; k < blocks_.count(); ++k) {
      columns += static_cast<double>(operands[2 + 2 * k].extent(1)) * (needed_[k] ? 2 : 1);
    }
    return 2 * static_cast<double>(operands[1].shape().count()) * columns;
  }
  int launches(std::span<const Value>) const override {
    return static_cast<int>(blocks_.count() + (bias_ ? 1 : 0)) +
           static_cast<int>(std::count(needed_.begin(), needed_.end(), true));
  }

 private:
  template <typename F>
  std::vector<FusionInput> inputs(const GradientCall& call, const F& features) const {
    std::vector<FusionInput> blocks;
    for (std::size_t k = 0; k < blocks_.count(); ++k) {
      blocks.push_back({features(k), blocks_.scales()[k], call.operand(3 + 2 * k)});
    }
    return blocks;
  }
  /// Without bias.
  static std::vector<Value> backward(const Blocks& blocks, std::span<const FusionInput> inputs, const Value& w,
                                     const Value& dlogits, std::vector<bool> needed) {
    std::vector<Value> operands = {w, dlogits};
    for (const FusionInput& input : inputs) operands.insert(operands.end(), {input.features, input.mask});
    return w.graph().add(std::make_shared<const FusionBackward>(blocks, false, std::move(needed)), operands);
  }

  Blocks blocks_;
  bool bias_;
  std::vector<bool> needed_;
};

/// Operands: w, bias or nothing, then of each block features and mask.
class ResidualFusion final : public Operation {
 public:
  explicit ResidualFusion(Blocks blocks) : blocks_(std::move(blocks)) {}
  std::string_view name() const noexcept override { return "residual_fusion"; }
  std::string attributes() const override { return fmt::format("scales {}", joined(blocks_.scales(), " ")); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value &w = operands[0], &bias = operands[1];
    check_floating(name(), operands.first(2));
    const std::int64_t rows = blocks_.check(name(), w, operands.subspan(2));
    check_shape(!bias.defined() || bias.shape() == Shape{w.extent(0)}, name(), "the bias is {} for w {}",
                bias.defined() ? bias.shape().to_string() : "", w.shape().to_string());
    return {{{rows, w.extent(0)}, w.dtype()}};
  }
  void run(const Call& call) const override {
    kernels::residual_fusion_forward(call.device(), blocks_.views(call, 2).span(), call.in(0), call.in(1), call.out(0));
  }
  void gradient(GradientCall& call) const override {
    const bool bias = call.operand(1).defined() && call.needs(1);
    std::vector<bool> needed;
    std::vector<Value> operands = {call.operand(0), call.gradient()};
    for (std::size_t k = 0; k < blocks_.count(); ++k) {
      needed.push_back(call.needs(2 + 2 * k));
      operands.insert(operands.end(), {call.operand(2 + 2 * k), call.operand(3 + 2 * k)});
    }
    Graph& graph = call.operand(0).graph();
    const std::vector<Value> results =
        graph.add(std::make_shared<const FusionBackward>(blocks_, bias, needed), operands);
    call.give(0, results[0]);
    if (bias) call.give(1, results[1]);
    std::size_t result = bias ? 2 : 1;
    for (std::size_t k = 0; k < blocks_.count(); ++k) {
      if (needed[k]) call.give(2 + 2 * k, results[result++]);
    }
  }
  double flops(std::span<const Value> operands) const override {
    const double rows = static_cast<double>(operands[2].extent(0));
    return 2 * rows * static_cast<double>(operands[0].shape().count());
  }

 private:
  Blocks blocks_;
};

}  // namespace

Value residual_fusion(std::span<const FusionInput> blocks, const Value& w, const Value& bias) {
  if (blocks.empty()) throw ValueError("residual_fusion: there are no feature blocks; give at least one");
  std::vector<double> scales;
  std::vector<Value> operands = {w, bias};
  for (const FusionInput& block : blocks) {
    scales.push_back(block.scale);
    operands.insert(operands.end(), {block.features, block.mask});
    w.graph().record(block.features);
  }
  return w.graph().add(std::make_shared<const ResidualFusion>(Blocks(std::move(scales))), operands).front();
}

}  // namespace rtl::graph

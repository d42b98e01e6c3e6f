// The passes: folding, fusing, preparing. Each looks at a node and what makes its operands.
#include "rtl/graph/passes.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "graph/aliases.hpp"
#include "graph/operations/convolution.hpp"
#include "graph/operations/fused.hpp"
#include "graph/operations/fused_loss.hpp"
#include "graph/operations/linear_backward.hpp"
#include "graph/operations/norm.hpp"
#include "graph/operations/optimizer.hpp"
#include "graph/operations/packed_convolution.hpp"
#include "graph/operations/prepared.hpp"
#include "graph/operations/recognise.hpp"
#include "graph/pack_convolutions.hpp"
#include "rtl/graph/operation.hpp"

namespace rtl::graph {
namespace {

using kernels::Activation;

/// A chain of operations that may become one: a node, and the value it hands on to nobody but the next.
class Passes {
 public:
  Passes(Graph& graph, const std::vector<Value>& results, const PassOptions& options)
      : graph_(graph), options_(options), uses_(graph.values().size()), kept_(graph.values().size()) {
    for (const Value& result : results) {
      graph.record(result);
      kept_[index(result.index())] = true;
    }
    for (std::int32_t node = 0; node < count(); ++node) {
      if (!at(node).operation) continue;
      for (const std::int32_t operand : at(node).operands) {
        if (operand >= 0) uses_[index(operand)].push_back(node);
      }
    }
  }

  void run() {
    if (options_.frozen) {
      for_each(&Passes::fold_norm);
      for_each(&Passes::fold_stack);
      if (!graph_.device().is_cuda()) for_each(&Passes::prepare_linear);
    }
    if (options_.fuse) {
      for_each(&Passes::fuse_forward);
      for_each(&Passes::fuse_norm_backward);
      for_each(&Passes::fuse_linear_backward);
      for_each(&Passes::fuse_loss);
      for_each(&Passes::fuse_step_end);
    }
    if (options_.frozen) for_each(&Passes::prepare_convolution);
  }

  /// What is left when the weights of convolutions are packed.
  void run_packed() { for_each(&Passes::fuse_gradient_sum); }

 private:
  using Operands = std::vector<std::int32_t>;

  static std::size_t index(std::int32_t value) { return static_cast<std::size_t>(value); }
  std::int32_t count() const { return static_cast<std::int32_t>(graph_.nodes().size()); }
  const NodeRecord& at(std::int32_t node) const { return graph_.nodes()[index(node)]; }
  std::int32_t producer(std::int32_t value) const { return value < 0 ? -1 : graph_.values()[index(value)].node; }
  Shape shape(std::int32_t value) const { return graph_.values()[index(value)].type.shape; }

  void for_each(void (Passes::*pass)(std::int32_t)) {
    for (std::int32_t node = 0; node < count(); ++node) {
      if (at(node).operation) (this->*pass)(node);
    }
  }

  /// The node that makes `value`, if it makes it for one reader alone.
  std::int32_t maker_for_one(std::int32_t value) const {
    if (value < 0 || kept_[index(value)] || uses_[index(value)].size() != 1) return -1;
    return producer(value);
  }

  std::int32_t root(std::int32_t value) const { return memory_of(graph_, value); }
  Operands changed_by(std::int32_t node) const { return graph::changed_by(graph_, at(node)); }
  bool reads(std::int32_t node, std::int32_t variable) const {
    const Operands& operands = at(node).operands;
    return std::any_of(operands.begin(), operands.end(),
                       [&](std::int32_t operand) { return operand >= 0 && root(operand) == variable; });
  }

  bool changes_operand(std::int32_t writer, std::int32_t reader) const {
    const Operands changed = changed_by(writer);
    return std::any_of(changed.begin(), changed.end(), [&](std::int32_t variable) { return reads(reader, variable); });
  }
  bool makes_operand(std::int32_t maker, std::int32_t reader) const {
    const Operands& results = at(maker).results;
    return std::any_of(results.begin(), results.end(), [&](std::int32_t made) { return reads(reader, root(made)); });
  }

  /// Whether node `from` does the same in the place of `to`, behind it or before it: no node between them changes what
  /// it reads, or reads what it changes.
  bool may_move(std::int32_t from, std::int32_t to) const {
    for (std::int32_t node = std::min(from, to) + 1; node < std::max(from, to); ++node) {
      if (at(node).operation && (changes_operand(node, from) || changes_operand(from, node))) return false;
    }
    return true;
  }

  /// The same of a place before it: no node between them makes what it reads, either.
  bool may_move_up(std::int32_t from, std::int32_t to) const {
    for (std::int32_t node = to + 1; node < from; ++node) {
      if (at(node).operation && makes_operand(node, from)) return false;
    }
    return may_move(from, to);
  }

  template <typename T>
  const T* operation_of(std::int32_t node) const {
    return node < 0 ? nullptr : dynamic_cast<const T*>(at(node).operation.get());
  }

  /// Graph::replace, with the lists of uses kept right.
  void replace(std::int32_t node, std::shared_ptr<const Operation> operation, const Operands& operands,
               const Operands& results) {
    std::vector<std::int32_t> losers{node};
    for (const std::int32_t result : results) {
      if (const std::int32_t maker = producer(result); maker >= 0 && maker != node) losers.push_back(maker);
    }
    for (const std::int32_t loser : losers) forget_uses(loser);
    graph_.replace(node, std::move(operation), operands, results);
    uses_.resize(graph_.values().size());
    kept_.resize(graph_.values().size());
    for (const std::int32_t operand : operands) {
      if (operand >= 0) uses_[index(operand)].push_back(node);
    }
  }
  void forget_uses(std::int32_t node) {
    for (const std::int32_t operand : at(node).operands) {
      if (operand >= 0) std::erase(uses_[index(operand)], node);
    }
  }
  /// A node whose only result nobody reads any more.
  void drop(std::int32_t node) {
    forget_uses(node);
    graph_.remove(node);
  }

  std::optional<Storage> constant(std::int32_t value) const {
    if (value < 0) return Storage();
    const ValueRecord& record = graph_.values()[index(value)];
    if (record.origin != Origin::constant) return std::nullopt;
    return record.storage;
  }

  /// conv2d of constants, then a norm of constants: one conv2d.
  void fold_norm(std::int32_t node) {
    const auto* norm = operation_of<BatchNormEvaluation>(node);
    if (norm == nullptr) return;
    const std::int32_t before = maker_for_one(at(node).operands[0]);
    const auto* convolution = operation_of<Conv2d>(before);
    if (convolution == nullptr || !may_move(before, node)) return;
    std::vector<Storage> constants;
    for (const std::size_t operand : {std::size_t{1}, std::size_t{2}}) {
      const auto found = constant(at(before).operands[operand]);
      if (!found) return;
      constants.push_back(*found);
    }
    for (std::size_t operand = 1; operand < 5; ++operand) {
      const auto found = constant(at(node).operands[operand]);
      if (!found) return;
      constants.push_back(*found);
    }
    const FrozenWeights::Folded folded = options_.frozen->folded(constants, norm->options().epsilon);
    const std::int32_t w = graph_.constant("folded weight", folded.weight).index();
    const std::int32_t bias = graph_.constant("folded bias", folded.bias).index();
    uses_.resize(graph_.values().size());
    kept_.resize(graph_.values().size());
    const Operands operands{at(before).operands[0], w, bias};
    const Operands results = at(node).results;
    const auto operation = std::make_shared<const Conv2d>(convolution->options());
    drop(before);
    replace(node, operation, operands, results);
  }

  /// Constants one below the other: one constant.
  void fold_stack(std::int32_t node) {
    if (!is_stack(*at(node).operation) || kept_[index(at(node).results[0])]) return;
    std::vector<Storage> parts;
    for (const std::int32_t operand : at(node).operands) {
      const auto found = constant(operand);
      if (!found) return;
      parts.push_back(*found);
    }
    const std::int32_t result = at(node).results[0];
    const std::int32_t whole = graph_.constant("stacked", options_.frozen->stacked(parts)).index();
    uses_.resize(graph_.values().size());
    kept_.resize(graph_.values().size());
    const std::vector<std::int32_t> readers = uses_[index(result)];
    for (const std::int32_t reader : readers) {
      Operands operands = at(reader).operands;
      std::replace(operands.begin(), operands.end(), result, whole);
      replace(reader, at(reader).operation, operands, at(reader).results);
    }
    drop(node);
  }

  /// linear of constants, and the activation behind it.
  void prepare_linear(std::int32_t node) {
    if (!is_linear(*at(node).operation)) return;
    const Operands operands = at(node).operands;
    const auto w = constant(operands[1]), bias = constant(operands[2]);
    if (!w || !bias) return;
    const DType inputs = graph_.values()[index(operands[0])].type.dtype;
    const auto layer = options_.frozen->prepared(*w, *bias, inputs);
    const std::int64_t outputs = w->shape()[0];
    auto activation = kernels::LinearActivation::none;
    std::int32_t last = node;
    const auto& readers = uses_[index(at(node).results[0])];
    if (options_.fuse && readers.size() == 1 && !kept_[index(at(node).results[0])]) {
      const auto follows = linear_activation_of(*at(readers[0]).operation);
      if (follows && may_move(node, readers[0])) {
        activation = *follows;
        last = readers[0];
      }
    }
    const Operands results = at(last).results;
    if (last != node) drop(node);
    replace(last, std::make_shared<const PreparedLinear>(layer, outputs, operands[2] >= 0, activation), {operands[0]},
            results);
  }

  struct Joined {
    std::shared_ptr<const Operation> operation;
    Operands operands;
  };

  /// A convolution of constants as a prepared one, if it is one and they are.
  std::optional<Joined> prepared(std::int32_t node, std::int32_t residual, Activation activation) {
    const auto* convolution = operation_of<Conv2d>(node);
    if (convolution == nullptr || !options_.frozen) return std::nullopt;
    const Operands& operands = at(node).operands;
    const auto w = constant(operands[1]), bias = constant(operands[2]);
    if (!w || !bias) return std::nullopt;
    const kernels::Conv2dOptions& geometry = convolution->options();
    const DType images = graph_.values()[index(operands[0])].type.dtype;
    Joined joined{
        std::make_shared<const PreparedConvolution>(
            options_.frozen->prepared(*w, *bias, geometry, images), w->shape(), geometry, activation,
            !graph_.device().is_cuda(), convolution_launches(images, operands[2] >= 0, activation, residual >= 0)),
        {operands[0]}};
    if (residual >= 0) joined.operands.push_back(residual);
    return joined;
  }

  /// The operation of `node` with a residual sum and an activation behind it, if it takes them without a change of
  /// bits.
  std::optional<Joined> with_tail(std::int32_t node, std::int32_t residual, Activation activation) {
    if (node < 0) return std::nullopt;
    if (auto joined = prepared(node, residual, activation)) return joined;
    const bool relu = activation == Activation::relu;
    Joined joined{nullptr, at(node).operands};
    if (const auto* convolution = operation_of<Conv2d>(node)) {
      if (residual >= 0) return std::nullopt;  // the sum would be in another order
      joined.operation = make_fused_conv2d(convolution->options(), activation);
      joined.operands.push_back(-1);
    } else if (activation == Activation::relu6) {
      return std::nullopt;  // of these, convolutions alone take it
    } else if (const auto* training = operation_of<BatchNormTraining>(node)) {
      joined.operation = make_fused_batch_norm_training(training->options(), relu);
      joined.operands.push_back(residual);
    } else if (const auto* evaluation = operation_of<BatchNormEvaluation>(node)) {
      joined.operation = make_fused_batch_norm_evaluation(evaluation->options(), relu);
      joined.operands.push_back(residual);
    } else if (is_linear(*at(node).operation) && residual < 0) {
      joined.operation = make_fused_linear(relu);
    }
    if (!joined.operation) return std::nullopt;
    return joined;
  }

  /// Puts node `before`, with what follows it up to `node`, in the place of `node`.
  void join(std::int32_t before, std::int32_t node, Joined joined) {
    Operands results = at(before).results;
    results[0] = at(node).results[0];
    if (results.size() == 1) drop(before);
    replace(node, std::move(joined.operation), joined.operands, results);
  }

  void fuse_forward(std::int32_t node) {
    const Operation& operation = *at(node).operation;
    if (const auto activation = activation_of(operation)) {
      const std::int32_t before = maker_for_one(at(node).operands[0]);
      if (before < 0 || !may_move(before, node)) return;
      if (is_add(*at(before).operation) && fuse_sum(before, node, *activation)) return;
      if (auto joined = with_tail(before, -1, *activation)) join(before, node, *std::move(joined));
    } else if (is_add(operation)) {
      const auto& readers = uses_[index(at(node).results[0])];
      const bool activation_follows = readers.size() == 1 && activation_of(*at(readers[0]).operation);
      if (!activation_follows) fuse_sum(node, node, Activation::none);
    }
  }

  /// `sum` a + b, and the activation `node` behind it: into what makes a or b.
  bool fuse_sum(std::int32_t sum, std::int32_t node, Activation activation) {
    const Operands terms = at(sum).operands;
    if (shape(terms[0]) != shape(terms[1]) || terms[0] == terms[1]) return false;
    for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
      const std::int32_t before = maker_for_one(terms[first]);
      if (before < 0 || !may_move(before, node)) continue;
      auto joined = with_tail(before, terms[1 - first], activation);
      if (!joined) continue;
      if (sum != node) drop(sum);
      join(before, node, *std::move(joined));
      return true;
    }
    if (activation != Activation::relu) return false;
    drop(sum);
    replace(node, make_add_relu(), terms, at(node).results);
    return true;
  }

  /// The gradient of images that a convolution of packed weights gives, and one from elsewhere, as residual blocks
  /// have: one operation.
  void fuse_gradient_sum(std::int32_t node) {
    if (!is_add(*at(node).operation)) return;
    const Operands terms = at(node).operands;
    if (shape(terms[0]) != shape(terms[1]) || terms[0] == terms[1]) return;
    for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
      const std::int32_t before = maker_for_one(terms[first]);
      if (operation_of<PackedConv2dBackwardData>(before) == nullptr || at(before).operands.size() > 2) continue;
      if (!may_move(before, node)) continue;
      Joined joined{at(before).operation, at(before).operands};
      joined.operands.push_back(terms[1 - first]);
      return join(before, node, std::move(joined));
    }
  }

  /// relu_backward(y, dy), then the gradient of a norm: one operation, which also gives what other readers of the
  /// ReLU's gradient read.
  void fuse_norm_backward(std::int32_t node) {
    const bool training = operation_of<BatchNormTrainingBackward>(node) != nullptr;
    const auto* evaluation = operation_of<BatchNormEvaluationBackward>(node);
    if (!training && evaluation == nullptr) return;
    const Operands before = at(node).operands;  // x, gamma, mean, deviation or variance, dy
    const std::int32_t masked = before[4];
    const std::int32_t relu = producer(masked);
    if (relu < 0 || !is_relu_backward(*at(relu).operation) || !may_move(relu, node)) return;
    const auto& readers = uses_[index(masked)];
    // Readers before this node would read what is not yet there.
    if (*std::min_element(readers.begin(), readers.end()) < node) return;
    const bool others = kept_[index(masked)] || readers.size() > 1;
    const Operands operands{before[0], before[1], before[2], before[3], at(relu).operands[1], at(relu).operands[0]};
    Operands results = at(node).results;
    if (others) results.push_back(masked);
    auto fused = training ? make_fused_batch_norm_training_backward(true, others)
                          : make_fused_batch_norm_evaluation_backward(evaluation->options(), true, others);
    if (!others) drop(relu);
    replace(node, std::move(fused), operands, results);
  }

  /// cross_entropy, and its gradient for a gradient of one: one operation, in the place of the first.
  void fuse_loss(std::int32_t node) {
    if (!is_cross_entropy_backward(*at(node).operation)) return;
    const Operands& backward = at(node).operands;  // probabilities, labels, rows, counters, dloss
    const std::int32_t loss = maker_for_one(backward[0]), one = producer(backward[4]);
    if (loss < 0 || !is_cross_entropy(*at(loss).operation) || at(loss).results[1] != backward[0]) return;
    if (one < 0 || !is_ones(*at(one).operation)) return;
    const Operands operands = at(loss).operands;  // logits, labels, rows, counters
    if (!std::equal(operands.begin() + 1, operands.end(), backward.begin() + 1, backward.begin() + 4)) return;
    if (!may_move(loss, node)) return;
    replace(loss, make_fused_cross_entropy(), operands, {at(loss).results[0], at(node).results[0]});
    if (graph_.device().is_cuda()) fuse_loss_with_layer(loss);
  }

  /// A loss with its gradient, and the gradients of the layer that made the logits: one operation, in the place of the
  /// first. On CUDA, where it saves a launch.
  void fuse_loss_with_layer(std::int32_t loss) {
    const std::int32_t dlogits = at(loss).results[1];
    const auto& readers = uses_[index(dlogits)];
    if (readers.empty()) return;
    const std::int32_t layer = readers.front();
    const auto* backward = operation_of<LinearBackward>(layer);
    if (backward == nullptr || at(layer).operands[2] != dlogits || !may_move_up(layer, loss)) return;
    auto joined = make_cross_entropy_with_linear_gradients(backward->options());
    if (!joined) return;
    Operands operands = at(loss).operands, results = at(loss).results;
    operands.insert(operands.end(), at(layer).operands.begin(), at(layer).operands.begin() + 2);
    results.insert(results.end(), at(layer).results.begin(), at(layer).results.end());
    replace(loss, std::move(joined), operands, results);
  }

  /// The gradients of a linear layer, and a relu_backward of dx by the layer's own input: one operation, in the place
  /// of the first.
  void fuse_linear_backward(std::int32_t node) {
    if (!is_relu_backward(*at(node).operation)) return;
    const std::int32_t y = at(node).operands[0], dx = at(node).operands[1], layer = maker_for_one(dx);
    const auto* backward = operation_of<LinearBackward>(layer);
    if (backward == nullptr || at(layer).operands[0] != y || producer(y) < 0) return;
    const auto which = backward->dx_result();
    if (!which || at(layer).results[*which] != dx || !may_move_up(node, layer)) return;
    Operands results = at(layer).results;
    results[*which] = at(node).results[0];
    LinearBackwardOptions options = backward->options();
    options.relu = true;
    replace(layer, std::make_shared<const LinearBackward>(options), Operands(at(layer).operands), results);
  }

  /// An optimizer step, and the end of the training step behind it: one operation, in the place of the second.
  void fuse_step_end(std::int32_t node) {
    const auto batch_size = advanced_batch(*at(node).operation);
    if (!batch_size) return;
    for (std::int32_t step = node - 1; step >= 0; --step) {
      if (!at(step).operation || at(step).operands.empty() || at(step).operands[0] != at(node).operands[0]) continue;
      auto ending = make_ending_step(*at(step).operation, *batch_size);
      if (!ending) continue;
      if (!may_move(step, node)) return;
      Operands operands = at(step).operands, results = at(step).results;
      operands.insert(operands.end(), at(node).operands.begin() + 1, at(node).operands.end());
      results.insert(results.end(), at(node).results.begin(), at(node).results.end());
      return replace(node, std::move(ending), operands, results);
    }
  }

  void prepare_convolution(std::int32_t node) {
    if (auto joined = prepared(node, -1, Activation::none)) {
      const Operands results = at(node).results;
      replace(node, std::move(joined->operation), joined->operands, results);
    }
  }

  Graph& graph_;
  const PassOptions& options_;
  std::vector<std::vector<std::int32_t>> uses_;  ///< nodes that read each value
  std::vector<bool> kept_;                       ///< values that are read from outside
};

}  // namespace

void run_passes(Graph& graph, const std::vector<Value>& results, const PassOptions& options) {
  Passes(graph, results, options).run();
  if (!options.fuse || !graph.device().is_cuda()) return;
  pack_convolutions(graph);
  Passes(graph, results, options).run_packed();
}

}  // namespace rtl::graph

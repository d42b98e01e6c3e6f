// DANN-gate: a low-rank head that learns from source and target samples, the source's weighted by a discriminator that
// tells both apart by their logits and labels, while the gradient that it gets from there is reversed.
#include <cmath>

#include "rtl/transfer/objectives.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/domain_discriminator.hpp"
#include "transfer/low_rank_head.hpp"

namespace rtl::transfer::recipes {
namespace {

using graph::Value;

enum class SourceHalf : std::uint8_t { samples, target };
enum class Discriminator : std::uint8_t { correct, published };

struct Options {
  SourceHalf source_half = SourceHalf::samples;
  Discriminator discriminator = Discriminator::correct;
  HeadStart head_start = HeadStart::automatic;
  std::int64_t rank = 8;
  double alpha = 16;
  double gate_learning_rate = 1e-3;

  void visit(OptionVisitor& option) {
    option("source_half", source_half, {"samples", "target"},
           "what stands for the source: its samples, or half of each target batch, as in published stress tests");
    option("discriminator", discriminator, {"correct", "published"},
           "labels that it learns: correct, or those of the published CIFAR-10 code, one of which is wrong");
    option(
        "head_start", head_start, head_start_choices(),
        "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)");
    option("rank", rank, Range::at_least(1), "of the trained update of the head");
    option("alpha", alpha, Range::above(0), "the update is scaled by alpha / rank");
    option("gate_learning_rate", gate_learning_rate, Range::above(0), "of Adam, for head and discriminator");
  }
};

class GatedHead final : public Trainable {
 public:
  GatedHead(FitContext& context, const Options& options)
      : options_(options),
        head_(context, options.head_start, options.rank, options.alpha),
        discriminator_(context.task().outputs, context.device(), context.seed()) {}

  Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return head_.outputs(batch.features.front(), context);
  }
  layers::ModuleState state() override {
    layers::ModuleState state;
    head_.append_to(state);
    discriminator_.append_to(state);
    return state;
  }
  bool wants_inputs() const override { return false; }
  std::unique_ptr<FusedHead> merged() const { return head_.merged(); }
  std::vector<ParameterGroup> groups() override {
    const auto adam = [&](std::vector<optim::NamedStorage> parameters, std::size_t objective) {
      return ParameterGroup{std::move(parameters), objective, 1, options_.gate_learning_rate, OptimizerKind::adam};
    };
    return {adam(head_.trained(), 0), adam(discriminator_.trained(), 1)};
  }
  /// lambda = 2 / (1 + exp(-10 s)) - 1, s from 0 to 1 over the epochs.
  std::vector<double> epoch_numbers(std::int64_t epoch, std::int64_t epochs) override {
    const double s = epochs > 1 ? static_cast<double>(epoch) / static_cast<double>(epochs - 1) : 0;
    return {2 / (1 + std::exp(-10 * s)) - 1};
  }
  std::string description() const override { return "dann-gate, " + to_text(option_values(options_)); }

  std::vector<Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    const Value logits = graph::cast(outputs(batch, context), DType::f32), labels = batch.targets.one_hot();
    Half source, target{logits, labels};
    if (batch.source) {
      source = {graph::cast(outputs(*batch.source, context), DType::f32), batch.source->targets.one_hot()};
    } else {  // a batch of one sample stands for both
      const std::int64_t rows = batch.targets.rows(), half = std::max<std::int64_t>(rows / 2, 1);
      source = {graph::slice(logits, 0, 0, half), graph::slice(labels, 0, 0, half)};
      target = {graph::slice(logits, 0, rows - half, rows), graph::slice(labels, 0, rows - half, rows)};
    }
    const Value gate = discriminator_.gate(source.logits, source.labels, context);
    const Value gated = graph::multiply(gate, objectives::cross_entropy_of_each(source.logits, source.labels));
    const Value classes =
        graph::add(graph::mean(gated), graph::mean(objectives::cross_entropy_of_each(target.logits, target.labels)));
    const auto reversed = [&](const Half& half) {
      return Half{graph::reverse_gradient(half.logits, batch.numbers), half.labels};
    };
    const auto still = [](const Half& half) { return Half{graph::stop_gradient(half.logits), half.labels}; };
    const Value domains = domain_loss(reversed(source), reversed(target), 0.5, true, "model", context);
    const Value told = domain_loss(still(source), still(target), 0.25, options_.discriminator == Discriminator::correct,
                                   "discriminator", context);
    return {graph::add(classes, domains), told};
  }

 private:
  struct Half {
    Value logits, labels;  ///< labels one-hot
  };

  /// weight times the sum of four cross-entropies: source and target, each with its labels and without.
  Value domain_loss(const Half& source, const Half& target, double weight, bool marginal_target,
                    const std::string& pass, const layers::ForwardContext& context) const {
    const auto loss = [&](const Half& half, bool labelled, bool label, const char* name) {
      return objectives::binary_cross_entropy(
          discriminator_.logits(half.logits, labelled ? half.labels : Value(), pass + name, context), label);
    };
    const Value joint = graph::add(loss(source, true, false, " source"), loss(target, true, true, " target"));
    const Value marginal = graph::add(loss(source, false, false, " marginal source"),
                                      loss(target, false, marginal_target, " marginal target"));
    return graph::scale(graph::add(joint, marginal), weight);
  }

  Options options_;
  detail::LowRankHead head_;
  detail::DomainDiscriminator discriminator_;
};

Recipe fit(FitContext& context, Options options) {
  GatedHead model(context, options);
  TrainingData data{&context.train(), {}, {context.keep(context.features(0))}}, source;
  if (options.source_half == SourceHalf::samples) {
    if (context.source_data().classes != context.train().classes) {
      throw ValueError("dann-gate: the source's samples have other classes than the target");
    }
    source = {&context.source_data(), {}, {context.keep(context.source_data_features(0))}};
    data.source = &source;
  }
  co_await context.train(model, data, context.training());
  co_return model.merged();
}

}  // namespace

const Strategy& dann_gate() {
  static const StrategyOf<Options> strategy(
      {.name = "dann-gate",
       .summary = "a low-rank head on frozen features, trained on source and target samples with an adversarial gate",
       .reference = "Ganin et al. 2016; Xu et al. 2025, DANN-Gate",
       .uses_features = true,
       .uses_source_data = true,
       .regression = false},
      fit, nullptr, [](const Options& options) { return options.source_half == SourceHalf::samples; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

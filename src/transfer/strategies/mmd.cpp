// A fine-tuned copy whose features of source and target samples are drawn together by their mean discrepancy.
#include <fmt/format.h>

#include "rtl/graph/operations.hpp"
#include "rtl/transfer/objectives.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

using graph::Value;

enum class SourceLabels : std::uint8_t { automatic, used, unused };

struct Options {
  double mmd_weight = 1;
  SourceLabels source_labels = SourceLabels::automatic;
  HeadStart head_start = HeadStart::automatic;

  void visit(OptionVisitor& option) {
    option("mmd_weight", mmd_weight, Range::at_least(0), "of the discrepancy of the features");
    option("source_labels", source_labels, {"auto", "used", "unused"},
           "whether the loss of the source's samples is added: auto, where their classes are the target's");
    option(
        "head_start", head_start, head_start_choices(),
        "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)");
  }
};

/// Target and source samples go through the network as one batch, so that batch norms see both alike.
class AlignedNetwork final : public Trainable {
 public:
  AlignedNetwork(NetworkPredictor& network, const Options& options, bool source_labels)
      : network_(network), options_(options), source_labels_(source_labels) {}

  Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }
  std::string description() const override { return "mmd, " + to_text(option_values(options_)); }

  std::vector<Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    layers::Network& network = network_.network();
    const Value both[] = {batch.inputs, batch.source->inputs};
    const Value features = network.features(graph::concatenate(both, 0), context);
    const Value logits = network.head(features, context);
    const std::int64_t rows = batch.inputs.extent(0), all = features.extent(0);
    Value loss = batch.targets.loss(graph::slice(logits, 0, 0, rows));
    if (source_labels_) loss = graph::add(loss, batch.source->targets.loss(graph::slice(logits, 0, rows, all)));
    const Value wide = graph::cast(features, DType::f32);
    const Value apart = objectives::mmd(graph::slice(wide, 0, rows, all), graph::slice(wide, 0, 0, rows));
    return {graph::add(loss, graph::scale(apart, options_.mmd_weight))};
  }

 private:
  NetworkPredictor& network_;
  Options options_;
  bool source_labels_;
};

/// Throws ValueError where they are to be used and cannot.
bool uses_labels(const FitContext& context, SourceLabels labels) {
  if (labels == SourceLabels::unused) return false;
  const data::Dataset &source = context.source_data(), &train = context.train();
  const bool alike =
      source.has_labels() && train.has_labels() && source.classes == train.classes &&
      (source.class_names.empty() || train.class_names.empty() || source.class_names == train.class_names);
  if (alike || labels == SourceLabels::automatic) return alike;
  throw ValueError(fmt::format("mmd: {} has {} classes, {} has {}, or other names; leave the source's labels unused",
                               source.name, source.classes, train.name, train.classes));
}

Recipe fit(FitContext& context, Options options) {
  auto network = context.copy_of(context.source(), options.head_start);
  AlignedNetwork model(*network, options, uses_labels(context, options.source_labels));
  const TrainingData source{&context.source_data(), network->normalization(), {}};
  const TrainingData data{&context.train(), network->normalization(), {}, &source};
  co_await context.train(model, data, context.training());
  co_return network;
}

}  // namespace

const Strategy& mmd() {
  static const StrategyOf<Options> strategy(
      {.name = "mmd",
       .summary = "a fine-tuned copy whose features of source and target samples are drawn together",
       .reference = "Long et al. 2015, DAN; Gretton et al. 2012, multi-kernel MMD",
       .uses_source_data = true,
       .same_source_inputs = true,
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// Batch spectral shrinkage: fine-tuning that lets go of the weakest directions of a batch's features.
#include "rtl/graph/operations.hpp"
#include "rtl/transfer/objectives.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;
  double spectral_strength = 1e-3;
  std::int64_t spectral_count = 1;

  void visit(OptionVisitor& option) {
    option("head_start", head_start, head_start_choices(), head_start_help);
    option("spectral_strength", spectral_strength, Range::at_least(0), "eta of the penalty");
    option("spectral_count", spectral_count, Range::at_least(1),
           "k: the smallest singular values of a batch's features, whose squares are the penalty");
  }
};

/// loss + eta sum of the k smallest squared singular values of the batch's penultimate features.
class ShrunkNetwork final : public Trainable {
 public:
  ShrunkNetwork(NetworkPredictor& network, const Options& options) : network_(network), options_(options) {}

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }
  std::string description() const override { return "bss, " + to_text(option_values(options_)); }

  std::vector<graph::Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    layers::Network& network = network_.network();
    const graph::Value features = network.features(batch.inputs, context);
    const graph::Value loss = batch.targets.loss(network.head(features, context));
    const graph::Value penalty = objectives::spectral_shrinkage(features, options_.spectral_count);
    return {graph::add(loss, graph::scale(penalty, options_.spectral_strength))};
  }

 private:
  NetworkPredictor& network_;
  Options options_;
};

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  ShrunkNetwork shrunk(*model, options);
  co_await context.train(shrunk, model->normalization());
  co_return model;
}

}  // namespace

const Strategy& bss() {
  static const StrategyOf<Options> strategy(
      {.name = "bss",
       .summary = "fine-tuning with a penalty on the smallest singular values of a batch's features",
       .reference = "Chen, Wang, Fu, Long and Wang 2019, batch spectral shrinkage",
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

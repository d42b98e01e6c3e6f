// StochNorm: while it trains, each channel of each batch norm is normalised by running statistics or by the batch's. A
// network without batch norms is fine-tuned.
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;
  double running_share = 0.5;

  void visit(OptionVisitor& option) {
    option("head_start", head_start, head_start_choices(), head_start_help);
    option("running_share", running_share, Range::from_below(0, 1),
           "probability of the running statistics, drawn for each channel and step");
  }
};

class StochasticNetwork final : public Trainable {
 public:
  StochasticNetwork(NetworkPredictor& network, const Options& options) : network_(network), options_(options) {}

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    layers::ForwardContext stochastic = context;
    stochastic.running_share = options_.running_share;
    return network_.outputs(batch, stochastic);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }
  std::string description() const override { return "stochastic-norm, " + to_text(option_values(options_)); }

 private:
  NetworkPredictor& network_;
  Options options_;
};

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  StochasticNetwork stochastic(*model, options);
  co_await context.train(stochastic, model->normalization());
  co_return model;
}

}  // namespace

const Strategy& stochastic_norm() {
  static const StrategyOf<Options> strategy(
      {.name = "stochastic-norm",
       .summary = "fine-tuning in which batch norms use running statistics for a random share of their channels",
       .reference = "Kou, You, Long and Wang 2020, StochNorm",
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// Fine-tuning that is drawn to where it started: L2-SP.
#include "rtl/transfer/strategy.hpp"
#include "transfer/network_blocks.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;
  double start_strength = 0.1;
  double head_decay = 0.01;

  void visit(OptionVisitor& option) {
    option("head_start", head_start, head_start_choices(), head_start_help);
    option("start_strength", start_strength, Range::at_least(0), "alpha of alpha/2 |w - w0|^2 on the source's weights");
    option("head_decay", head_decay, Range::at_least(0), "beta of beta/2 |w|^2 on a new head");
  }
};

/// alpha/2 |w - w0|^2 on what is the source's, beta/2 |w|^2 on what is new, as terms of the optimizer, which are added
/// to those that TrainingOptions has for all parameters.
class DrawnNetwork final : public Trainable {
 public:
  DrawnNetwork(NetworkPredictor& network, const Options& options, bool own_head, const TrainingOptions& training)
      : network_(network), options_(options), own_head_(own_head), training_(training) {}

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }
  std::vector<ParameterGroup> groups() override {
    return detail::source_and_head_groups(network_.network(), own_head_, training_, options_.start_strength,
                                          options_.head_decay);
  }
  std::string description() const override { return "l2sp-fine-tune, " + to_text(option_values(options_)); }

 private:
  NetworkPredictor& network_;
  Options options_;
  bool own_head_;  ///< the head is the source's too
  TrainingOptions training_;
};

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  const bool own_head = keeps_head(context.source(), context.train(), options.head_start);
  DrawnNetwork drawn(*model, options, own_head, context.training());
  co_await context.train(drawn, model->normalization());
  co_return model;
}

}  // namespace

const Strategy& l2sp_fine_tune() {
  static const StrategyOf<Options> strategy(
      {.name = "l2sp-fine-tune",
       .summary = "fine-tuning with a penalty on the distance from the source's weights and one on a new head",
       .reference = "Li, Grandvalet and Davoine 2018, L2-SP",
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

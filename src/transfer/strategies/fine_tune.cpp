// The source's parameters go on training: all of them, or those of its last blocks, at rates that may fall with depth,
// after a probe where wanted.
#include <cmath>

#include "rtl/transfer/strategy.hpp"
#include "transfer/network_blocks.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;
  std::int64_t last = 0;
  double layer_decay = 1;
  std::int64_t probe_epochs = 0;

  void visit(OptionVisitor& option) {
    option("head_start", head_start, head_start_choices(), head_start_help);
    option("last", last, Range::at_least(0), "blocks that are trained, the head being the last one; 0: all");
    option("layer_decay", layer_decay, {.low = 0, .high = 1, .low_open = true},
           "the rate of a block is that of the block behind it times this");
    option("probe_epochs", probe_epochs, Range::at_least(0), "epochs beforehand, in which the head alone is trained");
  }
  bool plain() const { return last == 0 && layer_decay == 1; }
};

/// Blocks with rates of their own.
class LayeredNetwork final : public Trainable {
 public:
  LayeredNetwork(NetworkPredictor& network, const Options& options) : network_(network), options_(options) {}

  graph::Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }
  std::vector<ParameterGroup> groups() override {
    if (options_.layer_decay == 1) return Trainable::groups();
    std::vector<ParameterGroup> groups;
    const std::vector<detail::NetworkBlock> blocks = detail::blocks_of(network_.network());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      ParameterGroup group{.parameters = trainable_parameters({blocks[i].parameters, {}})};
      group.rate_factor = std::pow(options_.layer_decay, static_cast<double>(blocks.size() - 1 - i));
      if (!group.parameters.empty()) groups.push_back(std::move(group));
    }
    return groups;
  }
  std::string description() const override { return "fine-tune, " + to_text(option_values(options_)); }

 private:
  NetworkPredictor& network_;
  Options options_;
};

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  LayeredNetwork layered(*model, options);
  if (options.probe_epochs > 0) {
    detail::train_last(model->network(), 1);
    TrainingOptions training = context.training();
    training.epochs = options.probe_epochs;
    const TrainingData data{&context.train(), model->normalization(), {}};
    co_await context.train(layered, data, training);
  }
  detail::train_last(model->network(), options.last);
  Trainable& trained = options.plain() ? static_cast<Trainable&>(*model) : layered;
  co_await context.train(trained, model->normalization());
  model->network().set_trainable(true);
  co_return model;
}

}  // namespace

const Strategy& fine_tune() {
  static const StrategyOf<Options> strategy(
      {.name = "fine-tune",
       .summary = "all of the source's parameters, or those of its last blocks, go on training on the target",
       .reference = "Yosinski et al. 2014; Howard and Ruder 2018; Kumar et al. 2022; Xu et al. 2025, full fine-tuning",
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// DELTA: fine-tuning that keeps the maps of the source's layers, those channels most that matter for the target.
#include "rtl/graph/operations.hpp"
#include "rtl/transfer/objectives.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/feature_maps.hpp"
#include "transfer/network_blocks.hpp"

namespace rtl::transfer::recipes {
namespace {

using graph::Value;

enum class Attention : std::uint8_t { supervised, even };

struct Options {
  Attention attention = Attention::supervised;
  HeadStart head_start = HeadStart::fresh;
  double map_strength = 0.1;
  double head_decay = 0.01;
  std::int64_t attention_epochs = 10;
  std::int64_t attention_samples = 256;
  double attention_temperature = 5;

  void visit(OptionVisitor& option) {
    option("attention", attention, {"supervised", "even"},
           "weights of a layer's channels: by how much the loss grows without each, or all alike");
    option("head_start", head_start, head_start_choices(), head_start_help);
    option("map_strength", map_strength, Range::at_least(0), "alpha of the penalty on the maps' distance");
    option("head_decay", head_decay, Range::at_least(0), "beta of beta/2 |w|^2 on a new head");
    option("attention_epochs", attention_epochs, Range::at_least(0),
           "epochs of the head on frozen features by which the loss is measured");
    option("attention_samples", attention_samples, Range::at_least(1), "of the target, on which it is measured");
    option("attention_temperature", attention_temperature, Range::above(0),
           "of the softmax of a layer's standardised increases; 5 in the published code");
  }
};

/// loss + alpha/2 sum over layers of mean_samples sum_c a_c mean_pixels (map - map of the source)^2, a_c with mean 1.
class KeptMaps final : public Trainable {
 public:
  KeptMaps(NetworkPredictor& network, std::unique_ptr<layers::Network> source, std::vector<std::string> layers,
           const Options& options, bool own_head, const TrainingOptions& training)
      : network_(network),
        source_(std::move(source)),
        layers_(std::move(layers)),
        options_(options),
        own_head_(own_head),
        training_(training) {}

  /// One tensor [C] a layer; without any, all channels are alike.
  void set_attention(std::vector<Tensor> attention) {
    for (std::size_t i = 0; i < attention.size(); ++i) {
      attention_.push_back(
          {.name = "attention." + layers_[i], .storage = graph::Storage(std::move(attention[i])), .trainable = false});
    }
  }

  Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override {
    layers::ModuleState state = network_.state();
    for (layers::Parameter& attention : attention_) state.parameters.push_back({attention.name, &attention});
    return state;
  }
  bool wants_inputs() const override { return true; }
  std::vector<ParameterGroup> groups() override {
    return detail::source_and_head_groups(network_.network(), own_head_, training_, 0, options_.head_decay);
  }
  std::string description() const override { return "delta, " + to_text(option_values(options_)); }

  std::vector<Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    layers::Network& network = network_.network();
    detail::Maps maps, wanted;
    const Value features = detail::features_and_maps(network, batch.inputs, layers_, context, maps);
    const Value loss = batch.targets.loss(network.head(features, context));
    detail::features_and_maps(*source_, batch.inputs, layers_, {.frozen = true}, wanted);
    Value distance;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Value attention = attention_.empty() ? Value() : context.read(loss, attention_[i]);
      const Value own = objectives::map_distance(maps.at(layers_[i]), wanted.at(layers_[i]), attention);
      distance = distance.defined() ? graph::add(distance, own) : own;
    }
    return {graph::add(loss, graph::scale(distance, options_.map_strength / 2))};
  }

 private:
  NetworkPredictor& network_;
  std::unique_ptr<layers::Network> source_;
  std::vector<std::string> layers_;
  Options options_;
  bool own_head_;
  TrainingOptions training_;
  std::vector<layers::Parameter> attention_;
};

/// A head on the raw features becomes that of a network.
void take_head(const FusedHead& from, layers::Network& network) {
  layers::ModuleState head;
  network.visit_head("", head);
  copy_bytes(from.weight(), head.parameters.at(0).value());
  copy_bytes(from.bias(), head.parameters.at(1).value());
}

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  const bool own_head = keeps_head(context.source(), context.train(), options.head_start);
  auto source = context.source().copy_network(context.device());
  source->set_trainable(false);
  const std::vector<std::string> layers = detail::stage_ends(*source);
  if (layers.empty()) {
    context.warn(context.source().name() +
                 " has no layers but its head, so no maps are kept: it is fine-tuned plainly");
    co_await context.train(*model, model->normalization());
    co_return model;
  }
  KeptMaps kept(*model, std::move(source), layers, options, own_head, context.training());
  if (options.attention == Attention::supervised) {
    FitContext::Blocks given = context.blocks(FeatureScaling::raw, 1);
    FusedHead probe(nullptr, {}, std::move(given.blocks), context.task().outputs, context.device(), context.seed());
    if (own_head) copy_head(context.source(), probe);
    TrainingOptions training = context.training();
    training.epochs = options.attention_epochs;
    const TrainingData data{&context.train(), probe.normalization(), given.features};
    co_await context.train(probe, data, training);
    const auto measured = context.copy_of(context.source(), options.head_start);
    take_head(probe, measured->network());
    kept.set_attention(detail::channel_attention(*measured, context.train(), detail::RowTargets::of(context), layers,
                                                 options.attention_samples, options.attention_temperature,
                                                 context.training().loss));
  }
  co_await context.train(kept, model->normalization());
  co_return model;
}

}  // namespace

const Strategy& delta() {
  static const StrategyOf<Options> strategy(
      {.name = "delta",
       .summary = "fine-tuning that stays near the source's feature maps, in the channels that matter for the target",
       .reference = "Li, Xiong, Wang, Rao, Liu, Chen and Huan 2019, DELTA",
       .uses_features = true,
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// Learning under covariate shift: a network of the target's own learns from the target's samples and from the source's,
// each of which counts as often as its features are more frequent in the target.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "rtl/graph/operations.hpp"
#include "rtl/transfer/objectives.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/sample_weights.hpp"

namespace rtl::transfer::recipes {
namespace {

using graph::Value;

struct Options {
  detail::DensityRatioKind density_ratio = detail::DensityRatioKind::ulsif;
  double source_share = 0.5;
  double largest_weight = 10;

  void visit(OptionVisitor& option) {
    option("density_ratio", density_ratio, {"ulsif", "kmm", "none"},
           "how the ratio of the densities is estimated: uLSIF, kernel mean matching (of more than 500 of the source's "
           "samples that many are drawn, and the others left out), or none, all weights one");
    option("source_share", source_share, Range::between(0, 1), "of the loss, that of the source's samples; 0: scratch");
    option("largest_weight", largest_weight, Range::at_least(1),
           "no weight is above; ratios are multiplied by what makes the mean of the weights one");
  }
};

/// (1 - s) mean l(target) + s mean w l(source). Beside the source's inputs lie w [n, 1] and, of real targets, these in
/// the target's units [n, outputs]. Both domains go through the network as one batch, so that batch norms see both.
class WeightedNetwork final : public Trainable {
 public:
  WeightedNetwork(NetworkPredictor& network, const Options& options) : network_(network), options_(options) {}

  Value outputs(const Batch& batch, const layers::ForwardContext& context) override {
    return network_.outputs(batch, context);
  }
  layers::ModuleState state() override { return network_.state(); }
  bool wants_inputs() const override { return true; }
  std::string description() const override { return "importance-weighting, " + to_text(option_values(options_)); }

  std::vector<Value> objectives(const TrainingBatch& batch, const layers::ForwardContext& context) override {
    const Value both[] = {batch.inputs, batch.source->inputs};
    const Value outputs = network_.network().forward(graph::concatenate(both, 0), context);
    const std::int64_t rows = batch.inputs.extent(0), all = outputs.extent(0);
    const Value each = losses(batch, graph::cast(graph::slice(outputs, 0, rows, all), DType::f32));
    const Value weights = graph::reshape(graph::cast(batch.source->features.front(), DType::f32), {all - rows});
    const Value source = graph::reshape(graph::mean(graph::multiply(weights, each)), {1});
    const Value target = batch.targets.loss(graph::slice(outputs, 0, 0, rows));
    const double share = options_.source_share;
    return {graph::add(graph::scale(target, 1 - share), graph::scale(source, share))};
  }

 private:
  /// Of each of the source's samples [m].
  static Value losses(const TrainingBatch& batch, const Value& outputs) {
    const LabelledBatch& source = *batch.source;
    return batch.targets.loss_of_each(outputs, batch.targets.real() ? graph::cast(source.features.back(), DType::f32)
                                                                    : source.targets.class_shares());
  }

  NetworkPredictor& network_;
  Options options_;
};

/// All alike where the densities cannot be compared, with a warning.
detail::SampleWeights weights_of(FitContext& context, const Options& options) {
  try {
    return detail::sample_weights(context.source_data_features(0), context.features(0),
                                  {options.density_ratio, options.largest_weight, context.seed()});
  } catch (const ValueError& error) {
    context.warn(
        fmt::format("by the features of {} the densities of {} and {} cannot be compared ({}): all weights are one",
                    context.source().name(), context.source_data().name, context.train().name, error.what()));
    detail::SampleWeights alike;
    for (std::int64_t row = 0; row < context.source_data().size(); ++row) alike.rows.push_back(row);
    alike.weights.assign(alike.rows.size(), 1.0F);
    return alike;
  }
}

Recipe fit(FitContext& context, Options options) {
  auto network = std::make_unique<NetworkPredictor>(context.new_network(), context.fitted_normalization());
  if (options.source_share == 0) {
    co_await context.train(*network, network->normalization());
    co_return network;
  }
  const detail::SampleWeights weighted = weights_of(context, options);
  if (std::all_of(weighted.weights.begin(), weighted.weights.end(), [](float weight) { return weight == 0; })) {
    context.warn("no sample of the source has features like the target's, so their loss counts nothing");
  }
  std::optional<data::Dataset> drawn;
  const bool whole = static_cast<std::int64_t>(weighted.rows.size()) == context.source_data().size();
  if (!whole) drawn = context.source_data().subset(weighted.rows);
  const data::Dataset& used = whole ? context.source_data() : *drawn;
  TrainingData source{&used, network->normalization(), {}};
  source.features.push_back(context.retain(Tensor::from(weighted.weights, {used.size(), 1}, context.device())));
  if (used.is_regression()) {
    source.features.push_back(context.retain(
        Tensor::from(standardized_targets(context.task(), used), {used.size(), used.outputs()}, context.device())));
  }
  WeightedNetwork model(*network, options);
  const TrainingData data{&context.train(), network->normalization(), {}, &source};
  co_await context.train(model, data, context.training());
  co_return network;
}

}  // namespace

const Strategy& importance_weighting() {
  static const StrategyOf<Options> strategy(
      {.name = "importance-weighting",
       .summary =
           "a network of the target's own, trained on the source's samples too, weighted by the densities' ratio",
       .reference = "Shimodaira 2000; Kanamori, Hido and Sugiyama 2009, uLSIF; Huang et al. 2006, kernel mean matching",
       .uses_features = true,
       .uses_source_data = true,
       .same_source_task = true,
       .same_source_inputs = true},
      fit, nullptr, [](const Options& options) { return options.source_share > 0; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

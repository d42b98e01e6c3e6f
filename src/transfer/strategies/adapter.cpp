// Adapters: a bottleneck on a source's frozen features, or bottlenecks in the residual branches of a frozen source.
#include <fmt/format.h>

#include <algorithm>

#include "rtl/transfer/strategy.hpp"
#include "transfer/adapted_network.hpp"
#include "transfer/feature_network.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Place : std::uint8_t { features, blocks };

struct Options {
  Place place = Place::features;
  HeadStart head_start = HeadStart::fresh;
  std::int64_t bottleneck = 0;
  double adapter_dropout = 0.5;

  void visit(OptionVisitor& option) {
    option("place", place, {"features", "blocks"},
           "of the bottleneck: on the frozen features, or one behind each residual branch of the source");
    option("head_start", head_start, head_start_choices(), head_start_help);
    option("bottleneck", bottleneck, Range::at_least(0),
           "its width; 0: 128 on features, a quarter of the channels in blocks");
    option("adapter_dropout", adapter_dropout, Range::from_below(0, 1),
           "share dropped behind both layers on features while training");
  }
};

/// f -> linear, ReLU, dropout -> linear of as many features, ReLU, dropout -> head: Xu et al. 2025.
Recipe fit_on_features(FitContext& context, Options options) {
  const FrozenSource& source = context.source();
  const std::int64_t features = source.feature_count();
  const std::string widths = fmt::format("{}-{}", options.bottleneck == 0 ? 128 : options.bottleneck, features);
  auto model = std::make_unique<detail::FeatureNetwork>(
      source,
      layers::make_network({"mlp", widths, {features}, context.task().outputs}, context.device(), context.seed()));
  model->set_dropout(options.adapter_dropout);
  if (keeps_head(source, context.train(), options.head_start)) {
    const auto own = source.copy_network(context.device());
    layers::ModuleState from, to;
    own->visit_head("", from);
    model->network().visit_head("", to);
    for (std::size_t i = 0; i < to.parameters.size(); ++i) {
      copy_bytes(from.parameters[i].value(), to.parameters[i].value());
    }
  }
  const FitContext::Blocks raw = context.blocks(FeatureScaling::raw, 1);
  co_await context.train(*model, data::InputNormalization(), raw.features);
  co_return model;
}

Recipe fit_in_blocks(FitContext& context, Options options) {
  const FrozenSource& source = context.source();
  if (!source.has_network() || !source.layer().empty()) {
    throw ValueError(fmt::format("adapter:blocks changes a whole network, but {} is {}; use adapter:features",
                                 source.name(), source.has_network() ? "taken at a layer" : "features alone"));
  }
  const auto copy = context.copy_of(source, options.head_start);
  std::vector<std::int64_t> widths;
  for (const detail::Branch& branch : detail::residual_branches(copy->network())) {
    const std::int64_t quarter = std::max<std::int64_t>(branch.channels / 4, 1);
    widths.push_back(options.bottleneck == 0 ? quarter : options.bottleneck);
  }
  if (widths.empty()) {
    throw ValueError(fmt::format("adapter:blocks: {} has no residual branches; use adapter:features", source.name()));
  }
  auto model = std::make_unique<detail::AdaptedNetwork>(layers::clone(copy->network(), context.device()),
                                                        copy->normalization(), widths, context.seed());
  co_await context.train(*model, model->normalization());
  co_return model;
}

Recipe fit(FitContext& context, Options options) {
  return options.place == Place::features ? fit_on_features(context, options) : fit_in_blocks(context, options);
}

}  // namespace

const Strategy& adapter() {
  static const StrategyOf<Options> strategy(
      {.name = "adapter",
       .summary = "a trained bottleneck on the source's frozen features, or in each of its residual branches",
       .reference = "Houlsby et al. 2019; Xu et al. 2025, Adapter",
       .uses_features = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

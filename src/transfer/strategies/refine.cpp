// A trainable residual encoder beside the frozen sources, and one linear head on all features.
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  FeatureScaling feature_scaling = FeatureScaling::raw;
  double feature_scale = 1;

  void visit(OptionVisitor& option) {
    option("feature_scaling", feature_scaling, feature_scaling_choices(), "what is done to frozen features");
    option("feature_scale", feature_scale, Range::above(0), "c of balance (features / deviation * c / sqrt(p))");
  }
};

Recipe fit(FitContext& context, Options options) {
  if (context.sources().empty()) {  // f = 0: the encoder with its own head
    auto alone = std::make_unique<NetworkPredictor>(context.new_network(), context.fitted_normalization());
    co_await context.train(*alone, alone->normalization());
    co_return alone;
  }
  FitContext::Blocks given = context.blocks(options.feature_scaling, options.feature_scale);
  auto model =
      std::make_unique<FusedHead>(context.new_network(), context.fitted_normalization(), std::move(given.blocks),
                                  context.task().outputs, context.device(), context.seed());
  co_await context.train(*model, model->normalization(), given.features);
  co_return model;
}

}  // namespace

const Strategy& refine() {
  static const StrategyOf<Options> strategy(
      {.name = "refine",
       .summary = "a trainable residual encoder beside the frozen sources, one linear head on all features",
       .reference = "Xu, Nakada, Zhang and Li 2025, arXiv 2505.11771 (REFINE)",
       .least_sources = 0,
       .most_sources = std::numeric_limits<std::int64_t>::max(),
       .uses_features = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

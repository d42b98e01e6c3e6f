// A linear head on the source's frozen features.
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  FeatureScaling feature_scaling = FeatureScaling::raw;
  double feature_scale = 1;
  HeadStart head_start = HeadStart::fresh;
  /// The published code of REFINE leaves its source copy in training mode, which amounts to 0.5 here; a frozen source
  /// is evaluated, so the default is none.
  double probe_dropout = 0;

  void visit(OptionVisitor& option) {
    option("feature_scaling", feature_scaling, feature_scaling_choices(), "what is done to frozen features");
    option("feature_scale", feature_scale, Range::above(0), "c of balance (features / deviation * c / sqrt(p))");
    option(
        "head_start", head_start, head_start_choices(),
        "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)");
    option("probe_dropout", probe_dropout, Range::from_below(0, 1),
           "share of the frozen features dropped while a probe trains");
  }
};

Recipe fit(FitContext& context, Options options) {
  FitContext::Blocks given = context.blocks(options.feature_scaling, options.feature_scale);
  auto model = std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(given.blocks),
                                           context.task().outputs, context.device(), context.seed());
  model->set_feature_dropout(options.probe_dropout);
  if (keeps_head(context.source(), context.train(), options.head_start)) copy_head(context.source(), *model);
  co_await context.train(*model, model->normalization(), given.features);
  co_return model;
}

}  // namespace

const Strategy& probe() {
  static const StrategyOf<Options> strategy(
      {.name = "probe",
       .summary = "a linear head on the source's frozen features",
       .reference = "Alain and Bengio 2016; Xu et al. 2025, LinearProbe",
       .uses_features = true},
      fit, [](const Options& options, const std::vector<FrozenSource>& sources, const data::Dataset& train) {
        return keeps_head(sources.front(), train, options.head_start);
      });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// One linear head on the frozen features of all sources, side by side.
#include <limits>

#include "rtl/transfer/strategy.hpp"
#include "transfer/members.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Start : std::uint8_t { fresh, mean };

struct Options {
  FeatureScaling feature_scaling = FeatureScaling::raw;
  double feature_scale = 1;
  Start joint_start = Start::fresh;

  void visit(OptionVisitor& option) {
    option("feature_scaling", feature_scaling, feature_scaling_choices(), "what is done to frozen features");
    option("feature_scale", feature_scale, Range::above(0), "c of balance (features / deviation * c / sqrt(p))");
    option("joint_start", joint_start, {"fresh", "mean"},
           "of the head: newly drawn, or the mean of the logits of a probe on each source, trained before");
  }
};

Recipe fit(FitContext& context, Options options) {
  FitContext::Blocks given = context.blocks(options.feature_scaling, options.feature_scale);
  std::unique_ptr<FusedHead> model;
  if (options.joint_start == Start::mean) {
    const auto probes = detail::probes_of(context, std::move(given.blocks));
    co_await context.train_all(detail::trainings_of(context, probes, given.features));
    model = detail::mean_of(probes);
  } else {
    model = std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(given.blocks),
                                        context.task().outputs, context.device(), context.seed());
  }
  co_await context.train(*model, model->normalization(), given.features);
  co_return model;
}

}  // namespace

const Strategy& concatenate() {
  static const StrategyOf<Options> strategy({.name = "concatenate",
                                             .summary = "one linear head on the frozen features of all sources",
                                             .reference = "Xu et al. 2025, Naive; Zhang and Bottou 2023",
                                             .most_sources = std::numeric_limits<std::int64_t>::max(),
                                             .uses_features = true},
                                            fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

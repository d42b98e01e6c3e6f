// Ridge regression on the source's frozen features, with its penalty by exact leave-one-out: a probe in closed form.
#include "rtl/solvers/ridge_path.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/ridge_head.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  double lowest_penalty = 1e-6;
  double highest_penalty = 1e4;
  std::int64_t penalties = 41;

  void visit(OptionVisitor& option) {
    option("lowest_penalty", lowest_penalty, Range::above(0),
           "of ridge regression, per sample, on standardised features");
    option("highest_penalty", highest_penalty, Range::above(0), "the same");
    option("penalties", penalties, Range::between(1, 1000), "how many are tried, evenly spaced in their logarithm");
  }
};

Recipe fit(FitContext& context, Options options) {
  FitContext::Blocks given = context.blocks(FeatureScaling::standardize, 1);
  const detail::RowTargets targets = detail::RowTargets::of(context);
  const Tensor x = context.scaled(given.features.front());
  const Tensor y = targets.columns(context.device()), weights = targets.row_weights(context.device());
  const solvers::RidgePath path(
      context.device(), x, y,
      solvers::logarithmic_penalties(options.lowest_penalty, options.highest_penalty, options.penalties),
      {.sample_weights = weights.defined() ? weights.view() : ConstView()});
  co_return detail::ridge_head(std::move(given.blocks), path.fit(path.best_penalty()));
}

}  // namespace

const Strategy& ridge_probe() {
  static const StrategyOf<Options> strategy(
      {.name = "ridge-probe",
       .summary = "ridge regression on the source's frozen features, its penalty by exact leave-one-out",
       .reference = "Hoerl and Kennard 1970; Kornblith, Shlens and Le 2019, linear evaluation",
       .uses_features = true,
       .trains = false},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

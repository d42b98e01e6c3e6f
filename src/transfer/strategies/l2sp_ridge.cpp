// L2-SP ridge regression between linear heads: the source's own samples give the head that the target's is drawn to,
// and the advisor says how far.
#include <fmt/format.h>

#include "rtl/transfer/advisor.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/ridge_head.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  AdvisorRule rule = AdvisorRule::average;
  double favour = AdvisorOptions().favour;

  void visit(OptionVisitor& option) {
    option("rule", rule, {"average", "choose"},
           "average: heads count by the probability that they are better than the one from scratch; choose: the best "
           "alone");
    option("favour", favour, Range::between(-10, 10),
           "what is believed of transfer beforehand, in standard errors of its gain");
  }
};

/// Targets and weights of the source's samples, in the units that those of the target's are fitted in.
detail::RowTargets source_targets(const FitContext& context) {
  const data::Dataset& source = context.source_data();
  detail::RowTargets targets{context.task(), {}, {}, source.mean_one_weights()};
  if (targets.task.regression) {
    targets.targets = standardized_targets(targets.task, source);
  } else {
    targets.labels = source.labels.to_vector<std::int32_t>();
  }
  return targets;
}

/// The candidates of the report. Losses are mean squared leave-one-out errors.
std::vector<ReadOut> read_outs_of(const AdvisorReport& report) {
  std::vector<ReadOut> all;
  for (std::size_t i = 0; i < report.candidates.size(); ++i) {
    const AdvisorCandidate& candidate = report.candidates[i];
    std::string name = to_string(candidate.kind);
    if (candidate.kind == CentreKind::source) name += fmt::format(" at penalty {:.3g}", candidate.source_penalty);
    if (candidate.source_intercept) name += " with its intercept";
    all.push_back({.name = std::move(name),
                   .weight = report.weights[i],
                   .loss = candidate.leave_one_out,
                   .difference = -candidate.gain,
                   .standard_error = candidate.gain_standard_error});
  }
  return all;
}

Recipe fit(FitContext& context, Options options) {
  FitContext::Blocks given = context.blocks(FeatureScaling::standardize, 1);
  const Device& device = context.device();
  const detail::RowTargets targets = source_targets(context);
  const Tensor x = given.blocks.front().scaled(context.source_data_features(0)), y = targets.columns(device);
  const Tensor weights = targets.row_weights(device);
  const solvers::L2SPSource source(device, x, y, {.sample_weights = weights.defined() ? weights.view() : ConstView()});
  const Tensor features = context.scaled(given.features.front());
  const Tensor wanted = detail::RowTargets::of(context).columns(device);
  const TransferAdvisor advisor(device, source, features, wanted, {.rule = options.rule, .favour = options.favour});
  context.report(read_outs_of(advisor.report()));
  const solvers::RidgeFit head{advisor.coefficients().clone(), advisor.intercept().clone()};
  co_return detail::ridge_head(std::move(given.blocks), head);
}

}  // namespace

const Strategy& l2sp_ridge() {
  static const StrategyOf<Options> strategy(
      {.name = "l2sp-ridge",
       .summary =
           "ridge regression on the source's frozen features towards the head of the source's own samples, as far "
           "as exact leave-one-out errors speak for it",
       .reference =
           "Hedges 2026, Source-Optimal Training is Transfer-Suboptimal; Li, Grandvalet and Davoine 2018, L2-SP",
       .uses_features = true,
       .uses_source_data = true,
       .same_source_task = true,
       .trains = false,
       .sample_weights = false,
       .source_weights = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

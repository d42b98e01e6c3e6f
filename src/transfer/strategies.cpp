#include "rtl/transfer/strategies.hpp"

#include "transfer/fit_group.hpp"

namespace rtl::transfer {

Fitted fit(const std::string& name, const std::vector<FrozenSource>& sources, const data::Dataset& train,
           const TrainingOptions& training, const StrategyOptions& options) {
  const StrategyChoice choice = parse_strategy(name, options.values);
  training.validate();
  const FitContext::Inputs inputs{train, nullptr, training};
  FitOutcome outcome = std::move(FitGroup(choice, sources, {}, {&inputs, 1}, options).run().front());
  if (outcome.divergence) throw TrainingDiverged(*outcome.divergence);
  return std::move(*outcome.fitted);
}

Fitted scratch(const data::Dataset& train, const TrainingOptions& training, const StrategyOptions& options) {
  return fit("scratch", {}, train, training, options);
}

Fitted probe(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
             const StrategyOptions& options) {
  return fit("probe", {source}, train, training, options);
}

Fitted fine_tune(const FrozenSource& source, const data::Dataset& train, const TrainingOptions& training,
                 const StrategyOptions& options) {
  return fit("fine-tune", {source}, train, training, options);
}

Fitted refine(const std::vector<FrozenSource>& sources, const data::Dataset& train, const TrainingOptions& training,
              const StrategyOptions& options) {
  return fit("refine", sources, train, training, options);
}

Fitted adapt(const std::vector<FrozenSource>& sources, const data::Dataset& train, const TrainingOptions& training,
             const StrategyOptions& options) {
  return fit("safe", sources, train, training, options);
}

Scores evaluate(const Fitted& fitted, const data::Dataset& test, FeatureCache* cache) {
  fitted.task().check(test, "evaluate");
  return score(fitted.outputs(test, cache), test, fitted.task().independent);
}

}  // namespace rtl::transfer

// CORAL-gate: a low-rank head that learns from source and target samples, the source's weighted by a discriminator,
// while the covariances of both halves' logits are drawn together.
#include "rtl/graph/operations.hpp"
#include "rtl/transfer/objectives.hpp"
#include "transfer/gated_head.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options : detail::GateOptions {
  double coral_weight = 1;

  void visit(OptionVisitor& option) {
    GateOptions::visit(option);
    option("coral_weight", coral_weight, Range::at_least(0), "of the distance of the covariances");
  }
};

class CorrelatedHead final : public detail::GatedHead {
 public:
  CorrelatedHead(FitContext& context, const Options& options) : GatedHead(context, options), options_(options) {}
  std::string description() const override { return "coral-gate, " + to_text(option_values(options_)); }

 private:
  graph::Value alignment(const Half& source, const Half& target, const TrainingBatch& /*batch*/,
                         const layers::ForwardContext& /*context*/) const override {
    return graph::scale(objectives::coral(source.logits, target.logits), options_.coral_weight);
  }

  Options options_;
};

Recipe fit(FitContext& context, Options options) {
  auto model = std::make_unique<CorrelatedHead>(context, options);
  co_return co_await detail::fit_gated(context, std::move(model), options.source_half);
}

}  // namespace

const Strategy& coral_gate() {
  static const StrategyOf<Options> strategy(
      {.name = "coral-gate",
       .summary = "a low-rank head on frozen features, trained on gated source samples and aligned covariances",
       .reference = "Sun and Saenko 2016, Deep CORAL; Xu et al. 2025, DCORAL-Gate",
       .uses_features = true,
       .uses_source_data = true,
       .same_source_task = true,
       .regression = false,
       .sample_weights = false},
      fit, nullptr, [](const Options& options) { return options.source_half == detail::SourceHalf::samples; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// DANN-gate: a low-rank head that learns from source and target samples, the source's weighted by a discriminator that
// tells both apart by their logits and labels, while the gradient that it gets from there is reversed.
#include "rtl/graph/operations.hpp"
#include "transfer/gated_head.hpp"

namespace rtl::transfer::recipes {
namespace {

using graph::Value;

enum class Discriminator : std::uint8_t { correct, published };

struct Options : detail::GateOptions {
  Discriminator discriminator = Discriminator::correct;

  void visit(OptionVisitor& option) {
    GateOptions::visit(option);
    option("discriminator", discriminator, {"correct", "published"},
           "labels that it learns: correct, or those of the published CIFAR-10 code, one of which is wrong");
  }
};

class AdversarialHead final : public detail::GatedHead {
 public:
  AdversarialHead(FitContext& context, const Options& options) : GatedHead(context, options), options_(options) {}

  std::vector<double> epoch_numbers(std::int64_t epoch, std::int64_t epochs) override {
    return {detail::gradient_reversal(epoch, epochs)};
  }
  std::string description() const override { return "dann-gate, " + to_text(option_values(options_)); }

 private:
  Value alignment(const Half& source, const Half& target, const TrainingBatch& batch,
                  const layers::ForwardContext& context) const override {
    const auto reversed = [&](const Half& half) {
      return Half{graph::reverse_gradient(half.logits, batch.numbers), half.labels};
    };
    return domain_loss(reversed(source), reversed(target), 0.5, "model", context);
  }
  bool marginal_target() const override { return options_.discriminator == Discriminator::correct; }

  Options options_;
};

Recipe fit(FitContext& context, Options options) {
  auto model = std::make_unique<AdversarialHead>(context, options);
  co_return co_await detail::fit_gated(context, std::move(model), options.source_half);
}

}  // namespace

const Strategy& dann_gate() {
  static const StrategyOf<Options> strategy(
      {.name = "dann-gate",
       .summary = "a low-rank head on frozen features, trained on source and target samples with an adversarial gate",
       .reference = "Ganin et al. 2016; Xu et al. 2025, DANN-Gate",
       .uses_features = true,
       .uses_source_data = true,
       .same_source_task = true,
       .regression = false,
       .sample_weights = false},
      fit, nullptr, [](const Options& options) { return options.source_half == detail::SourceHalf::samples; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

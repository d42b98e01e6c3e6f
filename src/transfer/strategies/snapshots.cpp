// Snapshots of one run: the learning rate falls to zero and starts again several times, and what the network was at
// each end is kept and averaged.
#include <algorithm>

#include "rtl/core/random.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/members.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Rate : std::uint8_t { cyclic, constant };

struct Options {
  std::int64_t snapshots = 5;
  Rate snapshot_rate = Rate::cyclic;
  HeadStart head_start = HeadStart::fresh;

  void visit(OptionVisitor& option) {
    option("snapshots", snapshots, Range::between(1, 1000),
           "in how many cycles the epochs are divided, each with a snapshot at its end; at most one an epoch");
    option("snapshot_rate", snapshot_rate, {"cyclic", "constant"},
           "half a cosine to zero in each cycle, or the learning rate as it is, to be chosen high");
    option(
        "head_start", head_start, head_start_choices(),
        "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)");
  }
};

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  const std::int64_t epochs = context.training().epochs;
  const std::int64_t cycles = std::clamp<std::int64_t>(epochs, 1, options.snapshots);
  const TrainingData data{&context.train(), model->normalization(), {}};
  std::vector<std::unique_ptr<Predictor>> snapshots;
  for (std::int64_t k = 0; k < cycles; ++k) {
    TrainingOptions cycle = context.training();
    cycle.epochs = epochs / cycles + (k < epochs % cycles ? 1 : 0);
    // Schedule-free AdamW averages instead of lowering its rate.
    const bool lowered = options.snapshot_rate == Rate::cyclic && cycle.optimizer != OptimizerKind::schedule_free_adamw;
    cycle.schedule = lowered ? ScheduleKind::cosine : ScheduleKind::constant;
    if (k > 0) cycle.seed = mix(context.seed(), static_cast<std::uint64_t>(k));
    co_await context.train(*model, data, cycle);
    snapshots.push_back(
        std::make_unique<NetworkPredictor>(layers::clone(model->network(), context.device()), model->normalization()));
  }
  co_return detail::mean_of(std::move(snapshots), context.task());
}

}  // namespace

const Strategy& snapshots() {
  static const StrategyOf<Options> strategy(
      {.name = "snapshots",
       .summary = "the mean of snapshots of one fine-tuning at a cyclic learning rate",
       .reference = "Huang et al. 2017, snapshot ensembles; Zhang and Bottou 2023, CAT-S",
       .trains_source = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

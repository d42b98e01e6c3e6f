// Two-stage fine-tuning: each source is fine-tuned alone, then one head on all their features learns briefly.
#include <limits>

#include "rtl/transfer/strategy.hpp"
#include "transfer/members.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;
  std::int64_t joint_epochs = 2;
  double joint_rate = 0.001;

  void visit(OptionVisitor& option) {
    option("head_start", head_start, head_start_choices(),
           "head that each copy starts from: fresh, pretrained (the source's own) or auto");
    option("joint_epochs", joint_epochs, Range::at_least(0), "of the joint head, which starts at the mean of logits");
    option("joint_rate", joint_rate, Range::above(0), "its learning rate, with Nesterov's momentum 0.9");
  }
};

Recipe fit(FitContext& context, Options options) {
  const auto copies = detail::copies_of_sources(context, options.head_start);
  co_await context.train_all(detail::trainings_of(context, copies));

  std::vector<std::unique_ptr<FusedHead>> members;
  std::vector<kernels::StoredFeatures> features;
  for (std::size_t k = 0; k < copies.size(); ++k) {
    const FrozenSource& source = context.sources()[k];
    members.push_back(detail::frozen(*copies[k], source.name(), source.precision()));
    const FrozenSource& tuned = members.back()->blocks().front().source;
    features.emplace_back(context.retain(tuned.features(context.train()).to(context.device())));
  }
  auto head = detail::mean_of(members);
  TrainingOptions joint = context.training();
  joint.optimizer = OptimizerKind::sgd;
  joint.momentum = 0.9;
  joint.nesterov = true;
  joint.learning_rate = options.joint_rate;
  joint.epochs = options.joint_epochs;
  joint.schedule = ScheduleKind::constant;
  joint.l2sp_strength = 0;
  const TrainingData data{&context.train(), head->normalization(), features};
  co_await context.train(*head, data, joint);
  co_return head;
}

}  // namespace

const Strategy& cat_two_stage() {
  static const StrategyOf<Options> strategy(
      {.name = "cat-two-stage",
       .summary = "each source fine-tuned alone, then a head on all their features, from the mean of their logits",
       .reference = "Zhang and Bottou 2023, two-stage fine-tuning",
       .most_sources = std::numeric_limits<std::int64_t>::max(),
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

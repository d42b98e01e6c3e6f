// All of the source's parameters go on training.
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;

  void visit(OptionVisitor& option) {
    option(
        "head_start", head_start, head_start_choices(),
        "head to start from: fresh, pretrained (the source's own) or auto (that where the numbers of classes agree)");
  }
};

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  co_await context.train(*model, model->normalization());
  co_return model;
}

}  // namespace

const Strategy& fine_tune() {
  static const StrategyOf<Options> strategy(
      {.name = "fine-tune",
       .summary = "all of the source's parameters go on training on the target",
       .reference = "Yosinski et al. 2014; Xu et al. 2025, full fine-tuning",
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// BitFit: biases, offsets of norms and the head are trained.
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;

  void visit(OptionVisitor& option) { option("head_start", head_start, head_start_choices(), head_start_help); }
};

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  layers::Network& network = model->network();
  layers::ModuleState trunk;
  network.visit_trunk("", trunk);
  for (const auto& parameter : trunk.parameters) parameter.parameter->trainable = parameter.name.ends_with("bias");
  co_await context.train(*model, model->normalization());
  network.set_trainable(true);
  co_return model;
}

}  // namespace

const Strategy& bitfit() {
  static const StrategyOf<Options> strategy(
      {.name = "bitfit",
       .summary = "biases, offsets of norms and the head go on training; weights and running statistics stay",
       .reference = "Ben Zaken, Ravfogel and Goldberg 2022",
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

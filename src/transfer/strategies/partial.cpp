// A new network of the source's architecture takes over part of its parameters; then all is trained.
#include "rtl/transfer/partial_copy.hpp"
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  double copy_fraction = 0.5;
  CopyUnit copy_unit = CopyUnit::filters;
  CopyOrder copy_order = CopyOrder::random;
  HeadStart head_start = HeadStart::fresh;

  void visit(OptionVisitor& option) {
    option("copy_fraction", copy_fraction, Range::between(0, 1),
           "alpha, share of the source that is copied, rounded down to whole units: 0 is scratch");
    option("copy_unit", copy_unit, {"filters", "layers", "blocks"},
           "what is chosen: outputs of each layer with the norms behind them, whole layers, or blocks of layers");
    option("copy_order", copy_order, {"random", "first"}, "drawn from the seed, or from the inputs on");
    option("head_start", head_start, head_start_choices(),
           "head to start from: fresh, or, as a layer among the others, the source's own (pretrained), or auto (that "
           "where the numbers of classes agree)");
  }
};

Recipe fit(FitContext& context, Options options) {
  const FrozenSource& source = context.source();
  const auto given = context.copy_of(source, options.head_start);
  layers::Architecture architecture = source.architecture();
  architecture.classes = context.task().outputs;
  auto model = std::make_unique<NetworkPredictor>(layers::make_network(architecture, context.device(), context.seed()),
                                                  source.normalization());
  PartialCopyOptions part{options.copy_unit, options.copy_fraction, options.copy_order};
  part.head = keeps_head(source, context.train(), options.head_start);
  part.seed = context.seed();
  copy_part(given->network(), model->network(), part);
  co_await context.train(*model, model->normalization());
  co_return model;
}

}  // namespace

const Strategy& partial() {
  static const StrategyOf<Options> strategy(
      {.name = "partial",
       .summary = "a new network takes over a share of the source's filters, layers or blocks, and all is trained",
       .reference = "partial parameter transfer; Yosinski et al. 2014, the first layers",
       .trains_source = true},
      fit, [](const Options& options, const std::vector<FrozenSource>&, const data::Dataset&) {
        return options.copy_fraction == 1;  // else what L2-SP draws to is not the source
      });
  return strategy;
}

}  // namespace rtl::transfer::recipes

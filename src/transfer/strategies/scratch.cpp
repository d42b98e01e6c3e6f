// A network trained on the target alone.
#include "rtl/transfer/strategy.hpp"

namespace rtl::transfer::recipes {
namespace {

Recipe fit(FitContext& context, NoOptions /*options*/) {
  auto model = std::make_unique<NetworkPredictor>(context.new_network(), context.fitted_normalization());
  co_await context.train(*model, model->normalization());
  co_return model;
}

}  // namespace

const Strategy& scratch() {
  static const StrategyOf<NoOptions> strategy({.name = "scratch",
                                               .summary = "a network trained on the target alone, from random weights",
                                               .reference = "Xu et al. 2025, NoTrans",
                                               .least_sources = 0,
                                               .most_sources = 0},
                                              fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

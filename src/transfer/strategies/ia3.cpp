// IA3: every layer's outputs are scaled by a learned vector, which is merged into its weights at the end.
#include <vector>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/hooked_network.hpp"

namespace rtl::transfer::recipes {
namespace {

struct Options {
  HeadStart head_start = HeadStart::fresh;

  void visit(OptionVisitor& option) { option("head_start", head_start, head_start_choices(), head_start_help); }
};

/// l (W x + b), in front of a ReLU or norm, as (l W) x + l b; l [out] is 1 at first.
void add_scale(detail::HookedNetwork& model, const layers::NamedParameter& weight, const layers::ModuleState& trunk) {
  const std::int64_t outputs = weight.value().extent(0);
  Tensor ones({outputs}, weight.value().dtype(), weight.value().device());
  kernels::fill(ones.device(), 1, ones);
  const layers::Parameter& factor = model.add(weight.name + ".output_scale", std::move(ones));
  const layers::Hooks::Function scaled = [&factor](const graph::Value& original) {
    Shape rows = original.shape();
    for (int axis = 1; axis < rows.rank(); ++axis) rows = rows.with(axis, 1);
    return graph::multiply(original, graph::reshape(detail::read_in(original, factor), rows));
  };
  model.hooks().parameters[weight.parameter] = scaled;
  const std::string layer = weight.name.substr(0, weight.name.rfind('.'));
  for (const layers::NamedParameter& parameter : trunk.parameters) {
    if (parameter.name == layer + ".bias") model.hooks().parameters[parameter.parameter] = scaled;
  }
}

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  layers::Network& network = model->network();
  detail::HookedNetwork hooked(*model, "ia3, " + to_text(option_values(options)));
  layers::ModuleState trunk, head;
  network.visit_trunk("", trunk);
  network.visit_head("", head);
  for (const auto& weight : detail::layer_weights(trunk)) add_scale(hooked, weight, trunk);
  for (const auto& parameter : head.parameters) parameter.parameter->trainable = true;
  co_await context.train(hooked, model->normalization());
  hooked.merge();
  network.set_trainable(true);
  co_return model;
}

}  // namespace

const Strategy& ia3() {
  static const StrategyOf<Options> strategy(
      {.name = "ia3",
       .summary = "the source stays, but for learned scales of each layer's outputs and a trained head",
       .reference = "Liu et al. 2022, (IA)^3",
       .trains_source = true},
      fit, [](const Options&, const std::vector<FrozenSource>&, const data::Dataset&) { return true; });
  return strategy;
}

}  // namespace rtl::transfer::recipes

// LoRA: frozen weights with trained updates of low rank, which are added to them at the end.
#include "rtl/graph/operations.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/hooked_network.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Adapted : std::uint8_t { trunk, all, head };

struct Options {
  Adapted adapted = Adapted::trunk;
  HeadStart head_start = HeadStart::fresh;
  std::int64_t rank = 8;
  double alpha = 16;

  void visit(OptionVisitor& option) {
    option("adapted", adapted, {"trunk", "all", "head"},
           "weights with a low-rank update: the trunk's, with a head that is trained whole; all; or the head's alone");
    option("head_start", head_start, head_start_choices(), head_start_help);
    option("rank", rank, Range::at_least(1), "of the trained update of a weight");
    option("alpha", alpha, Range::above(0), "the update is scaled by alpha / rank");
  }
};

/// W0 + (alpha / rank) B A, W0 [out, ..] as a matrix [out, in]: A [rank, in] uniform in +-1/sqrt(in), B [out, rank]
/// zero.
void add_update(detail::HookedNetwork& model, const layers::NamedParameter& weight, const Options& options,
                std::uint64_t seed) {
  const Tensor& start = weight.value();
  const std::int64_t outputs = start.extent(0), inputs = start.count() / outputs;
  Tensor drawn({options.rank, inputs}, start.dtype(), start.device());
  const std::string name = weight.name + ".low_rank_a";
  layers::initialize_weight(layers::Initialization::uniform_fan_in, seed, name, drawn);
  const layers::Parameter& a = model.add(name, std::move(drawn));
  const layers::Parameter& b =
      model.add(weight.name + ".low_rank_b", Tensor::zeros({outputs, options.rank}, start.dtype(), start.device()));
  const double factor = options.alpha / static_cast<double>(options.rank);
  model.hooks().parameters[weight.parameter] = [&a, &b, factor](const graph::Value& original) {
    const graph::Value update = graph::matmul(detail::read_in(original, b), detail::read_in(original, a));
    return graph::add(original, graph::reshape(graph::scale(update, factor), original.shape()));
  };
}

Recipe fit(FitContext& context, Options options) {
  auto model = context.copy_of(context.source(), options.head_start);
  layers::Network& network = model->network();
  detail::HookedNetwork hooked(*model, "lora, " + to_text(option_values(options)));
  layers::ModuleState trunk, head;
  network.visit_trunk("", trunk);
  network.visit_head("", head);
  if (options.adapted == Adapted::trunk) {
    for (const auto& parameter : head.parameters) parameter.parameter->trainable = true;
  } else {
    for (const auto& weight : detail::layer_weights(head)) add_update(hooked, weight, options, context.seed());
  }
  if (options.adapted != Adapted::head) {
    for (const auto& weight : detail::layer_weights(trunk)) add_update(hooked, weight, options, context.seed());
  }
  co_await context.train(hooked, model->normalization());
  hooked.merge();
  network.set_trainable(true);
  co_return model;
}

}  // namespace

const Strategy& lora() {
  static const StrategyOf<Options> strategy(
      {.name = "lora",
       .summary =
           "the source's weights stay, and an update of low rank is trained for each linear and convolution layer",
       .reference = "Hu et al. 2022; Xu et al. 2025, LoRA (of the head alone)",
       .trains_source = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

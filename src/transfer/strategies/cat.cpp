// CAT-n: the source's pretraining budget spent on several shorter runs, and one probe on all their features.
#include <fmt/format.h>

#include "rtl/core/random.hpp"
#include "rtl/layers/initialization.hpp"
#include "rtl/transfer/strategy.hpp"
#include "transfer/members.hpp"

namespace rtl::transfer::recipes {
namespace {

enum class Seeds : std::uint8_t { different, same };
enum class ProbeRecipe : std::uint8_t { training, published };

struct Options {
  std::int64_t members = 4;
  std::int64_t pretraining_epochs = 40;
  double pretraining_rate = 0;
  Seeds member_seeds = Seeds::different;
  /// The published probe has a batch norm before its head, which standardised features amount to.
  FeatureScaling member_scaling = FeatureScaling::standardize;
  ProbeRecipe probe_recipe = ProbeRecipe::training;

  void visit(OptionVisitor& option) {
    option("members", members, Range::between(1, 100), "n, how many networks are pretrained");
    option("pretraining_epochs", pretraining_epochs, Range::at_least(1),
           "over the source's samples, of all members together; each has an equal share, rounded down");
    option("pretraining_rate", pretraining_rate, Range::at_least(0),
           "learning rate of the pretraining; 0: that of the training");
    option("member_seeds", member_seeds, {"different", "same"}, "same: all members are equal, a control");
    option("member_scaling", member_scaling, feature_scaling_choices(), "what is done to the members' features");
    option("probe_recipe", probe_recipe, {"training", "published"},
           "of the head: the training's options, or weights from N(0, 0.01^2), zero bias, SGD with Nesterov's momentum "
           "0.9, rate 0.01, times 0.1 after 8, 16 and 24 of 28 epochs");
  }
};

std::unique_ptr<NetworkPredictor> new_member(const FitContext& context, std::uint64_t seed) {
  const FrozenSource& source = context.source();
  layers::Architecture architecture = source.architecture();
  architecture.classes = context.source_data().outputs();
  if (context.source_data().sample_shape() != architecture.input) {
    throw ShapeError(fmt::format("cat: the source's samples are {}, but {} takes {}",
                                 context.source_data().sample_shape().to_string(), source.name(),
                                 architecture.input.to_string()));
  }
  return std::make_unique<NetworkPredictor>(layers::make_network(architecture, context.device(), seed),
                                            source.normalization());
}

TrainingOptions pretraining(const FitContext& context, const Options& options, std::uint64_t seed) {
  TrainingOptions training = context.training();
  training.epochs = options.pretraining_epochs / options.members;
  training.seed = seed;
  training.label_flips = 0;  // those of the target
  if (!training.loss.suits(context.source_data().is_regression())) training.loss = {};
  if (options.pretraining_rate > 0) training.learning_rate = options.pretraining_rate;
  return training;
}

TrainingOptions published_probe(TrainingOptions training) {
  training.optimizer = OptimizerKind::sgd;
  training.momentum = 0.9;
  training.nesterov = true;
  training.learning_rate = 0.01;
  training.epochs = 28;
  training.schedule = ScheduleKind::step;
  training.schedule_epochs = 8;
  training.schedule_factor = 0.1;
  return training;
}

void draw_published_head(FusedHead& head, std::uint64_t seed) {
  RandomSequence random(seed, layers::stream_of("head.weight"));
  std::vector<float> weight(static_cast<std::size_t>(head.weight().count()));
  for (float& value : weight) value = static_cast<float>(0.01 * random.normal());
  copy_bytes(Tensor::from(weight, head.weight().shape(), head.weight().device()), head.weight());
  copy_bytes(Tensor::zeros(head.bias().shape(), DType::f32, head.bias().device()), head.bias());
}

Recipe fit(FitContext& context, Options options) {
  if (options.pretraining_epochs < options.members) {
    throw ValueError(fmt::format("cat: {} epochs of pretraining are too few for {} members", options.pretraining_epochs,
                                 options.members));
  }
  std::vector<std::unique_ptr<NetworkPredictor>> members;
  std::vector<Replica> pretrainings;
  for (std::int64_t k = 0; k < options.members; ++k) {
    const auto step = options.member_seeds == Seeds::same ? 0 : static_cast<std::uint64_t>(k);
    const std::uint64_t seed = step == 0 ? context.seed() : mix(context.seed(), step);
    members.push_back(new_member(context, seed));
    TrainingData data{&context.source_data(), members.back()->normalization(), {}};
    pretrainings.push_back({members.back().get(), std::move(data), pretraining(context, options, seed)});
  }
  co_await context.train_all(std::move(pretrainings));

  std::vector<FrozenBlock> blocks;
  std::vector<kernels::StoredFeatures> features;
  for (std::size_t k = 0; k < members.size(); ++k) {
    const std::string name = fmt::format("{} {}", context.source().name(), k + 1);
    const auto member = detail::frozen(*members[k], name, context.source().precision());
    const FrozenSource& source = member->blocks().front().source;
    Tensor raw = source.features(context.train()).to(context.device());
    blocks.push_back(FrozenBlock::fit(source, raw, options.member_scaling, 1));
    features.emplace_back(context.retain(blocks.back().scaled(std::move(raw))));
  }
  auto head = std::make_unique<FusedHead>(nullptr, data::InputNormalization(), std::move(blocks),
                                          context.task().outputs, context.device(), context.seed());
  TrainingOptions probing = context.training();
  if (options.probe_recipe == ProbeRecipe::published) {
    draw_published_head(*head, context.seed());
    probing = published_probe(probing);
  }
  const TrainingData data{&context.train(), head->normalization(), features};
  co_await context.train(*head, data, probing);
  co_return head;
}

}  // namespace

const Strategy& cat() {
  static const StrategyOf<Options> strategy(
      {.name = "cat",
       .summary =
           "networks like the source, pretrained anew in equal shares of one budget, and a probe on all features",
       .reference = "Zhang and Bottou 2023, CAT-n; Yang, Zhang and Bottou 2025, Time-Cat",
       .uses_source_data = true,
       .trains_source = true,
       .source_weights = true},
      fit);
  return strategy;
}

}  // namespace rtl::transfer::recipes

// Recipes as a program writes them: stages, members, recipes within recipes, what they throw; and a strategy, a
// network and a predictor of a program's own in everything that the library's go through.
#include "rtl/transfer/recipe.hpp"

#include <gtest/gtest.h>

#include "rtl/layers/model.hpp"
#include "rtl/transfer/archive.hpp"
#include "rtl/transfer/compare.hpp"
#include "rtl/transfer/strategies.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;
using testing::quick;

struct Stages {
  std::int64_t stages = 2;
  void visit(OptionVisitor& option) { option("stages", stages, Range::at_least(1), "trainings one after another"); }
};

/// Trains the same network several times.
Recipe train_in_stages(FitContext& context, Stages options) {
  auto model = std::make_unique<NetworkPredictor>(context.new_network(), context.fitted_normalization());
  for (std::int64_t stage = 0; stage < options.stages; ++stage) {
    co_await context.train(*model, model->normalization());
  }
  co_return model;
}

struct Members {
  std::int64_t members = 3;
  bool together = true;
  void visit(OptionVisitor& option) {
    option("members", members, Range::at_least(1), "networks");
    option("together", together, "as replicas");
  }
};

/// A stack of networks from different seeds, trained as replicas or one by one.
Recipe train_members(FitContext& context, Members options) {
  std::vector<std::unique_ptr<NetworkPredictor>> networks;
  std::vector<Replica> replicas;
  for (std::int64_t i = 0; i < options.members; ++i) {
    auto network = layers::make_network({"mlp", "8", context.train().sample_shape(), context.task().outputs},
                                        context.device(), context.seed() + static_cast<std::uint64_t>(i));
    networks.push_back(std::make_unique<NetworkPredictor>(std::move(network), context.fitted_normalization()));
    TrainingOptions training = context.training();
    training.seed += static_cast<std::uint64_t>(i);
    replicas.push_back({networks.back().get(), {&context.train(), networks.back()->normalization(), {}}, training});
  }
  if (options.together) {
    co_await context.train_all(replicas);
  } else {
    for (const Replica& replica : replicas) co_await context.train(*replica.model, replica.data, replica.options);
  }
  std::vector<StackMember> members;
  for (auto& network : networks) {
    members.push_back({std::move(network), 1.0 / static_cast<double>(options.members)});
  }
  co_return std::make_unique<Stack>(false, std::move(members));
}

/// Asks another recipe for a predictor and puts it into a stack.
Recipe wrap_another(FitContext& context, NoOptions /*options*/) {
  std::vector<StackMember> members;
  auto inner = co_await train_in_stages(context, {.stages = 1});
  members.push_back({std::move(inner), 1});
  co_return std::make_unique<Stack>(false, std::move(members));
}

Recipe fail(FitContext& context, NoOptions /*options*/) {
  if (context.seed() > 0) throw ValueError("this recipe always fails");
  co_return nullptr;
}

template <typename Options>
const Strategy& own(const char* name, Recipe (*recipe)(FitContext&, Options)) {
  static const StrategyOf<Options> strategy({.name = name,
                                             .summary = "of this test",
                                             .reference = "none",
                                             .least_sources = 0,
                                             .most_sources = 0,
                                             .in_all = false},
                                            recipe);
  register_strategy(strategy);
  return strategy;
}

StrategyOptions small() {
  StrategyOptions options;
  options.model = "mlp:8";
  return options;
}

data::Dataset samples(const Device& device) { return testing::make_vectors(1, 60, 5, 3, 2.0, device); }

TEST(Recipes, StagesGoOnFromEachOther) {
  own<Stages>("test-stages", train_in_stages);
  for (const Device& device : testing::devices()) {
    const data::Dataset data = samples(device);
    const Fitted two = fit("test-stages", {}, data, quick(2), small());
    EXPECT_EQ(two.training().losses.size(), 4U);
    EXPECT_EQ(two.training().steps, 2 * 2 * 4);
    EXPECT_TRUE(two.training().complete);
    EXPECT_LT(two.training().losses.back(), two.training().losses.front());
    const Fitted one = fit("test-stages:stages=1", {}, data, quick(2), small());
    EXPECT_TRUE(testing::same_bytes(testing::values_of(one.state()),
                                    testing::values_of(scratch(data, quick(2), small()).state())));
  }
}

TEST(Recipes, AStopEndsAllStagesAndAResumeIsTheSame) {
  own<Stages>("test-stages", train_in_stages);
  const Device device = Device::cpu(1);
  const data::Dataset data = samples(device);
  const std::vector<float> whole = testing::values_of(fit("test-stages", {}, data, quick(3), small()).state());
  for (const int stop_after : {1, 2, 3, 4}) {
    SCOPED_TRACE(stop_after);
    const Folder folder;
    TrainingOptions training = quick(3);
    training.checkpoint = folder / "state";
    training.resume = true;
    int epochs = 0;
    training.stop = [&] { return ++epochs >= stop_after; };
    const Fitted stopped = fit("test-stages", {}, data, training, small());
    EXPECT_FALSE(stopped.training().complete);
    training.stop = nullptr;
    const Fitted resumed = fit("test-stages", {}, data, training, small());
    EXPECT_TRUE(resumed.training().complete);
    EXPECT_TRUE(testing::same_bytes(testing::values_of(resumed.state()), whole));
  }
}

TEST(Recipes, MembersAsReplicasAreTheSameAsOneByOne) {
  own<Members>("test-members", train_members);
  for (const Device& device : testing::devices()) {
    const data::Dataset data = samples(device);
    const auto run = [&](const char* name) {
      return testing::values_of(fit(name, {}, data, quick(2), small()).state());
    };
    EXPECT_TRUE(testing::same_bytes(run("test-members"), run("test-members:together=no")));
  }
}

TEST(Recipes, MayAwaitOthers) {
  own<NoOptions>("test-wrap", wrap_another);
  const Device device = Device::cpu(1);
  const data::Dataset data = samples(device);
  const Fitted wrapped = fit("test-wrap", {}, data, quick(2), small()), plain = scratch(data, quick(2), small());
  EXPECT_TRUE(testing::same_bytes(testing::values_of(wrapped.state()), testing::values_of(plain.state())));
  EXPECT_EQ(score(wrapped.outputs(data), data).accuracy, score(plain.outputs(data), data).accuracy);
}

TEST(Recipes, TheirErrorsAreTheFits) {
  static const StrategyOf<NoOptions> strategy({.name = "test-fail",
                                               .summary = "fails",
                                               .reference = "none",
                                               .least_sources = 0,
                                               .most_sources = 0,
                                               .in_all = false},
                                              fail);
  register_strategy(strategy);
  const Device device = Device::cpu(1);
  const data::Dataset data = samples(device);
  EXPECT_THROW(fit("test-fail", {}, data, quick(1), small()), ValueError);
  EXPECT_THROW(fit("test-fail", {}, data, quick(1, 0), small()), ValueError);  // no predictor
  TrainingOptions wild = quick(2);
  wild.learning_rate = 1e30;
  own<Stages>("test-stages", train_in_stages);
  EXPECT_THROW(fit("test-stages", {}, data, wild, small()), TrainingDiverged);
}

TEST(Recipes, OwnStrategiesAreCompared) {
  own<Stages>("test-stages", train_in_stages);
  own<Members>("test-members", train_members);
  const Device device = Device::cpu(1);
  const data::TrainTest target{testing::make_vectors(1, 60, 5, 3, 2.0, device),
                               testing::make_vectors(2, 90, 5, 3, 2.0, device)};
  CompareOptions options;
  options.strategies = {"test-stages", "test-members", "test-stages:stages=3"};
  options.strategy = small();
  options.training = quick(2);
  options.seeds = 3;
  const Folder folder;
  options.state_folder = folder / "runs";
  options.resume = true;
  for (const std::int64_t replicas : {1, 3}) {
    options.replicas = replicas;
    const Comparison comparison = compare({}, target, options);
    ASSERT_EQ(comparison.strategies.size(), 4U);
    EXPECT_EQ(comparison.strategies[3].name, "test-stages:stages=3");
    EXPECT_EQ(comparison.strategies[3].losses.size(), 6U);
    EXPECT_EQ(comparison.strategies[1].options.at("stages"), "2");
    options.state_folder.clear();
    const Comparison alone = compare({}, target, options);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(comparison.strategies[i].accuracy.values, alone.strategies[i].accuracy.values);
    }
  }
}

TEST(OwnStrategies, NamesAreTakenOnce) {
  own<Stages>("test-stages", train_in_stages);
  static const StrategyOf<NoOptions> again({.name = "refine", .summary = "another", .reference = "none"}, wrap_another);
  EXPECT_THROW(register_strategy(again), ValueError);
}

/// A predictor of the program's own: the same logits for every sample.
class Constant final : public Predictor {
 public:
  explicit Constant(Tensor logits) : logits_(std::move(logits)) {}
  std::string kind() const override { return "test_constant"; }
  std::int64_t outputs_count() const override { return logits_.count(); }
  Tensor predict(const data::Dataset& data, const FeatureLookup& /*features*/) override {
    std::vector<float> all;
    for (std::int64_t i = 0; i < data.size(); ++i) {
      for (const float value : logits_.to_vector<float>()) all.push_back(value);
    }
    return Tensor::from(all, {data.size(), logits_.count()}, logits_.device());
  }
  void write(ArchiveWriter& archive) override {
    archive.integer("count", logits_.count());
    archive.tensor("logits", logits_);
  }

 private:
  Tensor logits_;
};

TEST(OwnPredictors, AreSavedAndLoadedWithinOthers) {
  const Device device = Device::cpu(1);
  const data::Dataset data = samples(device);
  register_predictor({"test_constant", [](const ArchiveReader& archive) -> std::unique_ptr<Predictor> {
                        return std::make_unique<Constant>(archive.tensor("logits", {archive.integer("count")}));
                      }});
  const auto network = [&](std::uint64_t seed) {
    return std::make_unique<NetworkPredictor>(testing::make("mlp", "4", {5}, 3, seed, device),
                                              data::Normalization::none);
  };
  std::vector<StackMember> inner, outer;
  inner.push_back({network(1), 0.25, 2});
  inner.push_back({std::make_unique<Constant>(Tensor::from(std::vector<float>{1, 2, 3}, {3}, device)), 0.75});
  outer.push_back({std::make_unique<Stack>(false, std::move(inner)), 0.5});
  outer.push_back({network(2), 0.5, 0.3});
  const Fitted made("test", Task::of(data), std::make_unique<Stack>(false, std::move(outer)));
  const Folder folder;
  made.save(folder / "model");
  const Fitted loaded = Fitted::load(folder / "model", device);
  EXPECT_EQ(loaded.task(), made.task());
  EXPECT_TRUE(testing::same_bytes(loaded.outputs(data).to_vector<float>(), made.outputs(data).to_vector<float>()));
  EXPECT_TRUE(testing::same_bytes(loaded.outputs(data.inputs.view()).to_vector<float>(),
                                  made.outputs(data).to_vector<float>()));
  const auto other = [](const ArchiveReader&) -> std::unique_ptr<Predictor> { return nullptr; };
  EXPECT_THROW(register_predictor({"test_constant", other}), ValueError);
  EXPECT_THROW(register_predictor({"stack", other}), ValueError);
}

}  // namespace
}  // namespace rtl::transfer

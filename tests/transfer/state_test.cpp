// State on disk: damage is found and told, and another protocol's runs are kept.
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "rtl/transfer/compare.hpp"
#include "support/damage.hpp"
#include "support/random.hpp"
#include "transfer/run_store.hpp"
#include "transfer/support.hpp"

namespace rtl::transfer {
namespace {

using testing::Folder;

std::string read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Without flushing to the disk, which a thousand files need not.
void put(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

std::map<std::string, std::string> contents_of(const std::string& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    contents[entry.path().filename().string()] = read(entry.path().string());
  }
  return contents;
}

data::TrainTest small_data(std::uint64_t seed = 1) {
  const Device device = Device::cpu(1);
  data::TrainTest data{testing::make_vectors(seed, 30, 6, 3, 2.0, device),
                       testing::make_vectors(seed + 1, 30, 6, 3, 2.0, device)};
  return data;
}

FrozenSource small_source(std::uint64_t seed = 3) {
  return FrozenSource(testing::make("mlp", "5", {6}, 3, seed, Device::cpu(1)), {}, "small");
}

CompareOptions options_in(const std::string& folder) {
  CompareOptions options;
  options.seeds = 2;
  options.strategies = {"probe"};
  options.training = testing::quick(2);
  options.strategy.model = "mlp:4";
  options.state_folder = folder;
  return options;
}

std::vector<double> accuracies(const Comparison& comparison) {
  std::vector<double> all;
  for (const StrategyResult& result : comparison.strategies) {
    all.insert(all.end(), result.accuracy.values.begin(), result.accuracy.values.end());
    all.insert(all.end(), result.losses.begin(), result.losses.end());
  }
  return all;
}

/// What compare says, having refused and changed nothing; empty if it did not refuse.
std::string refusal(const std::vector<FrozenSource>& sources, const data::TrainTest& data, CompareOptions options) {
  const auto before = contents_of(options.state_folder);
  bool computed = false;
  options.progress = [&computed](const CompareProgress&) { computed = true; };
  try {
    compare(sources, data, options);
  } catch (const ValueError& error) {
    EXPECT_EQ(contents_of(options.state_folder), before);
    EXPECT_FALSE(computed);
    return error.what();
  }
  return {};
}

TEST(State, OfAnotherProtocolIsToldAndKept) {
  const Folder folder;
  const std::string runs = folder / "runs";
  const data::TrainTest data = small_data();
  const FrozenSource source = small_source();
  compare({source}, data, options_in(runs));
  struct Case {
    const char* said;
    std::function<void(CompareOptions&)> change;
  };
  const Case cases[] = {
      {"learning rate is 0.5 here and 0.01 there", [](auto& options) { options.training.learning_rate = 0.5; }},
      {"epochs is 3 here and 2 there", [](auto& options) { options.training.epochs = 3; }},
      {"model is mlp:7 here and mlp:4 there", [](auto& options) { options.strategy.model = "mlp:7"; }},
      {"threads is 2 here and 1 there", [](auto& options) { options.threads_per_run = 2; }},
      {"training samples of a run is 9", [](auto& options) { options.train_samples = 9; }},
  };
  for (const bool resume : {false, true}) {
    for (const Case& one : cases) {
      CompareOptions options = options_in(runs);
      options.resume = resume;
      one.change(options);
      const std::string said = refusal({source}, data, options);
      EXPECT_NE(said.find(one.said), std::string::npos) << said;
      EXPECT_NE(said.find(runs + "-2"), std::string::npos) << said;
    }
    CompareOptions options = options_in(runs);
    options.resume = resume;
    EXPECT_NE(refusal({small_source(4)}, data, options).find("source 1 is small"), std::string::npos);
    EXPECT_NE(refusal({source}, small_data(7), options).find("target's training data"), std::string::npos);
  }
}

TEST(State, OfTheSameProtocolIsExtended) {
  const Folder folder;
  const data::TrainTest data = small_data();
  const FrozenSource source = small_source();
  CompareOptions options = options_in(folder / "runs");
  compare({source}, data, options);
  options.resume = true;
  options.seeds = 3;
  options.strategies = {"probe", "refine"};
  std::int64_t epochs = 0;
  options.progress = [&epochs](const CompareProgress& now) { epochs += now.training.epoch > 0; };
  const Comparison extended = compare({source}, data, options);
  EXPECT_EQ(epochs, 2 * (9 - 4)) << "four runs were there";
  options.state_folder = folder / "other";
  EXPECT_EQ(accuracies(extended), accuracies(compare({source}, data, options)));
}

TEST(State, OfNoRunsYetIsTakenOver) {
  const Folder folder;
  CompareOptions options = options_in(folder / "runs");
  options.stop = [] { return true; };
  options.training.checkpoint_interval = 5;
  std::filesystem::create_directory(folder / "runs");
  put(folder / "runs/notes.txt", "mine");
  EXPECT_THROW(compare({small_source()}, small_data(), options), Interrupted);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "runs")) {
    if (entry.path().extension() == ".checkpoint") std::filesystem::remove(entry.path());
  }
  options.stop = nullptr;
  options.training.learning_rate = 0.1;
  compare({small_source()}, small_data(), options);
  EXPECT_EQ(read(folder / "runs/notes.txt"), "mine");
}

TEST(State, OfAnUnknownProtocolIsKept) {
  const Folder folder;
  const std::string runs = folder / "runs";
  CompareOptions options = options_in(runs);
  const Comparison whole = compare({small_source()}, small_data(), options);
  put(runs + "/protocol.json", "{\"content\": 5}");
  std::vector<std::string> told;
  options.resume = true;
  options.notice = [&told](const std::string& text) { told.push_back(text); };
  EXPECT_EQ(accuracies(compare({small_source()}, small_data(), options)), accuracies(whole));
  ASSERT_EQ(told.size(), 1U) << "the runs tell their protocol";
  EXPECT_NE(told[0].find("protocol.json"), std::string::npos);
  for (const auto& [name, content] : contents_of(runs)) put(runs + "/" + name, "{\"run\": \"0123456789abcdef\"}");
  EXPECT_NE(refusal({small_source()}, small_data(), options).find("not known"), std::string::npos);
}

TEST(State, DamagedRunsAreToldAndDoneAgain) {
  const Folder folder;
  const std::string runs = folder / "runs";
  CompareOptions options = options_in(runs);
  const Comparison whole = compare({small_source()}, small_data(), options);
  put(runs + "/probe_seed1.json", "{\"run\": 3");
  std::filesystem::copy_file(runs + "/probe_seed1.json", runs + "/scratch_seed1.json",
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(runs + "/scratch_seed2.json");
  std::filesystem::copy_file(runs + "/probe_seed2.json", runs + "/scratch_seed2.json");
  std::vector<std::string> told;
  options.resume = true;
  options.notice = [&told](const std::string& text) { told.push_back(text); };
  EXPECT_EQ(accuracies(compare({small_source()}, small_data(), options)), accuracies(whole));
  ASSERT_EQ(told.size(), 3U);
  for (const std::string& text : told) EXPECT_EQ(text.find(runs), 0U) << text;
  EXPECT_NE(told[2].find("copy of another"), std::string::npos) << told[2];
}

detail::RunResult some_run() {
  detail::RunResult run;
  run.scores.samples = 30;
  for (int i = 0; i < 30; ++i) run.scores.correct.push_back(i % 3 == 0);
  run.scores.accuracy = 1.0 / 3;
  run.scores.class_accuracy = {0.1, std::numeric_limits<double>::quiet_NaN(), 0.3};
  run.scores.confusion = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  run.trainable_parameters = 51;
  run.seconds = 0.25;
  run.influence = {{"h", 4, 0.5, 0.25, 0.125}};
  run.losses = {1.5, 0.1 + 0.2};
  return run;
}

bool same(const detail::RunResult& a, const detail::RunResult& b) {
  return a.scores.accuracy == b.scores.accuracy && a.scores.samples == b.scores.samples &&
         a.scores.correct == b.scores.correct && a.scores.confusion == b.scores.confusion &&
         a.scores.class_accuracy.size() == b.scores.class_accuracy.size() &&
         a.scores.class_accuracy.at(2) == b.scores.class_accuracy.at(2) && a.seconds == b.seconds &&
         a.trainable_parameters == b.trainable_parameters && a.losses == b.losses &&
         a.influence.size() == b.influence.size() && a.influence.at(0).name == b.influence.at(0).name &&
         a.influence.at(0).share == b.influence.at(0).share;
}

TEST(State, NoDamageOfARunFileGoesUnnoticed) {
  const Folder folder;
  int told = 0;
  const detail::RunStore store(folder.path(), {{"learning rate", "0.1"}}, [&told](const std::string&) { ++told; });
  store.store("probe", 1, some_run());
  const std::string path = folder / "probe_seed1.json", whole = read(path);
  ASSERT_TRUE(same(store.find("probe", 1).value(), some_run()));
  RandomSequence random(test::seed());
  int silently_wrong = 0, found = 0;
  for (int i = 0; i < test::damages; ++i) {
    put(path, test::damaged_copy(whole, random));
    const auto run = store.find("probe", 1);
    found += run ? 0 : 1;
    silently_wrong += run && !same(*run, some_run()) ? 1 : 0;
  }
  EXPECT_EQ(silently_wrong, 0) << "seed " << test::seed();
  EXPECT_EQ(told, found);
  EXPECT_GT(found, test::damages / 2);
}

/// A stopped training's checkpoint, damaged: the resumed training ends with the bytes of one that was never stopped.
TEST(State, NoDamageOfACheckpointGoesUnnoticed) {
  const Folder folder;
  const Device device = Device::cpu(1);
  const data::Dataset data = testing::make_vectors(1, 12, 4, 3, 2.0, device);
  const auto run = [&](const TrainingOptions& options) {
    auto network = testing::make("mlp", "3", {4}, 3, 1, device);
    train(*network, data, data::Normalization::half, options);
    return testing::values_of(network->state());
  };
  TrainingOptions options = testing::quick(2);
  options.optimizer = OptimizerKind::adam;
  const std::vector<float> expected = run(options);
  options.checkpoint = folder / "state";
  options.checkpoint_interval = 1;
  options.stop = [] { return true; };
  run(options);
  options.stop = nullptr;
  options.resume = true;
  options.checkpoint_interval = 100;
  int told = 0;
  options.notice = [&told](const std::string&) { ++told; };
  const std::string whole = read(options.checkpoint);
  RandomSequence random(test::seed());
  int silently_wrong = 0;
  for (int i = 0; i < test::damages; ++i) {
    put(options.checkpoint, test::damaged_copy(whole, random));
    silently_wrong += testing::same_bytes(run(options), expected) ? 0 : 1;
  }
  EXPECT_EQ(silently_wrong, 0) << "seed " << test::seed();
  EXPECT_EQ(told, test::damages) << "every byte counts";
}

/// Models and fitted archives: refused, or the same predictions.
TEST(State, NoDamageOfAModelGoesUnnoticed) {
  const Folder folder;
  const Device device = Device::cpu(1);
  const data::TrainTest data = small_data();
  StrategyOptions strategy;
  strategy.model = "mlp:3";
  for (const char* name : {"scratch", "refine"}) {
    const Fitted fitted = std::string(name) == "scratch"
                              ? scratch(data.train, testing::quick(1), strategy)
                              : refine({small_source()}, data.train, testing::quick(1), strategy);
    const std::string path = folder / "model.safetensors";
    fitted.save(path);
    const std::vector<float> expected = fitted.outputs(data.test).to_vector<float>();
    const std::string whole = read(path);
    RandomSequence random(test::seed());
    int silently_wrong = 0, found = 0;
    for (int i = 0; i < test::damages; ++i) {
      put(path, test::damaged_copy(whole, random));
      try {
        silently_wrong += Fitted::load(path, device).outputs(data.test).to_vector<float>() == expected ? 0 : 1;
      } catch (const FormatError& error) {
        ASSERT_EQ(error.file(), path);
        ++found;
      }
    }
    EXPECT_EQ(silently_wrong, 0) << name << ", seed " << test::seed();
    EXPECT_EQ(found, test::damages) << "every byte counts";
  }
}

TEST(State, NamesNeedNotBeUtf8) {
  const Folder folder;
  CompareOptions options = options_in(folder / "runs");
  options.checkpoint_interval = 1;
  options.resume = true;
  data::TrainTest data = small_data();
  data.train.name = "caf\xe9.csv";
  const FrozenSource source(testing::make("mlp", "5", {6}, 3, 3, Device::cpu(1)), {}, "mod\xe8le");
  const Comparison whole = compare({source}, data, options);
  EXPECT_EQ(accuracies(compare({source}, data, options)), accuracies(whole));
  options.training.epochs = 3;
  EXPECT_NE(refusal({source}, data, options).find("epochs is 3 here"), std::string::npos);
  const Fitted fitted = probe(source, data.train, testing::quick(1));
  fitted.save(folder / "model");
  EXPECT_EQ(Fitted::load(folder / "model", Device::cpu(1)).outputs(data.test).to_vector<float>(),
            fitted.outputs(data.test).to_vector<float>());
}

TEST(State, CacheThatCannotBeWrittenIsTold) {
  const Folder folder;
  CompareOptions options = options_in("");
  const std::vector<double> expected = accuracies(compare({small_source()}, small_data(), options));
  FeatureCache cache(folder / "cache");
  options.strategy.cache = &cache;
  std::vector<std::string> told;
  options.notice = [&told](const std::string& text) { told.push_back(text); };
  std::filesystem::remove(folder / "cache");
  put(folder / "cache", "in its place");
  EXPECT_EQ(accuracies(compare({small_source()}, small_data(), options)), expected);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("feature cache could not be written"), std::string::npos) << told[0];
  EXPECT_NE(told[0].find(folder / "cache"), std::string::npos) << told[0];
}

}  // namespace
}  // namespace rtl::transfer

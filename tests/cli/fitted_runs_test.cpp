// rtl transfer --out: what every run has fitted, for rtl predict.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "cli/program.hpp"
#include "rtl/io/safetensors.hpp"

namespace rtl::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string glyphs = "glyphs:?classes=3&size=16&train=60&test=30";

std::string file_of(const std::string& label, int seed) {
  std::string name = label;
  std::replace(name.begin(), name.end(), ':', '_');
  return "fits/" + name + "_seed" + std::to_string(seed) + ".safetensors";
}

/// What predict says of every file is what the comparison says of its run.
void expect_predictions(const Workplace& place, const json& comparison) {
  for (const json& strategy : comparison.at("strategies")) {
    for (std::size_t i = 0; i < comparison.at("seeds").size(); ++i) {
      const std::string file = file_of(strategy.at("name"), comparison.at("seeds")[i]);
      SCOPED_TRACE(file);
      const auto outcome =
          place.run({"predict", "--model", file, "--data", glyphs, "--threads", "1", "--json", "p.json"});
      ASSERT_EQ(outcome.code, 0) << outcome.errors;
      EXPECT_EQ(place.json("p.json").at("accuracy"), strategy.at("accuracy").at("values")[i]);
    }
  }
}

std::map<std::string, std::string> contents(const Workplace& place) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::directory_iterator(place.path("fits"))) {
    const std::string name = "fits/" + entry.path().filename().string();
    all[name] = place.read(name);
  }
  return all;
}

TEST(FittedRuns, PredictAsTheComparisonSays) {
  const Workplace place;
  make_source(place);
  const Words strategies = {"--strategy", "probe,fine-tune,refine,refine:balance,distill", "--out", "fits", "--json",
                            "r.json"};
  const auto with = [&](const Words& more) {
    Words words = strategies;
    words.insert(words.end(), more.begin(), more.end());
    return small_transfer(words);
  };
  const auto outcome = place.run(with({"--threads", "1"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("written to fits"), std::string::npos) << outcome.output;
  EXPECT_EQ(place.json("r.json").at("out"), "fits");
  const auto alone = contents(place);
  EXPECT_EQ(alone.size(), 12u);
  EXPECT_TRUE(alone.contains("fits/refine_balance_seed2.safetensors"));
  expect_predictions(place, place.json("r.json"));

  fs::remove_all(place.path("fits"));
  ASSERT_EQ(place.run(with({"--threads", "2", "--replicas", "2"})).code, 0);
  const auto together = contents(place);
  for (const auto& [name, content] : alone) {
    ASSERT_TRUE(together.contains(name)) << name;
    EXPECT_TRUE(together.at(name) == content) << name;
  }
  EXPECT_EQ(together.size(), alone.size());
}

/// Every tensor of a file.
std::map<std::string, std::vector<float>> tensors(const std::string& path) {
  const io::SafetensorsFile file(path);
  std::map<std::string, std::vector<float>> all;
  for (const io::TensorEntry& entry : file.tensors()) {
    all[entry.name] = file.load(entry.name, Device::cpu(1)).to_vector<float>();
  }
  return all;
}

TEST(FittedRuns, OfNoEpochsAreWhatTrainingsStartFrom) {
  const Workplace place;
  make_source(place);
  const auto fitted = [&](const Words& more) {
    const Outcome outcome =
        place.run(small_transfer(with({"--strategy", "probe,refine,fine-tune", "--out", "fits"}, more)));
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    std::map<std::string, std::map<std::string, std::vector<float>>> all;
    for (const std::string name : {"scratch", "probe", "refine", "fine-tune"}) {
      for (const int seed : {1, 2}) all[file_of(name, seed)] = tensors(place.path(file_of(name, seed)));
    }
    return all;
  };
  const auto start = fitted({"--epochs", "0"});
  // Steps so small that they round to nothing.
  EXPECT_EQ(fitted({"--epochs", "1", "--learning-rate", "1e-30"}), start);
  EXPECT_NE(start.at(file_of("probe", 1)), start.at(file_of("probe", 2)));
  EXPECT_NE(fitted({"--epochs", "1"}), start);
}

TEST(FittedRuns, AResumedRunWhoseFileIsMissingOrDamagedIsDoneAgain) {
  const Workplace place;
  make_source(place);
  const auto words = [](const std::string& strategy) {
    return small_transfer(
        {"--strategy", strategy, "--state", "state", "--resume", "--out", "fits", "--json", "r.json"});
  };
  ASSERT_EQ(place.run(words("probe,refine")).code, 0);
  const json before = place.json("r.json");
  const auto files = contents(place);
  ASSERT_EQ(files.size(), 6u);
  EXPECT_EQ(place.run(words("probe,refine")).errors, "");

  fs::remove(place.path(file_of("probe", 1)));
  std::string damaged = files.at(file_of("probe", 2));
  damaged[damaged.size() - 2] ^= 1;
  place.write(file_of("probe", 2), damaged);
  place.write(file_of("refine", 1), files.at(file_of("refine", 2)));  // intact, and another run's
  const auto again = place.run(words("probe,refine"));
  ASSERT_EQ(again.code, 0) << again.errors;
  EXPECT_EQ(std::count(again.errors.begin(), again.errors.end(), '\n'), 3) << again.errors;
  EXPECT_NE(again.errors.find("fits/probe_seed1.safetensors: is missing; the run is done again"), std::string::npos)
      << again.errors;
  EXPECT_NE(again.errors.find("fits/refine_seed1.safetensors: is not what the run has fitted"), std::string::npos)
      << again.errors;
  EXPECT_TRUE(contents(place) == files);
  for (std::size_t i = 0; i < before.at("strategies").size(); ++i) {
    EXPECT_EQ(place.json("r.json").at("strategies")[i].at("accuracy"), before.at("strategies")[i].at("accuracy"));
  }
  expect_predictions(place, place.json("r.json"));
}

TEST(FittedRuns, ARunThatWasFinishedWithoutAFileGetsOne) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--strategy", "probe", "--state", "state"})).code, 0);
  ASSERT_EQ(place
                .run(small_transfer(
                    {"--strategy", "probe", "--state", "state", "--resume", "--out", "fits", "--json", "r.json"}))
                .code,
            0);
  EXPECT_EQ(contents(place).size(), 4u);
  expect_predictions(place, place.json("r.json"));
}

TEST(FittedRuns, ValuesPredictAsTheComparisonSays) {
  const Workplace place;
  std::string table = "a,b,value\n";
  for (int i = 0; i < 50; ++i) {
    const double a = std::sin(7.0 * i), b = std::cos(5.0 * i);
    table += std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(1000 + 100 * a - 30 * b) + "\n";
  }
  place.write("t.csv", table);
  const std::string data = "csv:t.csv?label=value&target=real";
  ASSERT_EQ(place
                .run({"pretrain", "--data", data, "--model", "mlp:4", "--epochs", "2", "--out", "m.safetensors",
                      "--json", "m.json"})
                .code,
            0);
  ASSERT_EQ(
      place.run({"predict", "--model", "m.safetensors", "--data", data, "--threads", "1", "--json", "p.json"}).code, 0);
  // By another order of the same operations, in f32.
  EXPECT_NEAR(place.json("p.json").at("r2").get<double>(), place.json("m.json").at("test_r2").get<double>(), 1e-5);
  const auto outcome = place.run({"transfer", "--source", "m.safetensors", "--target", data, "--model", "mlp:4",
                                  "--strategy", "probe,fine-tune,refine", "--seeds", "2", "--epochs", "3", "--threads",
                                  "1", "--out", "fits", "--json", "r.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const json comparison = place.json("r.json");
  for (const json& strategy : comparison.at("strategies")) {
    for (int seed = 1; seed <= 2; ++seed) {
      const std::string file = file_of(strategy.at("name"), seed);
      SCOPED_TRACE(file);
      ASSERT_EQ(place.run({"predict", "--model", file, "--data", data, "--threads", "1", "--json", "p.json"}).code, 0);
      EXPECT_EQ(place.json("p.json").at("r2"), strategy.at("r2").at("values")[static_cast<std::size_t>(seed - 1)]);
    }
  }
}

TEST(FittedRuns, InputsAreNotOverwritten) {
  const Workplace place;
  make_source(place);
  fs::create_directory(place.path("fits"));
  fs::copy_file(place.path("source.safetensors"), place.path(file_of("probe", 1)));
  const std::string before = place.read(file_of("probe", 1));
  Words words = small_transfer({"--strategy", "probe", "--out", "fits"});
  words[2] = file_of("probe", 1);
  const auto outcome = place.run(words);
  EXPECT_EQ(outcome.code, 2) << outcome.errors;
  EXPECT_NE(outcome.errors.find("--source and --out are both fits/probe_seed1.safetensors"), std::string::npos)
      << outcome.errors;
  EXPECT_EQ(place.read(file_of("probe", 1)), before);
  EXPECT_EQ(contents(place).size(), 1u);

  place.write("file", "no folder");
  const auto no_folder = place.run(small_transfer({"--strategy", "probe", "--out", "file"}));
  EXPECT_EQ(no_folder.code, 1);
  EXPECT_NE(no_folder.errors.find("file: "), std::string::npos) << no_folder.errors;
}

}  // namespace
}  // namespace rtl::test

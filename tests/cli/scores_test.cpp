// rtl scores: a table of sources, and what is refused.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "cli/program.hpp"
#include "rtl/data/load.hpp"
#include "rtl/layers/checkpoint.hpp"
#include "rtl/transfer/scores.hpp"

namespace rtl::test {
namespace {

const std::string glyphs = "glyphs:?classes=3&size=16&train=50&test=30";

TEST(ScoresCommand, TellsTheLibrarysNumbers) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(
      place.run({"features", "--model", "source.safetensors", "--data", glyphs, "--threads", "1", "--out", "bare.npy"})
          .code,
      0);
  const Outcome outcome = place.run({"scores", "--source", "source.safetensors,features:bare.npy", "--train", glyphs,
                                     "--threads", "1", "--json", "scores.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const Device device = Device::cpu(1);
  auto loaded = layers::load_network(place.path("source.safetensors"), device);
  const transfer::FrozenSource source(std::move(loaded.network), loaded.normalization);
  const auto want = transfer::transferability(source, data::load(glyphs, device).train);
  const auto json = place.json("scores.json");
  const auto &first = json.at("sources").at(0), &bare = json.at("sources").at(1);
  EXPECT_EQ(json.at("samples"), 50);
  EXPECT_EQ(first.at("log_me"), want.log_me);
  EXPECT_EQ(first.at("leep"), *want.leep);
  EXPECT_EQ(first.at("nce"), *want.nce);
  EXPECT_EQ(first.at("h_score"), *want.h_score);
  EXPECT_EQ(first.at("h_score_shrunk"), *want.h_score_shrunk);
  EXPECT_EQ(first.at("transrate"), *want.transrate);
  EXPECT_EQ(bare.at("log_me"), want.log_me) << "the same features from a file";
  EXPECT_TRUE(bare.at("leep").is_null());
  EXPECT_NE(outcome.output.find("TransRate"), std::string::npos);
  EXPECT_NE(outcome.output.find("bare"), std::string::npos);
}

TEST(ScoresCommand, FilesOfAnyNameAreSources) {
  const Workplace place;
  make_source(place);
  std::filesystem::create_directory(place.path("lr=0.1,seed=3"));
  const std::string model = "lr=0.1,seed=3/what?.safetensors", features = "lr=0.1,seed=3/X?.npy";
  std::filesystem::rename(place.path("source.safetensors"), place.path(model));
  ASSERT_EQ(place.run({"features", "--model", model, "--data", glyphs, "--out", features}).code, 0);
  const Words all = {model, "features:lr=0.1%2Cseed=3/X%3F.npy",
                     "lr=0.1%2Cseed=3/what%3F.safetensors?normalize=half,features:lr=0.1%2Cseed=3/X%3F.npy"};
  for (const std::string& sources : all) {
    const Outcome outcome = place.run({"scores", "--source", sources, "--train", glyphs, "--json", "s.json"});
    EXPECT_EQ(outcome.code, 0) << sources << ": " << outcome.errors;
  }
  EXPECT_EQ(place.json("s.json").at("sources").size(), 2U);
}

TEST(ScoresCommand, ColumnsAreFoundByTheSourcesNames) {
  const Workplace place;
  std::string table = "a,b,kind\n", turned = "b,kind,a\n", gaps = "b,kind,a\n,x,7\n";
  for (int i = 0; i < 60; ++i) {
    const double a = std::sin(7.0 * i) + i % 3, b = std::cos(5.0 * i);
    const char kind = "xyz"[i % 3];
    table += fmt::format("{},{},{}\n", a, b, kind);
    turned += fmt::format("{},{},{}\n", b, kind, a);
  }
  place.write("t.csv", table);
  place.write("turned.csv", turned);
  place.write("gaps.csv", gaps + turned.substr(turned.find('\n') + 1));
  const std::string part = "?label=kind&split=train&test_fraction=0";
  ASSERT_EQ(place
                .run({"pretrain", "--data", "csv:t.csv" + part, "--model", "mlp:4", "--epochs", "2", "--out",
                      "m.safetensors"})
                .code,
            0);
  const auto scores = [&](const std::string& spec) {
    const Outcome outcome = place.run({"scores", "--source", "m.safetensors", "--train", spec, "--json", "s.json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("s.json").at("sources");
  };
  const auto want = scores("csv:t.csv" + part);
  EXPECT_EQ(scores("csv:turned.csv" + part), want);
  EXPECT_NE(scores("csv:gaps.csv" + part + "&missing=impute"), want) << "what the target asks for is still done";
}

TEST(ScoresCommand, OfRealTargetsAreLogMEAlone) {
  const Workplace place;
  place.write("houses.csv", "a,b,price\n1,2,3.5\n2,1,4\n3,5,9.5\n4,1,6\n5,2,8\n6,6,14\n");
  const std::string houses = "csv:houses.csv?target=real&label=price&test_fraction=0&split=train";
  ASSERT_EQ(
      place.run({"pretrain", "--data", houses, "--model", "mlp:4", "--epochs", "1", "--out", "m.safetensors"}).code, 0);
  const Outcome outcome = place.run({"scores", "--source", "m.safetensors", "--train", houses, "--json", "-"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto json = nlohmann::json::parse(outcome.output);
  EXPECT_EQ(json.at("task"), "regression");
  EXPECT_TRUE(json.at("sources").at(0).at("log_me").is_number());
  EXPECT_TRUE(json.at("sources").at(0).at("h_score").is_null());
}

TEST(ScoresCommand, OfASourceOfRealTargetsHaveNoPredictedClasses) {
  const Workplace place;
  place.write("houses.csv",
              "a,b,price,rent,kind\n1,2,3.5,1,x\n2,1,4,2,y\n3,5,9.5,4,x\n4,1,6,3,y\n5,2,8,1,x\n6,6,14,2,y\n");
  const std::string inputs = "&columns=a,b&test_fraction=0&split=train";
  ASSERT_EQ(place
                .run({"pretrain", "--data", "csv:houses.csv?target=real&label=price,rent" + inputs, "--model", "mlp:4",
                      "--epochs", "1", "--out", "m.safetensors"})
                .code,
            0);
  const Outcome outcome = place.run(
      {"scores", "--source", "m.safetensors", "--train", "csv:houses.csv?label=kind" + inputs, "--json", "-"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const auto source = nlohmann::json::parse(outcome.output).at("sources").at(0);
  EXPECT_TRUE(source.at("leep").is_null());
  EXPECT_TRUE(source.at("nce").is_null());
  EXPECT_TRUE(source.at("log_me").is_number());
  EXPECT_NE(outcome.errors.find("predicts real targets, so it has no LEEP and no NCE"), std::string::npos)
      << outcome.errors;
}

TEST(ScoresCommand, WrongUsageIsRefused) {
  const Workplace place;
  make_source(place);
  place.write("one.csv", "a,b,kind\n1,2,oak\n2,1,oak\n");
  EXPECT_EQ(place.run({"scores", "--train", glyphs}).code, 2);
  EXPECT_EQ(place.run({"scores", "--source", "source.safetensors,", "--train", glyphs}).code, 2);
  EXPECT_EQ(place.run({"scores", "--source", "source.safetensors", "--train", "glyph:"}).code, 2);
  EXPECT_EQ(place.run({"scores", "--source", "missing.safetensors", "--train", glyphs}).code, 1);
  EXPECT_EQ(place.run({"scores", "--source", "features:a.npy?test=b.npy", "--train", glyphs}).code, 2);
  EXPECT_EQ(place.run({"scores", "--source", "source.safetensors", "--train", "csv:one.csv?label=kind"}).code, 1);
  const Outcome taken =
      place.run({"scores", "--source", "source.safetensors", "--train", glyphs, "--json", "source.safetensors"});
  EXPECT_EQ(taken.code, 2);
  const Outcome other = place.run({"scores", "--source", "source.safetensors", "--train", "glyphs:?size=24"});
  EXPECT_EQ(other.code, 1);
  EXPECT_NE(other.errors.find("takes"), std::string::npos) << other.errors;
}

}  // namespace
}  // namespace rtl::test

// The JSON that commands write is part of the program's interface: keys, types and a few values.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "cli/program.hpp"
#include "rtl/io/npy.hpp"
#include "support/documents.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

const std::string glyphs = "glyphs:?classes=3&size=16&train=60&test=30";

TEST(Json, Info) {
  const Workplace place;
  const auto outcome = place.run({"info", "--json", "info.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("OpenBLAS"), std::string::npos);
  const json info = place.json("info.json");
  EXPECT_TRUE(info.at("rtl").is_string());
  EXPECT_EQ(info.at("devices").at(0).at("name"), "cpu");
  EXPECT_GE(info.at("devices").at(0).at("threads").get<int>(), 1);
  EXPECT_TRUE(info.at("libraries").at("openblas_core").is_string());
  EXPECT_TRUE(info.at("libraries").at("onednn").is_string());
  EXPECT_TRUE(info.at("build").at("cuda").is_string());
  EXPECT_TRUE(info.at("warnings").is_array());
}

TEST(Json, GoesToStandardOutputAlone) {
  const Workplace place;
  const auto outcome = place.run({"info", "--json", "-"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_TRUE(json::parse(outcome.output).contains("devices"));
  EXPECT_TRUE(place.files().empty());
}

TEST(Json, Strategies) {
  const Workplace place;
  ASSERT_EQ(place.run({"strategies", "--json", "s.json"}).code, 0);
  std::vector<std::string> names;
  const json facts = place.json("s.json");
  for (const json& entry : facts.at("strategies")) {
    names.push_back(entry.at("name"));
    EXPECT_FALSE(entry.at("summary").get<std::string>().empty());
    EXPECT_FALSE(entry.at("reference").get<std::string>().empty());
  }
  ASSERT_GT(names.size(), 20U);
  EXPECT_EQ(names.front(), "scratch");
  EXPECT_TRUE(std::is_sorted(names.begin() + 1, names.end()));
}

TEST(Strategies, AreInTheDocumentsAsTheProgramDescribesThem) {
  const Workplace place;
  ASSERT_EQ(place.run({"strategies", "--markdown", "s.md"}).code, 0);
  const std::string tables = place.read("s.md");
  const std::size_t between = tables.find("\n\n") + 1;
  expect_table("docs/strategies.md", tables.substr(0, between));
  expect_table("docs/strategies.md", tables.substr(between + 1));
  ASSERT_EQ(place.run({"strategies", "--json", "s.json"}).code, 0);
  const std::string count = fmt::format("{}", place.json("s.json")["strategies"].size());
  expect_between("README.md", "data set by [", count, " strategies](docs/strategies.md)");
}

TEST(Json, InspectOfADataSet) {
  const Workplace place;
  ASSERT_EQ(place.run({"inspect", glyphs, "--json", "i.json"}).code, 0);
  const json facts = place.json("i.json");
  EXPECT_EQ(facts.at("classes"), 3);
  EXPECT_EQ(facts.at("train").at("samples"), 60);
  EXPECT_EQ(facts.at("test").at("samples"), 30);
  EXPECT_EQ(facts.at("train").at("sample_shape"), (json{16, 16, 3}));
  EXPECT_EQ(facts.at("train").at("class_counts"), (json{20, 20, 20}));
}

TEST(Json, PretrainInspectPredict) {
  const Workplace place;
  const auto pretrain = place.run({"pretrain", "--data", glyphs, "--model", "paper_cnn:2-2-2-8", "--epochs", "2",
                                   "--out", "s.safetensors", "--json", "p.json"});
  ASSERT_EQ(pretrain.code, 0) << pretrain.errors;
  const json trained = place.json("p.json");
  EXPECT_EQ(trained.at("losses").size(), 2u);
  EXPECT_EQ(trained.at("train_samples"), 60);
  EXPECT_FALSE(place.has("s.safetensors.unfinished"));

  const auto inspect = place.run({"inspect", "s.safetensors", "--json", "i.json"});
  ASSERT_EQ(inspect.code, 0) << inspect.errors;
  const json facts = place.json("i.json");
  EXPECT_EQ(facts.at("metadata").at("architecture"), "paper_cnn");
  EXPECT_EQ(facts.at("metadata").at("normalization"), "half");
  EXPECT_EQ(facts.at("values"), trained.at("parameters"));
  EXPECT_EQ(facts.at("tensors").size(), 10u);
  EXPECT_EQ(facts.at("content_hash").get<std::string>().size(), 16u);
  EXPECT_FALSE(facts.at("metadata").contains("rtl.content_hash"));

  const auto predict = place.run(
      {"predict", "--model", "s.safetensors", "--data", glyphs, "--logits", "l.npy", "--json", "predict.json"});
  ASSERT_EQ(predict.code, 0) << predict.errors;
  const json predicted = place.json("predict.json");
  EXPECT_EQ(predicted.at("samples"), 30);
  EXPECT_EQ(predicted.at("classes"), 3);
  EXPECT_DOUBLE_EQ(predicted.at("accuracy").get<double>(), trained.at("test_accuracy").get<double>());
  EXPECT_NEAR(predicted.at("correct").get<double>(), 30 * predicted.at("accuracy").get<double>(), 1e-9);
  EXPECT_EQ(io::read_npy(place.path("l.npy"), Device::cpu(1)).shape(), (Shape{30, 3}));
}

TEST(Json, PredictOfOtherClassesHasNoAccuracy) {
  const Workplace place;
  make_source(place);
  const auto outcome = place.run({"predict", "--model", "source.safetensors", "--data",
                                  "glyphs:?classes=5&size=16&train=20&test=20", "--json", "p.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_TRUE(place.json("p.json").at("accuracy").is_null());
}

void expect_statistic(const json& statistic, std::size_t seeds) {
  EXPECT_EQ(statistic.at("values").size(), seeds);
  double sum = 0;
  for (const json& value : statistic.at("values")) {
    EXPECT_GE(value.get<double>(), 0);
    EXPECT_LE(value.get<double>(), 1);
    sum += value.get<double>();
  }
  EXPECT_NEAR(statistic.at("mean").get<double>(), sum / static_cast<double>(seeds), 1e-12);
  EXPECT_TRUE(statistic.at("std").is_number());
}

TEST(Json, Transfer) {
  const Workplace place;
  make_source(place);
  const auto outcome = place.run(small_transfer({"--feature-scaling", "raw,balance", "--json", "t.json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_TRUE(outcome.errors.empty()) << "a progress bar where there is no terminal: " << outcome.errors;
  const json result = place.json("t.json");
  EXPECT_EQ(result.at("device"), "cpu");
  EXPECT_TRUE(result.at("rtl").is_string());
  EXPECT_EQ(result.at("sources"), json{"source"});
  EXPECT_EQ(result.at("seeds"), (json{1, 2}));
  EXPECT_NE(result.at("target").get<std::string>().find("glyphs:"), std::string::npos);
  std::vector<std::string> names;
  for (const json& strategy : result.at("strategies")) {
    names.push_back(strategy.at("name"));
    EXPECT_GT(strategy.at("trainable_parameters").get<int>(), 0);
    EXPECT_GE(strategy.at("seconds").get<double>(), 0);
    EXPECT_GT(strategy.at("peak_memory_bytes").get<std::int64_t>(), 0);
    expect_statistic(strategy.at("accuracy"), 2);
    for (const char* key : {"auc", "f1", "min_class_accuracy"}) EXPECT_TRUE(strategy.at(key).is_number()) << key;
    const json& difference = strategy.at("difference_from_scratch");
    EXPECT_LE(difference.at("low").get<double>(), difference.at("mean").get<double>());
    EXPECT_LE(difference.at("mean").get<double>(), difference.at("high").get<double>());
    const std::string verdict = strategy.at("verdict");
    EXPECT_EQ(verdict, difference.at("low") > 0 ? "helps" : difference.at("high") < 0 ? "hurts" : "undecided");
    EXPECT_EQ(strategy.at("losses").size(), names.back() == "ridge-probe" ? 0u : 2u);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"scratch", "distill", "fine-tune", "probe", "probe:balance", "refine",
                                             "refine:balance", "ridge-probe"}));
}

/// Results without what time decides.
json timeless(json result) {
  result.erase("feature_seconds");
  for (json& strategy : result.at("strategies")) {
    strategy.erase("seconds");
    strategy.erase("peak_memory_bytes");
  }
  return result;
}

TEST(Json, TransferIsReproducible) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--threads", "1", "--json", "a.json"})).code, 0);
  ASSERT_EQ(place.run(small_transfer({"--threads", "1", "--json", "b.json"})).code, 0);
  ASSERT_EQ(place.run(small_transfer({"--threads", "3", "--json", "c.json"})).code, 0);
  EXPECT_EQ(timeless(place.json("a.json")), timeless(place.json("b.json")));
  EXPECT_EQ(timeless(place.json("a.json")), timeless(place.json("c.json"))) << "threads change the result";
}

TEST(Json, FeatureCacheOnDiskChangesNothing) {
  const Workplace place;
  make_source(place);
  ASSERT_EQ(place.run(small_transfer({"--json", "a.json"})).code, 0);
  for (const char* name : {"b.json", "c.json"}) {
    ASSERT_EQ(place.run(small_transfer({"--feature-cache", "features", "--json", name})).code, 0);
    EXPECT_EQ(timeless(place.json("a.json")), timeless(place.json(name)));
  }
  EXPECT_FALSE(std::filesystem::is_empty(place.path("features")));
}

}  // namespace
}  // namespace rtl::test

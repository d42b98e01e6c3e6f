// rtl transfer --source features:FILE: precomputed features as a source.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cli/program.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

const std::string spec = "csv:t.csv?label=kind";

/// Noise in the table; the class in the features.
struct Example {
  Workplace place;
  std::vector<double> features;  ///< [60, 3]

  Example() {
    std::string table = "a,b,kind\n";
    for (int i = 0; i < 60; ++i) {
      table += std::to_string(std::sin(11.0 * i)) + "," + std::to_string(std::cos(17.0 * i)) + "," +
               (i % 2 == 0 ? "fir" : "oak") + "\n";
      for (int j = 0; j < 3; ++j) features.push_back((i % 2 == 0 ? 1 : -1) + 0.25 * std::sin(3.0 * i + j));
    }
    place.write("t.csv", table);
    write("F.npy", rows());
  }

  std::vector<std::int64_t> rows() const {
    std::vector<std::int64_t> all(60);
    for (std::size_t i = 0; i < 60; ++i) all[i] = static_cast<std::int64_t>(i);
    return all;
  }
  Tensor chosen(const std::vector<std::int64_t>& rows) const {
    std::vector<double> values;
    for (const std::int64_t row : rows)
      values.insert(values.end(), features.begin() + 3 * row, features.begin() + 3 * row + 3);
    return Tensor::from(values, {static_cast<std::int64_t>(rows.size()), 3}, Device::cpu(1));
  }
  void write(const std::string& name, const std::vector<std::int64_t>& rows) const {
    io::write_npy(place.path(name), chosen(rows));
  }
  data::TrainTest load(const std::string& options = "") const {
    return data::load("csv:" + place.path("t.csv") + "?label=kind" + options, Device::cpu(1));
  }
  Outcome transfer(const std::string& source, const Words& more = {}, const std::string& target = spec) const {
    Words words = {"transfer", "--source", source,         "--target", target,      "--model", "mlp:4",  "--seeds", "2",
                   "--epochs", "5",        "--batch-size", "8",        "--threads", "1",       "--json", "r.json"};
    words.insert(words.end(), more.begin(), more.end());
    return place.run(words);
  }
  /// Of a strategy, seed by seed.
  json accuracies(const std::string& strategy) const {
    const json result = place.json("r.json");
    for (const json& entry : result.at("strategies")) {
      if (entry.at("name") == strategy) return entry.at("accuracy").at("values");
    }
    return {};
  }
};

TEST(FeatureSources, TellWhatTheInputsDoNot) {
  const Example example;
  ASSERT_EQ(example.transfer("features:F.npy", {"--strategy", "all"}).code, 0);
  const json result = example.place.json("r.json");
  EXPECT_EQ(result.at("sources"), (json{"F"}));
  std::vector<std::string> names;
  for (const json& entry : result.at("strategies")) names.push_back(entry.at("name"));
  EXPECT_EQ(std::count(names.begin(), names.end(), "probe"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "refine"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "fine-tune"), 0);
  EXPECT_EQ(example.accuracies("probe"), (json{1.0, 1.0}));  // classes lie at distance 2, and the noise is below 0.25
}

TEST(FeatureSources, TablesAreTheSameAsArrays) {
  const Example example;
  std::string table = "f1,f2,f3\n", half = "f1,f2,f3\n";
  for (std::size_t i = 0; i < example.features.size(); i += 3) {
    const std::string row =
        fmt::format("{},{},{}\n", example.features[i], example.features[i + 1], example.features[i + 2]);
    table += row;
    half += i < 90 ? row : "";
  }
  std::string tabs = table;
  std::replace(tabs.begin(), tabs.end(), ',', '\t');
  example.place.write("F.csv", table);
  example.place.write("F.tsv", tabs);
  example.place.write("half.csv", half);
  ASSERT_EQ(example.transfer("features:F.npy", {"--strategy", "probe"}).code, 0);
  const json expected = example.accuracies("probe");
  for (const std::string file : {"F.csv", "F.tsv"}) {
    const Outcome outcome =
        example.transfer("features:" + file, {"--strategy", "probe", "--out", "fitted-" + file.substr(2)});
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(example.accuracies("probe"), expected);
  }
  ASSERT_EQ(example.place
                .run({"predict", "--model", "fitted-csv/probe_seed1.safetensors", "--data", spec + "&split=train",
                      "--features", "F=F.csv", "--out", "table.csv"})
                .code,
            0);
  ASSERT_EQ(example.place
                .run({"predict", "--model", "fitted-csv/probe_seed1.safetensors", "--data", spec + "&split=train",
                      "--features", "F=F.npy", "--out", "array.csv"})
                .code,
            0);
  EXPECT_EQ(example.place.read("table.csv"), example.place.read("array.csv"));

  const Outcome few = example.transfer("features:half.csv", {"--strategy", "probe"});
  EXPECT_EQ(few.code, 1);
  EXPECT_NE(few.errors.find("has 30 rows; 60 are needed"), std::string::npos) << few.errors;
  const Outcome text = example.transfer("features:t.csv", {"--strategy", "probe"});
  EXPECT_EQ(text.code, 1);
  EXPECT_NE(text.errors.find("t.csv: has columns of text"), std::string::npos) << text.errors;
  // What ridge and decide would take out by an option.
  example.place.write("gap.csv", "f1,f2\n1,2\n,3\n");
  example.place.write("index.csv", ",f1\n0,5\n1,4\n2,7\n");
  for (const std::string file : {"gap.csv", "index.csv"}) {
    const Outcome refused = example.transfer("features:" + file, {"--strategy", "probe"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_EQ(refused.errors.find("rtl: " + file + ": "), 0U) << refused.errors;
    EXPECT_NE(refused.errors.find("change the file"), std::string::npos) << refused.errors;
  }
}

TEST(FeatureSources, RowsAreThoseOfTheFileOrOfItsParts) {
  const Example example;
  const auto parts = example.load();
  example.write("train.npy", parts.train_rows);
  example.write("test.npy", parts.test_rows);
  const Words refine = {"--strategy", "probe,refine"};
  const auto influence = [&] { return example.place.json("r.json").at("strategies")[2].at("influence"); };
  ASSERT_EQ(example.transfer("features:F.npy", refine).code, 0);
  const json whole = influence();
  ASSERT_EQ(example.transfer("features:train.npy?test=test.npy", refine).code, 0);
  json apart = influence();
  EXPECT_EQ(apart[1].at("block"), "train");
  apart[1]["block"] = "F";
  EXPECT_EQ(apart, whole);

  // offset, limit and --train-offset leave out the same rows of features as of samples.
  const auto cut = example.load("&offset=4&limit=30");
  example.write("train.npy", cut.train_rows);
  ASSERT_EQ(example.transfer("features:F.npy", refine, spec + "&offset=4&limit=30").code, 0);
  const json limited = influence();
  ASSERT_EQ(example.transfer("features:train.npy?test=test.npy", refine, spec + "&offset=4&limit=30").code, 0);
  apart = influence();
  apart[1]["block"] = "F";
  EXPECT_EQ(apart, limited);
  Words offset = refine;
  offset.insert(offset.end(), {"--train-offset", "4"});
  ASSERT_EQ(example.transfer("features:F.npy", offset, spec + "&limit=34").code, 0);
  EXPECT_EQ(influence(), limited);
  offset.insert(offset.end(), {"--train-limit", "20"});
  EXPECT_EQ(example.transfer("features:F.npy", offset).code, 0);
  EXPECT_EQ(example.accuracies("probe"), (json{1.0, 1.0}));
  ASSERT_EQ(example.transfer("features:F.npy", refine, spec + "&split=train&test_fraction=0").code, 0);
  EXPECT_EQ(example.accuracies("probe"), (json{1.0, 1.0}));
}

TEST(FeatureSources, SafeTellsWhatHAndEachSourceContribute) {
  const Example example;
  example.write("other.npy", example.rows());
  ASSERT_EQ(example.transfer("features:F.npy,features:other.npy").code, 0);
  const json safe = example.place.json("r.json").at("strategies")[1];
  EXPECT_EQ(safe.at("name"), "safe");
  std::vector<std::string> blocks;
  double total = 0;
  for (const json& entry : safe.at("influence")) {
    blocks.push_back(entry.at("block"));
    total += entry.at("share").get<double>();
    EXPECT_GT(entry.at("logit_deviation"), 0);
  }
  EXPECT_EQ(blocks, (std::vector<std::string>{"h", "F", "other"}));
  EXPECT_NEAR(total, 1, 1e-12);
}

TEST(FeatureSources, GoBesideModelsAndOthers) {
  const Example example;
  ASSERT_EQ(
      example.place.run({"pretrain", "--data", spec, "--model", "mlp:4", "--epochs", "1", "--out", "m.safetensors"})
          .code,
      0);
  std::vector<std::int32_t> counts(120);
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = static_cast<std::int32_t>(i % 7);
  const Tensor whole = Tensor::from(counts, {60, 2}, Device::cpu(1));
  const Tensor other = Tensor::from(std::vector<float>(60), {60}, Device::cpu(1));
  io::write_npz(example.place.path("G.npz"), {{"counts", whole}, {"zeros", other}});
  const auto outcome = example.transfer("features:F.npy,m.safetensors,features:G.npz?x=counts",
                                        {"--strategy", "refine:balance", "--out", "fits"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(example.place.json("r.json").at("sources"), (json{"F", "m", "G"}));

  // What was fitted asks for the features again.
  io::write_npy(example.place.path("G.npy"), whole);
  const Words words = {"predict", "--model", "fits/refine_balance_seed2.safetensors", "--data", spec, "--threads", "1",
                       "--json",  "p.json"};
  const auto refused = example.place.run(words);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.errors.find("--features F=FILE.npy"), std::string::npos) << refused.errors;
  Words given = words;
  given.insert(given.end(), {"--features", "F=F.npy", "--features", "G=G.npy"});
  const auto predicted = example.place.run(given);
  ASSERT_EQ(predicted.code, 0) << predicted.errors;
  EXPECT_EQ(example.place.json("p.json").at("accuracy"), example.accuracies("refine:balance")[1]);
}

TEST(FeatureSources, WhatDoesNotFitIsTold) {
  const Example example;
  const auto refused = [&](const std::string& source, const Words& more, int code, const std::string& text,
                           const std::string& target = spec) {
    SCOPED_TRACE(source);
    const auto outcome = example.transfer(source, more, target);
    EXPECT_EQ(outcome.code, code) << outcome.errors;
    EXPECT_NE(outcome.errors.find(text), std::string::npos) << outcome.errors;
  };
  const Words probe = {"--strategy", "probe"};
  example.write("short.npy", {0, 1, 2});
  example.place.write("u.csv", "a,b,kind\n1,2,fir\n3,4,oak\n");
  refused("features:short.npy", probe, 1, "has 3 rows; 60 are needed, one for each row of the file");
  refused("features:short.npy", probe, 1, "or 48 for the training part, and with ?test=FILE 12 for the test part");
  refused("features:F.npy?test=short.npy", probe, 1, "test=short.npy has 3 rows; 12 are needed");
  refused("features:short.npy", probe, 1, "3 rows, and none are given for the test part", spec + "&test=u.csv");
  Tensor wide = Tensor::zeros({12, 4}, DType::f32, Device::cpu(1));
  io::write_npy(example.place.path("wide.npy"), wide);
  refused("features:F.npy?test=wide.npy", probe, 1, "has 3 features for each sample, test=wide.npy 4");
  std::vector<double> wild = example.features;
  wild[3 * 17 + 1] = std::nan("");
  io::write_npy(example.place.path("wild.npy"), Tensor::from(wild, {60, 3}, Device::cpu(1)));
  refused("features:wild.npy", probe, 1, "wild.npy: sample 17, feature 1 is nan");
  refused("features:F.npy", {"--strategy", "fine-tune"}, 1, "F is features alone");
  refused("features:F.npy?layer=fc1", probe, 2, "test=FILE, source=FILE and x=NAME");
  refused("features:F.npy?x=a", probe, 2, "F.npy is none");
  refused("features:F.npy,features:./F.npy", probe, 2, "called 'F'");
  refused("features:", probe, 2, "names no file");
  refused("features:nowhere.npy", probe, 1, "nowhere.npy");
  refused("features:F.npy", {"--strategy", "probe", "--html", "F.npy"}, 2, "--source and --html");
  const auto model = example.place.run({"predict", "--model", "features:F.npy", "--data", spec});
  EXPECT_EQ(model.code, 2);
  EXPECT_NE(model.errors.find("features:F.npy is no model"), std::string::npos) << model.errors;
}

}  // namespace
}  // namespace rtl::test

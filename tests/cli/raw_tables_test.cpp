// Raw tables through the whole program: categories, gaps, weights, and models that prepare what they are given.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "cli/program.hpp"
#include "data/make_files.hpp"
#include "rtl/core/random.hpp"
#include "support/random.hpp"

namespace rtl::test {
namespace {

/// A house's kind follows from its place, its size and nothing else; sizes are often missing.
std::string houses(int rows, std::uint64_t stream, bool labels = true) {
  RandomSequence random(seed(), stream);
  std::string text = labels ? "size,place,price,kind\n" : "place,size\n";
  const Words places = {"INLAND", "NEAR BAY", "<1H OCEAN"};
  for (int i = 0; i < rows; ++i) {
    const auto place = static_cast<std::size_t>(3 * random.uniform());
    const double size = 50 + 100 * random.uniform();
    const std::string shown = i % 9 == 4 ? "" : fmt::format("{:.1f}", size);
    const char* kind = place == 0 || size > 110 ? "dear" : "cheap";
    text += labels ? fmt::format("{},{},{:.2f},{}\n", shown, places[place], 1000 * size + 0.25, kind)
                   : fmt::format("{},{}\n", places[place], shown);
  }
  return text;
}

const Words quick = {"--epochs", "30", "--batch-size", "16", "--threads", "1"};

TEST(RawTables, ASourceKeepsHowItsColumnsWerePrepared) {
  const Workplace place;
  place.write("houses.csv", houses(200, 1));
  const auto trained = place.run(with({"pretrain", "--data", "csv:houses.csv?label=kind&drop=price&missing=impute",
                                       "--model", "mlp:8", "--out", "m.safetensors"},
                                      quick));
  ASSERT_EQ(trained.code, 0) << trained.errors;
  EXPECT_NE(trained.errors.find("note: houses.csv: impute by the median:"), std::string::npos) << trained.errors;
  EXPECT_NE(trained.errors.find("note: houses.csv: one-hot of categories: place (3)"), std::string::npos);
  const auto inspected = place.run({"inspect", "m.safetensors", "--json", "m.json"});
  EXPECT_NE(inspected.output.find("\n2 columns: size, place\n"), std::string::npos) << inspected.output;
  EXPECT_NE(inspected.output.find("inputs: one-hot of categories: place (3)"), std::string::npos) << inspected.output;
  EXPECT_EQ(place.json("m.json")["inputs"]["columns"], nlohmann::json({"size", "place"}));

  place.write("more.csv", houses(100, 2));
  const auto judged = place.run(
      {"predict", "--model", "m.safetensors", "--data", "csv:more.csv?label=kind&split=train", "--json", "p.json"});
  ASSERT_EQ(judged.code, 0) << judged.errors;
  EXPECT_GT(place.json("p.json")["accuracy"], 0.75);
  place.write("new.csv", houses(50, 3, false));
  const auto predicted =
      place.run({"predict", "--model", "m.safetensors", "--data", "csv:new.csv", "--out", "p.csv", "--json", "q.json"});
  ASSERT_EQ(predicted.code, 0) << predicted.errors;
  EXPECT_EQ(place.json("q.json")["samples"], 50);
  EXPECT_TRUE(place.json("q.json")["accuracy"].is_null());
  const auto features = place.run(
      {"features", "--model", "m.safetensors", "--data", "csv:new.csv", "--out", "f.npy", "--json", "f.json"});
  ASSERT_EQ(features.code, 0) << features.errors;
  EXPECT_EQ(place.json("f.json")["n"], 50);
  EXPECT_EQ(place.json("f.json")["p"], 8);
  place.write("poor.csv", "size\n70\n80\n90\n");
  const auto refused = place.run({"predict", "--model", "m.safetensors", "--data", "csv:poor.csv"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("poor.csv: lacks a column that the model's inputs are made of: place; it has size"),
            std::string::npos)
      << refused.errors;
}

TEST(RawTables, WhatIsTransferredIsPreparedAsTheSourceWas) {
  const Workplace place;
  place.write("houses.csv", houses(200, 4));
  ASSERT_EQ(place
                .run(with({"pretrain", "--data", "csv:houses.csv?label=kind&drop=price&missing=impute", "--model",
                           "mlp:8", "--out", "m.safetensors"},
                          quick))
                .code,
            0);
  // Another order of columns, one place fewer, and a column that the source never saw.
  std::string text = "kind,noise,place,size\n";
  for (int i = 0; i < 40; ++i) {
    text += fmt::format("{},{},{},{}\n", i % 4 < 2 ? "dear" : "cheap", i * i % 7, i % 4 < 2 ? "INLAND" : "NEAR BAY",
                        i % 11 == 0 ? "" : std::to_string(60 + i % 4));
  }
  place.write("target.csv", text);
  const auto transferred = place.run(
      with({"transfer", "--source", "m.safetensors", "--target", "csv:target.csv?label=kind", "--model", "mlp:4",
            "--strategy", "probe,ridge-probe,refine", "--seeds", "2", "--out", "fitted", "--json", "t.json"},
           quick));
  ASSERT_EQ(transferred.code, 0) << transferred.errors;
  EXPECT_NE(transferred.errors.find("note: the columns are prepared as for m.safetensors: impute"), std::string::npos)
      << transferred.errors;
  for (const std::string strategy : {"probe", "ridge-probe", "refine", "scratch"}) {
    SCOPED_TRACE(strategy);
    const auto predicted = place.run({"predict", "--model", "fitted/" + strategy + "_seed1.safetensors", "--data",
                                      "csv:target.csv?label=kind&split=train&test_fraction=0", "--json", "p.json"});
    ASSERT_EQ(predicted.code, 0) << predicted.errors;
    EXPECT_EQ(place.json("p.json")["samples"], 40);
  }
  const auto scored = place.run({"scores", "--source", "m.safetensors", "--train", "csv:target.csv?label=kind"});
  EXPECT_EQ(scored.code, 0) << scored.errors;
}

TEST(RawTables, SourcesThatWerePreparedDifferentlyAreTold) {
  const Workplace place;
  place.write("houses.csv", houses(120, 5));
  for (const std::string fill : {"median", "mean"}) {
    ASSERT_EQ(place
                  .run(with({"pretrain", "--data", "csv:houses.csv?label=kind&drop=price&impute=" + fill, "--model",
                             "mlp:4", "--out", fill + ".safetensors"},
                            quick))
                  .code,
              0);
  }
  const auto told = place.run(with({"transfer", "--source", "median.safetensors,mean.safetensors", "--target",
                                    "csv:houses.csv?label=kind&drop=price", "--strategy", "refine", "--model", "mlp:4"},
                                   quick));
  EXPECT_EQ(told.code, 2);
  EXPECT_NE(told.errors.find("the columns of median.safetensors and mean.safetensors were prepared differently"),
            std::string::npos)
      << told.errors;
}

TEST(RawTables, ASourceMaySeeOtherInputsThanTheTarget) {
  const Workplace place;
  RandomSequence random(seed(), 6);
  std::vector<float> seen, own;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 120; ++i) {
    labels.push_back(i % 2);
    for (int c = 0; c < 3; ++c) seen.push_back(static_cast<float>(random.normal() + 3 * (i % 2)));
    for (int c = 0; c < 2; ++c) own.push_back(static_cast<float>(random.normal()));
  }
  place.write("seen.npy", npy(seen, {120, 3}));
  place.write("own.npy", npy(own, {120, 2}));
  place.write("y.npy", npy(labels, {120}));
  ASSERT_EQ(place
                .run(with({"pretrain", "--data", "npy:seen.npy,y.npy?prepare=standardize", "--model", "mlp:6", "--out",
                           "m.safetensors"},
                          quick))
                .code,
            0);
  const auto transfer = [&](const std::string& inputs, const std::string& strategy) {
    return place.run(with({"transfer", "--source", "m.safetensors", "--target", "npy:own.npy,y.npy", "--source-inputs",
                           inputs, "--strategy", strategy, "--model", "mlp:4", "--seeds", "2", "--json", "t.json"},
                          quick));
  };
  const auto told = transfer("npy:seen.npy", "ridge-probe,refine");
  ASSERT_EQ(told.code, 0) << told.errors;
  for (const auto& strategy : place.json("t.json")["strategies"]) {
    const double accuracy = strategy["accuracy"]["mean"];
    EXPECT_EQ(accuracy > 0.8, strategy["name"] != "scratch") << strategy["name"] << " " << accuracy;
  }
  const auto refused = transfer("npy:seen.npy", "fine-tune");
  EXPECT_NE(refused.code, 0);
  place.write("short.npy", npy(std::vector<float>(seen.begin(), seen.begin() + 30), {10, 3}));
  const auto fewer = transfer("npy:short.npy", "ridge-probe");
  EXPECT_EQ(fewer.code, 1);
  EXPECT_NE(fewer.errors.find("--source-inputs npy:short.npy has 10 rows"), std::string::npos) << fewer.errors;
}

TEST(RawTables, SampleWeightsDecideWhoseSideIsTaken) {
  const Workplace place;
  // Every sample stands there with both labels; the weights say which one counts.
  std::string text = "a,w,y\n";
  for (int i = 0; i < 80; ++i) {
    for (const char* label : {"p", "q"}) {
      text += fmt::format("{},{},{}\n", i % 2, (i % 2 == 0) == (*label == 'p') ? 1.0 : 0.01, label);
    }
  }
  place.write("t.csv", text);
  place.write("truth.csv", "a,y\n0,p\n1,q\n0,p\n1,q\n");
  ASSERT_EQ(place
                .run(with({"pretrain", "--data", "csv:t.csv?label=y&weights=w", "--model", "mlp:4", "--learning-rate",
                           "0.1", "--out", "m.safetensors"},
                          quick))
                .code,
            0);
  const auto judged = place.run({"predict", "--model", "m.safetensors", "--data",
                                 "csv:truth.csv?label=y&split=train&test_fraction=0", "--json", "p.json"});
  ASSERT_EQ(judged.code, 0) << judged.errors;
  EXPECT_EQ(place.json("p.json")["accuracy"], 1.0);
}

TEST(RawTables, RidgeRegressionTakesThemAndPreparesUnseenRowsAlike) {
  const Workplace place;
  // value = size + 10 at the bay; sizes are missing now and then.
  const auto table = [](int rows, int first) {
    std::string text = "size,place,value\n";
    for (int i = first; i < first + rows; ++i) {
      const int size = i * 7 % 31;
      text += fmt::format("{},{},{}\n", i % 10 == 3 ? "" : std::to_string(size), i % 3 == 0 ? "bay" : "hill",
                          size + (i % 3 == 0 ? 10 : 0));
    }
    return text;
  };
  place.write("t.csv", table(90, 0));
  place.write("u.csv", table(40, 200));
  const auto told = place.run({"ridge", "--features", "t.csv?drop=value&missing=impute", "--targets",
                               "t.csv?columns=value", "--test-features", "u.csv?drop=value", "--test-targets",
                               "u.csv?columns=value", "--penalties", "1e-6:1e1:8", "--json", "r.json"});
  ASSERT_EQ(told.code, 0) << told.errors;
  EXPECT_NE(told.errors.find("impute by the median: 9 size of"), std::string::npos) << told.errors;
  EXPECT_EQ(place.json("r.json")["p"], 3);
  EXPECT_GT(place.json("r.json")["test"]["r2"], 0.8);
  const auto refused =
      place.run({"ridge", "--features", "t.csv?drop=value", "--targets", "t.csv?columns=value", "--penalties", "1"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("missing=impute"), std::string::npos) << refused.errors;
}

TEST(RawTables, OneCommandTakesARealTableAsItIs) {
  const char* data = std::getenv("RTL_DATA");
  if (data == nullptr) GTEST_SKIP() << "NOT TESTED without RTL_DATA";
  const Workplace place;
  const std::string folder = data;
  struct Case {
    std::string target;
    double accuracy;  ///< at least, after a short training of few rows
    std::string rows = "1200";
  };
  const std::string heart = folder + "/tabular/heart_disease/processed.";
  for (const Case& table :
       {Case{"csv:" + folder + "/tabular/california_housing/housing.csv.gz?label=ocean_proximity&missing=impute", 0.74},
        {"csv:" + folder + "/tabular/wine_quality/winequality-red.csv?label=quality", 0.5},
        {"csv:" + folder + "/tabular/adult/adult.data.gz?label=15&missing=impute&test=" + folder +
             "/tabular/adult/adult.test.gz",
         0.8},
        {"csv:" + heart + "cleveland.data?label=14&above=0&missing=impute&na=?,-9&categories=3,7,11,13&levels=20", 0.65,
         "240"},
        {"cells:" + folder + "/singlecell/pbmc68k_reduced", 0.7, "500"},
        {"cells:" + folder + "/singlecell/osmfish_cortex?label=region&inputs=both", 0.5}}) {
    SCOPED_TRACE(table.target);
    const auto told = place.run({"transfer", "--target", table.target, "--strategy", "scratch", "--model", "mlp:32",
                                 "--seeds", "2", "--epochs", "20", "--train-limit", table.rows, "--json", "t.json"});
    ASSERT_EQ(told.code, 0) << told.errors;
    EXPECT_GE(place.json("t.json")["strategies"][0]["accuracy"]["mean"], table.accuracy);
  }
}

}  // namespace
}  // namespace rtl::test

// rtl predict: every kind of fitted predictor, classes and values as files, features that are given.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>

#include "cli/program.hpp"
#include "rtl/data/load.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/transfer/metrics.hpp"
#include "rtl/transfer/strategies.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

const Words kinds = {"plain", "with, comma", "said \"so\""};

/// Three classes around (0, 0), (2, 0), (0, 2); target is 100 a + b + 1000.
std::string table(int rows, int classes, const std::string& last) {
  std::ostringstream text;
  text << "a,b" << (last.empty() ? "" : ",") << last << "\n";
  for (int i = 0; i < rows; ++i) {
    const int kind = i % classes;
    const double a = (kind == 1 ? 2 : 0) + std::sin(7.0 * i), b = (kind == 2 ? 2 : 0) + std::cos(5.0 * i);
    text << a << "," << b;
    if (last == "kind") text << "," << (kind == 0 ? "plain" : kind == 1 ? "\"with, comma\"" : "\"said \"\"so\"\"\"");
    if (last == "value") text << "," << 100 * a + b + 1000;
    text << "\n";
  }
  return text.str();
}

const Device& host() {
  static const Device device = Device::cpu(1);
  return device;
}

data::TrainTest load(const Workplace& place, const std::string& kind, const std::string& rest) {
  return data::load(kind + ":" + place.path(rest), host());
}

transfer::TrainingOptions quick() {
  transfer::TrainingOptions options;
  options.epochs = 3;
  options.batch_size = 16;
  return options;
}

transfer::StrategyOptions small() {
  transfer::StrategyOptions options;
  options.model = "mlp:6";
  return options;
}

transfer::FrozenSource source_of(const data::Dataset& dataset) {
  auto network = layers::make_network({"mlp", "5", dataset.sample_shape(), dataset.outputs()}, host(), 3);
  return transfer::FrozenSource(std::move(network), {}, "tutor");
}

Words predict(const Words& more) {
  Words words = {"predict", "--threads", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void expect_refused(const Workplace& place, const Words& words, int code, const std::string& text) {
  const auto outcome = place.run(predict(words));
  EXPECT_EQ(outcome.code, code) << outcome.errors;
  EXPECT_NE(outcome.errors.find(text), std::string::npos) << outcome.errors;
}

TEST(Predict, EveryStrategysClassesAreThoseOfTheLibrary) {
  const Workplace place;
  place.write("t.csv", table(60, 3, "kind"));
  const auto data = load(place, "csv", "t.csv?label=kind");
  const auto source = source_of(data.train);
  for (const std::string strategy : {"scratch", "probe", "fine-tune", "refine:balance"}) {
    SCOPED_TRACE(strategy);
    const auto choice = transfer::parse_strategy(strategy);
    const std::vector<transfer::FrozenSource> sources(choice.strategy->info().most_sources > 0 ? 1 : 0, source);
    const auto fitted = transfer::fit(strategy, sources, data.train, quick(), small());
    fitted.save(place.path("m.safetensors"));
    const auto outcome = place.run(predict({"--model", "m.safetensors", "--data", "csv:t.csv?label=kind", "--out",
                                            "p.npy", "--logits", "l.npy", "--json", "p.json"}));
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    const Tensor outputs = fitted.outputs(data.test);
    EXPECT_EQ(io::read_npy(place.path("l.npy"), host()).to_vector<float>(), outputs.to_vector<float>());
    const Tensor written = io::read_npy(place.path("p.npy"), host());
    EXPECT_EQ(written.shape(), (Shape{data.test.size(), 3}));
    const std::vector<float> logits = outputs.to_vector<float>(), shares = written.to_vector<float>();
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const std::size_t row = i - i % 3;
      double sum = 0;
      for (std::size_t c = row; c < row + 3; ++c) sum += std::exp(static_cast<double>(logits[c]) - logits[i]);
      EXPECT_NEAR(shares[i], 1 / sum, 1.2e-7);  // a rounding to float of what is at most one
    }
    const json facts = place.json("p.json");
    EXPECT_EQ(facts.at("accuracy"), transfer::score(outputs, data.test).accuracy);
    EXPECT_EQ(facts.at("task"), "classes");
    EXPECT_EQ(facts.at("outputs"), 3);
    EXPECT_EQ(facts.at("names").size(), 3u);
    EXPECT_EQ(facts.at("strategy"), choice.strategy->info().name);
    EXPECT_TRUE(facts.at("r2").is_null());
    EXPECT_TRUE(facts.at("rmse").is_null());
  }
}

TEST(Predict, AStackOfOthers) {
  const Workplace place;
  place.write("t.csv", table(60, 3, "kind"));
  const auto data = load(place, "csv", "t.csv?label=kind");
  std::vector<transfer::StackMember> members;
  for (const double weight : {0.25, 0.75}) {
    auto network = layers::make_network({"mlp", "5", data.train.sample_shape(), 3}, host(), members.size() + 1);
    members.push_back(
        {std::make_unique<transfer::NetworkPredictor>(std::move(network), data::Normalization::none), weight, 2.0});
  }
  const transfer::Fitted stack("committee", transfer::Task::of(data.train),
                               std::make_unique<transfer::Stack>(false, std::move(members)));
  stack.save(place.path("m.safetensors"));
  const auto outcome = place.run(
      predict({"--model", "m.safetensors", "--data", "csv:t.csv?label=kind", "--logits", "l.npy", "--json", "p.json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_EQ(io::read_npy(place.path("l.npy"), host()).to_vector<float>(), stack.outputs(data.test).to_vector<float>());
  EXPECT_EQ(place.json("p.json").at("strategy"), "committee");
  EXPECT_TRUE(place.json("p.json").at("architecture").is_null());
}

TEST(Predict, ClassesAndProbabilitiesAsATable) {
  const Workplace place;
  place.write("t.csv", table(60, 3, "kind"));
  place.write("new.csv", table(10, 3, ""));
  const auto data = load(place, "csv", "t.csv?label=kind");
  const auto fitted = transfer::fit("scratch", {}, data.train, quick(), small());
  fitted.save(place.path("m.safetensors"));
  const auto outcome = place.run(
      predict({"--model", "m.safetensors", "--data", "csv:new.csv?label=", "--out", "p.csv", "--json", "p.json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("no accuracy: the data has no labels"), std::string::npos) << outcome.output;
  EXPECT_TRUE(place.json("p.json").at("accuracy").is_null());
  EXPECT_EQ(place.json("p.json").at("names"), fitted.task().names);

  const std::string text = place.read("p.csv");
  std::string header = "class";
  for (const std::string& name : fitted.task().names) {
    header += name == kinds[1]   ? ",\"probability_with, comma\""
              : name == kinds[2] ? ",\"probability_said \"\"so\"\"\""
                                 : ",probability_" + name;
  }
  EXPECT_EQ(text.substr(0, text.find('\n')), header);
  const auto read = data::load("csv:" + place.path("p.csv") + "?label=class&split=train&test_fraction=0", host());
  ASSERT_EQ(read.train.size(), 10);
  const std::vector<float> shares = read.train.inputs.to_vector<float>();
  const std::vector<std::int32_t> classes = read.train.labels.to_vector<std::int32_t>();
  for (std::size_t row = 0; row < 10; ++row) {
    const float* own = shares.data() + 3 * row;
    EXPECT_NEAR(own[0] + own[1] + own[2], 1, 4 * 1.2e-7);
    const auto largest = static_cast<std::size_t>(std::max_element(own, own + 3) - own);
    EXPECT_EQ(read.train.class_names[static_cast<std::size_t>(classes[row])], fitted.task().names[largest]);
  }
}

TEST(Predict, ClassesAreMatchedByTheirNames) {
  const Workplace place;
  place.write("t.csv", table(60, 3, "kind"));
  const auto data = load(place, "csv", "t.csv?label=kind");
  transfer::fit("scratch", {}, data.train, quick(), small()).save(place.path("m.safetensors"));
  const auto accuracy = [&](const std::string& spec) {
    const auto outcome = place.run(predict({"--model", "m.safetensors", "--data", spec, "--json", "p.json"}));
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("p.json").at("accuracy");
  };
  const json all = accuracy("csv:t.csv?label=kind&split=train&test_fraction=0");
  EXPECT_EQ(accuracy("csv:t.csv?label=kind&split=train&test_fraction=0&classes=said \"so\",plain,with%2C comma"), all);

  // Rows of two of the classes: the hits among them and among the third's are those of all.
  const std::string text = table(60, 3, "kind");
  std::string two = "a,b,kind\n", third = "a,b,kind\n";
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) (line.ends_with("plain") ? third : two) += line + "\n";
  place.write("two.csv", two);
  const json part = accuracy("csv:two.csv?label=kind&split=train&test_fraction=0");
  const int hits = place.json("p.json").at("correct");
  accuracy("csv:t.csv?label=kind&split=train&test_fraction=0");
  const int all_hits = place.json("p.json").at("correct");
  EXPECT_EQ(part, hits / 40.0);
  EXPECT_LE(hits, all_hits);
  EXPECT_LE(all_hits - hits, 20);

  std::replace(two.begin(), two.end(), 'w', 'v');
  place.write("other.csv", two);
  EXPECT_TRUE(accuracy("csv:other.csv?label=kind&split=train&test_fraction=0").is_null());
}

TEST(Predict, ClassesThatAreNumbersAreMatchedByTheirValue) {
  const Workplace place;
  const auto numbered = [](int rows, int first, int classes) {
    std::ostringstream text;
    text << "a,b,kind\n";
    for (int i = 0; i < rows; ++i)
      text << i % classes << "," << std::cos(5.0 * i) << "," << first + i % classes << "\n";
    return text.str();
  };
  place.write("t.csv", numbered(60, 0, 3));
  const auto data = load(place, "csv", "t.csv?label=kind");
  transfer::fit("scratch", {}, data.train, quick(), small()).save(place.path("m.safetensors"));
  const auto judge = [&](int first, int classes) {
    place.write("n.csv", numbered(20, first, classes));
    const auto outcome = place.run(predict({"--model", "m.safetensors", "--data",
                                            "csv:n.csv?label=kind&split=train&test_fraction=0", "--json", "p.json"}));
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return outcome.output;
  };
  judge(0, 2);
  EXPECT_FALSE(place.json("p.json").at("accuracy").is_null()) << "0 and 1 are two of 0, 1, 2";
  EXPECT_NE(judge(1, 3).find("no accuracy: the model's classes are 0, 1, 2, the data's 1, 2, 3"), std::string::npos);
  EXPECT_TRUE(place.json("p.json").at("accuracy").is_null());
}

TEST(Predict, ValuesInTheTargetsUnits) {
  const Workplace place;
  place.write("t.csv", table(60, 3, "value"));
  place.write("new.csv", table(7, 3, ""));
  const std::string spec = "csv:t.csv?label=value&target=real";
  const auto data = load(place, "csv", "t.csv?label=value&target=real");
  const auto source = source_of(data.train);
  for (const std::string strategy : {"scratch", "refine"}) {
    SCOPED_TRACE(strategy);
    const std::vector<transfer::FrozenSource> sources(strategy == "refine" ? 1 : 0, source);
    const auto fitted = transfer::fit(strategy, sources, data.train, quick(), small());
    fitted.save(place.path("m.safetensors"));
    const auto outcome =
        place.run(predict({"--model", "m.safetensors", "--data", spec, "--out", "p.npy", "--json", "p.json"}));
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    const Tensor outputs = fitted.outputs(data.test);
    EXPECT_EQ(io::read_npy(place.path("p.npy"), host()).to_vector<float>(), outputs.to_vector<float>());
    const auto scores = transfer::score(outputs, data.test);
    const json facts = place.json("p.json");
    EXPECT_EQ(facts.at("task"), "regression");
    EXPECT_EQ(facts.at("names"), (json{"value"}));
    EXPECT_EQ(facts.at("r2"), scores.r2);
    EXPECT_NEAR(facts.at("rmse").get<double>(), scores.rmse, 1e-14 * scores.rmse);
    EXPECT_TRUE(facts.at("accuracy").is_null());
    EXPECT_TRUE(facts.at("classes").is_null());
    EXPECT_NE(outcome.output.find("R^2 "), std::string::npos) << outcome.output;

    ASSERT_EQ(place.run(predict({"--model", "m.safetensors", "--data", "csv:new.csv?label=", "--out", "p.csv"})).code,
              0);
    const auto unseen = load(place, "csv", "new.csv?label=");
    std::istringstream lines(place.read("p.csv"));
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(line, "value");
    for (const float value : fitted.outputs(unseen.test).to_vector<float>()) {
      std::getline(lines, line);
      EXPECT_EQ(std::stof(line), value);
    }
    EXPECT_FALSE(std::getline(lines, line));
  }
  expect_refused(place, {"--model", "m.safetensors", "--data", spec, "--logits", "l.npy"}, 2, "--out");
  // One sample has no variance, and an error all the same.
  ASSERT_EQ(
      place.run(predict({"--model", "m.safetensors", "--data", spec + "&split=train&limit=1", "--json", "p.json"}))
          .code,
      0);
  EXPECT_TRUE(place.json("p.json").at("r2").is_null());
  EXPECT_GE(place.json("p.json").at("rmse").get<double>(), 0);
}

TEST(Predict, FeaturesThatAreNotInTheFileAreGiven) {
  const Workplace place;
  place.write("t.csv", table(60, 3, "kind"));
  const std::string spec = "csv:t.csv?label=kind";
  const auto data = load(place, "csv", "t.csv?label=kind");
  const auto numbers = [](std::int64_t rows, double phase) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < 4 * rows; ++i) values.push_back(static_cast<float>(std::sin(phase * (1.0 + i))));
    return Tensor::from(values, {rows, 4}, host());
  };
  const Tensor all = numbers(60, 0.7);
  const auto rows_of = [&](const std::vector<std::int64_t>& rows) {
    data::Dataset features;
    features.inputs = all.clone();
    return std::move(features.subset(rows).inputs);
  };
  const Tensor train = rows_of(data.train_rows), test = rows_of(data.test_rows);
  const auto source = transfer::FrozenSource::of_matrices("embedding", {{&data.train, train}, {&data.test, test}});
  const auto fitted = transfer::fit("refine", {source}, data.train, quick(), small());
  fitted.save(place.path("m.safetensors"));
  io::write_npy(place.path("all.npy"), all);
  io::write_npy(place.path("test.npy"), test);
  io::write_npy(place.path("narrow.npy"), Tensor::zeros({data.test.size(), 3}, DType::f32, host()));
  std::vector<double> wild(static_cast<std::size_t>(4 * data.test.size()), 0.5);
  wild[6] = std::nan("");
  io::write_npy(place.path("wild.npy"), Tensor::from(wild, test.shape(), host()));
  const std::vector<float> wanted = fitted.outputs(data.test).to_vector<float>();
  for (const std::string file : {"test.npy", "all.npy"}) {
    SCOPED_TRACE(file);
    const auto outcome = place.run(predict({"--model", "m.safetensors", "--data", spec, "--features",
                                            "embedding=" + file, "--logits", "l.npy", "--json", "p.json"}));
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_EQ(io::read_npy(place.path("l.npy"), host()).to_vector<float>(), wanted);
    EXPECT_EQ(place.json("p.json").at("sources"), (json{"embedding"}));
  }
  const Words base = {"--model", "m.safetensors", "--data", spec};
  const auto with = [&](const Words& more) {
    Words words = base;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  expect_refused(place, base, 2, "--features embedding=FILE.npy");
  expect_refused(place, with({"--features", "other=test.npy"}), 2, "looks at the features embedding");
  expect_refused(place, with({"--features", "test.npy"}), 2, "NAME=FILE");
  expect_refused(place, with({"--features", "embedding=narrow.npy"}), 1, "has 3 features for each sample");
  expect_refused(place, with({"--features", "embedding=wild.npy"}), 1, "wild.npy: sample 1, feature 2 is nan");
  expect_refused(place, with({"--features", "embedding=nowhere.npy"}), 1, "nowhere.npy");
  io::write_npy(place.path("short.npy"), Tensor::zeros({5, 4}, DType::f32, host()));
  expect_refused(place, with({"--features", "embedding=short.npy"}), 1,
                 "short.npy has 5 rows; 12 are needed, one for each sample of the test part, or 60");
}

TEST(Predict, WhatAFittedPredictorHasNoUseForIsRefused) {
  const Workplace place;
  place.write("t.csv", table(60, 3, "kind"));
  const std::string spec = "csv:t.csv?label=kind";
  const auto data = load(place, "csv", "t.csv?label=kind");
  transfer::fit("refine", {source_of(data.train)}, data.train, quick(), small()).save(place.path("m.safetensors"));
  expect_refused(place, {"--model", "m.safetensors?normalize=none", "--data", spec}, 2, "normalised");
  expect_refused(place, {"--model", "m.safetensors?layer=fc1", "--data", spec}, 2, "layer=");
  expect_refused(place, {"--model", "m.safetensors", "--data", spec, "--precision", "bf16"}, 2, "evaluated in f32");
  expect_refused(place, {"--model", "m.safetensors", "--data", spec, "--out", "p.txt"}, 2, ".csv");
  expect_refused(place, {"--model", "m.safetensors", "--data", spec, "--features", "a=b.npy"}, 2,
                 "no features of files");
  const std::string before = place.read("t.csv");
  expect_refused(place, {"--model", "m.safetensors", "--data", spec, "--out", "t.csv"}, 2, "--data and --out");
  EXPECT_EQ(place.read("t.csv"), before);
  std::string bytes = place.read("m.safetensors");
  bytes[bytes.size() - 3] ^= 1;
  place.write("m.safetensors", bytes);
  expect_refused(place, {"--model", "m.safetensors", "--data", spec, "--out", "p.csv"}, 1, "m.safetensors");
  EXPECT_FALSE(place.has("p.csv"));
}

}  // namespace
}  // namespace rtl::test

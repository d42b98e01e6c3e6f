// Features of the source's own samples, and inputs of the source's own: what strategies do with precomputed features,
// and how what was fitted to them predicts new samples.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "cli/program.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

/// A table of `rows` of two classes, whose centres lie 2 apart and are moved by `shift`.
std::string table(int rows, double shift) {
  std::string text = "a,b,c,kind\n";
  for (int i = 0; i < rows; ++i) {
    const double side = i % 2 == 0 ? 1 : -1;
    text += std::to_string(side + shift + std::sin(11.0 * i)) + "," + std::to_string(std::cos(17.0 * i + shift)) + "," +
            std::to_string(side * std::cos(5.0 * i)) + "," + (i % 2 == 0 ? "fir" : "oak") + "\n";
  }
  return text;
}

const std::string target = "csv:t.csv?label=kind", own = "csv:s.csv?label=kind&test_fraction=0";

struct Example {
  Workplace place;
  Example() {
    place.write("t.csv", table(60, 0.5));
    place.write("s.csv", table(90, 0));
    run({"pretrain", "--data", "csv:s.csv?label=kind", "--model", "mlp:6", "--epochs", "5", "--out", "m.safetensors"});
  }
  void run(const Words& words) const {
    const Outcome outcome = place.run(with(words, {"--threads", "1"}));
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
  }
  void features(const std::string& data, const std::string& part, const std::string& out) const {
    run({"features", "--model", "m.safetensors", "--data", data, "--part", part, "--out", out});
  }
  json transfer(const std::string& source, const Words& more) const {
    run(with({"transfer", "--source", source, "--target", target, "--model", "mlp:4", "--seeds", "2", "--epochs", "4",
              "--batch-size", "16", "--json", "r.json"},
             more));
    return place.json("r.json").at("strategies");
  }
};

/// What does not depend on a source's name or on a clock.
json facts_of(const json& strategies) {
  json facts = json::array();
  for (const json& strategy : strategies) {
    facts.push_back(
        {strategy.at("name"), strategy.at("accuracy"), strategy.at("losses"), strategy.value("read_outs", json())});
  }
  return facts;
}

TEST(SourceSamples, FeaturesOfThemDoWhatTheNetworkDoes) {
  const Example example;
  example.features(target, "train", "F.npy");
  example.features(target, "test", "T.npy");
  example.features(own, "train", "G.npy");
  const Words asked = {"--source-data", own, "--strategy",
                       "l2sp-ridge,importance-weighting,coral-gate:head_start=fresh,dann-gate:head_start=fresh"};
  const json network = example.transfer("m.safetensors", asked);
  ASSERT_EQ(network.size(), 5U);
  const json matrix = example.transfer("features:F.npy?test=T.npy&source=G.npy", asked);
  EXPECT_EQ(facts_of(matrix), facts_of(network));
  // The same strategies that `all` takes, but for those that need the network itself.
  const json all =
      example.transfer("features:F.npy?test=T.npy&source=G.npy", {"--source-data", own, "--strategy", "all"});
  std::vector<std::string> names;
  for (const json& entry : all) names.push_back(entry.at("name"));
  for (const char* name : {"l2sp-ridge", "importance-weighting", "coral-gate", "dann-gate"}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  }
}

TEST(SourceSamples, FeaturesOfOtherRowsAreRefused) {
  const Example example;
  example.features(target, "train", "F.npy");
  example.features(target, "test", "T.npy");
  io::write_npy(example.place.path("wide.npy"), Tensor::zeros({90, 5}, DType::f32, Device::cpu(1)));
  const auto refused = [&](const std::string& source, const Words& more, int code, const std::string& text) {
    const Outcome outcome = example.place.run(
        with({"transfer", "--source", source, "--target", target, "--strategy", "l2sp-ridge", "--seeds", "1"}, more));
    EXPECT_EQ(outcome.code, code) << outcome.errors;
    EXPECT_NE(outcome.errors.find(text), std::string::npos) << outcome.errors;
  };
  const std::string base = "features:F.npy?test=T.npy&source=";
  refused(base + "F.npy", {}, 2, "--source-data, which is not given");
  refused("features:F.npy?test=T.npy", {"--source-data", own}, 2, "features:F.npy?source=FILE");
  refused(base + "F.npy", {"--source-data", own}, 1, "has 48 rows; 90 are needed");
  refused(base + "wide.npy", {"--source-data", own}, 1, "has 5 features for each sample, those of the target are 6");
  refused(base + "F.npy&source=F.npy", {"--source-data", own}, 2, "is none of the options of features");
  const Outcome scored = example.place.run({"scores", "--source", base + "F.npy", "--train", target});
  EXPECT_EQ(scored.code, 2) << scored.errors;
}

/// Features of the source's inputs beside the target's, for a comparison and for new samples.
struct TwoInputs : Example {
  const std::string seen = "csv:seen.csv?label=&drop=kind", beside = "npy:X.npy,Y.npy";
  TwoInputs() {
    place.write("seen.csv", table(60, 0.5));
    std::vector<float> x;
    std::vector<std::int64_t> y;
    for (int i = 0; i < 60; ++i) {
      x.push_back(static_cast<float>(std::sin(3.0 * i)));
      x.push_back(static_cast<float>(i % 2) + static_cast<float>(std::cos(7.0 * i)));
      y.push_back(i % 2);
    }
    io::write_npy(place.path("X.npy"), Tensor::from(x, {60, 2}, Device::cpu(1)));
    io::write_npy(place.path("Y.npy"), Tensor::from(y, {60}, Device::cpu(1)));
    run({"transfer",
         "--source",
         "m.safetensors",
         "--source-inputs",
         seen,
         "--target",
         beside,
         "--strategy",
         "probe,refine,safe",
         "--model",
         "mlp:4",
         "--seeds",
         "1",
         "--epochs",
         "4",
         "--batch-size",
         "16",
         "--out",
         "fits",
         "--json",
         "r.json"});
  }
};

TEST(SourceInputs, AreWhatAKeptModelPredictsNewSamplesFrom) {
  const TwoInputs example;
  const json strategies = example.place.json("r.json").at("strategies");
  example.run({"features", "--model", "m.safetensors", "--data", example.seen, "--part", "test", "--out", "new.npy"});
  for (const json& strategy : strategies) {
    const std::string name = strategy.at("name");
    if (name == "scratch") continue;
    SCOPED_TRACE(name);
    const std::string file = "fits/" + name + "_seed1.safetensors";
    const Words predict = {"predict", "--model", file, "--data", example.beside, "--json", "p.json", "--logits"};
    example.run(with(predict, {"made.npy", "--source-inputs", example.seen}));
    const json facts = example.place.json("p.json");
    EXPECT_EQ(facts.at("accuracy"), strategy.at("accuracy").at("values")[0]) << "exactly that of the comparison";
    EXPECT_EQ(facts.at("source_inputs"), example.seen);
    // The same by way of a file of features.
    example.run(with(predict, {"given.npy", "--features", "m=new.npy"}));
    EXPECT_EQ(example.place.read("made.npy"), example.place.read("given.npy"));
    // And of the training part, row by row of the same files.
    example.run(
        {"predict", "--model", file, "--data", example.beside + "?split=train", "--source-inputs", example.seen});
  }
}

TEST(SourceInputs, GoWithTheSourcesOwnSamples) {
  const TwoInputs example;
  example.run({"features", "--model", "m.safetensors", "--data", example.seen, "--out", "F.npy"});
  example.features(own, "train", "G.npy");
  const auto facts = [&](const std::string& source, const Words& more) {
    example.run(
        with({"transfer", "--source", source, "--target", "npy:X.npy,seen.csv?label=kind", "--source-data", own,
              "--strategy", "l2sp-ridge", "--model", "mlp:4", "--seeds", "1", "--epochs", "2", "--json", "r.json"},
             more));
    return facts_of(example.place.json("r.json").at("strategies"));
  };
  EXPECT_EQ(facts("m.safetensors", {"--source-inputs", example.seen}), facts("features:F.npy?source=G.npy", {}));
  // They have three columns and the target two, so `all` leaves out what would give them to a network of the target's.
  example.run({"transfer", "--source", "m.safetensors", "--target", "npy:X.npy,seen.csv?label=kind", "--source-data",
               own, "--source-inputs", example.seen, "--strategy", "all", "--model", "mlp:4", "--seeds", "1",
               "--epochs", "2", "--json", "r.json"});
  std::set<std::string> names;
  const json strategies = example.place.json("r.json").at("strategies");
  for (const json& strategy : strategies) names.insert(strategy.at("name").get<std::string>());
  EXPECT_TRUE(names.contains("l2sp-ridge") && names.contains("dann-gate"));
  EXPECT_FALSE(names.contains("importance-weighting") || names.contains("mmd"));
}

TEST(SourceInputs, ThatAreMissingOrOfNoUseAreTold) {
  const TwoInputs example;
  const auto refused = [&](const Words& more, int code, const std::string& text) {
    const Outcome outcome = example.place.run(with({"predict", "--data", example.beside}, more));
    EXPECT_EQ(outcome.code, code) << outcome.errors;
    EXPECT_NE(outcome.errors.find(text), std::string::npos) << outcome.errors;
  };
  const std::string file = "fits/refine_seed1.safetensors";
  refused({"--model", file}, 2, "give what that source sees by --source-inputs SPEC, or those");
  refused({"--model", "fits/scratch_seed1.safetensors", "--source-inputs", example.seen}, 2,
          "looks at no features made of them");
  example.place.write("few.csv", table(7, 0));
  refused({"--model", file, "--source-inputs", "csv:few.csv?label=&drop=kind"}, 1, "has 7 rows");
  refused({"--model", file, "--source-inputs", "csv:absent.csv?label="}, 1, "absent.csv");
}

}  // namespace
}  // namespace rtl::test

// rtl decide: what it advises, what it writes, and what it refuses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

constexpr std::int64_t features = 12;

/// NAME-x.npy and NAME-y.npy: y = scale * x w + noise, w the same for all names.
void write_sample(const Workplace& place, const std::string& name, std::int64_t rows, double scale,
                  std::int64_t outputs = 1) {
  RandomSequence random(static_cast<std::uint64_t>(rows) + std::hash<std::string>{}(name) % 1000), truth(5);
  std::vector<double> w(static_cast<std::size_t>(features * outputs)), x, y;
  for (double& value : w) value = scale * truth.normal() / std::sqrt(static_cast<double>(features));
  for (std::int64_t i = 0; i < rows; ++i) {
    std::vector<double> sums(static_cast<std::size_t>(outputs));
    for (std::int64_t j = 0; j < features; ++j) {
      x.push_back(random.normal());
      for (std::int64_t o = 0; o < outputs; ++o) {
        sums[static_cast<std::size_t>(o)] += x.back() * w[static_cast<std::size_t>(j * outputs + o)];
      }
    }
    for (const double sum : sums) y.push_back(sum + 0.3 * random.normal());
  }
  io::write_npy(place.path(name + "-x.npy"), Tensor::from(x, {rows, features}, Device::cpu(1)));
  io::write_npy(place.path(name + "-y.npy"), Tensor::from(y, {rows, outputs}, Device::cpu(1)));
}

Words decide(const Words& sources, const Words& more = {}) {
  Words words = {"decide", "--threads", "1", "--target-features", "target-x.npy", "--target-targets", "target-y.npy"};
  for (const std::string& source : sources) {
    words.insert(words.end(), {"--source-features", source + "-x.npy", "--source-targets", source + "-y.npy"});
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(Decide, TakesAGoodSourceAndSaysSo) {
  const Workplace place;
  write_sample(place, "source", 200, 1);
  write_sample(place, "target", 20, 1);
  const Outcome outcome = place.run(decide({"source"}, {"--json", "d.json", "--coefficients", "W.npy"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("source 1 (source-x.npy): helps as it is, alignment "), std::string::npos)
      << outcome.output;
  const json facts = place.json("d.json");
  EXPECT_NE(outcome.output.find("decision: transfer; "), std::string::npos) << outcome.output;
  EXPECT_EQ(facts["decision"], "transfer");
  EXPECT_EQ(facts["n"], 20);
  EXPECT_EQ(facts["sources"][0]["decision"], "transfer");
  EXPECT_NEAR(facts["sources"][0]["alignment"]["value"].get<double>(), 1, 0.3);
  EXPECT_GT(facts["trust"].get<double>(), 0.9);
  EXPECT_GT(facts["gain"]["mean"].get<double>(), 0);
  EXPECT_EQ(facts["candidates"][0]["centre"], "scratch");
  EXPECT_LT(facts["leave_one_out"].get<double>(), facts["candidates"][0]["leave_one_out"].get<double>());
  double weights = 0;
  for (const json& candidate : facts["candidates"]) weights += candidate["weight"].get<double>();
  EXPECT_NEAR(weights, 1, 1e-12);
  EXPECT_EQ(io::read_npy(place.path("W.npy"), Device::cpu(1)).shape(), (Shape{features, 1}));
}

TEST(Decide, LeavesABadSource) {
  const Workplace place;
  write_sample(place, "source", 200, -1);
  write_sample(place, "target", 20, 1);
  ASSERT_EQ(place.run(decide({"source"}, {"--json", "d.json", "--choose"})).code, 0);
  const json facts = place.json("d.json");
  EXPECT_EQ(facts["sources"][0]["decision"], "do not transfer");
  EXPECT_TRUE(facts["sources"][0]["transfer_penalty"].is_null());
  for (const json& candidate : facts["candidates"]) {
    if (candidate["centre"] == "source" && candidate["source_penalty"] == facts["sources"][0]["optimal_penalty"]) {
      EXPECT_EQ(candidate["weight"], 0);
    }
  }
}

TEST(Decide, SaysOneThingOfASourceThatHelpsOnlyScaled) {
  const Workplace place;
  write_sample(place, "source", 400, 1);
  write_sample(place, "target", 40, 0.3);
  const Outcome outcome = place.run(decide({"source"}, {"--json", "d.json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const json facts = place.json("d.json");
  EXPECT_EQ(facts["sources"][0]["decision"], "do not transfer") << "as it is";
  EXPECT_NE(outcome.output.find("does not help as it is"), std::string::npos) << outcome.output;
  const double trust = facts["trust"];
  EXPECT_EQ(facts["decision"], trust >= 0.84 ? "transfer" : trust <= 0.16 ? "do not transfer" : "unclear");
  EXPECT_EQ(outcome.output.find("do not transfer") == std::string::npos, trust > 0.16) << outcome.output;
  EXPECT_NE(facts["reason"].get<std::string>().find(fmt::format("{:.0f} % of the model is transfer", 100 * trust)),
            std::string::npos);
}

TEST(Decide, TakesScratchWhereTooFewRowsCannotJudge) {
  const Workplace place;
  write_sample(place, "source", 100, 1);
  write_sample(place, "target", 2, 1);
  for (const char* rule : {"--device=cpu", "--choose"}) {
    const Outcome outcome = place.run(decide({"source"}, {"--json", "d.json", rule}));
    ASSERT_EQ(outcome.code, 0) << outcome.errors;
    EXPECT_NE(outcome.output.find("decision: cannot be judged; the target has too few rows"), std::string::npos)
        << outcome.output;
    EXPECT_EQ(outcome.output.find("inf"), std::string::npos) << outcome.output;
    const json facts = place.json("d.json");
    EXPECT_EQ(facts["decision"], "unclear");
    EXPECT_EQ(facts["trust"], 0);
    EXPECT_EQ(facts["candidates"][0]["weight"], 1);
  }
}

TEST(Decide, ComparesClassesByName) {
  const Workplace place;
  RandomSequence random(31);
  const auto write = [&](const std::string& name, int rows, const char* low, const char* high) {
    std::string text = "a,b,kind\n";
    for (int i = 0; i < rows; ++i) {
      const double a = random.normal(), b = random.normal();
      text += fmt::format("{},{},{}\n", a, b, i == 0 ? "rare" : a + 0.2 * b > 0 ? high : low);
    }
    place.write(name, text);
  };
  write("source.csv", 80, "low", "high");
  write("target.csv", 20, "low", "middle");
  write("other.csv", 20, "x", "y");
  const auto run = [&](const std::string& target) {
    return place.run({"decide", "--threads", "1", "--source-features", "source.csv?drop=kind", "--source-targets",
                      "source.csv?label=kind", "--target-features", target + "?drop=kind", "--target-targets",
                      target + "?columns=kind", "--json", "d.json"});
  };
  const Outcome outcome = run("target.csv");
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const json facts = place.json("d.json");
  EXPECT_EQ(facts["classes"].size(), 4u) << facts["classes"];
  EXPECT_EQ(facts["outputs"], 4);
  EXPECT_GE(facts["accuracy"]["leave_one_out"].get<double>(), 0.3);
  EXPECT_TRUE(facts["accuracy"].contains("scratch"));
  EXPECT_NE(outcome.output.find("leave-one-out accuracy"), std::string::npos) << outcome.output;
  EXPECT_EQ(run("other.csv").code, 0) << "rare is in both";
}

TEST(Decide, TakesSeveralSourcesAndOtherLabels) {
  const Workplace place;
  write_sample(place, "one", 100, 1);
  write_sample(place, "two", 80, 0.5);
  write_sample(place, "many", 90, 1, 3);
  write_sample(place, "target", 25, 1);
  ASSERT_EQ(place.run(decide({"one", "two"}, {"--json", "d.json"})).code, 0);
  const json several = place.json("d.json");
  EXPECT_EQ(several["sources"].size(), 2u);
  EXPECT_EQ(several["candidates"][1]["scales"].size(), 2u);
  ASSERT_EQ(place.run(decide({"one", "many"}, {"--json", "d.json"})).code, 0);
  const json mixed = place.json("d.json");
  EXPECT_EQ(mixed["candidates"].size(), 2u);
  EXPECT_EQ(mixed["candidates"][1]["centre"], "mixed");
  EXPECT_FALSE(mixed["sources"][0].contains("decision"));
}

TEST(Decide, PrintsNoQuotientsOfRoundings) {
  const Workplace place;
  RandomSequence random(9);
  std::vector<double> x, y, nothing(60);
  for (int i = 0; i < 60; ++i) {
    for (std::int64_t j = 0; j < features; ++j) x.push_back(random.normal());
    y.push_back(x[x.size() - features]);
  }
  for (const char* name : {"source", "target"}) {
    const std::string files = place.path(name);
    io::write_npy(files + "-x.npy", Tensor::from(x, {60, features}, Device::cpu(1)));
    io::write_npy(files + "-y.npy", Tensor::from(y, {60}, Device::cpu(1)));
    for (double& value : y) value *= -1;
  }
  const Outcome outcome = place.run(decide({"source"}));
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("z < -1000)"), std::string::npos) << outcome.output;
}

TEST(Decide, RefusesWhatDoesNotFit) {
  const Workplace place;
  write_sample(place, "source", 30, 1);
  write_sample(place, "target", 10, 1);
  place.write("d.json", "kept");
  Words twice = decide({"source"}, {"--json", "d.json"});
  twice.insert(twice.end(), {"--source-features", "source-x.npy"});
  EXPECT_EQ(place.run(twice).code, 2);
  EXPECT_EQ(place.run({"decide"}).code, 2);
  EXPECT_EQ(place.run(decide({"source"}, {"--json", "o.npy", "--coefficients", "o.npy"})).code, 2);

  const auto failure = [&](const Words& words) {
    const Outcome outcome = place.run(words);
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    EXPECT_EQ(place.read("d.json"), "kept");
    return outcome.errors;
  };
  EXPECT_NE(failure(decide({"absent"}, {"--json", "d.json"})).find("absent-x.npy"), std::string::npos);
  io::write_npy(place.path("short-x.npy"), Tensor::zeros({29, features}, DType::f64, Device::cpu(1)));
  io::write_npy(place.path("short-y.npy"), Tensor::zeros({30}, DType::f64, Device::cpu(1)));
  EXPECT_NE(failure(decide({"short"}, {"--json", "d.json"})).find("29"), std::string::npos);
  io::write_npy(place.path("narrow-x.npy"), Tensor::zeros({30, 3}, DType::f64, Device::cpu(1)));
  io::write_npy(place.path("narrow-y.npy"), Tensor::zeros({30}, DType::f64, Device::cpu(1)));
  EXPECT_NE(failure(decide({"narrow"}, {"--json", "d.json"})).find("target-x.npy has 12 (--target-features)"),
            std::string::npos);
}

}  // namespace
}  // namespace rtl::test

// What rtl transfer says of its numbers: both verdicts, Holm's conclusion, diverged runs, dead features, many seeds.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "cli/program.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/io/safetensors.hpp"

namespace rtl::test {
namespace {

using nlohmann::json;

/// 40 samples of 6 numbers and two classes, and a network whose features are all zero.
void make_dead_features(const Workplace& place) {
  const Device device = Device::cpu(1);
  std::vector<float> inputs(240);
  std::vector<std::int32_t> labels(40);
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = static_cast<float>(i * 37 % 101) / 50 - 1;
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * 7 % 10 < 5);
  io::write_npy(place.path("X.npy"), Tensor::from(inputs, {40, 6}, device));
  io::write_npy(place.path("y.npy"), Tensor::from(labels, {40}, device));
  const Tensor weight = Tensor::zeros({16, 6}, DType::f32, device), bias = Tensor::zeros({16}, DType::f32, device);
  const Tensor head = Tensor::zeros({2, 16}, DType::f32, device), head_bias = Tensor::zeros({2}, DType::f32, device);
  io::write_safetensors(place.path("dead.safetensors"),
                        {{"fc1.weight", weight}, {"fc1.bias", bias}, {"head.weight", head}, {"head.bias", head_bias}});
}

TEST(Verdicts, DeadFeaturesAreNoVerdictAndAreToldOf) {
  const Workplace place;
  make_dead_features(place);
  const auto outcome = place.run({"transfer", "--source", "dead.safetensors", "--target", "npy:X.npy,y.npy", "--model",
                                  "mlp:8", "--seeds", "2", "--epochs", "5", "--strategy", "probe:standardize", "--json",
                                  "r.json", "--html", "r.html"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const json result = place.json("r.json");
  const json& probe = result.at("strategies").at(1);
  EXPECT_EQ(probe.at("verdict"), "undecided");
  EXPECT_EQ(probe.at("verdict_new_samples"), "undecided");
  EXPECT_EQ(probe.at("constant_runs"), 2);
  const json& difference = probe.at("difference_from_scratch");
  EXPECT_GE(difference.at("high").get<double>() - difference.at("low").get<double>(), 2.0 / 8);
  const std::string note = "probe:standardize: 2 of 2 runs predict one and the same class for every test sample.";
  EXPECT_EQ(std::count(result.at("notes").begin(), result.at("notes").end(), note), 1) << result.at("notes");
  EXPECT_NE(place
                .run({"transfer", "--source", "dead.safetensors", "--target", "npy:X.npy,y.npy", "--model", "mlp:8",
                      "--seeds", "2", "--epochs", "5", "--strategy", "probe:standardize"})
                .output.find(note),
            std::string::npos);
  EXPECT_NE(place.read("r.html").find("predict one and the same class"), std::string::npos);
}

/// 30 samples whose target is a sum of the inputs, and 200 of which the source's head is made.
TEST(Verdicts, CandidatesOfTheAdvisorAreToldWithWhatTheyAreComparedWith) {
  const Workplace place;
  const auto table = [&](const std::string& file, int rows, int first) {
    std::string text = "a,b,c,y\n";
    for (int i = first; i < first + rows; ++i) {
      const int a = i * 37 % 101, b = i * 53 % 97, c = i * 71 % 89;
      text += std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(c) + "," +
              std::to_string(2 * a - b + 3 * c + i * 29 % 31) + "\n";
    }
    place.write(file, text);
  };
  table("few.csv", 30, 0);
  table("many.csv", 200, 500);
  const std::string options = "?label=y&target=real&test_fraction=0.5", many = "csv:many.csv" + options;
  ASSERT_EQ(place.run({"pretrain", "--data", many, "--model", "mlp:8", "--epochs", "2", "--out", "m"}).code, 0);
  const Outcome outcome =
      place.run({"transfer", "--source", "m", "--target", "csv:few.csv" + options, "--source-data", many, "--strategy",
                 "l2sp-ridge", "--model", "mlp:4", "--epochs", "1", "--seeds", "2", "--json", "r.json"});
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("l2sp-ridge: weights of its outputs"), std::string::npos) << outcome.output;
  EXPECT_NE(outcome.output.find(" to scratch)"), std::string::npos) << outcome.output;
  const json read_outs = place.json("r.json").at("strategies").at(1).at("read_outs");
  EXPECT_EQ(read_outs.at(0).at("name"), "scratch");
  EXPECT_EQ(read_outs.at(0).at("difference"), 0);
}

/// A network that runs away has an R^2 of minus a number with many digits.
TEST(Verdicts, HugeNumbersAreShort) {
  const Workplace place;
  std::string text = "x,y\n";
  for (int i = 0; i < 40; ++i) text += std::to_string(i % 7) + "," + std::to_string(i % 5) + "\n";
  place.write("t.csv", text);
  const Outcome outcome =
      place.run({"transfer", "--target", "csv:t.csv?label=y&target=real", "--model", "mlp:4", "--strategy", "scratch",
                 "--seeds", "2", "--epochs", "3", "--optimizer", "sgd", "--learning-rate", "20", "--json", "r.json"});
  if (outcome.code == 0) {
    EXPECT_EQ(std::regex_search(outcome.output, std::regex("[0-9]{12}")), false) << outcome.output;
  } else {
    EXPECT_NE(outcome.errors.find("diverged"), std::string::npos) << outcome.errors;
  }
}

TEST(Verdicts, BothIntervalsAndTheConclusionAreWritten) {
  const Workplace place;
  make_source(place);
  const auto outcome = place.run(small_transfer({"--json", "t.json", "--html", "t.html"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  EXPECT_NE(outcome.output.find("on new samples"), std::string::npos) << outcome.output;
  const json result = place.json("t.json");
  double last = 0;
  for (const json& strategy : result.at("strategies")) {
    const json& seeds = strategy.at("difference_from_scratch");
    const json& samples = strategy.at("difference_new_samples");
    EXPECT_LE(samples.at("low").get<double>(), seeds.at("low").get<double>());
    EXPECT_GE(samples.at("high").get<double>(), seeds.at("high").get<double>());
    EXPECT_EQ(strategy.at("verdict_new_samples"), samples.at("low") > 0    ? "helps"
                                                  : samples.at("high") < 0 ? "hurts"
                                                                           : "undecided");
    EXPECT_EQ(samples.at("p") < 0.05, strategy.at("verdict_new_samples") != "undecided");
    EXPECT_GE(samples.at("p").get<double>(), strategy.at("p_value").get<double>());
    EXPECT_GE(strategy.at("p_value_holm").get<double>(), strategy.at("p_value").get<double>());
    EXPECT_EQ(strategy.at("pairs"), 2);
    EXPECT_EQ(strategy.at("diverged_runs"), 0);
    EXPECT_TRUE(strategy.at("divergence").is_null());
    EXPECT_TRUE(strategy.at("never_predicted").is_array());
    last = std::max(last, strategy.at("p_value_holm").get<double>());
  }
  EXPECT_LE(last, 1);
  EXPECT_EQ(result.at("conclusion").at("correction"), "Holm");
  EXPECT_TRUE(result.at("conclusion").at("hurt").is_array());
  EXPECT_NEAR(result.at("scratch_check").at("majority_share").get<double>(), 1.0 / 3, 1e-12);
  EXPECT_TRUE(result.at("notes").is_array());
  EXPECT_NE(place.read("t.html").find("other seeds and other test samples"), std::string::npos);
}

/// A source whose features are so large that a raw probe on them cannot be trained.
void make_wild_source(const Workplace& place) {
  make_source(place);
  const io::SafetensorsFile file(place.path("source.safetensors"));
  std::vector<Tensor> tensors;
  std::vector<io::NamedView> views;
  for (const io::TensorEntry& entry : file.tensors()) {
    tensors.push_back(file.load(entry.name, Device::cpu(1)));
    for (std::int64_t i = 0; i < tensors.back().count(); ++i) tensors.back().data_as<float>()[i] *= 1e6F;
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) views.emplace_back(file.tensors()[i].name, tensors[i]);
  io::write_safetensors(place.path("source.safetensors"), views);
}

TEST(Verdicts, ADivergedStrategyCostsItsOwnRow) {
  const Workplace place;
  make_wild_source(place);
  const auto outcome =
      place.run(small_transfer({"--strategy", "probe,refine:balance", "--json", "t.json", "--html", "t.html"}));
  ASSERT_EQ(outcome.code, 0) << outcome.errors;
  const json result = place.json("t.json");
  const json& probe = result.at("strategies").at(1);
  EXPECT_EQ(probe.at("diverged_runs"), 2);
  EXPECT_TRUE(probe.at("accuracy").at("mean").is_null());
  EXPECT_EQ(probe.at("accuracy").at("values"), (json{nullptr, nullptr}));
  EXPECT_NE(probe.at("divergence").get<std::string>().find("learning rate"), std::string::npos);
  EXPECT_TRUE(result.at("strategies").at(2).at("accuracy").at("mean").is_number());
  const std::string note = "probe: 2 of 2 runs diverged";
  EXPECT_NE(place.read("t.html").find(note), std::string::npos);
  bool noted = false;
  for (const json& one : result.at("notes")) noted = noted || one.get<std::string>().starts_with(note);
  EXPECT_TRUE(noted) << result.at("notes");
}

TEST(Verdicts, AScratchThatDivergesFailsButGivesTheRows) {
  const Workplace place;
  make_source(place);
  const auto outcome = place.run(small_transfer({"--learning-rate", "1e300", "--json", "t.json"}));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.errors.find("nothing to compare with"), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find("--learning-rate"), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.output.find("scratch: 2 of 2 runs diverged"), std::string::npos) << outcome.output;
  EXPECT_EQ(place.json("t.json").at("strategies").size(), 6u);
}

}  // namespace
}  // namespace rtl::test

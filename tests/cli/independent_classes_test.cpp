// rtl predict of models trained by --loss bce: every class has the sigmoid of its own logit.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "cli/program.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/transfer/predictor.hpp"

namespace rtl::test {
namespace {

struct Example {
  Workplace place;
  Example() {
    std::ostringstream text;
    text << "a,b,kind\n";
    for (int i = 0; i < 60; ++i) {
      text << (i % 3 == 1 ? 2 : 0) + std::sin(7.0 * i) << "," << (i % 3 == 2 ? 2 : 0) + std::cos(5.0 * i) << ","
           << (i % 3 == 0   ? "fir"
               : i % 3 == 1 ? "oak"
                            : "yew")
           << "\n";
    }
    place.write("t.csv", text.str());
  }
  std::string run(Words words) const {
    words.insert(words.end(), {"--threads", "1"});
    const Outcome outcome = place.run(words);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return outcome.errors;
  }
  Tensor matrix(const std::string& name) const { return io::read_npy(place.path(name), Device::cpu(1)); }

  /// That probabilities are these of the logits, in .npy and in .csv, and what is said of it.
  void expect(const std::string& model, bool sigmoid) const {
    SCOPED_TRACE(model);
    const Words predict = {"predict", "--model", model, "--data", "csv:t.csv?label=kind", "--json", "p.json"};
    const auto with = [&](const std::string& out) {
      Words words = predict;
      words.insert(words.end(), {"--out", out, "--logits", "l.npy"});
      return run(words);
    };
    EXPECT_EQ(with("p.npy").find("sigmoid") != std::string::npos, sigmoid);
    EXPECT_EQ(place.json("p.json").at("probabilities"), sigmoid ? "sigmoid" : "softmax");
    const std::vector<float> p = matrix("p.npy").to_vector<float>(), z = matrix("l.npy").to_vector<float>();
    ASSERT_EQ(p.size(), z.size());
    double furthest = 0;
    for (std::size_t i = 0; i < z.size(); i += 3) {
      double sum = 0, exponentials = 0;
      for (std::size_t c = i; c < i + 3; ++c) {
        sum += p[c];
        exponentials += std::exp(double{z[c]});
      }
      for (std::size_t c = i; c < i + 3; ++c) {
        const double own = std::exp(double{z[c]});
        EXPECT_NEAR(p[c], sigmoid ? own / (1 + own) : own / exponentials, 1e-6);
      }
      furthest = std::max(furthest, std::abs(sum - 1));
    }
    EXPECT_TRUE(sigmoid ? furthest > 0.01 : furthest < 1e-6) << furthest;
    with("p.csv");
    std::istringstream lines(place.read("p.csv"));
    std::string line, cell;
    std::getline(lines, line);
    EXPECT_EQ(line, "class,probability_fir,probability_oak,probability_yew");
    for (std::size_t i = 0; std::getline(lines, line); i += 3) {
      std::istringstream fields(line);
      std::getline(fields, cell, ',');
      for (std::size_t c = i; std::getline(fields, cell, ','); ++c) EXPECT_NEAR(std::stod(cell), p[c], 1e-6);
    }
  }
};

TEST(IndependentClasses, OfAPretrainedNetworkHaveSigmoids) {
  const Example example;
  const Words pretrain = {"pretrain", "--data", "csv:t.csv?label=kind", "--model", "mlp:6", "--epochs", "3"};
  for (const char* loss : {"bce", "cross-entropy"}) {
    Words words = pretrain;
    words.insert(words.end(), {"--loss", loss, "--out", "m.safetensors"});
    example.run(words);
    example.expect("m.safetensors", std::string(loss) == "bce");
  }
}

TEST(IndependentClasses, AreThoseOfStrategiesThatMinimiseTheLoss) {
  const Example example;
  example.run(
      {"pretrain", "--data", "csv:t.csv?label=kind", "--model", "mlp:6", "--epochs", "3", "--out", "m.safetensors"});
  example.run({"transfer", "--source", "m.safetensors", "--target", "csv:t.csv?label=kind", "--model", "mlp:4",
               "--loss", "bce", "--strategy", "probe,fine-tune,ridge-probe,safe,logit-ensemble:probabilities",
               "--seeds", "1", "--epochs", "3", "--out", "fits"});
  for (const auto& [name, sigmoid] :
       {std::pair{"scratch", true}, std::pair{"probe", true}, std::pair{"fine-tune", true},
        std::pair{"ridge-probe", false}, std::pair{"safe", false}, std::pair{"logit-ensemble_probabilities", false}}) {
    example.expect(std::string("fits/") + name + "_seed1.safetensors", sigmoid);
  }
  const auto kept = transfer::Fitted::load(example.place.path("fits/probe_seed1.safetensors"), Device::cpu(1));
  EXPECT_TRUE(kept.task().independent);
  kept.save(example.place.path("again.safetensors"));
  example.expect("again.safetensors", true);
}

}  // namespace
}  // namespace rtl::test

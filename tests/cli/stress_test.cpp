// --stress of pretrain and transfer: it acts, it is drawn by its seed, and what cannot be is refused.
#include <gtest/gtest.h>

#include "cli/program.hpp"
#include "cli/stress_arguments.hpp"
#include "cli/table.hpp"
#include "support/documents.hpp"

namespace rtl::test {
namespace {

/// Two classes that a line parts.
void write_points(const Workplace& place) {
  std::string text = "a,b,kind\n";
  for (int i = 0; i < 100; ++i) {
    const int a = i * 37 % 100, b = i * 53 % 100;
    text += std::to_string(a) + "," + std::to_string(b) + "," + (a + b > 99 ? "yes" : "no") + "\n";
  }
  place.write("points.csv", text);
}

Words command_of(const std::string& command, const Words& more) {
  Words words{command, "--epochs", "20", "--batch-size", "8", "--model", "mlp:4", "--json", "r.json", "--threads", "1"};
  const Words own = command == "pretrain" ? Words{"--data", "csv:points.csv?label=kind", "--out", "m"}
                                          : Words{"--target", "csv:points.csv?label=kind", "--seeds", "2"};
  words.insert(words.end(), own.begin(), own.end());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

nlohmann::json result_of(const Workplace& place, const std::string& command, const Words& more) {
  const Outcome outcome = place.run(command_of(command, more));
  EXPECT_EQ(outcome.code, 0) << outcome.errors;
  return place.json("r.json");
}

TEST(Stress, ActsOnTrainingRowsAndIsTold) {
  const Workplace place;
  write_points(place);
  const auto losses = [&](const Words& more) { return result_of(place, "pretrain", more).at("losses"); };
  const nlohmann::json plain = losses({});
  std::vector<nlohmann::json> seen{plain};
  for (const std::string stress : {"confusion=0.5,0", "confusion=0.5,0.2", "shift=0.5", "imbalance=40-5", "few=20"}) {
    seen.push_back(losses({"--stress", stress}));
    for (std::size_t i = 0; i + 1 < seen.size(); ++i) EXPECT_NE(seen.back(), seen[i]) << stress;
    EXPECT_EQ(losses({"--stress", stress}), seen.back()) << stress;
    EXPECT_NE(losses({"--stress", stress, "--stress-seed", "1"}), seen.back()) << stress;
  }
  EXPECT_EQ(losses({"--stress", "label-flips=0.4"}), losses({"--label-flips", "0.4"}));
  EXPECT_EQ(losses({"--stress", "shift=0"}), plain);
  EXPECT_EQ(result_of(place, "pretrain", {"--stress", "imbalance=40-5"}).at("train_samples"), 45);
  const auto both =
      result_of(place, "transfer", {"--strategy", "scratch", "--stress", "imbalance=30-30", "--stress", "few=20"});
  EXPECT_EQ(both.at("train_samples"), 20);
  EXPECT_EQ(both.at("stress"), (Words{"imbalance=30-30", "few=20"}));
}

TEST(Stress, MakesSourcesUseless) {
  const Workplace place;
  write_points(place);
  result_of(place, "pretrain", {});
  const auto probe = [&](const Words& more) {
    Words words{"--source", "m", "--strategy", "ridge-probe"};
    words.insert(words.end(), more.begin(), more.end());
    return result_of(place, "transfer", words).at("strategies")[1];
  };
  const auto accuracy = [](const nlohmann::json& result) { return result.at("accuracy").at("mean").get<double>(); };
  const nlohmann::json plain = probe({});
  EXPECT_GT(accuracy(plain), 0.85);
  EXPECT_LT(accuracy(probe({"--stress", "useless-source=permuted"})), accuracy(plain) - 0.1);
  EXPECT_EQ(probe({"--stress", "useless-source=noise:7"}).at("trainable_parameters"), 2 * 7 + 2);
  // Standardised, a factor is not seen.
  EXPECT_EQ(accuracy(probe({"--stress", "useless-source=scaled:64"})), accuracy(plain));
  const Outcome refused = place.run(
      command_of("transfer", {"--source", "m", "--strategy", "fine-tune", "--stress", "useless-source=permuted"}));
  EXPECT_NE(refused.code, 0);
  EXPECT_NE(refused.errors.find("fine-tune"), std::string::npos) << refused.errors;
}

TEST(Stress, RefusesWhatCannotBe) {
  const Workplace place;
  write_points(place);
  for (const std::string stress :
       {"few", "few=", "few=0", "few=1.5", "confusion=0.5", "confusion=2,0", "confusion=0.5,-1", "shift=-1",
        "shift=nan", "imbalance=", "imbalance=3-x", "label-flips=1.1", "hope=1", "useless-source=noise:0",
        "useless-source=noise:1.5", "useless-source=scaled:0", "useless-source=scaled:x", "useless-source=permuted:1",
        "useless-source=better"}) {
    const Outcome outcome = place.run(command_of("transfer", {"--stress", stress}));
    EXPECT_EQ(outcome.code, 2) << stress << ": " << outcome.errors;
    EXPECT_NE(outcome.errors.find(stress), std::string::npos) << outcome.errors;
  }
  EXPECT_EQ(place.run(command_of("pretrain", {"--stress", "useless-source=permuted"})).code, 2);
  EXPECT_EQ(place.run(command_of("pretrain", {"--stress", "few=9", "--stress", "few=9"})).code, 2);
  EXPECT_EQ(place.run(command_of("pretrain", {"--stress", "label-flips=0.1", "--label-flips", "0.1"})).code, 2);
  // What the data says is found when it is there.
  for (const std::string stress : {"imbalance=published", "imbalance=1-2-3", "few=1000"}) {
    const Outcome outcome = place.run(command_of("pretrain", {"--stress", stress}));
    EXPECT_EQ(outcome.code, 1) << stress << ": " << outcome.errors;
    EXPECT_FALSE(place.has("m"));
  }
  const Words precomputed{"--source", "features:f.npy", "--strategy", "probe", "--stress", "few=20"};
  const Outcome outcome = place.run(command_of("transfer", precomputed));
  EXPECT_EQ(outcome.code, 2) << outcome.errors;
  EXPECT_NE(outcome.errors.find("precomputed"), std::string::npos) << outcome.errors;
}

TEST(Stress, IsATableOfTheDocuments) {
  cli::Table table({"`--stress`", "what becomes of the training rows or sources"});
  table.align_left(1);
  for (const auto& [form, help] : cli::stress_forms()) table.add({"`" + form + "`", help});
  expect_table("docs/cli.md", table.to_markdown());
}

}  // namespace
}  // namespace rtl::test

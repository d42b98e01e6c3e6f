// --augment: what it changes, what it leaves, and what it refuses.
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

const std::string glyphs = "glyphs:?classes=3&size=16&train=40&test=30";

TEST(AugmentFlag, ChangesTrainingsAndStandsInTheJson) {
  const Workplace place;
  const auto losses = [&](const Words& more) {
    Words arguments{"pretrain", "--data", glyphs,      "--model", "paper_cnn:4-4-4-6", "--epochs", "2", "--out", "m",
                    "--json",   "m.json", "--threads", "1",       "--batch-size",      "16"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = place.run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("m.json").at("losses").get<std::vector<double>>();
  };
  const auto plain = losses({});
  EXPECT_EQ(place.json("m.json").at("training").at("augment"), "none");
  EXPECT_EQ(losses({"--augment", "none"}), plain);
  std::vector<std::vector<double>> seen{plain};
  for (const char* change : {"flip", "crop=2", "cutout=4", "resized_crop=0.5", "brightness=0.5", "flip,crop=2"}) {
    const auto changed = losses({"--augment", change});
    for (const auto& other : seen) EXPECT_NE(changed, other) << change;
    seen.push_back(changed);
  }
  EXPECT_EQ(place.json("m.json").at("training").at("augment"), "crop=2,flip");
  EXPECT_EQ(losses({"--augment", "crop=2,flip"}), seen.back());
}

TEST(AugmentFlag, OfAComparisonIsForNetworksInTraining) {
  const Workplace place;
  ASSERT_EQ(
      place.run({"pretrain", "--data", glyphs, "--model", "paper_cnn:4-4-4-6", "--out", "m", "--epochs", "1"}).code, 0);
  const auto compared = [&](const std::string& augment, const std::string& replicas) {
    const Outcome outcome = place.run({"transfer", "--source", "m", "--target", glyphs, "--model", "paper_cnn:4-4-4-6",
                                       "--strategy", "probe,refine", "--seeds", "2", "--epochs", "2", "--replicas",
                                       replicas, "--augment", augment, "--json", "r.json"});
    EXPECT_EQ(outcome.code, 0) << outcome.errors;
    return place.json("r.json");
  };
  const auto plain = compared("none", "1"), augmented = compared("crop=2,flip", "1");
  for (const auto& [index, changes] : {std::pair{0, true}, std::pair{1, false}, std::pair{2, true}}) {
    EXPECT_EQ(plain.at("strategies").at(index).at("losses") != augmented.at("strategies").at(index).at("losses"),
              changes)
        << index;
  }
  const auto together = compared("crop=2,flip", "2");
  for (const int index : {0, 1, 2}) {
    const auto &own = together.at("strategies").at(index), &other = augmented.at("strategies").at(index);
    EXPECT_EQ(own.at("losses"), other.at("losses"));
    EXPECT_EQ(own.at("accuracy"), other.at("accuracy"));
  }
  const std::string note =
      "Images are augmented (crop=2,flip) on their way into networks that are trained; what frozen sources say of "
      "samples is of the images as they are.";
  const auto noted = [&](const nlohmann::json& result) {
    const auto notes = result.at("notes").get<Words>();
    return std::count(notes.begin(), notes.end(), note);
  };
  EXPECT_EQ(noted(augmented), 1) << augmented.at("notes");
  EXPECT_EQ(noted(plain), 0);
}

TEST(AugmentFlag, RefusesWhatItCannotDo) {
  const Workplace place;
  place.write("points.csv", "a,kind\n1,x\n2,y\n3,x\n4,y\n5,x\n6,y\n7,x\n8,y\n9,x\n10,y\n");
  const auto refused = [&](const std::string& data, const std::string& augment, int code, const std::string& text) {
    const Outcome outcome = place.run({"pretrain", "--data", data, "--model", data == glyphs ? "paper_cnn" : "mlp:4",
                                       "--out", "n", "--augment", augment});
    EXPECT_EQ(outcome.code, code) << augment;
    EXPECT_NE(outcome.errors.find(text), std::string::npos) << outcome.errors;
    EXPECT_FALSE(place.has("n"));
  };
  refused(glyphs, "spin", 2, "--augment: augment 'spin': 'spin' is unknown");
  refused(glyphs, "crop=x", 2, "crop must be a whole number of at least 0, not 'x'");
  refused(glyphs, "crop=16", 1, "crop is 16, but must be below 16 for images of 16 x 16");
  refused("csv:points.csv?label=kind", "flip", 1, "has vectors; only images can be augmented");
}

}  // namespace
}  // namespace rtl::test

// Sparse rows on the command line: every command that takes vectors takes them, and tells what cannot be.
#include <gtest/gtest.h>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

void expect_fine(const Outcome& outcome) { EXPECT_EQ(outcome.code, 0) << outcome.errors; }

/// 300 columns, of which a row has four; the first two tell the class.
void write_wide(const Workplace& place, const std::string& name, int rows) {
  std::string text;
  for (int i = 0; i < rows; ++i) {
    const int label = i % 2;
    text += std::to_string(label) + " " + std::to_string(1 + label) + ":1";
    for (int k = 0; k < 3; ++k) text += " " + std::to_string(10 + 90 * k + (i * 7 + k * 13) % 80) + ":0.5";
    text += "\n";
  }
  place.write(name, text);
}

TEST(SparseCommands, TakeSparseRows) {
  const Workplace place;
  write_wide(place, "wide.svmlight", 80);
  write_wide(place, "new.svmlight", 30);
  const std::string wide = "svmlight:wide.svmlight?features=300", sparse = wide + "&sparse=yes";
  expect_fine(place.run({"inspect", sparse, "--json", "sparse.json"}));
  expect_fine(place.run({"inspect", wide, "--json", "dense.json"}));
  auto facts = place.json("sparse.json")["train"]["inputs"], dense = place.json("dense.json")["train"]["inputs"];
  EXPECT_EQ(facts["not_zero"], 64 * 4);
  EXPECT_FALSE(dense.contains("not_zero"));
  for (const char* key : {"dtype", "shape", "min", "max"}) EXPECT_EQ(facts[key], dense[key]) << key;
  for (const char* key : {"mean", "std"}) {
    EXPECT_NEAR(facts[key].get<double>(), dense[key].get<double>(), 1e-12) << key;
  }
  for (const std::string& spec : {wide, sparse}) {
    const std::string name = spec == wide ? "dense" : "sparse";
    expect_fine(place.run({"pretrain", "--data", spec, "--model", "mlp:8", "--epochs", "20", "--normalize", "none",
                           "--optimizer", "adam", "--learning-rate", "0.05", "--out", name + ".safetensors", "--json",
                           name + ".json"}));
    expect_fine(place.run({"predict", "--model", name + ".safetensors", "--data",
                           "svmlight:new.svmlight?features=300&split=train&sparse=yes", "--out", name + ".csv"}));
    expect_fine(place.run({"features", "--model", "dense.safetensors", "--data", spec, "--out", name + ".npy"}));
    expect_fine(
        place.run({"scores", "--source", "dense.safetensors", "--train", spec, "--json", name + "_scores.json"}));
    expect_fine(place.run({"transfer", "--source", "dense.safetensors", "--target", spec, "--strategy",
                           "scratch,probe,refine,fine-tune", "--seeds", "2", "--epochs", "2", "--train-limit", "40",
                           "--normalize", "none", "--json", name + "_transfer.json"}));
  }
  EXPECT_EQ(place.json("sparse.json")["test_accuracy"], 1.0);
  EXPECT_EQ(place.read("sparse.csv"), place.read("dense.csv"));
  EXPECT_EQ(place.read("sparse.npy"), place.read("dense.npy"));
  const auto results = [&](const std::string& name) {
    auto strategies = place.json(name + "_transfer.json")["strategies"];
    std::string accuracies;
    for (const auto& strategy : strategies) accuracies += strategy["accuracy"].dump();
    return accuracies;
  };
  EXPECT_EQ(results("sparse"), results("dense"));
}

TEST(SparseCommands, SayWhatCannotBe) {
  const Workplace place;
  write_wide(place, "wide.svmlight", 20);
  place.write("huge.svmlight", "1 1:1\n2 2000000000:1\n1 1:1\n2 3:1\n");
  const Outcome huge = place.run({"inspect", "svmlight:huge.svmlight"});
  EXPECT_EQ(huge.code, 1);
  EXPECT_NE(huge.errors.find("would take 30518 MiB in dense form, where 64 are allowed"), std::string::npos)
      << huge.errors;
  const Outcome prepared = place.run({"inspect", "svmlight:wide.svmlight?sparse=yes&prepare=standardize"});
  EXPECT_NE(prepared.code, 0);
  EXPECT_NE(prepared.errors.find("prepare= needs dense columns"), std::string::npos) << prepared.errors;
  const Outcome tokens = place.run({"inspect", "text:wide.svmlight?sparse=yes"});
  EXPECT_NE(tokens.code, 0);
  EXPECT_NE(tokens.errors.find("sparse=yes is for encode=bag and encode=tfidf"), std::string::npos) << tokens.errors;
  const Outcome matrix =
      place.run({"ridge", "--features", "wide.svmlight?sparse=yes", "--targets", "wide.svmlight", "--penalties", "1"});
  EXPECT_NE(matrix.code, 0);
  EXPECT_NE(matrix.errors.find("has no option 'sparse'"), std::string::npos) << matrix.errors;
}

}  // namespace
}  // namespace rtl::test

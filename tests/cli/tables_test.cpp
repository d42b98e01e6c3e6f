// People's own tables: what rtl inspect says of them.
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

TEST(TableFiles, NotesAreSaidAndCounted) {
  const Workplace place;
  place.write("t.csv", "0,1,kind\n0.5,1.5,ash\n2.5,,elm\n3.5,4.5,ash\n4.5,0.5,elm\n1.5,0.5,ash\n2.5,3.5,elm\n");
  const auto told = place.run({"inspect", "csv:t.csv?label=kind&missing=drop&split=train", "--json", "t.json"});
  EXPECT_EQ(told.code, 0) << told.errors;
  EXPECT_NE(told.errors.find("note: t.csv: 1 of 6 rows was left out: line 3, 1 is empty"), std::string::npos)
      << told.errors;
  EXPECT_NE(told.errors.find("the first line (0, 1, kind) was taken for the names"), std::string::npos) << told.errors;
  EXPECT_NE(told.output.find("2 columns: 0, 1"), std::string::npos) << told.output;
  EXPECT_NE(told.output.find("\nnote: t.csv: 1 of 6 rows was left out: line 3, 1 is empty\n"), std::string::npos)
      << told.output;
  EXPECT_NE(told.output.find("\nnote: t.csv: the first line (0, 1, kind)"), std::string::npos) << told.output;
  const auto json = place.json("t.json");
  EXPECT_EQ(json["notes"].size(), 2u);
  EXPECT_EQ(json["columns"], nlohmann::json({"0", "1"}));
  EXPECT_EQ(json["class_names"], nlohmann::json({"ash", "elm"}));
}

TEST(TableFiles, NamesWithMarksCanBeWritten) {
  const Workplace place;
  place.write("a?b.csv", "a,b,kind\n1,2,ash\n3,4,elm\n5,6,ash\n7,8,elm\n");
  EXPECT_EQ(place.run({"inspect", "csv:a%3Fb.csv?label=kind"}).code, 0);
  const auto told = place.run({"inspect", "csv:a?b.csv?label=kind"});
  EXPECT_EQ(told.code, 2);
  EXPECT_NE(told.errors.find("a%3Fb.csv"), std::string::npos) << told.errors;
}

TEST(TableFiles, AnEmptyTestPartIsTold) {
  const Workplace place;
  place.write("t.csv", "a,b,kind\n1,2,ash\n3,4,elm\n5,6,ash\n7,8,elm\n");
  const auto inspected = place.run({"inspect", "csv:t.csv?label=kind&test_fraction=0", "--json", "t.json"});
  EXPECT_EQ(inspected.code, 0);
  EXPECT_EQ(inspected.output.find("nan"), std::string::npos) << inspected.output;
  const std::string line = inspected.output.substr(inspected.output.find("\ntest "));
  EXPECT_NE(line.find(" none "), std::string::npos) << line;
  EXPECT_NE(line.find(" – "), std::string::npos) << line;
  EXPECT_EQ(place.json("t.json")["test"]["samples"], 0);
  EXPECT_TRUE(place.json("t.json")["test"]["inputs"]["mean"].is_null());
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"transfer", "--target", "csv:t.csv?label=kind&test_fraction=0", "--model", "mlp:4"},
        std::vector<std::string>{"pretrain", "--data", "csv:t.csv?label=kind&test_fraction=0", "--model", "mlp:4",
                                 "--out", "s.safetensors"}}) {
    const auto told = place.run(arguments);
    EXPECT_EQ(told.code, 1);
    EXPECT_NE(told.errors.find("the test part is empty"), std::string::npos) << told.errors;
  }
}

TEST(TableFiles, ArraysOfTextAreInspected) {
  const Workplace place;
  std::string header = "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }\n";
  place.write("y.npy", std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' + header + "oakfir");
  const auto told = place.run({"inspect", "y.npy", "--json", "y.json"});
  EXPECT_EQ(told.code, 0) << told.errors;
  const auto tensor = place.json("y.json")["tensors"][0];
  EXPECT_EQ(tensor["dtype"], "text");
  EXPECT_EQ(tensor["different"], 2);
  EXPECT_EQ(tensor["min"], "fir");
}

TEST(TableFiles, AWideIndexTakesNoMemory) {
  const Workplace place;
  place.write("w.svmlight", "1 1:1\n2 2000000000:1\n");
  const auto told = place.run({"inspect", "svmlight:w.svmlight"});
  EXPECT_EQ(told.code, 1);
  EXPECT_NE(told.errors.find("2 samples of 2000000000 features (line 2 has the largest index)"), std::string::npos)
      << told.errors;
}

TEST(TableFiles, RealTargetsAreInspected) {
  const Workplace place;
  place.write("houses.csv", "rooms,price,rent\n1,0.5,8\n2,1.5,6\n3,2.5,4\n4,3.5,2\n");
  const auto told =
      place.run({"inspect", "csv:houses.csv?label=price,rent&target=real&test_fraction=0", "--json", "h.json"});
  EXPECT_EQ(told.code, 0) << told.errors;
  EXPECT_NE(told.output.find("\n2 real targets\n"), std::string::npos) << told.output;
  EXPECT_EQ(told.output.find("classes"), std::string::npos) << told.output;
  const auto json = place.json("h.json");
  EXPECT_EQ(json["task"], "regression");
  EXPECT_EQ(json["outputs"], 2);
  EXPECT_FALSE(json.contains("classes"));
  const auto price = json["train"]["targets"][0];
  EXPECT_EQ(price["name"], "price");
  EXPECT_EQ(price["mean"], 2.0);
  EXPECT_DOUBLE_EQ(price["std"].get<double>(), std::sqrt(1.25));  // of -1.5, -0.5, 0.5, 1.5
  EXPECT_EQ(price["min"], 0.5);
  EXPECT_EQ(price["max"], 3.5);
  EXPECT_EQ(json["train"]["targets"][1]["mean"], 5.0);
  const auto refused = place.run({"inspect", "csv:houses.csv?label=price"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("houses.csv: line 2: the label '0.5'"), std::string::npos) << refused.errors;
  EXPECT_NE(refused.errors.find("write target=real for regression"), std::string::npos) << refused.errors;
}

TEST(TableFiles, WithoutLabelsCanBePredicted) {
  const Workplace place;
  place.write("t.csv", "a,b,kind\n1,2,ash\n3,4,elm\n5,6,ash\n7,8,elm\n2,9,elm\n8,1,ash\n");
  place.write("new.csv", "a,b\n1,2\n3,4\n");
  const auto pretrain = [&](const std::string& data) {
    return place.run({"pretrain", "--data", data, "--model", "mlp:4", "--epochs", "1", "--out", "m.safetensors"});
  };
  EXPECT_EQ(pretrain("csv:t.csv?label=kind&split=train&test_fraction=0").code, 0);
  const auto told =
      place.run({"predict", "--model", "m.safetensors", "--data", "csv:new.csv?label=", "--logits", "l.npy"});
  EXPECT_EQ(told.code, 0) << told.errors;
  EXPECT_NE(told.output.find("\n2 samples of csv:new.csv?label=\n"), std::string::npos) << told.output;
  EXPECT_NE(told.output.find("no accuracy: the data has no labels"), std::string::npos) << told.output;
  const auto inspected = place.run({"inspect", "csv:new.csv?label=", "--json", "n.json"});
  EXPECT_NE(inspected.output.find("\nneither labels nor targets\n"), std::string::npos) << inspected.output;
  EXPECT_EQ(place.json("n.json")["task"], "none");
  const auto refused = pretrain("csv:new.csv?label=");
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("csv:FILE?label=COLUMN"), std::string::npos) << refused.errors;
}

TEST(TableFiles, AtFixedPlacesArePredictedAsTheyWereTrained) {
  const Workplace place;
  place.write("t.txt", "1 2ash\n3 4elm\n5 6ash\n7 8elm\n2 9elm\n8 1ash\n");
  place.write("new.txt", "21\n43\n");
  const std::string trained = "fixed:t.txt?fields=a:1,b:3,kind:4-6&label=kind&split=train&test_fraction=0";
  ASSERT_EQ(
      place.run({"pretrain", "--data", trained, "--model", "mlp:4", "--epochs", "1", "--out", "m.safetensors"}).code,
      0);
  const auto told = place.run(
      {"predict", "--model", "m.safetensors", "--data", "fixed:new.txt?fields=b:1,a:2", "--logits", "new.npy"});
  EXPECT_EQ(told.code, 0) << told.errors;
  EXPECT_NE(told.output.find("no accuracy: the data has no labels"), std::string::npos) << told.output;
  place.write("new.csv", "a,b\n1,2\n3,4\n");
  ASSERT_EQ(place.run({"predict", "--model", "m.safetensors", "--data", "csv:new.csv", "--logits", "csv.npy"}).code, 0);
  EXPECT_EQ(place.read("new.npy"), place.read("csv.npy"));
  const auto refused = place.run({"inspect", "fixed:t.txt?fields=1-3,3&label="});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.errors.find("the field 3 overlaps 1-3"), std::string::npos) << refused.errors;
}

}  // namespace
}  // namespace rtl::test

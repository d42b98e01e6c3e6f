// Texts on the command line: every command that takes a data set takes them, and models bring their tokenizers along.
#include <gtest/gtest.h>

#include "cli/program.hpp"

namespace rtl::test {
namespace {

void write_reviews(const Workplace& place) {
  std::string text, other;
  for (int i = 0; i < 60; ++i) {
    const std::string filler = "word" + std::to_string(i % 7);
    text += i % 2 == 0 ? "1 good " + filler + "\n" : "0 " + filler + " bad film\n";
    other += i % 2 == 0 ? "unseen good\n" : "bad unseen\n";
  }
  place.write("reviews.txt", text);
  place.write("new.txt", other);
}

void expect_fine(const Outcome& outcome) { EXPECT_EQ(outcome.code, 0) << outcome.errors; }

TEST(TextCommands, TakeTexts) {
  const Workplace place;
  write_reviews(place);
  expect_fine(place.run({"inspect", "text:reviews.txt", "--json", "facts.json"}));
  EXPECT_EQ(place.json("facts.json")["train"]["inputs"]["dtype"], "i32");
  expect_fine(
      place.run({"pretrain", "--data", "text:reviews.txt", "--model", "text_bag:8", "--epochs", "30", "--optimizer",
                 "adam", "--learning-rate", "0.05", "--out", "source.safetensors", "--json", "pretrain.json"}));
  EXPECT_EQ(place.json("pretrain.json")["test_accuracy"], 1.0);
  const Outcome predicted = place.run(
      {"predict", "--model", "source.safetensors", "--data", "text:new.txt?label=none", "--out", "predicted.csv"});
  expect_fine(predicted);
  EXPECT_EQ(place.read("predicted.csv").substr(0, 6), "class,");
  const Outcome again = place.run({"predict", "--model", "source.safetensors", "--data", "text:reviews.txt?words=3"});
  expect_fine(again);
  EXPECT_NE(again.errors.find("as the model was trained, as tokens of a vocabulary of 11"), std::string::npos)
      << again.errors;
  EXPECT_NE(again.output.find("100.0"), std::string::npos) << again.output;
  expect_fine(place.run(
      {"features", "--model", "source.safetensors", "--data", "text:new.txt?label=none", "--out", "features.npy"}));
  expect_fine(place.run({"scores", "--source", "source.safetensors", "--train", "text:reviews.txt"}));
  expect_fine(place.run({"transfer", "--source", "source.safetensors", "--target", "text:reviews.txt", "--strategy",
                         "scratch,probe,refine,fine-tune", "--seeds", "2", "--epochs", "2", "--out", "fitted"}));
  for (const char* name : {"probe", "refine"}) {
    expect_fine(place.run({"predict", "--model", std::string("fitted/") + name + "_seed1.safetensors", "--data",
                           "text:new.txt?label=none", "--out", "other.csv"}));
  }
  const Outcome inspected = place.run({"inspect", "source.safetensors"});
  expect_fine(inspected);
  EXPECT_NE(inspected.output.find("texts as tokens of a vocabulary of 11"), std::string::npos) << inspected.output;
  EXPECT_EQ(inspected.output.find("most frequent"), std::string::npos) << inspected.output;
}

TEST(TextCommands, ShowTheWordsThatAreWeighed) {
  const Workplace place;
  place.write("train.txt", "1 good good film\n0 bad film\n1 good\n0 bad\n");
  const std::string spec = "text:train.txt?split=train&test_fraction=0&encode=tfidf";
  const Outcome data = place.run({"inspect", spec, "--json", "facts.json"});
  expect_fine(data);
  // Of four texts two have each word: ln(5 / 3) + 1.
  const auto facts = place.json("facts.json");
  const auto& words = facts["most_frequent"];
  ASSERT_EQ(words.size(), 3U);
  EXPECT_EQ(words[0]["entry"], "good");
  EXPECT_EQ(words[1]["entry"], "bad");
  EXPECT_NEAR(words[0]["weight"].get<double>(), 1.5108256, 1e-6);
  const std::string shown = "most frequent, with weights: good x 1.511, bad x 1.511, film x 1.511";
  EXPECT_NE(data.output.find(shown), std::string::npos) << data.output;
  expect_fine(
      place.run({"pretrain", "--data", spec, "--model", "mlp:none", "--epochs", "2", "--out", "words.safetensors"}));
  const Outcome model = place.run({"inspect", "words.safetensors"});
  expect_fine(model);
  EXPECT_NE(model.output.find(shown), std::string::npos) << model.output;
}

TEST(TextCommands, SayWhatIsWrong) {
  const Workplace place;
  place.write("latin.txt", "1 caf\xe9\n0 b\n");
  const Outcome latin = place.run({"inspect", "text:latin.txt"});
  EXPECT_EQ(latin.code, 1);
  EXPECT_NE(latin.errors.find("line 1, byte 6: 0xE9 is no UTF-8"), std::string::npos) << latin.errors;
  const Outcome usage = place.run({"inspect", "text:latin.txt?encode=glove"});
  EXPECT_EQ(usage.code, 2);
  EXPECT_NE(usage.errors.find("vectors=FILE"), std::string::npos) << usage.errors;
  const Outcome both = place.run({"inspect", "text:latin.txt?encode=bag&tokenizer=vocab.txt"});
  EXPECT_EQ(both.code, 2);
}

}  // namespace
}  // namespace rtl::test

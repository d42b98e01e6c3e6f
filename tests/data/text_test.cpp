// Texts as data sets: how files are read, what is fitted to which rows, and what encoders give.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/text_files.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/load.hpp"
#include "rtl/data/text_encoder.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using Texts = std::vector<std::string>;
using Tokens = std::vector<std::int32_t>;
using test::TemporaryFolder;

Tokens tokens_of(const Dataset& dataset) { return dataset.inputs.to_vector<std::int32_t>(); }
Tokens labels_of(const Dataset& dataset) { return dataset.labels.to_vector<std::int32_t>(); }

std::string fault_of(const std::string& spec) {
  try {
    (void)load(spec, Device::cpu());
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

Texts texts_in(std::string_view content, const TextFileOptions& options) {
  return parse_text_file("f", content, options).texts;
}

TEST(TextFile, FindsLabels) {
  const TextFile tabs = parse_text_file("f", "good film\t1\nbad\t0\n\nso so\t1\r\n", {});
  EXPECT_EQ(tabs.texts, (Texts{"good film", "bad", "so so"}));
  EXPECT_EQ(tabs.labels.labels, (Texts{"1", "0", "1"}));
  EXPECT_EQ(tabs.labels.places, (std::vector<std::int64_t>{1, 2, 4}));
  ASSERT_EQ(tabs.notes.size(), 1u);
  EXPECT_NE(tabs.notes[0].find("the last field"), std::string::npos) << tabs.notes[0];
  const TextFile blanks = parse_text_file("f", "1 good film\n0 bad thing\n1 so what\n", {});
  EXPECT_EQ(blanks.texts, (Texts{"good film", "bad thing", "so what"}));
  EXPECT_EQ(blanks.labels.labels, (Texts{"1", "0", "1"}));
  EXPECT_EQ(parse_text_file("f", "a who ?\nb how ?\na where !\nb why ?\n", {}).labels.labels,
            (Texts{"a", "b", "a", "b"}))
      << "punctuation is no label";
  EXPECT_EQ(texts_in("a b\nc d\n", {.label = "none"}), (Texts{"a b", "c d"}));
  EXPECT_EQ(texts_in("a b\nc d\n", {.label = "last"}), (Texts{"a", "c"}));
  EXPECT_EQ(texts_in("a\xc2\x85"
                     "b\tx\n",
                     {.label = "last"}),
            (Texts{"a\xc2\x85"
                   "b"}))
      << "NEL is no line end";
}

TEST(TextFile, NamesLinesThatAreNone) {
  const auto fault = [](std::string_view content, const TextFileOptions& options) -> std::string {
    try {
      (void)parse_text_file("FILE", content, options);
    } catch (const FormatError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(fault("a\n\nb\xe4\n", {.label = "none"}).find("line 3, byte 2: 0xE4 is no UTF-8"), std::string::npos);
  EXPECT_NE(fault("1 a\nb\n", {.label = "first"}).find("line 2: has no blank"), std::string::npos);
  EXPECT_NE(fault("a b\nc d\ne f\n", {}).find("label=none"), std::string::npos);
  EXPECT_NE(fault("\n", {}).find("no text"), std::string::npos);
  EXPECT_NE(fault("\xff\xfe", {}).find("UTF-16"), std::string::npos);
  EXPECT_NE(fault("a,b\n1\n", {.column = "a"}).find("line 2: has 1 fields"), std::string::npos);
  EXPECT_NE(fault("a,b\n1,2\n", {.column = "c"}).find("no column 'c'; there are a, b"), std::string::npos);
}

TEST(Text, ReadsTables) {
  const TemporaryFolder folder;
  folder.write("a.csv",
               std::string("id,review,stars\n1,\"good, \"\"really\"\"\nfilm\",5\n2,bad,1\n3,good,5\n4,bad bad,1\n"));
  const TrainTest parts = load(
      "text:" + (folder / "a.csv") + "?text=review&label=stars&split=train&test_fraction=0&encode=bag", Device::cpu());
  EXPECT_EQ(labels_of(parts.train), (Tokens{1, 0, 1, 0}));
  EXPECT_EQ(parts.train.class_names, (Texts{"1", "5"}));
  const TrainTest real = load(
      "text:" + (folder / "a.csv") + "?text=review&label=stars&target=real&split=train&test_fraction=0", Device::cpu());
  EXPECT_EQ(real.train.targets.to_vector<float>(), (std::vector<float>{5, 1, 5, 1}));
  EXPECT_FALSE(load("text:" + (folder / "a.csv") + "?text=review", Device::cpu()).train.has_targets());
}

TEST(Text, AnEmptyLabelIsTold) {
  const TemporaryFolder folder;
  const std::string table = folder.write("t.csv", "note,kind\ngood,a\nbad,\nso so,b\n");
  EXPECT_NE(fault_of("text:" + table + "?text=note&label=kind").find("line 3: the label is empty"), std::string::npos);
  const std::string texts = folder.write("t.txt", "good\nbad\nso so\n"), labels = folder.write("l.txt", "a\n\nb\n");
  EXPECT_NE(fault_of("text:" + texts + "," + labels).find("line 2: the label is empty"), std::string::npos);
}

TEST(Text, ReadsTheTestFileAsTheTrainingFile) {
  const TemporaryFolder folder;
  folder.write("train.txt", std::string("0 how ?\n1 who is he\n0 how so ?\n1 where\n"));
  folder.write("test.txt", std::string("1 who ?\n0 how ?\n1 why ?\n"));
  const TrainTest parts = load("text:" + (folder / "train.txt") + "?test=" + (folder / "test.txt"), Device::cpu());
  EXPECT_EQ(labels_of(parts.test), (Tokens{1, 0, 1})) << "its last words are all the same, which are no labels";
}

TEST(Text, ReadsTwoFiles) {
  const TemporaryFolder folder;
  folder.write("texts.txt.gz", test::gzip("a b\n\nc\nd\n"));
  folder.write("labels.txt", std::string("x\ny\nx\ny\n"));
  folder.write("few.txt", std::string("x\n"));
  const std::string spec = "text:" + (folder / "texts.txt.gz") + "," + (folder / "labels.txt");
  const TrainTest parts = load(spec + "?split=train&test_fraction=0", Device::cpu());
  EXPECT_EQ(labels_of(parts.train), (Tokens{0, 1, 0, 1}));
  EXPECT_EQ(parts.train.inputs.shape(), (Shape{4, 2}));
  EXPECT_EQ(tokens_of(parts.train), (Tokens{1, 2, -1, -1, 3, -1, 4, -1})) << "a blank line is an empty text";
  EXPECT_NE(fault_of("text:" + (folder / "texts.txt.gz") + "," + (folder / "few.txt")).find("has 1 labels"),
            std::string::npos);
}

TEST(Text, FitsToTheTrainingPartAlone) {
  const TemporaryFolder folder;
  folder.write("train.txt", std::string("1 good good film\n0 bad film\n1 good\n"));
  folder.write("test.txt", std::string("0 unseen film and more and more\n"));
  const std::string spec = "text:" + (folder / "train.txt") + "?test=" + (folder / "test.txt");
  const TrainTest tokens = load(spec, Device::cpu());
  EXPECT_EQ(tokens.train.vocabulary, 4) << "unknown, good, film, bad";
  EXPECT_EQ(tokens.train.inputs.shape(), (Shape{3, 3}));
  EXPECT_EQ(tokens_of(tokens.train), (Tokens{1, 1, 2, 3, 2, -1, 1, -1, -1}));
  EXPECT_EQ(tokens_of(tokens.test), (Tokens{0, 2, 0}));
  tokens.train.validate(true);
  EXPECT_EQ(tokens.test.fitted.text, tokens.train.fitted.text);
  const TrainTest bag = load(spec + "&encode=bag", Device::cpu());
  EXPECT_EQ(bag.test.inputs.to_vector<float>(), (std::vector<float>{0, 1, 0}));
  const std::vector<float> tfidf = load(spec + "&encode=tfidf", Device::cpu()).train.inputs.to_vector<float>();
  const double good = 2 * (std::log(4.0 / 3) + 1), film = std::log(4.0 / 3) + 1, norm = std::hypot(good, film);
  EXPECT_NEAR(tfidf[0], good / norm, 1e-6);
  EXPECT_NEAR(tfidf[1], film / norm, 1e-6);
  EXPECT_EQ(tfidf[2], 0);
}

/// Golden values of scikit-learn 1.9's TfidfVectorizer(ngram_range=(1, 2)), columns by frequency and then by name.
TEST(Text, TfidfIsThatOfScikitLearn) {
  const Texts train = {"good film and good story", "dull film", "moving story and dull ending", "good good good"};
  const Texts test = {"good ending and dull unseen film", "unseen", "story film story film"};
  const auto encoder = TextEncoder::fit({.encoding = TextEncoding::tfidf, .words = {.ngrams = 2}}, train);
  const std::vector<float> film = {0.54564456F, 0.27282228F, 0, 0.27282228F, 0, 0.27282228F,
                                   0,           0.34604047F, 0, 0,           0, 0.34604047F,
                                   0.34604047F, 0.34604047F, 0, 0,           0};
  const std::vector<float> unseen = {0.37222485F, 0.37222485F, 0.37222485F, 0.37222485F, 0, 0, 0.47212003F, 0, 0,
                                     0,           0.47212003F, 0,           0,           0, 0, 0,           0};
  ASSERT_EQ(encoder->width(), 17);
  const std::vector<float> fitted = encoder->encode(train, Device::cpu()).to_vector<float>();
  const std::vector<float> found = encoder->encode(test, Device::cpu()).to_vector<float>();
  for (std::size_t i = 0; i < 17; ++i) {
    EXPECT_NEAR(fitted[i], film[i], 1e-7) << i;
    EXPECT_NEAR(fitted[3 * 17 + i], i == 0 ? 0.76360151 : i == 4 ? 0.64568780 : 0, 1e-7) << i;
    EXPECT_NEAR(found[i], unseen[i], 1e-7) << i;
    EXPECT_EQ(found[17 + i], 0) << "no word is known";
    EXPECT_NEAR(found[2 * 17 + i], i == 3 || i == 5 ? std::sqrt(0.5) : 0, 1e-7) << i;
  }
}

TEST(Text, ReadsWithAnEncoderThatWasFittedBefore) {
  const TemporaryFolder folder;
  folder.write("train.txt", std::string("1 good film\n0 bad film\n1 good\n"));
  folder.write("other.txt", std::string("film good\nbad film\n"));
  for (const char* encode : {"tokens", "bag", "tfidf"}) {
    const TrainTest train = load(
        "text:" + (folder / "train.txt") + "?split=train&test_fraction=0&ngrams=2&encode=" + encode, Device::cpu());
    const auto again = TextEncoder::parse("FILE", train.train.fitted.text->to_text());
    EXPECT_EQ(again->to_text(), train.train.fitted.text->to_text());
    const TrainTest same = load("text:" + (folder / "train.txt") + "?split=train&test_fraction=0&encode=bag&words=1",
                                Device::cpu(), {.text = again});
    EXPECT_EQ(same.train.input_hash(), train.train.input_hash()) << encode;
    EXPECT_NE(same.notes.back().find("not used: encode=, words="), std::string::npos);
    const TrainTest other = load("text:" + (folder / "other.txt") + "?label=none", Device::cpu(), {.text = again});
    EXPECT_EQ(other.train.sample_shape(), train.train.sample_shape());
  }
  EXPECT_THROW((void)TextEncoder::parse("FILE", "{}"), FormatError);
  EXPECT_THROW((void)TextEncoder::parse("FILE", R"({"version": 1, "encode": "glove", "length": 0, "format": "words",
    "tokenizer": "rtl words 1 lower 1\na\n", "columns": 3, "vectors": [1]})"),
               FormatError);
}

TEST(Text, TakesMeansOfWordVectors) {
  const TemporaryFolder folder;
  folder.write("glove.txt", std::string("good 1 2\nfilm 3 -4\n"));
  folder.write("data.txt", std::string("1 Good film\n0 unknown\n1 good, good film\n"));
  const std::string spec =
      "text:" + (folder / "data.txt") + "?split=train&test_fraction=0&vectors=" + (folder / "glove.txt");
  const TrainTest parts = load(spec, Device::cpu());
  EXPECT_EQ(parts.train.inputs.to_vector<float>(),
            (std::vector<float>{2, -1, 0, 0, static_cast<float>(5.0 / 3), static_cast<float>(0)}));
  folder.write("glove.txt", std::string("good 1 2\nfilm 3\n"));
  EXPECT_NE(fault_of(spec).find("line 2: a vector of 1 numbers"), std::string::npos);
  folder.write("glove.txt", std::string("good 1 nan\n"));
  EXPECT_NE(fault_of(spec).find("line 1"), std::string::npos);
}

TEST(Text, ValidatesTokens) {
  Dataset dataset{Tensor::from(Tokens{0, 1, 1, -1}, {2, 2}, Device::cpu()),
                  Tensor::from(Tokens{0, 1}, {2}, Device::cpu()),
                  2,
                  {},
                  "d"};
  EXPECT_THROW(dataset.check(), ValueError) << "the vocabulary is not set";
  dataset.vocabulary = 2;
  dataset.validate(true);
  EXPECT_EQ(dataset.subset(std::vector<std::int64_t>{1}).vocabulary, 2);
  EXPECT_NE(dataset.input_hash(), dataset.subset(std::vector<std::int64_t>{1, 0}).input_hash());
  dataset.vocabulary = 1;
  EXPECT_THROW(dataset.validate(true), ValueError);
  dataset.vocabulary = 2;
  dataset.inputs = Tensor::from(Tokens{-1, 1, 1, 0}, {2, 2}, Device::cpu());
  EXPECT_THROW(dataset.validate(true), ValueError);
  dataset.inputs = Tensor::from(Tokens{-2, -1, 1, 0}, {2, 2}, Device::cpu());
  EXPECT_THROW(dataset.validate(true), ValueError);
}

}  // namespace
}  // namespace rtl::data

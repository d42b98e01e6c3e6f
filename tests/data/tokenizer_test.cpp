// Tokenizers: against Hugging Face's on golden texts, by hand on small vocabularies, and hostile files.
#include "rtl/data/tokenizer.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/merge_pairs.hpp"
#include "data/tokenizers.hpp"
#include "data/unicode.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "support/paths.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"

namespace rtl::data {
namespace {

using Tokens = std::vector<std::int32_t>;
using Words = std::vector<std::string>;

std::string golden(const std::string& name) { return test::source_folder() + "/tests/golden/text/" + name; }

void expect_cases(const std::string& file, const std::string& cases) {
  const auto tokenizer = read_tokenizer(golden(file));
  std::ifstream in(golden(cases));
  const auto all = nlohmann::json::parse(in);
  ASSERT_GT(all.size(), 50u);
  for (const auto& one : all) {
    const auto text = one[0].get<std::string>();
    EXPECT_EQ(tokenizer->encode(text), one[1].get<Tokens>()) << text;
  }
}

TEST(Tokenizer, IsThatOfHuggingFace) {
  expect_cases("word_pieces.json", "word_pieces.cases.json");
  expect_cases("byte_pairs.json", "byte_pairs.cases.json");
}

TEST(Tokenizer, ReadsTheVocabularyOfBert) {
  expect_cases("vocab.txt", "word_pieces.cases.json");
  const auto tokenizer = read_tokenizer(golden("vocab.txt"));
  EXPECT_EQ(tokenizer->vocabulary(), read_tokenizer(golden("word_pieces.json"))->vocabulary());
  EXPECT_EQ(tokenizer->added(), 2);
  const Tokens whole = tokenizer->encode("the quick brown fox");
  Tokens cut = tokenizer->encode("the quick brown fox", 4);
  ASSERT_EQ(cut.size(), 4u);
  EXPECT_EQ(cut.front(), whole.front());
  EXPECT_EQ(cut.back(), whole.back()) << "[SEP] stays";
  EXPECT_EQ(tokenizer->encode("the", 1).size(), 1u);
}

TEST(Tokenizer, OfItsOwnContentIsItself) {
  for (const char* file : {"word_pieces.json", "byte_pairs.json", "vocab.txt"}) {
    const auto first = read_tokenizer(golden(file));
    const auto second = parse_tokenizer(first->format(), first->content(), "again");
    EXPECT_EQ(second->vocabulary(), first->vocabulary());
    EXPECT_EQ(second->encode("Zoë's naïve façade"), first->encode("Zoë's naïve façade"));
  }
}

/// Pieces a, b, c, then merged ones; the best score goes first.
constexpr const char* scored =
    "id\tscore\tpiece_json\n0\t0\t\"<unk>\"\n1\t0\t\"<s>\"\n2\t0\t\"</s>\"\n3\t0\t\"<0xC3>\"\n4\t0\t\"<0xA9>\"\n"
    "5\t-1\t\"ab\"\n6\t-2\t\"bc\"\n7\t-3\t\"\xe2\x96\x81\"\n8\t-4\t\"a\"\n9\t-5\t\"b\"\n10\t-6\t\"c\"\n"
    "11\t-7\t\"abc\"\n12\t-8\t\"\xe2\x96\x81"
    "abc\"\n";

TEST(Tokenizer, MergesScoredPieces) {
  const auto tokenizer = parse_tokenizer("scored pieces", scored, "pieces");
  EXPECT_EQ(tokenizer->vocabulary(), 13);
  EXPECT_EQ(tokenizer->encode("abc"), (Tokens{1, 12}));
  EXPECT_EQ(tokenizer->encode("bc a"), (Tokens{1, 7, 6, 7, 8}));
  EXPECT_EQ(tokenizer->encode("\xc3\xa9"), (Tokens{1, 7, 3, 4})) << "bytes of what is no piece";
  EXPECT_EQ(tokenizer->encode(""), (Tokens{1}));
  EXPECT_EQ(tokenizer->encode("x"), (Tokens{1, 7, 0})) << "a byte without a piece is unknown";
}

/// The same by looking at all pairs again and again.
Tokens merged_slowly(Tokens tokens, const std::map<std::pair<std::int32_t, std::int32_t>, Merge>& merges) {
  while (true) {
    std::size_t best = tokens.size();
    Merge chosen{1e300, 0};
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto found = merges.find({tokens[i], tokens[i + 1]});
      if (found == merges.end() || found->second.order >= chosen.order) continue;
      chosen = found->second;
      best = i;
    }
    if (best == tokens.size()) return tokens;
    tokens[best] = chosen.token;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Tokenizer, MergesPairsAsTheDefinitionSays) {
  RandomSequence random(test::seed(), 1);
  const auto below = [&](std::uint64_t bound) { return static_cast<std::int32_t>(random.below(bound)); };
  for (int round = 0; round < 200; ++round) {
    std::map<std::pair<std::int32_t, std::int32_t>, Merge> merges;
    for (std::int32_t rank = 0; rank < 20; ++rank) {
      merges.emplace(std::pair(below(6), below(6)), Merge{static_cast<double>(below(10)), below(12)});
    }
    Tokens tokens(static_cast<std::size_t>(below(40)));
    for (std::int32_t& token : tokens) token = below(6);
    Tokens fast = tokens;
    merge_pairs(fast, [&](std::int32_t left, std::int32_t right) -> std::optional<Merge> {
      const auto found = merges.find({left, right});
      return found == merges.end() ? std::nullopt : std::optional(found->second);
    });
    EXPECT_EQ(fast, merged_slowly(tokens, merges));
  }
}

TEST(Tokenizer, SplitsWords) {
  EXPECT_EQ(split_words("Don't  stop: it 's n't 3.5 \xc3\x9c"
                        "ber-gut!",
                        true),
            (Words{"don't", "stop", ":", "it", "'s", "n't", "3", ".", "5",
                   "\xc3\xbc"
                   "ber",
                   "-", "gut", "!"}));
  EXPECT_EQ(split_words("A\u2019b c'", false), (Words{"A'b", "c", "'"}));
  EXPECT_TRUE(split_words(" \t\n", true).empty());
}

TEST(Tokenizer, FitsWords) {
  const Words texts = {"the cat sat", "the cat ran", "The dog"};
  const auto words = fit_words(texts);
  EXPECT_EQ(words->vocabulary(), 6);
  EXPECT_EQ(words->encode("the cat flew"), (Tokens{1, 2, 0})) << "by frequency, 0 what is unknown";
  const auto pairs = fit_words(texts, {.ngrams = 2, .least_count = 2});
  EXPECT_EQ(pairs->vocabulary(), 4);
  EXPECT_EQ(pairs->encode("the cat sat"), (Tokens{1, 3, 2, 0})) << "cat and 'the cat' by their bytes, sat unknown";
  EXPECT_EQ(fit_words(texts, {.most_entries = 1})->vocabulary(), 2);
  EXPECT_EQ(fit_words(texts, {.lower_case = false})->vocabulary(), 7);
  EXPECT_THROW((void)fit_words(texts, {.ngrams = 3}), ValueError);
  EXPECT_THROW((void)fit_words(Words{"", " "}), ValueError);
}

TEST(Tokenizer, KnowsUnicode) {
  using namespace unicode;
  EXPECT_EQ(lower(U'Ä'), U'ä');
  EXPECT_EQ(lower(U'Я'), U'я');
  EXPECT_EQ(lower(U'Σ'), U'σ');
  EXPECT_EQ(lower(U'ß'), U'ß');
  std::u32string bare;
  for (const char32_t code : std::u32string(U"éÅ한\u0301ㄱ")) append_without_accents(bare, code);
  EXPECT_EQ(bare, U"eA\u1112\u1161\u11abㄱ");
  EXPECT_TRUE(is_punctuation(U'¿') && is_punctuation(U'。') && !is_punctuation(U'+'));
  EXPECT_TRUE(is_ideograph(U'中') && !is_ideograph(U'か'));
  EXPECT_TRUE(is_space(0xA0) && is_space(0x3000) && !is_space(0x200B));
  const std::string text = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80";
  EXPECT_EQ(encode(decode(text)), text);
  EXPECT_EQ(decode("\xff\xc3"), U"\uFFFD\uFFFD");
}

std::string fault_of(const std::string& format, const std::string& content) {
  try {
    (void)parse_tokenizer(format, content, "FILE");
  } catch (const FormatError& error) {
    return error.what();
  }
  return {};
}

void expect_fault(const std::string& format, const std::string& content, const std::string& wanted) {
  const std::string fault = fault_of(format, content);
  EXPECT_NE(fault.find(wanted), std::string::npos) << format << ": " << content << "\n" << fault;
  EXPECT_NE(fault.find("FILE"), std::string::npos) << fault;
}

TEST(Tokenizer, RefusesDamagedPieces) {
  const std::string head = "id\tscore\tpiece_json\n";
  expect_fault("scored pieces", head, "no piece 1");
  expect_fault("scored pieces", head + "0 0 a\n", "line 2");
  expect_fault("scored pieces", head + "1\t0\t\"a\"\n", "is not 0, the next");
  expect_fault("scored pieces", head + "0\tinf\t\"a\"\n", "score");
  expect_fault("scored pieces", head + "0\t0\ta\n", "no valid JSON");
  expect_fault("scored pieces", head + "0\t0\t\"a\"\n1\t0\t\"a\"\n", "twice");
  expect_fault("scored pieces", head + "0\t0\t\"" + std::string(5000, 'a') + "\"\n", "more than 1024");
  expect_fault("word pieces", "a\nb\n", "[UNK]");
  expect_fault("word pieces", "[UNK]\n[CLS]\n[SEP]\na\na\n", "line 5: the piece 'a' is there twice");
  expect_fault("word pieces", "[UNK]\n\xff\n", "line 2, byte 1: 0xFF is no UTF-8");
  expect_fault("words", "nothing\n", "first line");
  expect_fault("words", "rtl words 1 lower 1\na\n\n", "empty");
  expect_fault("nothing", "", "which there is not");
}

std::string json_with(const std::string& more, const std::string& model) {
  return R"({"model": )" + model + more + "}";
}

TEST(Tokenizer, RefusesWhatItDoesNotKnowOfTokenizerJson) {
  const std::string pieces = R"({"type": "WordPiece", "unk_token": "u", "vocab": {"u": 0, "a": 1}})";
  EXPECT_EQ(parse_tokenizer("json", json_with("", pieces), "f")->encode("a b"), (Tokens{0}));
  expect_fault("json", "[1]", "lacks");
  expect_fault("json", "{\"model\"", "no valid JSON");
  expect_fault("json", json_with("", R"({"type": "Unigram", "vocab": []})"), "'Unigram' is not supported");
  expect_fault("json", json_with("", R"({"type": "WordPiece", "vocab": {"a": 0}})"), "no unk_token");
  expect_fault("json", json_with("", R"({"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []})"), "two pieces");
  expect_fault("json", json_with("", R"({"type": "BPE", "vocab": {"a": -1}, "merges": []})"), "-1");
  expect_fault("json", json_with("", R"({"type": "BPE", "vocab": {"a": 1000000000}, "merges": []})"), "numbers up to");
  expect_fault("json", json_with("", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]})"), "'aa' is named");
  expect_fault("json", json_with("", R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]})"), "merge 0");
  expect_fault("json", json_with("", R"({"type": "BPE", "vocab": {"a": 0}, "merges": [], "byte_fallback": true})"),
               "byte_fallback");
  expect_fault("json", json_with(R"(, "normalizer": {"type": "Precompiled"})", pieces), "'Precompiled'");
  expect_fault("json", json_with(R"(, "pre_tokenizer": {"type": "Metaspace"})", pieces), "'Metaspace'");
  expect_fault("json", json_with(R"(, "post_processor": {"type": "Other"})", pieces), "'Other'");
  expect_fault("json", json_with(R"(, "added_tokens": [{"content": "", "id": 2}])", pieces), "empty");
  expect_fault("json", json_with(R"(, "added_tokens": [{"content": "a", "id": 2}])", pieces), "in the vocabulary");
  expect_fault(
      "json",
      json_with(R"(, "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]})",
                pieces),
      "'x' is named");
}

TEST(Tokenizer, NamesFilesThatAreNone) {
  const test::TemporaryFolder folder;
  folder.write("a.bin", std::string("x"));
  EXPECT_THROW((void)read_tokenizer(folder / "a.bin"), FormatError);
  EXPECT_THROW((void)read_tokenizer(folder / "missing.json"), IoError);
}

}  // namespace
}  // namespace rtl::data

// Tokenizers: text to numbers of a vocabulary. Those of pretrained models are read from their files, and a word-level
// one is fitted to texts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rtl::data {

/// How fit_words makes a vocabulary.
struct WordOptions {
  bool lower_case = true;
  std::int64_t ngrams = 1;         ///< 1: words; 2: also pairs of neighbouring words, "not good"
  std::int64_t least_count = 1;    ///< words and pairs that occur less often, in all texts, are unknown
  std::int64_t most_entries = -1;  ///< only so many are kept, the most frequent; -1: all
};

/// Immutable, so threads may share it. Texts are UTF-8; what is none is read as U+FFFD.
///
/// Of words: a word is a run of letters, numbers and marks of any script, with apostrophes in it or before it ("don't",
/// "'s"), and every other character but blanks is a token of its own. Token 0 stands for words that the vocabulary does
/// not have; pairs that it does not have are left out. An ideograph is a letter, so languages without blanks between
/// words need a tokenizer of pieces.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Numbers in [0, vocabulary()) with the tokens that the tokenizer puts in front and behind ("[CLS]", "[SEP]"; of
  /// scored pieces "<s>"), which stay where the text is cut: at most `most` tokens.
  std::vector<std::int32_t> encode(std::string_view text, std::int64_t most = INT64_MAX) const;
  std::int64_t vocabulary() const noexcept { return vocabulary_; }
  /// How many tokens encode() adds to those of the text.
  std::int64_t added() const noexcept { return static_cast<std::int64_t>(front_.size() + behind_.size()); }

  /// What parse_tokenizer takes to make an equal one: how the content is written ("words", "scored pieces", "word
  /// pieces", "json"), and the content, which is that of the file.
  const std::string& format() const noexcept { return format_; }
  const std::string& content() const noexcept { return content_; }

 protected:
  Tokenizer(std::string format, std::string content) : format_(std::move(format)), content_(std::move(content)) {}
  /// Of the text alone.
  virtual std::vector<std::int32_t> pieces(std::string_view text) const = 0;

  std::int64_t vocabulary_ = 0;
  std::vector<std::int32_t> front_, behind_;

 private:
  std::string format_, content_;
};

/// The words of a text, as a word-level tokenizer sees them.
std::vector<std::string> split_words(std::string_view text, bool lower_case);

/// A word-level tokenizer of the words, and with ngrams = 2 the pairs, that occur in the texts, by falling frequency,
/// equally frequent ones by their bytes. Throws ValueError for options out of range and where no word is left.
std::shared_ptr<const Tokenizer> fit_words(std::span<const std::string> texts, const WordOptions& options = {});

/// A tokenizer from a file, plain or .gz:
///
/// | file | what it is |
/// |---|---|
/// | .json | Hugging Face tokenizer.json: WordPiece (of BERT), or BPE of bytes (of GPT-2) |
/// | .tsv | pieces with scores, of the most of which pairs are merged first (llama2.c, SentencePiece's BPE) |
/// | .txt | WordPiece of BERT: a piece a line, [UNK], [CLS] and [SEP] among them |
///
/// Of .json the added tokens and the template of single texts are read, truncation and padding are not; other models,
/// normalizers and pre-tokenizers are refused by name. A .tsv has a head line, then number, score, and piece as a JSON
/// string; pieces <0x00>.. are bytes, and token 1 begins a text. A .txt whose pieces have no upper-case letter, but for
/// those in brackets, is for lower case without accents.
///
/// Throws IoError if it cannot be read; FormatError, naming file and place, for what is none of these, pieces that are
/// there twice, numbers that are not 0 .. n-1, and merges of pieces that there are not.
std::shared_ptr<const Tokenizer> read_tokenizer(const std::string& path);

/// The same of a content in memory, by Tokenizer::format; `file` is for errors.
std::shared_ptr<const Tokenizer> parse_tokenizer(const std::string& format, std::string content,
                                                 const std::string& file);

}  // namespace rtl::data

// Texts as inputs of networks: what turns them into tokens, word counts or mean word vectors, fitted to training texts
// alone and kept with the model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/sparse_rows.hpp"
#include "rtl/data/tokenizer.hpp"

namespace rtl::data {

enum class TextEncoding : std::uint8_t {
  tokens,  ///< i32 [N, length]: the numbers of its tokens, with -1 behind a sequence's last
  glove,   ///< f32 [N, width]: the mean of the vectors of those words that have one; zeros where none has
  bag,     ///< f32 [N, entries]: how often each entry of the vocabulary occurs
  tfidf,   ///< f32 [N, entries]: counts times ln((1 + N) / (1 + n)) + 1, N texts of which n have the entry, as a unit
           ///< vector
};
TextEncoding parse_text_encoding(const std::string& text);
std::string to_string(TextEncoding encoding);

struct TextEncoderOptions {
  TextEncoding encoding = TextEncoding::tokens;
  /// A file for read_tokenizer; empty: words, as `words` says.
  std::string tokenizer = {};
  /// Of glove: f32 [words, width] (.npy, plain or .gz), row i being the vector of line i of words.txt beside it; or
  /// text
  /// (.txt) in GloVe's format, "word number number ..".
  std::string vectors = {};
  /// Of tokens: sequences are cut there; 0: as long as the longest training text, but 256 at most.
  std::int64_t length = 0;
  /// Of the vocabulary that is fitted to the training texts. Of bag and tfidf at most 10,000 entries if not said.
  WordOptions words = {};
};

/// Immutable, so threads may share it.
class TextEncoder {
 public:
  /// Throws ValueError for no texts and options that do not go together; what read_tokenizer and fit_words throw; and
  /// FormatError for vectors that do not go with their words.
  static std::shared_ptr<const TextEncoder> fit(const TextEncoderOptions& options, std::span<const std::string> texts);

  TextEncoding encoding() const noexcept { return encoding_; }
  /// Of tokens, how many there are; of other encodings 0.
  std::int64_t vocabulary() const;
  /// Columns of what encode() gives.
  std::int64_t width() const;
  bool counts_words() const { return encoding_ == TextEncoding::bag || encoding_ == TextEncoding::tfidf; }
  /// "tokens of a vocabulary of 512, at most 64 of a text"
  std::string describe() const;

  /// Throws ValueError for a result of more than 4 GiB.
  Tensor encode(std::span<const std::string> texts, const Device& host) const;
  /// Of bag and tfidf the same without zeros, of any width. Throws ValueError for other encodings.
  SparseRows encode_sparse(std::span<const std::string> texts, const Device& host) const;

  /// JSON, UTF-8, that parse() makes an equal encoder of.
  std::string to_text() const;
  /// Throws FormatError, naming `file`, for what to_text() did not write.
  static std::shared_ptr<const TextEncoder> parse(const std::string& file, const std::string& text);

 private:
  TextEncoder() = default;
  void fit_length(std::span<const std::string> texts);
  void fit_idf(std::span<const std::string> texts);
  void add_counts(const std::string& text, std::vector<std::int32_t>& columns, std::vector<float>& values) const;
  void add_mean_vector(const std::string& text, std::span<float> row) const;

  TextEncoding encoding_ = TextEncoding::tokens;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::int64_t length_ = 0;
  std::vector<float> weights_;  ///< of entries: of tfidf
  std::vector<float> vectors_;  ///< [words, columns_]: of glove
  std::int64_t columns_ = 0;
};

/// The key under which the metadata of a model's file have the encoder of its texts.
inline constexpr const char* text_encoder_key = "rtl.text";

}  // namespace rtl::data

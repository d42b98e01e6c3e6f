#include "rtl/data/text_encoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/joined.hpp"
#include "data/word_vectors.hpp"
#include "io/json.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

constexpr std::pair<TextEncoding, const char*> names[] = {{TextEncoding::tokens, "tokens"},
                                                          {TextEncoding::glove, "glove"},
                                                          {TextEncoding::bag, "bag"},
                                                          {TextEncoding::tfidf, "tfidf"}};
constexpr std::int64_t most_entries = 10000;   // of bag and tfidf, unless said
constexpr std::int64_t longest_default = 256;  // tokens
constexpr std::int64_t longest_sequence = 1 << 16;
constexpr std::int64_t most_bytes = std::int64_t{4} << 30;

void check(const TextEncoderOptions& options, std::size_t texts) {
  const auto fail = [](const std::string& fault) { throw ValueError("texts: " + fault); };
  if (texts == 0) fail("there are none to fit a vocabulary to");
  if (options.length < 0 || options.length > longest_sequence)
    fail(fmt::format("a length of {} tokens", options.length));
  if (options.encoding == TextEncoding::glove && options.vectors.empty()) {
    fail("encode=glove needs the vectors of words: vectors=FILE");
  }
  if (options.encoding != TextEncoding::glove && !options.vectors.empty()) fail("vectors= are for encode=glove");
  if (options.encoding != TextEncoding::tokens && !options.tokenizer.empty()) fail("tokenizer= is for encode=tokens");
}

std::vector<float> floats(const io::Json& list) {
  std::vector<float> values;
  for (const io::Json& value : list) values.push_back(value.get<float>());
  return values;
}

}  // namespace

TextEncoding parse_text_encoding(const std::string& text) {
  std::vector<std::string> known;
  for (const auto& [encoding, name] : names) {
    if (text == name) return encoding;
    known.emplace_back(name);
  }
  throw ValueError(fmt::format("there is no encoding '{}' of texts; there are {}", text, joined(known, ", ")));
}

std::string to_string(TextEncoding encoding) {
  for (const auto& [known, name] : names) {
    if (known == encoding) return name;
  }
  return {};
}

std::shared_ptr<const TextEncoder> TextEncoder::fit(const TextEncoderOptions& options,
                                                    std::span<const std::string> texts) {
  check(options, texts.size());
  std::shared_ptr<TextEncoder> made(new TextEncoder);
  made->encoding_ = options.encoding;
  if (options.encoding == TextEncoding::glove) {
    WordVectors read = read_word_vectors(options.vectors);
    made->tokenizer_ = std::move(read.words);
    made->vectors_ = std::move(read.values);
    made->columns_ = read.columns;
    return made;
  }
  WordOptions words = options.words;
  if (made->counts_words() && words.most_entries < 0) words.most_entries = most_entries;
  made->tokenizer_ = options.tokenizer.empty() ? fit_words(texts, words) : read_tokenizer(options.tokenizer);
  made->length_ = options.length;
  if (options.encoding == TextEncoding::tokens && options.length == 0) made->fit_length(texts);
  if (options.encoding == TextEncoding::tfidf) made->fit_idf(texts);
  return made;
}

void TextEncoder::fit_length(std::span<const std::string> texts) {
  length_ = 1;
  for (const std::string& text : texts) {
    length_ = std::max(length_, static_cast<std::int64_t>(tokenizer_->encode(text, longest_default).size()));
  }
}

void TextEncoder::fit_idf(std::span<const std::string> texts) {
  std::vector<double> having(static_cast<std::size_t>(width()));
  for (const std::string& text : texts) {
    std::vector<std::int32_t> tokens = tokenizer_->encode(text);
    std::sort(tokens.begin(), tokens.end());
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (const std::int32_t token : tokens) {
      if (token > 0) having[static_cast<std::size_t>(token - 1)] += 1;
    }
  }
  for (const double count : having) {
    weights_.push_back(static_cast<float>(std::log((1 + static_cast<double>(texts.size())) / (1 + count)) + 1));
  }
}

std::int64_t TextEncoder::vocabulary() const {
  return encoding_ == TextEncoding::tokens ? tokenizer_->vocabulary() : 0;
}

std::int64_t TextEncoder::width() const {
  if (encoding_ == TextEncoding::tokens) return length_;
  return encoding_ == TextEncoding::glove ? columns_ : tokenizer_->vocabulary() - 1;  // 0 is no entry
}

std::string TextEncoder::describe() const {
  switch (encoding_) {
    case TextEncoding::tokens:
      return fmt::format("tokens of a vocabulary of {}, at most {} of a text", vocabulary(), length_);
    case TextEncoding::glove:
      return fmt::format("mean vectors of {} numbers, of {} words", columns_, tokenizer_->vocabulary() - 1);
    case TextEncoding::bag:
      return fmt::format("counts of {} words", width());
    case TextEncoding::tfidf:
      return fmt::format("TF-IDF of {} words", width());
  }
  return {};
}

Tensor TextEncoder::encode(std::span<const std::string> texts, const Device& host) const {
  const auto rows = static_cast<std::int64_t>(texts.size());
  if (rows > 0 && width() > most_bytes / static_cast<std::int64_t>(sizeof(float)) / rows) {
    throw ValueError(fmt::format("{} texts of {} columns take more than {} GiB; words=N keeps the N most frequent{}",
                                 rows, width(), most_bytes >> 30,
                                 counts_words() ? ", and sparse=yes keeps what is not zero" : ""));
  }
  if (counts_words()) return encode_sparse(texts, host).dense("TextEncoder: makes");
  const auto columns = static_cast<std::size_t>(width());
  if (encoding_ == TextEncoding::tokens) {
    std::vector<std::int32_t> values(texts.size() * columns, -1);
    for (std::size_t row = 0; row < texts.size(); ++row) {
      const std::vector<std::int32_t> tokens = tokenizer_->encode(texts[row], length_);
      std::copy(tokens.begin(), tokens.end(), values.begin() + static_cast<std::ptrdiff_t>(row * columns));
    }
    return Tensor::from(values, {rows, width()}, host);
  }
  Tensor encoded = Tensor::zeros({rows, width()}, DType::f32, host);
  float* const values = encoded.data_as<float>();
  for (std::size_t row = 0; row < texts.size(); ++row) {
    add_mean_vector(texts[row], std::span<float>(values + row * columns, columns));
  }
  return encoded;
}

SparseRows TextEncoder::encode_sparse(std::span<const std::string> texts, const Device& host) const {
  if (!counts_words()) {
    throw ValueError(fmt::format("texts: {} are not sparse; bag and tfidf are", to_string(encoding_)));
  }
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> values;
  for (const std::string& text : texts) {
    add_counts(text, columns, values);
    offsets.push_back(static_cast<std::int64_t>(values.size()));
  }
  return {width(), offsets, columns, values, host};
}

/// Adds the entries of a text, their columns ascending.
void TextEncoder::add_counts(const std::string& text, std::vector<std::int32_t>& columns,
                             std::vector<float>& values) const {
  std::vector<std::int32_t> tokens = tokenizer_->encode(text);
  std::sort(tokens.begin(), tokens.end());
  const std::size_t begin = columns.size();
  for (const std::int32_t token : tokens) {
    if (token <= 0) continue;
    if (columns.size() > begin && columns.back() == token - 1) {
      values.back() += 1;
    } else {
      columns.push_back(token - 1);
      values.push_back(1);
    }
  }
  if (weights_.empty()) return;
  double squares = 0;
  for (std::size_t i = begin; i < values.size(); ++i) {
    values[i] *= weights_[static_cast<std::size_t>(columns[i])];
    squares += static_cast<double>(values[i]) * values[i];
  }
  if (squares == 0) return;
  for (std::size_t i = begin; i < values.size(); ++i) values[i] = static_cast<float>(values[i] / std::sqrt(squares));
}

void TextEncoder::add_mean_vector(const std::string& text, std::span<float> row) const {
  std::vector<double> sums(row.size());
  std::size_t known = 0;
  for (const std::int32_t token : tokenizer_->encode(text)) {
    if (token == 0) continue;
    ++known;
    const float* const vector = vectors_.data() + static_cast<std::size_t>(token - 1) * row.size();
    for (std::size_t i = 0; i < row.size(); ++i) sums[i] += vector[i];
  }
  for (std::size_t i = 0; known > 0 && i < row.size(); ++i)
    row[i] = static_cast<float>(sums[i] / static_cast<double>(known));
}

std::string TextEncoder::to_text() const {
  io::Json json = {{"version", 1},
                   {"encode", to_string(encoding_)},
                   {"length", length_},
                   {"format", tokenizer_->format()},
                   {"tokenizer", tokenizer_->content()}};
  if (!weights_.empty()) json["weights"] = weights_;
  if (columns_ > 0) json["columns"] = columns_;
  if (!vectors_.empty()) json["vectors"] = vectors_;
  return json.dump();
}

std::shared_ptr<const TextEncoder> TextEncoder::parse(const std::string& file, const std::string& text) {
  const auto fail = [&](const std::string& fault) {
    throw FormatError(file, fmt::format("the encoder of texts ({}): {}", text_encoder_key, fault));
  };
  const io::Json json = io::parse_json(file, text, "the encoder of texts");
  return io::decode_json(file, [&] {
    if (json.at("version").get<int>() != 1) fail("is of another version of rtl");
    std::shared_ptr<TextEncoder> made(new TextEncoder);
    try {
      made->encoding_ = parse_text_encoding(json.at("encode").get<std::string>());
    } catch (const ValueError& error) {
      fail(error.what());
    }
    made->tokenizer_ =
        parse_tokenizer(json.at("format").get<std::string>(), json.at("tokenizer").get<std::string>(), file);
    made->length_ = json.at("length").get<std::int64_t>();
    if (json.contains("weights")) made->weights_ = floats(json["weights"]);
    if (json.contains("columns")) made->columns_ = json["columns"].get<std::int64_t>();
    if (json.contains("vectors")) made->vectors_ = floats(json["vectors"]);
    const bool glove = made->encoding_ == TextEncoding::glove;
    const bool cut = made->encoding_ == TextEncoding::tokens;
    if (cut && (made->length_ < 1 || made->length_ > longest_sequence)) fail("has no length");
    if (glove && (made->columns_ < 1 || made->columns_ > longest_sequence)) fail("has vectors of no size");
    const auto entries = static_cast<std::size_t>(made->tokenizer_->vocabulary() - 1);
    if (entries == 0 && !cut) fail("has no words");
    if (made->vectors_.size() != (glove ? entries * static_cast<std::size_t>(made->columns_) : 0) ||
        made->weights_.size() != (made->encoding_ == TextEncoding::tfidf ? entries : 0)) {
      fail("has numbers for other words than it has");
    }
    return std::shared_ptr<const TextEncoder>(made);
  });
}

}  // namespace rtl::data

// The word-level tokenizer.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "data/tokenizers.hpp"
#include "data/unicode.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

using Words = std::vector<std::string>;

bool is_word(char32_t code) {
  return unicode::is_letter(code) || unicode::is_number(code) || unicode::is_mark(code) || code == '_';
}

bool is_apostrophe(char32_t code) { return code == '\'' || code == 0x2019; }

class WordTokenizer final : public Tokenizer {
 public:
  /// The head line, then an entry a line.
  WordTokenizer(std::string content, bool lower_case, std::int64_t ngrams, const std::string& file)
      : Tokenizer(tokenizers::words, std::move(content)), lower_case_(lower_case), ngrams_(ngrams) {
    std::string_view rest = this->content(), line;
    tokenizers::take_line(rest, line);
    std::int32_t number = 1;
    for (; tokenizers::take_line(rest, line); ++number) {
      if (!index_.emplace(line, number).second || line.empty()) {
        throw FormatError(file,
                          fmt::format("word {}: '{}' is {}", number, line, line.empty() ? "empty" : "there twice"));
      }
    }
    vocabulary_ = number;
  }

 private:
  std::vector<std::int32_t> pieces(std::string_view text) const override {
    std::vector<std::int32_t> tokens;
    const Words words = split_words(text, lower_case_);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const auto found = index_.find(words[i]);
      tokens.push_back(found == index_.end() ? 0 : found->second);
      if (ngrams_ < 2 || i + 1 == words.size()) continue;
      const auto pair = index_.find(words[i] + " " + words[i + 1]);
      if (pair != index_.end()) tokens.push_back(pair->second);
    }
    return tokens;
  }

  bool lower_case_;
  std::int64_t ngrams_;
  std::unordered_map<std::string, std::int32_t> index_;
};

constexpr std::string_view head = "rtl words 1";

}  // namespace

std::vector<std::string> split_words(std::string_view text, bool lower_case) {
  Words words;
  const std::u32string codes = unicode::decode(text);
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const char32_t code = lower_case ? unicode::lower(codes[i]) : codes[i];
    const bool before_word = i + 1 < codes.size() && is_word(codes[i + 1]);
    if (is_word(code) || (is_apostrophe(code) && before_word)) {
      unicode::append_utf8(word, is_apostrophe(code) ? U'\'' : code);
      continue;
    }
    end_word();
    if (unicode::is_space(code) || unicode::is_control(code)) continue;
    unicode::append_utf8(word, code);
    end_word();
  }
  end_word();
  return words;
}

std::shared_ptr<const Tokenizer> fit_words(std::span<const std::string> texts, const WordOptions& options) {
  if (options.ngrams < 1 || options.ngrams > 2 || options.least_count < 1 || options.most_entries == 0) {
    throw ValueError(
        fmt::format("fit_words: ngrams {}, least_count {}, most_entries {}; ngrams are 1 or 2, and the "
                    "others are positive",
                    options.ngrams, options.least_count, options.most_entries));
  }
  std::unordered_map<std::string, std::int64_t> counts;
  for (const std::string& text : texts) {
    const Words words = split_words(text, options.lower_case);
    for (std::size_t i = 0; i < words.size(); ++i) {
      ++counts[words[i]];
      if (options.ngrams > 1 && i + 1 < words.size()) ++counts[words[i] + " " + words[i + 1]];
    }
  }
  std::vector<std::pair<std::string, std::int64_t>> entries;
  for (const auto& [word, count] : counts) {
    if (count >= options.least_count) entries.emplace_back(word, count);
  }
  if (entries.empty()) {
    throw ValueError(fmt::format("{} texts have no word that occurs {} times", texts.size(), options.least_count));
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (options.most_entries > 0 && std::cmp_greater(entries.size(), options.most_entries)) {
    entries.resize(static_cast<std::size_t>(options.most_entries));
  }
  std::string content = fmt::format("{} {} {}\n", head, options.lower_case ? "lower" : "cased", options.ngrams);
  for (const auto& [word, count] : entries) content += word + "\n";
  return tokenizers::parse_words(std::move(content), "the fitted vocabulary");
}

std::shared_ptr<const Tokenizer> tokenizers::parse_words(std::string content, const std::string& file) {
  unicode::check_utf8(file, content);
  std::string_view rest = content, line;
  take_line(rest, line);
  for (const bool lower_case : {true, false}) {
    for (const std::int64_t ngrams : {1, 2}) {
      if (line != fmt::format("{} {} {}", head, lower_case ? "lower" : "cased", ngrams)) continue;
      return std::make_shared<WordTokenizer>(std::move(content), lower_case, ngrams, file);
    }
  }
  throw FormatError(file, fmt::format("its first line is not '{} lower|cased 1|2'", head));
}

}  // namespace rtl::data

#include "data/piece_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "data/merge_pairs.hpp"
#include "data/unicode.hpp"

namespace rtl::data {
namespace {

std::u32string normalised(std::u32string_view codes, const TextNormalization& options) {
  std::u32string result;
  result.reserve(codes.size());
  for (char32_t code : codes) {
    if (options.clean) {
      const bool control = unicode::is_control(code) && code != '\t' && code != '\n' && code != '\r';
      if (code == 0 || code == 0xFFFD || control) continue;
      const bool blank = unicode::is_space(code);
      if (blank) code = ' ';
    }
    const bool parted = options.part_ideographs && unicode::is_ideograph(code);
    if (parted) result.push_back(' ');
    if (options.lower_case && !options.strip_accents) {
      result.push_back(unicode::lower(code));
    } else if (options.strip_accents) {
      const std::size_t begin = result.size();
      unicode::append_without_accents(result, code);
      for (std::size_t i = begin; options.lower_case && i < result.size(); ++i) result[i] = unicode::lower(result[i]);
    } else {
      result.push_back(code);
    }
    if (parted) result.push_back(' ');
  }
  return result;
}

/// ASCII symbols too, as BERT has it.
bool is_bert_punctuation(char32_t code) {
  const bool symbol = (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
                      (code >= 123 && code <= 126);
  return symbol || unicode::is_punctuation(code);
}

using Views = std::vector<std::u32string_view>;

Views parted_at_blanks(std::u32string_view text, bool part_punctuation) {
  Views words;
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (unicode::is_space(text[i])) {
      end_word(i);
      begin = i + 1;
    } else if (part_punctuation && is_bert_punctuation(text[i])) {
      end_word(i);
      end_word(i + 1);
    }
  }
  end_word(text.size());
  return words;
}

bool is_other(char32_t code) {
  return !unicode::is_space(code) && !unicode::is_letter(code) && !unicode::is_number(code);
}

/// Length of "'s", "'t", "'re", "'ve", "'m", "'ll" or "'d" in front; 0 if there is none.
std::size_t contraction(std::u32string_view text) {
  for (const std::u32string_view known : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
    if (text.starts_with(known)) return known.size();
  }
  return 0;
}

/// Length of the word in front of a text that is not empty: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
/// ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ (Radford et al. 2019).
std::size_t byte_level_word(std::u32string_view text) {
  if (const std::size_t length = contraction(text)) return length;
  const auto run = [&](std::size_t begin, bool (*belongs)(char32_t)) {
    std::size_t end = begin;
    while (end < text.size() && belongs(text[end])) ++end;
    return end;
  };
  const std::size_t begin = text[0] == ' ' ? 1 : 0;
  for (const auto belongs : {unicode::is_letter, unicode::is_number, is_other}) {
    if (const std::size_t end = run(begin, belongs); end > begin) return end;
  }
  const std::size_t blanks = run(0, unicode::is_space);
  return blanks == text.size() || blanks == 1 ? blanks : blanks - 1;
}

/// The printable character that stands for each byte.
const std::array<std::string, 256>& byte_characters() {
  static const std::array<std::string, 256> characters = [] {
    std::array<std::string, 256> made;
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      unicode::append_utf8(made[byte], printable ? byte : next++);
    }
    return made;
  }();
  return characters;
}

class WordPieceModel final : public PieceModel {
 public:
  WordPieceModel(PieceIndex index, std::string prefix, std::int32_t unknown, std::int64_t longest)
      : index_(std::move(index)), prefix_(std::move(prefix)), unknown_(unknown), longest_(longest) {
    for (const auto& [piece, token] : index_) longest_piece_ = std::max(longest_piece_, piece.size());
  }

  void append(const std::string& word, std::vector<std::int32_t>& tokens) const override {
    const std::size_t before = tokens.size();
    const auto is_begin = [&](std::size_t at) { return (static_cast<unsigned char>(word[at]) & 0xC0) != 0x80; };
    std::int64_t characters = 0;
    for (std::size_t i = 0; i < word.size(); ++i) characters += is_begin(i) ? 1 : 0;
    bool known = characters <= longest_;
    for (std::size_t begin = 0; known && begin < word.size();) {
      std::size_t end = std::min(word.size(), begin + longest_piece_);
      std::string piece;
      while (end > begin) {
        piece = (begin > 0 ? prefix_ : std::string()) + word.substr(begin, end - begin);
        if ((end == word.size() || is_begin(end)) && index_.contains(piece)) break;
        --end;
      }
      known = end > begin;
      if (known) tokens.push_back(index_.at(piece));
      begin = end;
    }
    if (known) return;
    tokens.resize(before);
    tokens.push_back(unknown_);
  }

 private:
  PieceIndex index_;
  std::string prefix_;
  std::int32_t unknown_;
  std::int64_t longest_;
  std::size_t longest_piece_ = 0;
};

class BytePairModel final : public PieceModel {
 public:
  BytePairModel(PieceIndex index, MergeTable merges, std::int32_t unknown, bool whole_words)
      : index_(std::move(index)), merges_(std::move(merges)), unknown_(unknown), whole_words_(whole_words) {}

  void append(const std::string& word, std::vector<std::int32_t>& tokens) const override {
    if (const auto found = index_.find(word); whole_words_ && found != index_.end()) {
      tokens.push_back(found->second);
      return;
    }
    std::vector<std::int32_t> pieces;
    for (const char32_t code : unicode::decode(word)) {
      std::string character;
      unicode::append_utf8(character, code);
      const auto found = index_.find(character);
      const std::int32_t token = found == index_.end() ? unknown_ : found->second;
      if (token >= 0) pieces.push_back(token);
    }
    merge_pairs(pieces, [&](std::int32_t left, std::int32_t right) -> std::optional<Merge> {
      const auto found = merges_.find({left, right});
      if (found == merges_.end()) return {};
      return Merge{static_cast<double>(found->second.first), found->second.second};
    });
    tokens.insert(tokens.end(), pieces.begin(), pieces.end());
  }

 private:
  PieceIndex index_;
  MergeTable merges_;
  std::int32_t unknown_;
  bool whole_words_;
};

}  // namespace

std::unique_ptr<PieceModel> word_piece_model(PieceIndex index, std::string prefix, std::int32_t unknown,
                                             std::int64_t longest) {
  return std::make_unique<WordPieceModel>(std::move(index), std::move(prefix), unknown, longest);
}

std::unique_ptr<PieceModel> byte_pair_model(PieceIndex index, MergeTable merges, std::int32_t unknown,
                                            bool whole_words) {
  return std::make_unique<BytePairModel>(std::move(index), std::move(merges), unknown, whole_words);
}

PieceTokenizer::PieceTokenizer(std::string format, std::string content, PieceOptions options,
                               std::unique_ptr<PieceModel> model)
    : Tokenizer(std::move(format), std::move(content)), options_(std::move(options)), model_(std::move(model)) {
  vocabulary_ = options_.vocabulary;
  front_ = options_.front;
  behind_ = options_.behind;
  // The longest of those that fit is found first.
  std::sort(options_.added.begin(), options_.added.end(),
            [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

std::vector<std::int32_t> PieceTokenizer::pieces(std::string_view text) const {
  std::vector<std::int32_t> tokens;
  std::array<bool, 256> begins{};
  for (const auto& [content, token] : options_.added) begins[static_cast<unsigned char>(content[0])] = true;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto found = !begins[static_cast<unsigned char>(text[at])]
                           ? options_.added.end()
                           : std::find_if(options_.added.begin(), options_.added.end(),
                                          [&](const auto& added) { return text.substr(at).starts_with(added.first); });
    if (found == options_.added.end()) {
      ++at;
      continue;
    }
    append_plain(text.substr(begin, at - begin), tokens);
    tokens.push_back(found->second);
    begin = at += found->first.size();
  }
  append_plain(text.substr(begin), tokens);
  return tokens;
}

void PieceTokenizer::append_plain(std::string_view text, std::vector<std::int32_t>& tokens) const {
  if (text.empty()) return;
  std::u32string codes = normalised(unicode::decode(text), options_.normalization);
  if (codes.empty()) return;
  if (options_.rule != WordRule::byte_level) {
    const Views words =
        options_.rule == WordRule::whole ? Views{codes} : parted_at_blanks(codes, options_.rule == WordRule::bert);
    for (const std::u32string_view word : words) model_->append(unicode::encode(word), tokens);
    return;
  }
  if (options_.blank_in_front && codes[0] != ' ') codes.insert(codes.begin(), ' ');
  for (std::u32string_view rest = codes; !rest.empty();) {
    const std::size_t length = byte_level_word(rest);
    std::string word;
    for (const char byte : unicode::encode(rest.substr(0, length))) {
      word += byte_characters()[static_cast<unsigned char>(byte)];
    }
    model_->append(word, tokens);
    rest.remove_prefix(length);
  }
}

}  // namespace rtl::data

// The tokenizer that Hugging Face's tokenizer.json describes: a text is parted at added tokens, normalised, parted into
// words, and these into pieces.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rtl/data/tokenizer.hpp"

namespace rtl::data {

using PieceIndex = std::unordered_map<std::string, std::int32_t>;

/// What is done to characters first.
struct TextNormalization {
  bool clean = false;            ///< controls are dropped, other blanks become ' '
  bool part_ideographs = false;  ///< blanks are put around ideographs
  bool strip_accents = false;
  bool lower_case = false;
};

enum class WordRule : std::uint8_t {
  whole,       ///< the text is one word
  blanks,      ///< parted at blanks
  bert,        ///< parted at blanks, and every punctuation character is a word
  byte_level,  ///< GPT-2's rule, in which a word begins with its blank; bytes become printable characters
};

/// Appends the pieces of a word.
class PieceModel {
 public:
  PieceModel() = default;
  PieceModel(const PieceModel&) = delete;
  PieceModel& operator=(const PieceModel&) = delete;
  virtual ~PieceModel() = default;
  virtual void append(const std::string& word, std::vector<std::int32_t>& tokens) const = 0;
};

/// The longest piece that the word begins with, then the longest of the rest, which has a prefix; `unknown` for a word
/// that cannot be parted so or is longer than `longest` characters. Wu et al. 2016, Devlin et al. 2019.
std::unique_ptr<PieceModel> word_piece_model(PieceIndex index, std::string prefix, std::int32_t unknown,
                                             std::int64_t longest);

/// By pairs of tokens, their rank and what they become.
using MergeTable = std::map<std::pair<std::int32_t, std::int32_t>, std::pair<std::int32_t, std::int32_t>>;

/// Characters, of which pairs are merged by rank. A character that is no piece is `unknown`, or left out where that is
/// negative. `whole_words`: a word that is a piece is taken as it is.
std::unique_ptr<PieceModel> byte_pair_model(PieceIndex index, MergeTable merges, std::int32_t unknown,
                                            bool whole_words);

struct PieceOptions {
  TextNormalization normalization = {};
  WordRule rule = WordRule::whole;
  bool blank_in_front = false;  ///< of byte_level: a text that does not begin with a blank gets one
  std::vector<std::pair<std::string, std::int32_t>> added = {};  ///< tokens that are found in texts as they are
  std::vector<std::int32_t> front = {}, behind = {};
  std::int64_t vocabulary = 0;
};

class PieceTokenizer final : public Tokenizer {
 public:
  PieceTokenizer(std::string format, std::string content, PieceOptions options, std::unique_ptr<PieceModel> model);

 private:
  std::vector<std::int32_t> pieces(std::string_view text) const override;
  void append_plain(std::string_view text, std::vector<std::int32_t>& tokens) const;

  PieceOptions options_;
  std::unique_ptr<PieceModel> model_;
};

}  // namespace rtl::data

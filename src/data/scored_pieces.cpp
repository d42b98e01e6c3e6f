// Pieces with scores, as llama2.c merges them.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "data/merge_pairs.hpp"
#include "data/text_table.hpp"
#include "data/tokenizers.hpp"
#include "data/unicode.hpp"
#include "io/json.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

constexpr std::int32_t begin_of_text = 1;
constexpr std::size_t longest_piece = 1024;    // merging looks pieces up by their text
constexpr const char* blank = "\xe2\x96\x81";  // U+2581, what stands for a blank in pieces

class ScoredPieces final : public Tokenizer {
 public:
  ScoredPieces(std::string content, const std::string& file)
      : Tokenizer(tokenizers::scored_pieces, std::move(content)) {
    std::string_view rest = this->content(), line;
    tokenizers::take_line(rest, line);
    for (std::int64_t at = 2; tokenizers::take_line(rest, line); ++at) add(file, at, line);
    vocabulary_ = static_cast<std::int64_t>(pieces_.size());
    if (vocabulary_ <= begin_of_text) throw FormatError(file, "has no piece 1, which begins a text");
    front_ = {begin_of_text};
    for (int byte = 0; byte < 256; ++byte) {
      const auto found = index_.find(fmt::format("<0x{:02X}>", byte));
      bytes_.push_back(found == index_.end() ? 0 : found->second);
    }
  }

 private:
  void add(const std::string& file, std::int64_t at, std::string_view line) {
    const auto fail = [&](const std::string& fault) { throw FormatError(file, fmt::format("line {}: {}", at, fault)); };
    const std::size_t first = line.find('\t'), second = first == line.npos ? line.npos : line.find('\t', first + 1);
    if (second == line.npos) fail("is not number, score and piece with tabs between");
    const auto number = parse_number(line.substr(0, first)),
               score = parse_number(line.substr(first + 1, second - first - 1));
    if (!number || *number != static_cast<double>(pieces_.size())) {
      fail(fmt::format("the number {} is not {}, the next", shown(line.substr(0, first)), pieces_.size()));
    }
    if (!score || !std::isfinite(*score)) fail("the score is no number");
    const io::Json piece = io::parse_json(file, line.substr(second + 1), fmt::format("line {}: the piece", at));
    if (!piece.is_string() || piece.get_ref<const std::string&>().empty())
      fail("the piece is no JSON string, or empty");
    std::string text = piece.get<std::string>();
    if (text.size() > longest_piece)
      fail(fmt::format("the piece has {} bytes, more than {}", text.size(), longest_piece));
    if (!index_.emplace(text, static_cast<std::int32_t>(pieces_.size())).second) {
      fail(fmt::format("the piece {} is there twice", shown(text)));
    }
    pieces_.push_back({std::move(text), *score});
  }

  std::vector<std::int32_t> pieces(std::string_view text) const override {
    std::vector<std::int32_t> tokens;
    if (text.empty()) return tokens;
    const auto add_code = [&](const std::string& bytes) {
      if (const auto found = index_.find(bytes); found != index_.end()) {
        tokens.push_back(found->second);
        return;
      }
      for (const char byte : bytes) tokens.push_back(bytes_[static_cast<unsigned char>(byte)]);
    };
    add_code(blank);
    for (const char32_t code : unicode::decode(text)) {
      std::string bytes;
      unicode::append_utf8(bytes, code);
      add_code(code == ' ' ? std::string(blank) : bytes);
    }
    merge_pairs(tokens, [&](std::int32_t left, std::int32_t right) -> std::optional<Merge> {
      const auto found =
          index_.find(pieces_[static_cast<std::size_t>(left)].text + pieces_[static_cast<std::size_t>(right)].text);
      if (found == index_.end()) return {};
      return Merge{-pieces_[static_cast<std::size_t>(found->second)].score, found->second};
    });
    return tokens;
  }

  struct Piece {
    std::string text;
    double score;
  };
  std::vector<Piece> pieces_;
  std::unordered_map<std::string, std::int32_t> index_;
  std::vector<std::int32_t> bytes_;  ///< the piece of each byte
};

}  // namespace

std::shared_ptr<const Tokenizer> tokenizers::parse_scored_pieces(std::string content, const std::string& file) {
  unicode::check_utf8(file, content);
  return std::make_shared<ScoredPieces>(std::move(content), file);
}

}  // namespace rtl::data

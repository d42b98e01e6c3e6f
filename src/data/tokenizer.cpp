#include "rtl/data/tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/tokenizers.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::data {

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, std::int64_t most) const {
  std::vector<std::int32_t> tokens = pieces(text);
  const std::int64_t room = std::max<std::int64_t>(most - added(), 0);
  if (std::cmp_greater(tokens.size(), room)) tokens.resize(static_cast<std::size_t>(room));
  tokens.insert(tokens.begin(), front_.begin(), front_.end());
  tokens.insert(tokens.end(), behind_.begin(), behind_.end());
  if (std::cmp_greater(tokens.size(), most)) tokens.resize(static_cast<std::size_t>(std::max<std::int64_t>(most, 0)));
  return tokens;
}

bool tokenizers::take_line(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  const std::size_t end = std::min(text.find('\n'), text.size());
  line = text.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  text.remove_prefix(std::min(end + 1, text.size()));
  return true;
}

std::shared_ptr<const Tokenizer> read_tokenizer(const std::string& path) {
  constexpr std::size_t largest = std::size_t{1} << 28;
  const io::Bytes bytes = io::read_file_gz(path, largest);
  std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string name = path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
  for (const auto& [ending, format] :
       {std::pair{".json", tokenizers::json}, {".tsv", tokenizers::scored_pieces}, {".txt", tokenizers::word_pieces}}) {
    if (name.ends_with(ending)) return parse_tokenizer(format, std::move(content), path);
  }
  throw FormatError(path,
                    "its name ends in none of .json (tokenizer.json), .tsv (pieces with scores) and .txt (pieces of "
                    "BERT), so it is no tokenizer");
}

std::shared_ptr<const Tokenizer> parse_tokenizer(const std::string& format, std::string content,
                                                 const std::string& file) {
  using Parse = std::shared_ptr<const Tokenizer> (*)(std::string, const std::string&);
  const std::pair<const char*, Parse> known[] = {{tokenizers::words, tokenizers::parse_words},
                                                 {tokenizers::scored_pieces, tokenizers::parse_scored_pieces},
                                                 {tokenizers::word_pieces, tokenizers::parse_word_pieces},
                                                 {tokenizers::json, tokenizers::parse_json_tokenizer}};
  for (const auto& [name, parse] : known) {
    if (format == name) return parse(std::move(content), file);
  }
  throw FormatError(file, fmt::format("it holds a tokenizer of the format '{}', which there is not", format));
}

}  // namespace rtl::data

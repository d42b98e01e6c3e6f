// tokenizer.json of Hugging Face, and BERT's vocab.txt.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/by_name.hpp"
#include "core/joined.hpp"
#include "data/piece_tokenizer.hpp"
#include "data/text_table.hpp"
#include "data/tokenizers.hpp"
#include "data/unicode.hpp"
#include "io/json.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data {
namespace {

using Json = io::SortedJson;

constexpr std::int64_t longest_word = 100;  // of BERT, in characters; longer ones are unknown

/// Numbers beyond those of the pieces that a vocabulary may have, so that a short file asks for no large embedding.
constexpr std::int64_t most_holes = 1024;
constexpr std::size_t most_added = 4096;

class JsonReader {
 public:
  JsonReader(std::string content, const std::string& file)
      : file_(file), content_(std::move(content)), root_(io::parse_sorted_json(file, content_, "the tokenizer")) {}

  std::shared_ptr<const Tokenizer> read() {
    std::unique_ptr<PieceModel> model = read_model(root_.at("model"));
    read_added();
    if (has(root_, "normalizer")) read_normalizer(root_["normalizer"]);
    if (strips_ && !decomposes_) fail("it strips accents without NFD, which is not supported");
    options_.normalization.strip_accents = options_.normalization.strip_accents || strips_;
    if (decomposes_ && !strips_) fail("the normalizer NFD without StripAccents is not supported");
    if (has(root_, "pre_tokenizer")) read_pre_tokenizer(root_["pre_tokenizer"]);
    if (has(root_, "post_processor")) read_post_processor(root_["post_processor"]);
    options_.vocabulary = largest_ + 1;
    return std::make_shared<PieceTokenizer>(tokenizers::json, std::move(content_), std::move(options_),
                                            std::move(model));
  }

 private:
  [[noreturn]] void fail(const std::string& fault) const { throw FormatError(file_, fault); }
  static bool has(const Json& json, const char* key) { return json.contains(key) && !json[key].is_null(); }
  static std::string type_of(const Json& json) { return json.at("type").get<std::string>(); }
  static bool flag(const Json& json, const char* key, bool fallback) {
    return has(json, key) ? json[key].get<bool>() : fallback;
  }
  [[noreturn]] void refuse(const char* what, const std::string& type, const char* known) const {
    fail(fmt::format("the {} {} is not supported; {}", what, shown(type), known));
  }

  std::int32_t token(const Json& number, const std::string& piece) const {
    const auto value = number.get<std::int64_t>();
    if (number.is_number_integer() && value >= 0 && value <= INT32_MAX - 1) return static_cast<std::int32_t>(value);
    fail(fmt::format("the piece {} has the number {}", shown(piece), number.dump()));
  }

  std::int32_t known(const std::string& piece) const {
    const auto found = all_.find(piece);
    if (found != all_.end()) return found->second;
    fail(fmt::format("the piece {} is named, but not in the vocabulary", shown(piece)));
  }

  PieceIndex read_vocabulary(const Json& vocabulary) {
    if (!vocabulary.is_object() || vocabulary.empty()) fail("its vocabulary is no object of pieces and numbers");
    PieceIndex index;
    std::set<std::int32_t> numbers;
    for (const auto& [piece, number] : vocabulary.items()) {
      const std::int32_t value = token(number, piece);
      if (!numbers.insert(value).second) fail(fmt::format("the number {} is that of two pieces", value));
      index.emplace(piece, value);
    }
    largest_ = *numbers.rbegin();
    if (largest_ >= static_cast<std::int64_t>(numbers.size()) + most_holes) {
      fail(fmt::format("the {} pieces have numbers up to {}", numbers.size(), largest_));
    }
    return index;
  }

  std::unique_ptr<PieceModel> read_model(const Json& model) {
    std::string type = has(model, "type") ? type_of(model) : model.contains("merges") ? "BPE" : "WordPiece";
    if (!is_one_of(type, {"BPE", "WordPiece"})) refuse("model", type, "BPE and WordPiece are");
    all_ = read_vocabulary(model.at("vocab"));
    std::int32_t unknown = has(model, "unk_token") ? known(model["unk_token"].get<std::string>()) : -1;
    if (type == "WordPiece") {
      if (unknown < 0) fail("the model WordPiece has no unk_token");
      const std::string prefix = model.value("continuing_subword_prefix", "##");
      const auto longest = model.value("max_input_chars_per_word", longest_word);
      constexpr std::int64_t most = 10000;
      if (longest < 1 || longest > most) fail(fmt::format("max_input_chars_per_word is {}", longest));
      return word_piece_model(all_, prefix, unknown, longest);
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (has(model, key) && !model[key].get<std::string>().empty()) {
        refuse("option of BPE", key, "pieces as they are in the vocabulary are");
      }
    }
    if (flag(model, "byte_fallback", false)) refuse("option of BPE", "byte_fallback", "BPE of bytes is");
    return byte_pair_model(all_, read_merges(model.at("merges")), unknown, flag(model, "ignore_merges", false));
  }

  MergeTable read_merges(const Json& list) const {
    MergeTable merges;
    std::int32_t rank = 0;
    for (const Json& entry : list) {
      std::string left, right;
      if (entry.is_string()) {
        const auto text = entry.get<std::string>();
        const std::size_t blank = text.find(' ');
        if (blank == text.npos || text.find(' ', blank + 1) != text.npos) {
          fail(fmt::format("merge {}: {} is not two pieces with a blank between", rank, shown(text)));
        }
        left = text.substr(0, blank);
        right = text.substr(blank + 1);
      } else {
        left = entry.at(0).get<std::string>();
        right = entry.at(1).get<std::string>();
        if (entry.size() != 2) fail(fmt::format("merge {} is not two pieces", rank));
      }
      merges.emplace(std::pair(known(left), known(right)), std::pair(rank, known(left + right)));
      ++rank;
    }
    return merges;
  }

  void read_added() {
    if (!has(root_, "added_tokens")) return;
    const Json& added = root_["added_tokens"];
    if (added.size() > most_added)
      fail(fmt::format("there are {} added tokens, more than {}", added.size(), most_added));
    for (const Json& entry : added) {
      const auto content = entry.at("content").get<std::string>();
      const std::int32_t number = token(entry.at("id"), content);
      if (content.empty()) fail("an added token is empty");
      const auto [at, is_new] = all_.emplace(content, number);
      if (!is_new && at->second != number) {
        fail(fmt::format("the added token {} is {}, and {} in the vocabulary", shown(content), number, at->second));
      }
      if (number > largest_ + most_holes) fail(fmt::format("the added token {} is {}", shown(content), number));
      largest_ = std::max<std::int64_t>(largest_, number);
      options_.added.emplace_back(content, number);
    }
  }

  using Part = void (*)(JsonReader& reader, const Json& part);
  using Parts = std::map<std::string, Part, std::less<>>;

  /// Reads a part by its type, which `parts` has, or refuses it.
  void read_part(const char* what, const Json& part, const Parts& parts, const char* known) {
    const std::string type = type_of(part);
    const auto found = parts.find(type);
    if (found == parts.end()) refuse(what, type, known);
    found->second(*this, part);
  }

  void read_normalizer(const Json& normalizer) {
    static const Parts parts{
        {"Sequence",
         [](JsonReader& reader, const Json& part) {
           for (const Json& inner : part.at("normalizers")) reader.read_normalizer(inner);
         }},
        {"BertNormalizer",
         [](JsonReader& reader, const Json& part) {
           TextNormalization& options = reader.options_.normalization;
           options.clean = reader.flag(part, "clean_text", true);
           options.part_ideographs = reader.flag(part, "handle_chinese_chars", true);
           options.lower_case = reader.flag(part, "lowercase", true);
           options.strip_accents = reader.flag(part, "strip_accents", options.lower_case);
         }},
        {"Lowercase", [](JsonReader& reader, const Json&) { reader.options_.normalization.lower_case = true; }},
        {"NFD", [](JsonReader& reader, const Json&) { reader.decomposes_ = true; }},
        {"StripAccents", [](JsonReader& reader, const Json&) { reader.strips_ = true; }}};
    read_part("normalizer", normalizer, parts, "BertNormalizer, Lowercase, and NFD with StripAccents are");
  }

  static constexpr const char* known_rules = "BertPreTokenizer, ByteLevel and WhitespaceSplit are, one of them";

  void read_pre_tokenizer(const Json& rule) {
    static const Parts parts{
        {"Sequence",
         [](JsonReader& reader, const Json& part) {
           for (const Json& inner : part.at("pretokenizers")) reader.read_pre_tokenizer(inner);
         }},
        {"BertPreTokenizer", [](JsonReader& reader, const Json&) { reader.options_.rule = WordRule::bert; }},
        {"WhitespaceSplit", [](JsonReader& reader, const Json&) { reader.options_.rule = WordRule::blanks; }},
        {"ByteLevel", [](JsonReader& reader, const Json& part) {
           if (!reader.flag(part, "use_regex", true)) {
             reader.refuse("pre-tokenizer", "ByteLevel without its regex", known_rules);
           }
           reader.options_.rule = WordRule::byte_level;
           reader.options_.blank_in_front = reader.flag(part, "add_prefix_space", true);
         }}};
    if (options_.rule != WordRule::whole) refuse("pre-tokenizer", type_of(rule) + " after another", known_rules);
    read_part("pre-tokenizer", rule, parts, known_rules);
  }

  /// Tokens in front of a text and behind it.
  void read_template(const Json& processor) {
    bool text_seen = false;
    for (const Json& part : processor.at("single")) {
      if (part.contains("Sequence")) {
        if (text_seen) fail("the template of single texts has the text twice");
        text_seen = true;
        continue;
      }
      const std::int32_t token = known(part.at("SpecialToken").at("id").get<std::string>());
      (text_seen ? options_.behind : options_.front).push_back(token);
    }
    if (!text_seen) fail("the template of single texts lacks the text");
  }

  void read_first_and_last(const Json& processor) {
    options_.front = {known(processor.at("cls").at(0).get<std::string>())};
    options_.behind = {known(processor.at("sep").at(0).get<std::string>())};
  }

  void read_post_processor(const Json& processor) {
    static const Parts parts{
        {"Sequence",
         [](JsonReader& reader, const Json& part) {
           for (const Json& inner : part.at("processors")) reader.read_post_processor(inner);
         }},
        {"BertProcessing", [](JsonReader& reader, const Json& part) { reader.read_first_and_last(part); }},
        {"RobertaProcessing", [](JsonReader& reader, const Json& part) { reader.read_first_and_last(part); }},
        {"TemplateProcessing", [](JsonReader& reader, const Json& part) { reader.read_template(part); }},
        {"ByteLevel", [](JsonReader&, const Json&) {}}};
    read_part("post-processor", processor, parts,
              "TemplateProcessing, BertProcessing, RobertaProcessing and ByteLevel are");
    if (options_.front.size() + options_.behind.size() > static_cast<std::size_t>(longest_word)) {
      fail("the template has too many tokens");
    }
  }

  const std::string& file_;
  std::string content_;
  Json root_;
  PieceOptions options_;
  PieceIndex all_;
  std::int64_t largest_ = 0;
  bool decomposes_ = false, strips_ = false;
};

/// What BERT finds in a text as it is.
bool is_special(const std::string& piece) { return is_one_of(piece, {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}); }

}  // namespace

std::shared_ptr<const Tokenizer> tokenizers::parse_json_tokenizer(std::string content, const std::string& file) {
  return io::decode_json(file, [&] { return JsonReader(std::move(content), file).read(); });
}

std::shared_ptr<const Tokenizer> tokenizers::parse_word_pieces(std::string content, const std::string& file) {
  unicode::check_utf8(file, content);
  PieceIndex index;
  PieceOptions options;
  bool lower_case = true;
  std::string_view rest = content, line;
  for (std::int32_t number = 0; take_line(rest, line); ++number) {
    const std::string piece(line);
    if (piece.empty()) throw FormatError(file, fmt::format("line {} is empty; a piece a line is needed", number + 1));
    if (!index.emplace(piece, number).second) {
      throw FormatError(file, fmt::format("line {}: the piece {} is there twice", number + 1, shown(piece)));
    }
    if (is_special(piece)) options.added.emplace_back(piece, number);
    if (piece.starts_with('[') && piece.ends_with(']')) continue;
    for (const char32_t code : unicode::decode(piece)) lower_case = lower_case && unicode::lower(code) == code;
  }
  const auto special = [&](const char* name) {
    const auto found = index.find(name);
    if (found == index.end())
      throw FormatError(file, fmt::format("has no piece {}, so it is no vocabulary of BERT", name));
    return found->second;
  };
  const std::int32_t unknown = special("[UNK]");
  options.front = {special("[CLS]")};
  options.behind = {special("[SEP]")};
  options.normalization = {
      .clean = true, .part_ideographs = true, .strip_accents = lower_case, .lower_case = lower_case};
  options.rule = WordRule::bert;
  options.vocabulary = static_cast<std::int64_t>(index.size());
  auto model = word_piece_model(std::move(index), "##", unknown, longest_word);
  return std::make_shared<PieceTokenizer>(word_pieces, std::move(content), std::move(options), std::move(model));
}

}  // namespace rtl::data

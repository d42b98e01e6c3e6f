// The kinds of tokenizers, made of their contents. Each throws FormatError as parse_tokenizer.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "rtl/data/tokenizer.hpp"

namespace rtl::data::tokenizers {

inline constexpr const char* words = "words";
inline constexpr const char* scored_pieces = "scored pieces";
inline constexpr const char* word_pieces = "word pieces";
inline constexpr const char* json = "json";

std::shared_ptr<const Tokenizer> parse_words(std::string content, const std::string& file);
std::shared_ptr<const Tokenizer> parse_scored_pieces(std::string content, const std::string& file);
std::shared_ptr<const Tokenizer> parse_word_pieces(std::string content, const std::string& file);
std::shared_ptr<const Tokenizer> parse_json_tokenizer(std::string content, const std::string& file);

/// Takes the next line off, without its end; false at the end of the text.
bool take_line(std::string_view& text, std::string_view& line);

}  // namespace rtl::data::tokenizers

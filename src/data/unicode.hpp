// Text as Unicode code points: reading UTF-8, and what tokenizers ask of a character. Covers Unicode 14 in whole, but
// for three musical symbols whose decompositions are left alone, and for letters whose case depends on their
// neighbours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rtl::data::unicode {

/// Throws FormatError, naming line and byte, for what is no UTF-8: the first byte of a text is in line `line`.
void check_utf8(const std::string& file, std::string_view text, std::int64_t line = 1);

/// Code points; bytes that are no UTF-8 become U+FFFD.
std::u32string decode(std::string_view text);
void append_utf8(std::string& text, char32_t code);
std::string encode(std::u32string_view text);

bool is_letter(char32_t code);       ///< category L
bool is_number(char32_t code);       ///< N
bool is_punctuation(char32_t code);  ///< P
bool is_mark(char32_t code);         ///< M
bool is_space(char32_t code);        ///< White_Space
bool is_control(char32_t code);      ///< Cc, Cf or Co
/// Ideographs of Chinese, and of Japanese and Korean, but neither kana nor Hangul.
bool is_ideograph(char32_t code);

char32_t lower(char32_t code);
/// Appends the canonical decomposition without nonspacing marks: of an accented letter the letter, of a mark nothing.
void append_without_accents(std::u32string& text, char32_t code);

}  // namespace rtl::data::unicode

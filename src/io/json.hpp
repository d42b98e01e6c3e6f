// JSON from files: the one place where it is parsed, so that whatever is wrong with it is a FormatError that names the
// file. And sealed JSON: state files that carry a hash of their content.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "rtl/core/error.hpp"

namespace rtl::io {

/// Keys stay in the order in which they are put in.
using Json = nlohmann::ordered_json;

inline constexpr int default_json_depth = 64;

/// Throws FormatError: no valid JSON or UTF-8, a number beyond f64, an object with a key twice, or nested more than
/// `deepest` levels (which exhausts the stack of whatever walks through it). `what` is its name in error texts: "the
/// header".
Json parse_json(const std::string& file, std::string_view text, const std::string& what,
                int deepest = default_json_depth);

/// The same with keys sorted, for objects of many keys: in Json finding each is a walk through all.
using SortedJson = nlohmann::json;
SortedJson parse_sorted_json(const std::string& file, std::string_view text, const std::string& what,
                             int deepest = default_json_depth);

/// What `decode` returns; what the JSON library throws in it (a key that is missing, a value of another type) leaves it
/// as a FormatError.
template <typename Decode>
auto decode_json(const std::string& file, const Decode& decode) {
  try {
    return decode();
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(file, fmt::format("lacks what is expected in it: {}", error.what()));
  }
}

/// The text with U+FFFD in place of what is no UTF-8: names of files may be anything.
std::string valid_utf8(const std::string& text);

/// Writes {"content_hash": .., "content": content} beside the file and renames. The hash is that of the content's
/// values, so that a file which is read back has them all; but texts are made valid_utf8. Throws IoError.
void write_sealed_json(const std::string& path, const Json& content);

/// The content of such a file. Throws IoError, FormatError for a file whose content is not what was written.
Json read_sealed_json(const std::string& path);

}  // namespace rtl::io

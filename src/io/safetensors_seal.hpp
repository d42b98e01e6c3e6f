// The content hash of safetensors files that this library writes: an entry of the header's metadata. A second mark,
// tabs behind the header's JSON (where others write blanks), says that it must be there: damage to the entry does not
// turn the file into one that never had a hash, and damage to the tabs is no valid JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "rtl/io/safetensors.hpp"

namespace rtl::io {

inline constexpr const char* seal_key = "rtl.content_hash";

/// The value of `seal_key` in a header whose hash is yet to be computed, or of such a hash.
std::string seal_value(std::uint64_t hash = 0);

/// What follows a header of `size` bytes: 8 to 15 tabs, up to a multiple of eight.
std::string seal_padding(std::size_t size);

/// Where the 16 digits of the hash stand in a header's text; nothing unless the entry is there, letter by letter.
std::optional<std::size_t> find_seal_digits(std::string_view header);

/// Takes the seal out of `metadata` and returns its digits; empty if there is none. Throws FormatError if it is damaged
/// or the file's bytes (length, header, data) are not those that it was made of.
std::string check_seal(const std::string& path, std::span<const std::byte> file, std::string_view header,
                       Metadata& metadata);

}  // namespace rtl::io

#include "io/safetensors_seal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "rtl/core/error.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::io {
namespace {

constexpr std::string_view value_prefix = "xxh64-of-this-file:";
constexpr std::size_t hash_digits = 16;

[[noreturn]] void damaged(const std::string& path) {
  throw FormatError(path, fmt::format("is damaged, or another program changed it: its content does not give the hash "
                                      "that its metadata name ('{}'); fetch or make it again",
                                      seal_key));
}

/// Of the whole file with zeros in place of the digits.
std::uint64_t hash_of(std::span<const std::byte> file, std::string_view header, std::size_t digits) {
  std::string text(header);
  std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(digits), hash_digits, '0');
  const std::size_t length_bytes = sizeof(std::uint64_t);
  Hash64 hash;
  hash.add(file.first(length_bytes)).add(std::as_bytes(std::span(text)));
  return hash.add(file.subspan(length_bytes + text.size())).value();
}

}  // namespace

std::string seal_value(std::uint64_t hash) { return std::string(value_prefix) + to_hex(hash); }

std::string seal_padding(std::size_t size) {
  constexpr std::size_t block = 8;
  return std::string(block + (block - size % block) % block, '\t');
}

std::optional<std::size_t> find_seal_digits(std::string_view header) {
  // No text can hold this: quotes within a text have backslashes before them.
  const std::string entry = fmt::format("\"{}\":\"{}", seal_key, value_prefix);
  const std::size_t at = header.find(entry);
  if (at == std::string_view::npos || header.size() < at + entry.size() + hash_digits) return {};
  return at + entry.size();
}

std::string check_seal(const std::string& path, std::span<const std::byte> file, std::string_view header,
                       Metadata& metadata) {
  const std::string_view padding = header.substr(header.find_last_not_of(" \t\n\r") + 1);
  const auto seal = metadata.find(seal_key);
  if (seal == metadata.end() && padding.find('\t') == std::string_view::npos) return {};
  const std::optional<std::size_t> digits = find_seal_digits(header);
  if (seal == metadata.end() || !digits) damaged(path);
  const std::uint64_t hash = hash_of(file, header, *digits);
  if (seal->second != seal_value(hash)) damaged(path);
  metadata.erase(seal);
  return to_hex(hash);
}

}  // namespace rtl::io

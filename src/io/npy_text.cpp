// Arrays of text in .npy files: 'U' of four bytes a character, 'S' of one.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "io/npy_header.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::io {
namespace {

bool is_text(const NpyContent& content) {
  return content.type.size() > 1 && (content.type.front() == 'U' || content.type.front() == 'S');
}

void append_utf8(std::string& text, std::uint32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80u | (code >> shift & 0x3fu)); };
  if (code < 0x80u) {
    text += static_cast<char>(code);
  } else if (code < 0x800u) {
    text += static_cast<char>(0xc0u | code >> 6);
    tail(0);
  } else if (code < 0x10000u) {
    text += static_cast<char>(0xe0u | code >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0u | code >> 18);
    tail(12), tail(6), tail(0);
  }
}

/// An element without the zeros that fill it up.
std::string decoded(std::span<const std::byte> element, bool wide, bool swapped, const std::string& name) {
  std::string text;
  const std::size_t step = wide ? 4 : 1;
  std::size_t end = element.size();
  const auto code_at = [&](std::size_t at) {
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < step; ++i) {
      code |= static_cast<std::uint32_t>(element[at + i]) << 8 * (swapped ? step - 1 - i : i);
    }
    return code;
  };
  while (end >= step && code_at(end - step) == 0) end -= step;
  for (std::size_t at = 0; at < end; at += step) {
    const std::uint32_t code = code_at(at);
    if (!wide) {
      text += static_cast<char>(code);
      continue;
    }
    if (code > 0x10ffffu || (code >= 0xd800u && code < 0xe000u)) {
      throw FormatError(name, fmt::format("holds the character {:#x}, which Unicode does not have", code));
    }
    append_utf8(text, code);
  }
  return text;
}

}  // namespace

bool npy_holds_text(std::span<const std::byte> content, const std::string& name) {
  return is_text(parse_npy_content(content, name));
}

TextArray parse_npy_text(std::span<const std::byte> bytes, const std::string& name) {
  const NpyContent content = parse_npy_content(bytes, name);
  std::size_t length = 0;
  const char* last = content.type.data() + content.type.size();
  const auto [end, error] = std::from_chars(content.type.data() + 1, last, length);
  constexpr std::size_t longest = std::size_t{1} << 24;
  if (!is_text(content) || error != std::errc{} || end != last || length == 0 || length > longest) {
    throw FormatError(name, fmt::format("its elements are '{}', where text of 1 to {} characters is expected",
                                        content.type, longest));
  }
  const bool wide = content.type.front() == 'U';
  const std::size_t size = wide ? 4 * length : length;
  check_npy_size(content, size, name);
  if (content.fortran_order && content.shape.rank() > 1 && content.shape[0] > 1 && content.shape[-1] > 1) {
    throw FormatError(name, "holds text in Fortran order; store numpy.ascontiguousarray(array)");
  }
  TextArray array{content.shape, {}};
  for (std::size_t at = 0; at < content.data.size(); at += size) {
    array.values.push_back(decoded(content.data.subspan(at, size), wide, content.swapped, name));
  }
  return array;
}

}  // namespace rtl::io

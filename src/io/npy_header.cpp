#include "io/npy_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "rtl/core/error.hpp"

namespace rtl::io {
namespace {

constexpr std::string_view magic = "\x93NUMPY";

/// What the header's dictionary says.
struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> extents;
};

/// A reader for the one form of Python dictionary that .npy headers have.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  NpyHeader parse() {
    struct Entry {
      std::string_view key;
      void (*read)(HeaderParser& parser, NpyHeader& header);
      bool there = false;
    };
    Entry entries[] = {
        {"descr", [](HeaderParser& parser, NpyHeader& header) { header.descr = parser.type(); }},
        {"fortran_order", [](HeaderParser& parser, NpyHeader& header) { header.fortran_order = parser.boolean(); }},
        {"shape", [](HeaderParser& parser, NpyHeader& header) { header.extents = parser.tuple(); }}};
    NpyHeader header;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      Entry* const entry =
          std::find_if(std::begin(entries), std::end(entries), [&](const Entry& one) { return one.key == key; });
      if (entry == std::end(entries) || entry->there) fail(fmt::format("unexpected or repeated key '{}'", key));
      entry->read(*this, header);
      entry->there = true;
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (!text_.empty()) fail("text behind the dictionary");
    const bool whole =
        std::all_of(std::begin(entries), std::end(entries), [](const Entry& entry) { return entry.there; });
    if (!whole || header.descr.empty()) fail("descr, fortran_order or shape is missing");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& fault) const {
    throw FormatError(name_, fmt::format("the .npy header is damaged or of an unknown form: {}", fault));
  }
  void skip_blanks() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n')) text_.remove_prefix(1);
  }
  bool accept(char wanted) {
    skip_blanks();
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) fail(fmt::format("'{}' expected", wanted));
  }
  /// What describes the elements: a quoted text; a list describes the fields of a structure.
  std::string type() {
    skip_blanks();
    if (!text_.empty() && text_.front() == '[') {
      throw FormatError(name_,
                        "its elements are structures with fields; store a plain matrix, for example "
                        "numpy.lib.recfunctions.structured_to_unstructured(array)");
    }
    return quoted();
  }
  std::string quoted() {
    skip_blanks();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) fail("a quoted text expected");
    const auto end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) fail("a quote is not closed");
    std::string value(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return value;
  }
  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (text_.starts_with(word)) {
        text_.remove_prefix(word.size());
        return value;
      }
    }
    fail("True or False expected");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (error != std::errc{} || extent < 0) fail("a whole number from 0 to 2^63 - 1 expected in the shape");
      if (extents.size() == Shape::max_rank) fail(fmt::format("more than {} axes", Shape::max_rank));
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }

  std::string_view text_;
  const std::string& name_;
};

/// Where the dictionary lies in the file.
std::string_view header_text(std::span<const std::byte> content, const std::string& name) {
  const std::string_view bytes(reinterpret_cast<const char*>(content.data()), content.size());
  if (!bytes.starts_with(magic)) throw FormatError(name, "wrong magic number: no .npy file");
  const std::size_t version_at = magic.size();
  if (bytes.size() < version_at + 4) throw FormatError(name, "is cut short in its header");
  const auto version = static_cast<unsigned char>(bytes[version_at]);
  if (version < 1 || version > 3)
    throw FormatError(name, fmt::format("has .npy version {}; 1 to 3 are known", version));
  const std::size_t length_at = version_at + 2;
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  if (bytes.size() < length_at + length_bytes) throw FormatError(name, "is cut short in its header");
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + length_at, length_bytes);
  if (length > bytes.size() - length_at - length_bytes) {
    throw FormatError(name, fmt::format("announces a header of {} bytes, but only {} follow", length,
                                        bytes.size() - length_at - length_bytes));
  }
  return bytes.substr(length_at + length_bytes, length);
}

}  // namespace

NpyContent parse_npy_content(std::span<const std::byte> content, const std::string& name) {
  const std::string_view text = header_text(content, name);
  const NpyHeader header = HeaderParser(text, name).parse();
  NpyContent parsed;
  const bool ordered = std::string_view("<>|=").find(header.descr.front()) != std::string_view::npos;
  parsed.type = header.descr.substr(ordered ? 1 : 0);
  parsed.swapped = header.descr.front() == '>';
  parsed.fortran_order = header.fortran_order;
  try {
    parsed.shape = Shape(header.extents);
  } catch (const ShapeError& error) {
    throw FormatError(name, fmt::format("impossible shape: {}", error.what()));
  }
  const auto header_bytes =
      static_cast<std::size_t>(reinterpret_cast<const std::byte*>(text.data()) + text.size() - content.data());
  parsed.data = content.subspan(header_bytes);
  return parsed;
}

void check_npy_size(const NpyContent& content, std::size_t bytes, const std::string& name) {
  const std::size_t size = content.data.size();
  if (size % bytes == 0 && size / bytes == static_cast<std::size_t>(content.shape.count())) return;
  throw FormatError(name, fmt::format("{} elements '{}' of {} bytes are announced, but {} bytes follow the header",
                                      content.shape.to_string(), content.type, bytes, size));
}

}  // namespace rtl::io

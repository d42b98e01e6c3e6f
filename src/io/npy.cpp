#include "rtl/io/npy.hpp"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "rtl/core/error.hpp"

namespace rtl::io {
namespace {

static_assert(std::endian::native == std::endian::little);

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
    NpyHeader header;
    std::optional<bool> order;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && header.descr.empty()) {
        header.descr = quoted();
      } else if (key == "fortran_order" && !order) {
        order = boolean();
      } else if (key == "shape" && !has_shape) {
        header.extents = tuple();
        has_shape = true;
      } else {
        fail(fmt::format("unexpected or repeated key '{}'", key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (!text_.empty()) fail("text behind the dictionary");
    if (header.descr.empty() || !order || !has_shape) fail("descr, fortran_order or shape is missing");
    header.fortran_order = *order;
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

struct Element {
  std::string_view descr;
  std::size_t bytes;
  DType dtype;
};
constexpr Element elements[] = {{"<f4", 4, DType::f32}, {"<f8", 8, DType::f64}, {"<f2", 2, DType::f16},
                                {"<i4", 4, DType::i32}, {"<i8", 8, DType::i64}, {"|u1", 1, DType::u8},
                                {"|b1", 1, DType::u8},  {"|i1", 1, DType::i32}, {"<i2", 2, DType::i32},
                                {"<u2", 2, DType::i32}, {"<u4", 4, DType::i64}};

const Element& find_element(const std::string& descr, const std::string& name) {
  for (const Element& element : elements) {
    if (descr == element.descr) return element;
  }
  throw FormatError(name, fmt::format("its elements are '{}'; rtl reads little-endian float16/32/64, int8/16/32/64, "
                                      "uint8/16/32 and bool: convert it, for example with array.astype('<f4')",
                                      descr));
}

template <typename From, typename To>
void widen(std::span<const std::byte> from, std::byte* to) {
  for (std::size_t i = 0; i < from.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, from.data() + i * sizeof(From), sizeof(From));
    const auto wide = static_cast<To>(value);  // NOLINT(bugprone-signed-char-misuse): i1 is a number
    std::memcpy(to + i * sizeof(To), &wide, sizeof(To));
  }
}

/// Elements as they are stored, in the dtype that rtl has for them.
void convert(const Element& element, std::span<const std::byte> from, std::byte* to) {
  if (element.descr == "|i1") return widen<std::int8_t, std::int32_t>(from, to);
  if (element.descr == "<i2") return widen<std::int16_t, std::int32_t>(from, to);
  if (element.descr == "<u2") return widen<std::uint16_t, std::int32_t>(from, to);
  if (element.descr == "<u4") return widen<std::uint32_t, std::int64_t>(from, to);
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

/// Column-major values to row-major ones.
void to_row_major(const Tensor& from, Tensor& to) {
  const std::span<const std::int64_t> extents = to.shape().extents();
  const std::size_t size = size_of(to.dtype());
  const auto* source = static_cast<const std::byte*>(from.view().data());
  auto* target = static_cast<std::byte*>(to.view().data());
  Strides strides{};
  std::int64_t stride = 1;
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    strides[axis] = stride;
    stride *= extents[axis];
  }
  Strides index{};
  for (std::int64_t i = 0; i < to.count(); ++i) {
    std::int64_t at = 0;
    for (std::size_t axis = 0; axis < extents.size(); ++axis) at += index[axis] * strides[axis];
    std::memcpy(target + static_cast<std::size_t>(i) * size, source + static_cast<std::size_t>(at) * size, size);
    for (std::size_t axis = extents.size(); axis-- > 0 && ++index[axis] == extents[axis];) index[axis] = 0;
  }
}

std::string_view descr_of(DType dtype) {
  for (const Element& element : elements) {
    if (element.dtype == dtype) return element.descr;
  }
  throw DTypeError(fmt::format("encode_npy: NumPy has no {}; convert to f32", name_of(dtype)));
}

}  // namespace

Tensor parse_npy(std::span<const std::byte> content, const std::string& name, const Device& device) {
  const std::string_view text = header_text(content, name);
  const NpyHeader header = HeaderParser(text, name).parse();
  const Element& element = find_element(header.descr, name);
  Shape shape;
  try {
    shape = Shape(header.extents);
  } catch (const ShapeError& error) {
    throw FormatError(name, fmt::format("impossible shape: {}", error.what()));
  }
  const auto header_bytes =
      static_cast<std::size_t>(reinterpret_cast<const std::byte*>(text.data()) + text.size() - content.data());
  const std::span<const std::byte> data = content.subspan(header_bytes);
  if (data.size() % element.bytes != 0 || data.size() / element.bytes != static_cast<std::size_t>(shape.count())) {
    throw FormatError(name, fmt::format("{} elements '{}' of {} bytes are announced, but {} bytes follow the header",
                                        shape.to_string(), element.descr, element.bytes, data.size()));
  }
  Tensor values = with_memory_for(name, [&] { return Tensor(shape, element.dtype, device.host()); });
  convert(element, data, static_cast<std::byte*>(values.view().data()));
  if (header.fortran_order && shape.rank() > 1) {
    Tensor ordered = with_memory_for(name, [&] { return Tensor(shape, element.dtype, device.host()); });
    to_row_major(values, ordered);
    values = std::move(ordered);
  }
  return device.is_cuda() ? values.to(device) : std::move(values);
}

Tensor read_npy(const std::string& path, const Device& device) { return parse_npy(read_file_gz(path), path, device); }

Bytes encode_npy(ConstView values) {
  if (!values.given() || !values.is_contiguous()) {
    throw ShapeError(
        fmt::format("encode_npy: the view is {}; give a contiguous tensor", values.given() ? "strided" : "missing"));
  }
  std::string shape;
  for (const std::int64_t extent : values.shape().extents()) shape += fmt::format("{}, ", extent);
  if (values.rank() > 1) shape.resize(shape.size() - 2);
  if (values.rank() == 1) shape.pop_back();
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr_of(values.dtype()), shape);
  constexpr std::size_t alignment = 64;
  const std::size_t before = magic.size() + 4;
  header.append(alignment - 1 - (before + header.size()) % alignment, ' ');
  header += '\n';
  const auto length = static_cast<std::uint16_t>(header.size());
  Bytes content(before + header.size() + values.bytes());
  std::memcpy(content.data(), magic.data(), magic.size());
  content[magic.size()] = std::byte{1};
  std::memcpy(content.data() + magic.size() + 2, &length, 2);
  std::memcpy(content.data() + before, header.data(), header.size());
  if (values.bytes() > 0) {
    std::byte* to = content.data() + before + header.size();
    const Device host = Device::cpu(1);
    copy_bytes(values, View(to, values.dtype(), values.shape(), host));
  }
  return content;
}

void write_npy(const std::string& path, ConstView values) { write_file(path, encode_npy(values)); }

}  // namespace rtl::io

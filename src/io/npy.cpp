#include "rtl/io/npy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/by_name.hpp"
#include "io/npy_header.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/memory.hpp"

namespace rtl::io {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view magic = "\x93NUMPY";

/// An element of a .npy file, and what it becomes.
struct Element {
  std::string_view type;
  std::size_t bytes;
  DType dtype;
};
constexpr Element elements[] = {{"f4", 4, DType::f32}, {"f8", 8, DType::f64}, {"f2", 2, DType::f16},
                                {"i4", 4, DType::i32}, {"i8", 8, DType::i64}, {"u1", 1, DType::u8},
                                {"b1", 1, DType::u8},  {"i1", 1, DType::i32}, {"i2", 2, DType::i32},
                                {"u2", 2, DType::i32}, {"u4", 4, DType::i64}, {"u8", 8, DType::i64}};

const Element& find_element(const std::string& type, const std::string& name) {
  const auto* found =
      std::find_if(std::begin(elements), std::end(elements), [&](const auto& e) { return e.type == type; });
  if (found != std::end(elements)) return *found;
  const char kind = type.empty() ? ' ' : type.front();
  if (kind == 'O') {
    throw FormatError(name,
                      "its elements are Python objects (pickled), which are not read; store numbers or text: "
                      "array.astype(float) or array.astype(str)");
  }
  if (kind == 'U' || kind == 'S') {
    throw FormatError(name, fmt::format("holds text ('{}'), where numbers are expected", type));
  }
  throw FormatError(name,
                    fmt::format("its elements are '{}'; rtl reads float16/32/64, int8/16/32/64, uint8/16/32/64 and "
                                "bool: convert it, for example with array.astype('<f4')",
                                type));
}

template <typename From, typename To>
void widen(const NpyContent& content, const std::string& name, std::byte* to) {
  for (std::size_t i = 0; i < content.data.size() / sizeof(From); ++i) {
    std::byte bytes[sizeof(From)];
    std::memcpy(bytes, content.data.data() + i * sizeof(From), sizeof(From));
    if (content.swapped) std::reverse(std::begin(bytes), std::end(bytes));
    From value;
    std::memcpy(&value, bytes, sizeof(From));
    if constexpr (std::is_same_v<From, std::uint64_t>) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        throw FormatError(name, fmt::format("element {} is {}, more than int64 holds", i, value));
      }
    }
    const auto wide = static_cast<To>(value);  // NOLINT(bugprone-signed-char-misuse): i1 is a number
    std::memcpy(to + i * sizeof(To), &wide, sizeof(To));
  }
}

using Widen = void (*)(const NpyContent&, const std::string&, std::byte*);

/// What elements that rtl has no dtype for are converted by; null for others.
Widen wider(const Element& element) {
  return by_name<Widen>(element.type,
                        {{"i1", widen<std::int8_t, std::int32_t>},
                         {"i2", widen<std::int16_t, std::int32_t>},
                         {"u2", widen<std::uint16_t, std::int32_t>},
                         {"u4", widen<std::uint32_t, std::int64_t>},
                         {"u8", widen<std::uint64_t, std::int64_t>}},
                        nullptr);
}

/// Elements as they are stored, in the dtype that rtl has for them.
void convert(const Element& element, const NpyContent& content, const std::string& name, std::byte* to) {
  if (const Widen widened = wider(element); widened != nullptr) return widened(content, name, to);
  if (content.swapped && element.bytes == 2) return widen<std::uint16_t, std::uint16_t>(content, name, to);
  if (content.swapped && element.bytes == 4) return widen<std::uint32_t, std::uint32_t>(content, name, to);
  if (content.swapped && element.bytes == 8) return widen<std::int64_t, std::int64_t>(content, name, to);
  if (!content.data.empty()) std::memcpy(to, content.data.data(), content.data.size());
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

/// As it is written: little-endian, '|' where there is no order.
std::string descr_of(DType dtype) {
  for (const Element& element : elements) {
    if (element.dtype == dtype) return fmt::format("{}{}", element.bytes == 1 ? '|' : '<', element.type);
  }
  throw DTypeError(fmt::format("encode_npy: NumPy has no {}; convert to f32", name_of(dtype)));
}

}  // namespace

std::size_t npy_element_bytes(const NpyContent& content, const std::string& name) {
  return find_element(content.type, name).bytes;
}

DType npy_dtype(const NpyContent& content, const std::string& name) { return find_element(content.type, name).dtype; }

bool npy_is_native(const NpyContent& content, const std::string& name) {
  const Element& element = find_element(content.type, name);
  const bool row_major = !content.fortran_order || content.shape.rank() < 2;
  return row_major && wider(element) == nullptr && !(content.swapped && element.bytes > 1);
}

Tensor npy_values(const NpyContent& content, const std::string& name, const Device& device) {
  const Element& element = find_element(content.type, name);
  check_npy_size(content, element.bytes, name);
  Tensor values = with_memory_for(name, [&] { return Tensor(content.shape, element.dtype, device.host()); });
  convert(element, content, name, static_cast<std::byte*>(values.view().data()));
  if (content.fortran_order && content.shape.rank() > 1) {
    Tensor ordered = with_memory_for(name, [&] { return Tensor(content.shape, element.dtype, device.host()); });
    to_row_major(values, ordered);
    values = std::move(ordered);
  }
  return device.is_cuda() ? values.to(device) : std::move(values);
}

Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name, const Device& device) {
  return npy_values(parse_npy_content(bytes, name), name, device);
}

Tensor read_npy(const std::string& path, const Device& device) { return parse_npy(read_file_gz(path), path, device); }

Bytes npy_prefix(ConstView values) {
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
  Bytes prefix(before + header.size());
  std::memcpy(prefix.data(), magic.data(), magic.size());
  prefix[magic.size()] = std::byte{1};
  std::memcpy(prefix.data() + magic.size() + 2, &length, 2);
  std::memcpy(prefix.data() + before, header.data(), header.size());
  return prefix;
}

Bytes encode_npy(ConstView values) {
  Bytes content = npy_prefix(values);
  const std::size_t before = content.size();
  content.resize(before + values.bytes());
  if (values.bytes() > 0) {
    const Device host = Device::cpu(1);
    copy_bytes(values, View(content.data() + before, values.dtype(), values.shape(), host));
  }
  return content;
}

void write_npy(const std::string& path, ConstView values) {
  if (values.given() && values.device().is_cuda()) return write_file(path, encode_npy(values));
  const Bytes prefix = npy_prefix(values);
  AtomicFile file(path);
  file.write(prefix);
  file.write(std::span(static_cast<const std::byte*>(values.data()), values.bytes()));
  file.commit();
}

}  // namespace rtl::io

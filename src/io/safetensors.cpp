#include "rtl/io/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "io/json.hpp"
#include "io/safetensors_seal.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file_kind.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::io {
namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t longest_header = 100'000'000;
constexpr int deepest_nesting = 16;
constexpr const char* metadata_key = "__metadata__";

struct DTypeName {
  const char* name;
  DType dtype;
};
/// The first name of a dtype is the one that is written.
constexpr DTypeName dtype_names[] = {{"F32", DType::f32},   {"F64", DType::f64}, {"F16", DType::f16},
                                     {"BF16", DType::bf16}, {"I32", DType::i32}, {"I64", DType::i64},
                                     {"U8", DType::u8},     {"BOOL", DType::u8}};

/// Dtypes of the format that are checked but not read.
struct UnreadDType {
  std::string_view name;
  std::uint64_t bits;
};
constexpr UnreadDType unread_dtypes[] = {
    {"I8", 8},      {"I16", 16},        {"U16", 16},        {"U32", 32}, {"U64", 64},    {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"C64", 64}};

std::optional<DType> parse_dtype(const std::string& name) {
  for (const DTypeName& known : dtype_names) {
    if (name == known.name) return known.dtype;
  }
  return std::nullopt;
}

const char* written_name(DType dtype) {
  for (const DTypeName& known : dtype_names) {
    if (dtype == known.dtype) return known.name;
  }
  throw DTypeError(fmt::format("write_safetensors: {} has no safetensors name", name_of(dtype)));
}

Json parse_header(const std::string& path, std::string_view text) {
  Json header = parse_json(path, text, "the header", deepest_nesting);
  if (!header.is_object()) throw FormatError(path, "the header is no JSON object");
  return header;
}

std::uint64_t whole_number(const Json& value, const std::string& path, const std::string& name, const char* what) {
  if (!value.is_number_unsigned()) {
    throw FormatError(path, fmt::format("tensor '{}': {} are not all whole numbers from 0 up", name, what));
  }
  return value.get<std::uint64_t>();
}

Shape parse_shape(const Json& value, const std::string& path, const std::string& name) {
  if (!value.is_array() || value.size() > Shape::max_rank) {
    throw FormatError(path,
                      fmt::format("tensor '{}': the shape is no list of at most {} extents", name, Shape::max_rank));
  }
  std::vector<std::int64_t> extents;
  for (const Json& extent : value) {
    const std::uint64_t number = whole_number(extent, path, name, "the shape's extents");
    if (number > std::uint64_t{INT64_MAX}) {
      throw FormatError(path, fmt::format("tensor '{}': the extent {} is beyond 2^63 - 1", name, number));
    }
    extents.push_back(static_cast<std::int64_t>(number));
  }
  try {
    return Shape(extents);
  } catch (const ShapeError& error) {
    throw FormatError(path, fmt::format("tensor '{}': {}", name, error.what()));
  }
}

/// A tensor of the header, read or not.
struct ParsedEntry {
  TensorEntry entry;
  std::string_view unread;  ///< the dtype's name, if it is one of unread_dtypes
};

/// Bits of one element, and the dtype itself if it is read. Throws FormatError for what the format does not have.
std::uint64_t element_bits(const std::string& path, const Json& dtype, ParsedEntry& parsed) {
  const std::string text = dtype.is_string() ? dtype.get<std::string>() : std::string();
  if (const std::optional<DType> known = parse_dtype(text)) {
    parsed.entry.dtype = *known;
    return 8 * size_of(*known);
  }
  for (const UnreadDType& unread : unread_dtypes) {
    if (text != unread.name) continue;
    parsed.unread = unread.name;
    return unread.bits;
  }
  throw FormatError(path,
                    fmt::format("tensor '{}': the dtype {} is not one of F64, F32, F16, BF16, I64, I32, U8, BOOL; "
                                "convert it before saving",
                                parsed.entry.name, dtype.is_primitive() ? dtype.dump() : "(no text)"));
}

/// One tensor's entry; its range is checked against its shape and against `data_bytes`. The offset counts from the
/// beginning of the data.
ParsedEntry parse_entry(const std::string& path, const std::string& name, const Json& value, std::uint64_t data_bytes) {
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") || !value.contains("data_offsets")) {
    throw FormatError(path, fmt::format("tensor '{}' lacks dtype, shape or data_offsets", name));
  }
  ParsedEntry parsed;
  TensorEntry& entry = parsed.entry;
  entry.name = name;
  const std::uint64_t bits = element_bits(path, value["dtype"], parsed);
  const Json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) {
    throw FormatError(path, fmt::format("tensor '{}': data_offsets is no pair of numbers", name));
  }
  const std::uint64_t begin = whole_number(offsets[0], path, name, "the data_offsets");
  const std::uint64_t end = whole_number(offsets[1], path, name, "the data_offsets");
  if (begin > end || end > data_bytes) {
    throw FormatError(path,
                      fmt::format("tensor '{}': the range [{}, {}) is not inside the {} bytes of data; the file is cut "
                                  "short or damaged",
                                  name, begin, end, data_bytes));
  }
  entry.shape = parse_shape(value["shape"], path, name);
  entry.offset = begin;
  entry.bytes = end - begin;
  const auto count = static_cast<std::uint64_t>(entry.shape.count());
  if (entry.bytes > std::uint64_t{INT64_MAX} / 8 || entry.bytes * 8 % bits != 0 || entry.bytes * 8 / bits != count) {
    throw FormatError(path, fmt::format("tensor '{}': {} {} does not fill its range of {} bytes", name,
                                        parsed.unread.empty() ? name_of(entry.dtype) : parsed.unread,
                                        entry.shape.to_string(), entry.bytes));
  }
  return parsed;
}

Metadata parse_metadata(const std::string& path, const Json& value) {
  Metadata metadata;
  if (!value.is_object()) throw FormatError(path, "__metadata__ is no JSON object");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) throw FormatError(path, fmt::format("the value of '{}' in __metadata__ is no string", key));
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

/// The ranges, sorted by position, follow each other from the first byte of data to the last.
void check_cover(const std::string& path, const std::vector<ParsedEntry>& tensors, std::uint64_t data_bytes) {
  std::uint64_t reached = 0;
  for (const auto& [entry, unread] : tensors) {
    if (entry.offset != reached) {
      throw FormatError(
          path, fmt::format("tensor '{}' begins at byte {} of the data, where {} is expected: the ranges {}",
                            entry.name, entry.offset, reached, entry.offset < reached ? "overlap" : "leave a hole"));
    }
    reached += entry.bytes;
  }
  if (reached != data_bytes) {
    throw FormatError(path, fmt::format("{} bytes follow the last tensor", data_bytes - reached));
  }
}

std::string_view header_text(const MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() < length_bytes) {
    throw FormatError(file.path(), fmt::format("has {} bytes, too few for a safetensors file", bytes.size()));
  }
  static_assert(std::endian::native == std::endian::little);
  if (const std::string kind = foreign_kind(bytes, file.path()); !kind.empty()) throw FormatError(file.path(), kind);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), length_bytes);
  if (length > longest_header) {
    throw FormatError(file.path(),
                      fmt::format("announces a header of {} bytes, more than the format's {}: no safetensors file",
                                  length, longest_header));
  }
  if (length > bytes.size() - length_bytes) {
    throw FormatError(file.path(),
                      fmt::format("announces a header of {} bytes, but only {} follow; the file is cut short or "
                                  "no safetensors file",
                                  length, bytes.size() - length_bytes));
  }
  return {reinterpret_cast<const char*>(bytes.data()) + length_bytes, static_cast<std::size_t>(length)};
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path), host_(Device::cpu(1)) {
  const std::string_view text = header_text(file_);
  const std::uint64_t data_begin = length_bytes + text.size();
  const std::uint64_t data_bytes = file_.bytes().size() - data_begin;
  const Json header = parse_header(path, text);
  std::vector<ParsedEntry> parsed;
  for (const auto& [name, value] : header.items()) {
    if (name == metadata_key) {
      metadata_ = parse_metadata(path, value);
    } else {
      parsed.push_back(parse_entry(path, name, value, data_bytes));
    }
  }
  std::sort(parsed.begin(), parsed.end(), [](const ParsedEntry& a, const ParsedEntry& b) {
    return std::tie(a.entry.offset, a.entry.bytes, a.entry.name) <
           std::tie(b.entry.offset, b.entry.bytes, b.entry.name);
  });
  check_cover(path, parsed, data_bytes);
  content_hash_ = check_seal(path, file_.bytes(), text, metadata_);
  for (ParsedEntry& one : parsed) {
    if (one.unread.empty()) {
      tensors_.push_back(std::move(one.entry));
    } else {
      unread_.push_back({std::move(one.entry.name), std::string(one.unread), one.entry.shape});
    }
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i].offset += data_begin;
    index_[tensors_[i].name] = i;
  }
}

bool SafetensorsFile::contains(const std::string& name) const noexcept { return index_.find(name) != index_.end(); }

const TensorEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = index_.find(name);
  if (found != index_.end()) return tensors_[found->second];
  for (const UnreadTensor& unread : unread_) {
    if (unread.name != name) continue;
    throw FormatError(path(), fmt::format("tensor '{}' is {} {}, which rtl does not read; store it as F32, F16 or BF16",
                                          name, unread.dtype, unread.shape.to_string()));
  }
  constexpr std::size_t shown = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(shown, tensors_.size()); ++i) names += (i > 0 ? ", " : "") + tensors_[i].name;
  throw FormatError(path(), fmt::format("has no tensor '{}'; it has {}: {}{}", name, tensors_.size(), names,
                                        tensors_.size() > shown ? ", .." : ""));
}

std::span<const std::byte> SafetensorsFile::bytes(const std::string& name) const {
  const TensorEntry& found = entry(name);
  return file_.bytes().subspan(found.offset, found.bytes);
}

ConstView SafetensorsFile::view(const std::string& name) const {
  const TensorEntry& found = entry(name);
  if (found.offset % size_of(found.dtype) != 0) {
    throw FormatError(path(),
                      fmt::format("tensor '{}' begins at byte {}, which {} cannot be read from in place; load() "
                                  "copies it",
                                  name, found.offset, name_of(found.dtype)));
  }
  return {bytes(name).data(), found.dtype, found.shape, host_};
}

Tensor SafetensorsFile::load(const std::string& name, const Device& device) const {
  const TensorEntry& found = entry(name);
  Tensor staged = with_memory_for(path() + ": tensor '" + name + "'",
                                  [&] { return Tensor(found.shape, found.dtype, device.host()); });
  const std::span<const std::byte> content = bytes(name);
  if (!content.empty()) std::memcpy(staged.view().data(), content.data(), content.size());
  return device.is_cuda() ? staged.to(device) : std::move(staged);
}

namespace {

/// Tensors in the order of their bytes: by falling element size, then by name.
std::vector<const NamedView*> byte_order(const std::string& path, const std::vector<NamedView>& tensors) {
  std::vector<const NamedView*> order;
  for (const NamedView& tensor : tensors) {
    if (tensor.first == metadata_key) {
      throw ValueError(fmt::format("write_safetensors({}): '{}' is reserved", path, metadata_key));
    }
    if (!tensor.second.given() || !tensor.second.is_contiguous()) {
      throw ShapeError(fmt::format("write_safetensors({}): '{}' is {}; give a contiguous tensor", path, tensor.first,
                                   tensor.second.given() ? "strided" : "missing"));
    }
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const NamedView* a, const NamedView* b) {
    return std::pair(size_of(b->second.dtype()), std::string_view(a->first)) <
           std::pair(size_of(a->second.dtype()), std::string_view(b->first));
  });
  return order;
}

/// The header, padded, with a seal whose digits are zeros.
std::string header_of(const std::string& path, const std::vector<const NamedView*>& order, Metadata metadata) {
  if (metadata.contains(seal_key)) {
    throw ValueError(
        fmt::format("write_safetensors({}): metadata '{}' is reserved for the content hash", path, seal_key));
  }
  metadata[seal_key] = seal_value();
  Json header = Json::object();
  header[metadata_key] = metadata;
  std::uint64_t offset = 0;
  for (const NamedView* tensor : order) {
    const auto& [name, view] = *tensor;
    if (header.contains(name)) throw ValueError(fmt::format("write_safetensors({}): '{}' is given twice", path, name));
    const std::uint64_t end = offset + view.bytes();
    header[name] = {
        {"dtype", written_name(view.dtype())}, {"shape", view.shape().extents()}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::type_error& error) {
    throw ValueError(fmt::format("write_safetensors({}): a name or metadata is not UTF-8: {}", path, error.what()));
  }
  return text + seal_padding(text.size());
}

/// Gives the bytes of every tensor to `take`.
template <typename Take>
void each_content(const std::vector<const NamedView*>& order, const Take& take) {
  for (const NamedView* tensor : order) {
    const ConstView view = tensor->second;
    Tensor staged;
    if (view.context()->kind() == DeviceKind::cuda) {
      staged = Tensor(view.shape(), view.dtype(), view.device().host());
      copy_bytes(view, staged);
    }
    const void* data = staged.defined() ? std::as_const(staged).view().data() : view.data();
    take(std::span(static_cast<const std::byte*>(data), view.bytes()));
  }
}

}  // namespace

void write_safetensors(const std::string& path, const std::vector<NamedView>& tensors, const Metadata& metadata) {
  const std::vector<const NamedView*> order = byte_order(path, tensors);
  std::string text = header_of(path, order, metadata);
  const std::uint64_t length = text.size();
  Hash64 hash;
  hash.add(std::as_bytes(std::span(&length, 1))).add(std::as_bytes(std::span(text)));
  each_content(order, [&](std::span<const std::byte> bytes) { hash.add(bytes); });
  const std::string digits = to_hex(hash.value());
  std::copy(digits.begin(), digits.end(), text.begin() + static_cast<std::ptrdiff_t>(find_seal_digits(text).value()));
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  each_content(order, [&](std::span<const std::byte> bytes) { file.write(bytes); });
  file.commit();
}

}  // namespace rtl::io

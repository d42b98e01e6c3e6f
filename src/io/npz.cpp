// .npz archives: the part of the zip format that NumPy writes.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <climits>
#include <concepts>
#include <cstring>
#include <optional>
#include <set>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::io {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t local_signature = 0x04034b50;
constexpr std::uint32_t central_signature = 0x02014b50;
constexpr std::uint32_t end_signature = 0x06054b50;
constexpr std::size_t local_bytes = 30;
constexpr std::size_t central_bytes = 46;
constexpr std::size_t end_bytes = 22;
constexpr std::uint16_t stored = 0;
constexpr std::uint16_t deflated = 8;
constexpr std::string_view suffix = ".npy";

template <typename Number>
Number number_at(std::span<const std::byte> bytes, std::size_t at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

/// Where the end record begins: it is the last thing in the file but for a comment of known length.
std::size_t find_end(std::span<const std::byte> bytes, const std::string& path) {
  constexpr std::size_t longest_comment = 65535;
  if (bytes.size() < end_bytes)
    throw FormatError(path, fmt::format("has {} bytes, too few for a .npz archive", bytes.size()));
  const std::size_t last = bytes.size() - end_bytes;
  for (std::size_t comment = 0; comment <= std::min(last, longest_comment); ++comment) {
    const std::size_t at = last - comment;
    if (number_at<std::uint32_t>(bytes, at) == end_signature && number_at<std::uint16_t>(bytes, at + 20) == comment)
      return at;
  }
  throw FormatError(path, "has no zip directory at its end: it is cut short or no .npz archive");
}

std::uint32_t checksum_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// Raw deflate of a whole buffer in one direction.
class Deflation {
 public:
  explicit Deflation(bool compress) : compress_(compress) {
    constexpr int memory_level = 8;
    const int status = compress ? deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, memory_level,
                                               Z_DEFAULT_STRATEGY)
                                : inflateInit2(&stream_, -MAX_WBITS);
    if (status != Z_OK) throw OutOfMemory("npz: no memory for compression");
  }
  Deflation(const Deflation&) = delete;
  Deflation& operator=(const Deflation&) = delete;
  ~Deflation() { compress_ ? deflateEnd(&stream_) : inflateEnd(&stream_); }

  /// Fills `to` and returns the bytes written; nothing if `from` is damaged or does not end where `to` does. Both are
  /// below 4 GiB.
  std::optional<std::size_t> run(std::span<const std::byte> from, std::span<std::byte> to) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
    stream_.avail_in = static_cast<uInt>(from.size());
    std::byte nothing{};
    stream_.next_out = reinterpret_cast<Bytef*>(to.empty() ? &nothing : to.data());
    stream_.avail_out = static_cast<uInt>(to.size());
    const int status = compress_ ? deflate(&stream_, Z_FINISH) : inflate(&stream_, Z_FINISH);
    if (status != Z_STREAM_END || stream_.avail_in != 0) return std::nullopt;
    return to.size() - stream_.avail_out;
  }
  std::size_t bound(std::size_t bytes) { return deflateBound(&stream_, bytes); }

 private:
  bool compress_;
  z_stream stream_{};
};

template <std::unsigned_integral Number>
void append(Bytes& to, Number number) {
  const auto bytes = std::as_bytes(std::span(&number, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_text(Bytes& to, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

struct Packed {
  std::string file_name;
  std::uint16_t method = stored;
  std::uint32_t checksum = 0;
  std::uint32_t compressed = 0;
  std::uint32_t size = 0;
  std::uint32_t offset = 0;
};

/// The fields that the local header and the directory share.
void append_common(Bytes& to, const Packed& member) {
  constexpr std::uint16_t version = 20;
  constexpr std::uint16_t utf8_names = 1 << 11;
  constexpr std::uint16_t midnight = 0;
  constexpr std::uint16_t first_day = (1 << 5) | 1;  // 1 January 1980: archives do not depend on the clock
  for (const std::uint16_t field : {version, utf8_names, member.method, midnight, first_day}) append(to, field);
  for (const std::uint32_t field : {member.checksum, member.compressed, member.size}) append(to, field);
  append(to, static_cast<std::uint16_t>(member.file_name.size()));
  append(to, std::uint16_t{0});
}

Bytes local_header(const Packed& member) {
  Bytes header;
  append(header, local_signature);
  append_common(header, member);
  append_text(header, member.file_name);
  return header;
}

Bytes directory(const std::vector<Packed>& members, std::uint32_t offset) {
  Bytes bytes;
  for (const Packed& member : members) {
    append(bytes, central_signature);
    append(bytes, std::uint16_t{20});
    append_common(bytes, member);
    for (int field = 0; field < 3; ++field) append(bytes, std::uint16_t{0});  // comment, disk, internal attributes
    append(bytes, std::uint32_t{0});                                          // external attributes
    append(bytes, member.offset);
    append_text(bytes, member.file_name);
  }
  const auto size = static_cast<std::uint32_t>(bytes.size());
  const auto count = static_cast<std::uint16_t>(members.size());
  append(bytes, end_signature);
  for (const std::uint16_t field : {std::uint16_t{0}, std::uint16_t{0}, count, count}) append(bytes, field);
  append(bytes, size);
  append(bytes, offset);
  append(bytes, std::uint16_t{0});
  return bytes;
}

}  // namespace

NpzFile::NpzFile(const std::string& path) : file_(path) { read_directory(); }

void NpzFile::read_directory() {
  const std::span<const std::byte> bytes = file_.bytes();
  const std::size_t end = find_end(bytes, path());
  const auto fail = [this](const std::string& fault) { throw FormatError(path(), "damaged .npz archive: " + fault); };
  const std::size_t count = number_at<std::uint16_t>(bytes, end + 10);
  std::size_t at = number_at<std::uint32_t>(bytes, end + 16);
  if (number_at<std::uint16_t>(bytes, end + 4) != 0 || number_at<std::uint16_t>(bytes, end + 8) != count) {
    fail("it is one part of several");
  }
  std::set<std::string> seen;
  for (std::size_t i = 0; i < count; ++i) {
    if (at > end || end - at < central_bytes || number_at<std::uint32_t>(bytes, at) != central_signature) {
      fail(fmt::format("entry {} of its directory is not where it should be", i));
    }
    const std::size_t name_bytes = number_at<std::uint16_t>(bytes, at + 28);
    const std::size_t extra =
        std::size_t{number_at<std::uint16_t>(bytes, at + 30)} + number_at<std::uint16_t>(bytes, at + 32);
    if (end - at - central_bytes < name_bytes + extra) fail(fmt::format("entry {} of its directory is cut short", i));
    Member member;
    member.name.assign(reinterpret_cast<const char*>(bytes.data()) + at + central_bytes, name_bytes);
    member.method = number_at<std::uint16_t>(bytes, at + 10);
    member.checksum = number_at<std::uint32_t>(bytes, at + 16);
    member.compressed = number_at<std::uint32_t>(bytes, at + 20);
    member.size = number_at<std::uint32_t>(bytes, at + 24);
    member.offset = number_at<std::uint32_t>(bytes, at + 42);
    if (!member.name.ends_with(suffix)) fail(fmt::format("its member '{}' is no .npy", member.name));
    if (!seen.insert(member.name).second) fail(fmt::format("it has '{}' twice", member.name));
    member.name.resize(member.name.size() - suffix.size());
    if ((number_at<std::uint16_t>(bytes, at + 8) & 1u) != 0)
      fail(fmt::format("its member '{}' is encrypted", member.name));
    if (member.compressed == UINT32_MAX || member.size == UINT32_MAX || member.offset == UINT32_MAX) {
      fail(fmt::format("its member '{}' has 4 GiB or more, which is not supported: use .npy or safetensors",
                       member.name));
    }
    members_.push_back(std::move(member));
    at += central_bytes + name_bytes + extra;
  }
}

std::vector<std::string> NpzFile::names() const {
  std::vector<std::string> names;
  for (const Member& member : members_) names.push_back(member.name);
  return names;
}

bool NpzFile::contains(const std::string& name) const noexcept {
  return std::any_of(members_.begin(), members_.end(), [&](const Member& member) { return member.name == name; });
}

std::span<const std::byte> NpzFile::member_bytes(const Member& member) const {
  const std::span<const std::byte> bytes = file_.bytes();
  const std::string label = fmt::format("member '{}' of the archive", member.name);
  if (bytes.size() < local_bytes || member.offset > bytes.size() - local_bytes ||
      number_at<std::uint32_t>(bytes, member.offset) != local_signature) {
    throw FormatError(path(), label + " is not where the directory says");
  }
  // Only the lengths: the directory has the sizes, which NumPy puts elsewhere in local headers.
  const std::size_t skipped = local_bytes + number_at<std::uint16_t>(bytes, member.offset + 26) +
                              number_at<std::uint16_t>(bytes, member.offset + 28);
  const std::size_t available = bytes.size() - member.offset;
  if (available < skipped || available - skipped < member.compressed)
    throw FormatError(path(), label + " is cut short");
  return bytes.subspan(member.offset + skipped, member.compressed);
}

Tensor NpzFile::load(const std::string& name, const Device& device) const {
  return parse_npy(content(name), path() + ":" + name + std::string(suffix), device);
}

Bytes NpzFile::content(const std::string& name) const {
  const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.name == name; });
  if (found == members_.end()) {
    throw FormatError(path(), fmt::format("has no array '{}'; it has {}", name, joined(names(), ", ")));
  }
  const std::string label = path() + ":" + name + std::string(suffix);
  const std::span<const std::byte> packed = member_bytes(*found);
  Bytes unpacked;
  // Deflate makes nothing smaller than about 1/1032; a larger promise is a lie, and memory is not taken for it.
  constexpr std::size_t best_ratio = 1040;
  if (found->method == deflated && found->size / best_ratio <= found->compressed) {
    unpacked.resize(found->size);
    if (Deflation(false).run(packed, unpacked) != found->size)
      throw FormatError(label, "its compressed data is damaged");
  } else if (found->method == stored) {
    unpacked.assign(packed.begin(), packed.end());
  } else {
    throw FormatError(label, fmt::format("compression method {} with {} bytes for {} is unknown or impossible",
                                         found->method, found->compressed, found->size));
  }
  if (unpacked.size() != found->size || checksum_of(unpacked) != found->checksum) {
    throw FormatError(label, "its checksum or size is wrong: the archive is damaged");
  }
  return unpacked;
}

void write_npz(const std::string& path, const std::vector<std::pair<std::string, ConstView>>& arrays, bool compress) {
  const auto fail = [&](const std::string& fault) { throw ValueError(fmt::format("write_npz({}): {}", path, fault)); };
  if (arrays.size() >= UINT16_MAX) fail(fmt::format("{} arrays are more than a .npz archive holds", arrays.size()));
  AtomicFile file(path);
  std::vector<Packed> members;
  std::set<std::string> seen;
  for (const auto& [name, values] : arrays) {
    if (name.empty() || name.size() > UINT16_MAX - suffix.size())
      fail("a name is empty or longer than 65531 characters");
    if (!seen.insert(name).second) fail(fmt::format("'{}' is given twice", name));
    Bytes content = encode_npy(values);
    Packed member{name + std::string(suffix)};
    if (content.size() >= UINT32_MAX / 2) fail(fmt::format("'{}' has 2 GiB or more: use .npy or safetensors", name));
    member.checksum = checksum_of(content);
    member.size = static_cast<std::uint32_t>(content.size());
    if (compress) {
      Deflation deflation(true);
      Bytes smaller(deflation.bound(content.size()));
      smaller.resize(deflation.run(content, smaller).value_or(content.size()));
      if (smaller.size() < content.size()) {
        content = std::move(smaller);
        member.method = deflated;
      }
    }
    member.compressed = static_cast<std::uint32_t>(content.size());
    if (file.size() + content.size() >= UINT32_MAX - (std::uint64_t{1} << 28)) fail("the archive reaches 4 GiB");
    member.offset = static_cast<std::uint32_t>(file.size());
    file.write(local_header(member));
    file.write(content);
    members.push_back(std::move(member));
  }
  file.write(directory(members, static_cast<std::uint32_t>(file.size())));
  file.commit();
}

}  // namespace rtl::io

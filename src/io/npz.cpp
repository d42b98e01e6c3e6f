// Reading .npz archives by libzip.
#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <set>

#include "core/joined.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::io {
namespace {

constexpr std::string_view suffix = ".npy";

struct Member {
  std::string name;
  std::uint64_t compressed = 0;  ///< bytes in the archive
  std::uint64_t size = 0;        ///< bytes of the .npy
  std::uint16_t method = 0;
};

struct Discard {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* member) const noexcept { zip_fclose(member); }
};

[[noreturn]] void fail(const std::string& name, const std::string& fault, zip_error_t* error) {
  if (zip_error_code_zip(error) == ZIP_ER_MEMORY) throw OutOfMemory(name + ": no memory to read the .npz archive");
  throw FormatError(name, fmt::format("{}: {}", fault, zip_error_strerror(error)));
}

std::unique_ptr<zip_t, Discard> open_archive(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.empty()) throw FormatError(path, "is empty, and no .npz archive");
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* archive = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
  if (archive == nullptr) {
    if (source != nullptr) zip_source_free(source);
    fail(path, "is cut short, damaged or no .npz archive", &error);
  }
  return std::unique_ptr<zip_t, Discard>(archive);
}

/// Whether the archive's own figures can be true. Deflate makes nothing smaller than about 1/1032; memory is not taken
/// for a larger promise.
bool is_possible(const Member& member, std::size_t archive_bytes) {
  constexpr std::uint64_t best_ratio = 1040;
  if (member.compressed > archive_bytes) return false;
  if (member.method == ZIP_CM_STORE) return member.size == member.compressed;
  return member.method == ZIP_CM_DEFLATE && member.size / best_ratio <= member.compressed;
}

}  // namespace

struct NpzFile::Archive {
  std::unique_ptr<zip_t, Discard> handle;
  std::mutex in_use;  ///< libzip moves one position in the archive for all its members
  std::vector<Member> members;
};

NpzFile::NpzFile(const std::string& path) : file_(path), archive_(std::make_unique<Archive>()) {
  archive_->handle = open_archive(file_.bytes(), path);
  const auto refuse = [&](const std::string& fault) { throw FormatError(path, "damaged .npz archive: " + fault); };
  zip_t* handle = archive_->handle.get();
  const auto count = static_cast<zip_uint64_t>(zip_get_num_entries(handle, ZIP_FL_UNCHANGED));
  constexpr zip_uint64_t needed =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  std::set<std::string> seen;
  for (zip_uint64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(handle, i, ZIP_FL_UNCHANGED | ZIP_FL_ENC_RAW);
    zip_stat_t found;
    zip_stat_init(&found);
    if (name == nullptr || zip_stat_index(handle, i, ZIP_FL_UNCHANGED, &found) != 0)
      fail(path, fmt::format("entry {} of its directory is damaged", i), zip_get_error(handle));
    if ((found.valid & needed) != needed) refuse(fmt::format("entry {} of its directory is incomplete", i));
    Member member{name, found.comp_size, found.size, found.comp_method};
    if (!member.name.ends_with(suffix)) refuse(fmt::format("its member '{}' is no .npy", member.name));
    if (!seen.insert(member.name).second) refuse(fmt::format("it has '{}' twice", member.name));
    if (found.encryption_method != ZIP_EM_NONE) refuse(fmt::format("its member '{}' is encrypted", member.name));
    member.name.resize(member.name.size() - suffix.size());
    archive_->members.push_back(std::move(member));
  }
}

NpzFile::~NpzFile() = default;

std::vector<std::string> NpzFile::names() const {
  std::vector<std::string> names;
  for (const Member& member : archive_->members) names.push_back(member.name);
  return names;
}

bool NpzFile::contains(const std::string& name) const noexcept {
  return std::ranges::find(archive_->members, name, &Member::name) != archive_->members.end();
}

Tensor NpzFile::load(const std::string& name, const Device& device) const {
  return parse_npy(content(name), path() + ":" + name + std::string(suffix), device);
}

Bytes NpzFile::content(const std::string& name) const {
  const auto found = std::ranges::find(archive_->members, name, &Member::name);
  if (found == archive_->members.end()) {
    throw FormatError(path(), fmt::format("has no array '{}'; it has {}", name, joined(names(), ", ")));
  }
  const std::string label = path() + ":" + name + std::string(suffix);
  if (!is_possible(*found, file_.bytes().size())) {
    throw FormatError(label, fmt::format("compression method {} with {} bytes for {} is unknown or impossible",
                                         found->method, found->compressed, found->size));
  }
  const std::lock_guard lock(archive_->in_use);
  zip_t* handle = archive_->handle.get();
  const auto index = static_cast<zip_uint64_t>(found - archive_->members.begin());
  const std::unique_ptr<zip_file_t, CloseMember> member(zip_fopen_index(handle, index, ZIP_FL_UNCHANGED));
  if (member == nullptr) fail(label, "cannot be unpacked", zip_get_error(handle));
  // By pieces that stay in the cache: the result's pages are then touched once, and not filled with zeros first.
  std::array<std::byte, std::size_t{1} << 16> piece;
  Bytes unpacked;
  unpacked.reserve(found->size);
  // libzip compares checksum and size with the directory's when it reads past the last byte.
  while (const zip_int64_t bytes = zip_fread(member.get(), piece.data(), piece.size())) {
    if (bytes < 0) fail(label, "its data, checksum or size is wrong", zip_file_get_error(member.get()));
    if (static_cast<std::uint64_t>(bytes) > found->size - unpacked.size())
      throw FormatError(label, "it has more bytes than its directory says");
    unpacked.insert(unpacked.end(), piece.begin(), piece.begin() + bytes);
  }
  if (unpacked.size() != found->size) throw FormatError(label, "it has fewer bytes than its directory says");
  return unpacked;
}

}  // namespace rtl::io

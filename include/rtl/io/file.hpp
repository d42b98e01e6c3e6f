// Files: reading whole (plain or .gz), mapping, and writing so that a failure leaves the old file as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/core/file_memory.hpp"

namespace rtl::io {

using Bytes = std::vector<std::byte>;

/// What one read may bring into memory unless the caller says otherwise: 16 GiB.
inline constexpr std::size_t default_read_limit = std::size_t{1} << 34;

/// The whole content of a file, as it is. Throws IoError if it cannot be opened or read (a directory, no permission,
/// no such file), FormatError if it is longer than `limit` bytes.
Bytes read_file(const std::string& path, std::size_t limit = default_read_limit);

/// Like read_file; the content of a name that ends in ".gz" is decompressed, members one after another included. Throws
/// FormatError also for what is no gzip, a truncated or damaged stream, bytes behind the last member, or more than
/// `limit` bytes of content.
Bytes read_file_gz(const std::string& path, std::size_t limit = default_read_limit);

/// Decompresses gzip bytes in memory; `name` is what error texts call them.
Bytes gunzip(std::span<const std::byte> compressed, const std::string& name, std::size_t limit = default_read_limit);

/// True if there is a regular file (or a link to one) of that name. Never throws.
bool file_exists(const std::string& path) noexcept;

/// What a chain of links ends in, whether it is there or not; the path itself where there is no link. Throws IoError
/// for links in a circle.
std::string resolve_links(const std::string& path);

/// A file mapped into memory, read only. The bytes are those of the file while the object lives; cutting the file short
/// meanwhile makes access to the lost part fatal (FileMemory), so replace files by renaming, as AtomicFile does.
class MappedFile {
 public:
  /// Throws IoError if the file cannot be opened or mapped. An empty file gives no bytes.
  explicit MappedFile(const std::string& path);

  std::span<const std::byte> bytes() const noexcept { return {memory_.data(), memory_.size()}; }
  const std::string& path() const noexcept { return path_; }
  /// Memory of its own for a tensor: `count` bytes from `begin` on. Throws ValueError for bytes that there are not.
  FileMemory memory(std::size_t begin, std::size_t count) const { return memory_.copy(begin, count); }

 private:
  std::string path_;
  FileMemory memory_;
};

/// Writes a file beside its target and renames it there on commit, so that readers see the old content or the new,
/// never a part, and any failure leaves the old file untouched. The target's permissions are kept; a link is followed,
/// also one to a file that is not there yet. A target that is a device or a pipe, or where standard output or error
/// leads to, is written directly.
///
/// The file beside it is "TARGET.tmp-" and 16 random hexadecimal digits, locked (flock) while it is written. The next
/// writer of the same target removes those that nobody holds a lock on: a killed writer left them. So any number of
/// processes and threads may write one target at a time, also from containers with equal process numbers; the last to
/// commit wins. File systems without locks keep what killed writers leave.
class AtomicFile {
 public:
  /// Throws IoError: no such directory, not writable, the target is a directory.
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  /// Removes what was written unless commit() was reached.
  ~AtomicFile();

  /// Throws IoError (disk full, file size limit).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Bytes written so far.
  std::uint64_t size() const noexcept { return size_; }
  /// Flushes to the disk (fsync), closes, renames, flushes the directory. Throws IoError, and then the target is as it
  /// was. Nothing may be written afterwards.
  void commit();

 private:
  [[noreturn]] void fail(const char* action, int error);

  std::string path_;       ///< as the caller wrote it, for error texts
  std::string target_;     ///< links resolved
  std::string temporary_;  ///< empty when the target is written directly
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// Removes the temporaries of all AtomicFiles in `folder` that no living writer holds. Nothing happens if that cannot
/// be done.
void remove_abandoned(const std::string& folder) noexcept;

/// For a program that is about to end without destructors (_exit): removes the temporaries of all AtomicFiles that are
/// open in this process, and lets none be committed any more: whoever tries waits for ever. Waits at most 0.1 seconds
/// for a commit that is under way.
void abandon_writes() noexcept;

/// AtomicFile in one call.
void write_file(const std::string& path, std::span<const std::byte> bytes);
void write_file(const std::string& path, std::string_view text);

}  // namespace rtl::io

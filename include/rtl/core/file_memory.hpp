// Memory of the host whose pages are those of a file, for data that is larger than memory.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace rtl {

/// Bytes of a file in the address space. The system reads a page when it is touched and drops it where memory is short,
/// so any amount may be had; a page that is not there costs a read of the disk. Moves; copies only by copy().
///
/// Cutting the file short while it is mapped makes touching the lost part fatal (SIGBUS), which nothing can turn into
/// an error; so replace files by renaming. So do a disk that fails, and one that fills up under a scratch file on file
/// systems that copy on write; elsewhere scratch() takes all room at once.
class FileMemory {
 public:
  /// The first `bytes` bytes of an open file, which must have as many. The descriptor is duplicated. What is written to
  /// the memory does not reach the file. Throws IoError, which calls it `name`.
  FileMemory(int descriptor, std::size_t bytes, const std::string& name);
  /// Zeros, in a file without a name that is gone with the memory, also after a crash. It lies in TMPDIR, or where that
  /// is not set in /var/tmp; on a file system in memory (tmpfs) it saves none. All room on the disk is taken at once.
  /// Throws IoError, which names the folder, where it cannot be had.
  static FileMemory scratch(std::size_t bytes);
  FileMemory(FileMemory&&) noexcept;
  FileMemory& operator=(FileMemory&&) noexcept;
  ~FileMemory();

  /// Null where there are no bytes. Reading needs nothing more, writing make_writable().
  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  /// Pages of a file that are written to from now on become memory of the process. Nothing for a scratch file. Throws
  /// OutOfMemory where the system does not grant as much. Several threads may call it.
  void make_writable();
  /// The same contents in memory of their own, `count` bytes from `begin` on: of a file that nobody could have written
  /// to another look at it, which takes neither time nor room, else a scratch file. Throws as the makers do.
  FileMemory copy(std::size_t begin, std::size_t count) const;
  /// Has the system read bytes that will be touched soon; returns while it reads. Several threads may call it.
  void will_need(std::size_t begin, std::size_t count) const noexcept;

 private:
  struct Mapping;
  FileMemory(std::unique_ptr<Mapping> mapping, std::byte* data, std::size_t size) noexcept;

  std::unique_ptr<Mapping> mapping_;  ///< null where there are no bytes
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// How many bytes a tensor of samples may have in memory: RTL_OUT_OF_CORE=BYTES of the environment (1024 times as much
/// with K behind the number, and so on with M, G and T), else a quarter of the machine's memory or of what its cgroup
/// grants. Throws ValueError for another RTL_OUT_OF_CORE.
std::size_t in_memory_limit();

}  // namespace rtl

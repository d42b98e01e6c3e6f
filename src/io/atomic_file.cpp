// AtomicFile: write beside, flush, rename.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <system_error>
#include <utility>

#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::io {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

/// A path that no other writer of this process or of another one uses.
std::string beside(const std::string& target) {
  static std::atomic<unsigned> counter{0};
  return fmt::format("{}.tmp-{}-{}", target, ::getpid(), counter.fetch_add(1));
}

/// Standard output or standard error if that is where `file` leads to, else -1. Renaming over it would lose what was
/// and will be printed.
int standard_stream(const struct stat& file) {
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat status {};
    if (::fstat(stream, &status) == 0 && status.st_dev == file.st_dev && status.st_ino == file.st_ino) return stream;
  }
  return -1;
}

/// A rename is on the disk only when its directory is. Some file systems refuse this for directories; the rename itself
/// has been done by then, so that is no failure.
void flush_directory(const std::string& file) noexcept {
  const auto slash = file.find_last_of('/');
  const std::string directory = slash == std::string::npos ? "." : file.substr(0, slash + 1);
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

std::string resolve_links(const std::string& path) {
  constexpr int longest_chain = 40;
  std::error_code failed;
  std::filesystem::path end = path;
  for (int links = 0; std::filesystem::is_symlink(end, failed); ++links) {
    const std::filesystem::path next = std::filesystem::read_symlink(end, failed);
    if (failed || links == longest_chain) throw IoError(path, "is a link that leads nowhere");
    end = end.parent_path() / next;
  }
  return end.string();
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) throw IoError(path_, "cannot be written: it is a directory");
  const int stream = exists ? standard_stream(status) : -1;
  if (exists && (stream >= 0 || !S_ISREG(status.st_mode))) {
    descriptor_ = stream >= 0 ? ::fcntl(stream, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw IoError(path_, fmt::format("cannot be opened for writing: {}", reason(errno)));
    return;
  }
  target_ = resolve_links(path);
  if (exists && ::access(target_.c_str(), W_OK) != 0) {
    throw IoError(path_, fmt::format("cannot be written: {}", reason(errno)));
  }
  temporary_ = beside(target_);
  constexpr mode_t everybody = 0666;
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, everybody);
  if (descriptor_ < 0) {
    const int error = errno;
    temporary_.clear();
    throw IoError(path_, fmt::format("cannot be written: no file can be made in its directory: {}", reason(error)));
  }
  constexpr mode_t permissions = 07777;
  // Not fatal: a file system without permissions keeps its own.
  if (exists && ::fchmod(descriptor_, status.st_mode & permissions) != 0) errno = 0;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* action, int error) {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  const bool kept = !temporary_.empty();
  temporary_.clear();
  throw IoError(path_, fmt::format("{} failed after {} bytes: {}{}", action, size_, reason(error),
                                   kept ? "; what was there before is unchanged" : ""));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) throw IoError(path_, "cannot be written: it was committed or failed before");
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), INT_MAX));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("writing", errno);
    if (done == 0) fail("writing", EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    size_ += static_cast<std::uint64_t>(done);
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) throw IoError(path_, "cannot be committed: it was committed or failed before");
  // Devices and pipes cannot be flushed (EINVAL); regular files must be.
  if (::fsync(descriptor_) != 0 && !temporary_.empty()) fail("flushing to the disk", errno);
  const int closing = std::exchange(descriptor_, -1);
  if (::close(closing) != 0 && errno != EINTR) fail("closing", errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("renaming", errno);
  temporary_.clear();
  flush_directory(target_);
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::string& path, std::string_view text) { write_file(path, std::as_bytes(std::span(text))); }

}  // namespace rtl::io

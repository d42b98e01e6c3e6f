// AtomicFile: write beside, flush, rename.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::io {
namespace {

/// The temporaries that this process has open, for abandon_writes. Never destroyed: files may be written until the end.
struct OpenTemporaries {
  std::mutex mutex;
  std::vector<std::string> paths;

  static OpenTemporaries& instance() {
    static auto* const all = new OpenTemporaries;
    return *all;
  }
  void add(const std::string& path) {
    const std::lock_guard lock(mutex);
    paths.push_back(path);
  }
  /// Calls f, which renames or removes the temporary.
  template <typename F>
  int take(const std::string& path, const F& f) {
    const std::lock_guard lock(mutex);
    const int result = f();
    if (result == 0) std::erase(paths, path);
    return result;
  }
};

void remove_temporary(const std::string& path) noexcept {
  OpenTemporaries::instance().take(path, [&] { return ::unlink(path.c_str()), 0; });
}

std::string reason(int error) { return std::generic_category().message(error); }

constexpr std::string_view mark = ".tmp-";
constexpr std::size_t name_digits = 16;

/// Process numbers repeat (every container has a process 1), random numbers do not.
std::uint64_t random_number() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) == static_cast<ssize_t>(sizeof number)) return number;
  static std::atomic<std::uint64_t> counter{0};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::array<std::uint64_t, 4> parts{static_cast<std::uint64_t>(now.tv_sec),
                                           static_cast<std::uint64_t>(now.tv_nsec),
                                           static_cast<std::uint64_t>(::getpid()), counter.fetch_add(1)};
  return hash64(std::as_bytes(std::span(parts)));
}

/// The name of a temporary of `target` (of any file if that is empty), as AtomicFile makes it.
bool is_temporary(std::string_view name, std::string_view target) {
  if (name.size() < mark.size() + name_digits) return false;
  const std::string_view digits = name.substr(name.size() - name_digits);
  if (digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) return false;
  name.remove_suffix(name_digits);
  if (!name.ends_with(mark)) return false;
  name.remove_suffix(mark.size());
  return target.empty() ? !name.empty() : name == target;
}

/// Removes a temporary whose writer is no more. A living writer holds a lock on its file, in this process or another.
void remove_if_abandoned(const std::string& path) noexcept {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  ::close(descriptor);
}

/// Removes the abandoned temporaries of `target`, of all files if that is empty.
void clear_abandoned(const std::string& folder, std::string_view target) noexcept {
  DIR* entries = ::opendir(folder.c_str());
  if (entries == nullptr) return;
  try {
    while (const dirent* entry = ::readdir(entries)) {
      if (is_temporary(entry->d_name, target)) remove_if_abandoned(folder + "/" + entry->d_name);
    }
  } catch (const std::bad_alloc&) {
    // Another writer will have the memory to clear up.
  }
  ::closedir(entries);
}

std::string folder_of(const std::string& file) {
  const auto slash = file.find_last_of('/');
  return slash == std::string::npos ? "." : file.substr(0, slash + 1);
}

/// Locks a fresh temporary. False if somebody who clears up has it, or had it and removed it. Where the file system has
/// no locks nobody can take one to remove the file either.
bool claim(int descriptor) {
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_nlink > 0;
}

/// Makes and locks a file beside `target` whose name nobody else has; puts it into `path`. -1, with errno, if none can
/// be made.
int open_beside(const std::string& target, std::string& path) {
  constexpr mode_t everybody = 0666;
  constexpr int most_attempts = 100;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    path = fmt::format("{}{}{}", target, mark, to_hex(random_number()));
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, everybody);
    if (descriptor < 0 && errno == EEXIST) continue;
    if (descriptor < 0 || claim(descriptor)) return descriptor;
    ::close(descriptor);
    ::unlink(path.c_str());
  }
  errno = EEXIST;
  return -1;
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
  const int descriptor = ::open(folder_of(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
  clear_abandoned(folder_of(target_), std::string_view(target_).substr(target_.find_last_of('/') + 1));
  descriptor_ = open_beside(target_, temporary_);
  if (descriptor_ < 0) {
    const int error = errno;
    temporary_.clear();
    throw IoError(path_, fmt::format("cannot be written: no file can be made in its directory: {}", reason(error)));
  }
  OpenTemporaries::instance().add(temporary_);
  constexpr mode_t permissions = 07777;
  // Not fatal: a file system without permissions keeps its own.
  if (exists && ::fchmod(descriptor_, status.st_mode & permissions) != 0) errno = 0;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) remove_temporary(temporary_);
}

void AtomicFile::fail(const char* action, int error) {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) remove_temporary(temporary_);
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
  // The lock, which goes with the descriptor, is held until the file has its final name.
  const auto rename = [this] { return ::rename(temporary_.c_str(), target_.c_str()); };
  if (!temporary_.empty() && OpenTemporaries::instance().take(temporary_, rename) != 0) fail("renaming", errno);
  const bool renamed = !std::exchange(temporary_, {}).empty();
  const int closing = std::exchange(descriptor_, -1);
  if (::close(closing) != 0 && errno != EINTR && !renamed) fail("closing", errno);
  if (renamed) flush_directory(target_);
}

void abandon_writes() noexcept {
  OpenTemporaries& open = OpenTemporaries::instance();
  for (int attempt = 0; !open.mutex.try_lock(); ++attempt) {
    constexpr timespec moment{0, 10'000'000};
    if (attempt == 10) return;
    ::nanosleep(&moment, nullptr);
  }
  for (const std::string& path : open.paths) ::unlink(path.c_str());
}

void remove_abandoned(const std::string& folder) noexcept { clear_abandoned(folder, {}); }

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::string& path, std::string_view text) { write_file(path, std::as_bytes(std::span(text))); }

}  // namespace rtl::io

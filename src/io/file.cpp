#include "rtl/io/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <system_error>

#include "rtl/core/error.hpp"

namespace rtl::io {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

/// An open file, closed on every way out.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : value_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (value_ < 0) throw IoError(path, fmt::format("cannot be opened: {}", reason(errno)));
    if (::fstat(value_, &status_) != 0) {
      const int error = errno;
      ::close(value_);
      throw IoError(path, fmt::format("cannot be examined: {}", reason(error)));
    }
    if (S_ISDIR(status_.st_mode)) {
      ::close(value_);
      throw IoError(path, "is a directory, where a file is expected");
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(value_); }
  int get() const noexcept { return value_; }
  const struct stat& status() const noexcept { return status_; }

 private:
  int value_;
  struct stat status_ {};
};

[[noreturn]] void too_long(const std::string& path, std::size_t limit) {
  throw FormatError(path, fmt::format("holds more than the {} bytes that this read allows", limit));
}

/// An inflate state, released on every way out.
class Inflater {
 public:
  explicit Inflater(const std::string& name) {
    constexpr int gzip_only = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, gzip_only) != Z_OK) throw OutOfMemory(name + ": no memory for decompression");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }
  z_stream& stream() noexcept { return stream_; }

 private:
  z_stream stream_{};
};

}  // namespace

Bytes read_file(const std::string& path, std::size_t limit) {
  const Descriptor file(path);
  const auto announced = static_cast<std::size_t>(std::max<off_t>(file.status().st_size, 0));
  if (announced > limit) too_long(path, limit);
  // One byte of room more than announced shows the end of the file, and a file that is longer than it says (a pipe).
  Bytes content(announced + 1);
  std::size_t filled = 0;
  while (true) {
    if (filled == content.size()) content.resize(std::min(limit, content.size() * 2) + 1);
    const std::size_t room = std::min<std::size_t>(content.size() - filled, INT_MAX);
    const ssize_t got = ::read(file.get(), content.data() + filled, room);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw IoError(path, fmt::format("cannot be read: {}", reason(errno)));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    if (filled > limit) too_long(path, limit);
  }
  content.resize(filled);
  return content;
}

Bytes gunzip(std::span<const std::byte> compressed, const std::string& name, std::size_t limit) {
  Inflater inflater(name);
  z_stream& stream = inflater.stream();
  Bytes content(std::min(limit, std::max<std::size_t>(std::size_t{1} << 16, compressed.size() * 4)) + 1);
  std::size_t filled = 0;
  std::size_t used = 0;
  if (compressed.empty()) throw FormatError(name, "is empty, where gzip data is expected");
  while (true) {
    const auto input = static_cast<uInt>(std::min<std::size_t>(compressed.size() - used, UINT_MAX));
    const auto room = static_cast<uInt>(std::min<std::size_t>(content.size() - filled, UINT_MAX));
    // zlib's interface predates const; it does not write to its input.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(compressed.data() + used));
    stream.avail_in = input;
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + filled);
    stream.avail_out = room;
    const int status = inflate(&stream, Z_NO_FLUSH);
    used += input - stream.avail_in;
    filled += room - stream.avail_out;
    if (filled > limit) too_long(name, limit);
    if (status == Z_STREAM_END) {
      if (used == compressed.size()) break;
      inflateReset(&stream);
    } else if (status == Z_MEM_ERROR) {
      throw OutOfMemory(name + ": no memory for decompression");
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      throw FormatError(name, fmt::format("is no intact gzip file: {} at compressed byte {}",
                                          stream.msg != nullptr ? stream.msg : "damaged stream", used));
    } else if (used == compressed.size() && stream.avail_out > 0) {
      throw FormatError(name,
                        fmt::format("truncated .gz: the {} compressed bytes end in the middle of the stream, after {} "
                                    "bytes of content; fetch the file again",
                                    used, filled));
    }
    if (filled == content.size()) content.resize(std::min(limit, content.size() * 2) + 1);
  }
  content.resize(filled);
  return content;
}

Bytes read_file_gz(const std::string& path, std::size_t limit) {
  Bytes content = read_file(path, limit);
  return path.ends_with(".gz") ? gunzip(content, path, limit) : content;
}

bool file_exists(const std::string& path) noexcept {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

namespace {

FileMemory mapped(const std::string& path) {
  const Descriptor file(path);
  if (!S_ISREG(file.status().st_mode)) throw IoError(path, "is no regular file, so it cannot be mapped into memory");
  return {file.get(), static_cast<std::size_t>(file.status().st_size), path};
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path), memory_(mapped(path)) {}

}  // namespace rtl::io

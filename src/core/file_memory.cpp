#include "rtl/core/file_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/memory_limit.hpp"
#include "rtl/core/error.hpp"

namespace rtl {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

std::size_t page_size() noexcept {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

class Descriptor {
 public:
  explicit Descriptor(int value) noexcept : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int get() const noexcept { return value_; }

 private:
  int value_;
};

Descriptor duplicate(int descriptor, const std::string& name) {
  Descriptor copy(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (copy.get() < 0) throw IoError(name, fmt::format("cannot be mapped into memory: {}", reason(errno)));
  return copy;
}

std::string scratch_folder() {
  const char* given = std::getenv("TMPDIR");
  return given != nullptr && *given != '\0' ? given : "/var/tmp";
}

/// A new file in `folder` that no name leads to.
Descriptor open_unnamed(const std::string& folder) {
  constexpr mode_t own = 0600;
  Descriptor unnamed(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, own));
  if (unnamed.get() >= 0) return unnamed;
  std::string path = folder + "/rtl-XXXXXX";  // some file systems have no unnamed files
  Descriptor named(::mkostemp(path.data(), O_CLOEXEC));
  if (named.get() < 0) {
    throw IoError(folder,
                  fmt::format("no scratch file can be made in it: {}; TMPDIR names another folder", reason(errno)));
  }
  ::unlink(path.c_str());
  return named;
}

}  // namespace

/// Whole pages of a file from `begin` on, which lies on a page.
struct FileMemory::Mapping {
  Mapping(Descriptor of, std::size_t from, std::size_t count, bool shared, std::string called)
      : file(std::move(of)), begin(from), bytes(count), scratch(shared), name(std::move(called)) {
    const int protection = scratch ? PROT_READ | PROT_WRITE : PROT_READ;
    address =
        ::mmap(nullptr, bytes, protection, scratch ? MAP_SHARED : MAP_PRIVATE, file.get(), static_cast<off_t>(begin));
    if (address == MAP_FAILED) throw IoError(name, fmt::format("cannot be mapped into memory: {}", reason(errno)));
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(address, bytes); }

  Descriptor file;
  std::size_t begin, bytes;
  bool scratch;
  std::string name;
  void* address = nullptr;
  std::atomic<bool> writable = false;  ///< of what is no scratch file
  std::atomic<std::size_t> asked = 0;  ///< the end of what was last asked for; 0 before that
  std::atomic<bool> scattered = false;
};

FileMemory::FileMemory(std::unique_ptr<Mapping> mapping, std::byte* data, std::size_t size) noexcept
    : mapping_(std::move(mapping)), data_(data), size_(size) {}

FileMemory::FileMemory(int descriptor, std::size_t bytes, const std::string& name) : size_(bytes) {
  if (bytes == 0) return;
  mapping_ = std::make_unique<Mapping>(duplicate(descriptor, name), std::size_t{0}, bytes, false, name);
  data_ = static_cast<std::byte*>(mapping_->address);
}

FileMemory FileMemory::scratch(std::size_t bytes) {
  if (bytes == 0) return {nullptr, nullptr, 0};
  const std::string folder = scratch_folder();
  Descriptor file = open_unnamed(folder);
  if (const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    throw IoError(folder, fmt::format("has no room for {:.1f} MiB of data that memory does not hold: {}; TMPDIR names "
                                      "another folder",
                                      static_cast<double>(bytes) / (1 << 20), reason(error)));
  }
  auto mapping = std::make_unique<Mapping>(std::move(file), std::size_t{0}, bytes, true, folder);
  auto* const data = static_cast<std::byte*>(mapping->address);
  return {std::move(mapping), data, bytes};
}

FileMemory::FileMemory(FileMemory&& other) noexcept
    : mapping_(std::move(other.mapping_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

FileMemory& FileMemory::operator=(FileMemory&& other) noexcept {
  mapping_.swap(other.mapping_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

FileMemory::~FileMemory() = default;

void FileMemory::make_writable() {
  if (!mapping_ || mapping_->scratch || mapping_->writable) return;
  if (::mprotect(mapping_->address, mapping_->bytes, PROT_READ | PROT_WRITE) != 0) {
    throw OutOfMemory(fmt::format("{}: {:.1f} MiB of it, which is mapped, cannot be made writable: {}", mapping_->name,
                                  static_cast<double>(mapping_->bytes) / (1 << 20), reason(errno)));
  }
  mapping_->writable = true;
}

FileMemory FileMemory::copy(std::size_t begin, std::size_t count) const {
  if (begin > size_ || count > size_ - begin) {
    throw ValueError(fmt::format("FileMemory::copy: {} bytes from {} on, of {}", count, begin, size_));
  }
  if (count == 0) return {nullptr, nullptr, 0};
  if (mapping_->scratch || mapping_->writable) {
    FileMemory copied = scratch(count);
    std::memcpy(copied.data_, data_ + begin, count);
    return copied;
  }
  const auto head = static_cast<std::size_t>(data_ - static_cast<std::byte*>(mapping_->address));
  const std::size_t first = mapping_->begin + head + begin, page = first / page_size() * page_size();
  auto again = std::make_unique<Mapping>(duplicate(mapping_->file.get(), mapping_->name), page, first - page + count,
                                         false, mapping_->name);
  auto* const data = static_cast<std::byte*>(again->address) + (first - page);
  return {std::move(again), data, count};
}

void FileMemory::will_need(std::size_t begin, std::size_t count) const noexcept {
  if (count == 0 || begin >= size_) return;
  auto* const first = data_ + begin;
  const std::size_t before = reinterpret_cast<std::uintptr_t>(first) % page_size();
  // Short pieces apart from each other are rows in the order of a training: around a page that is touched and is not
  // there the system would read megabytes that are not needed.
  constexpr std::size_t short_piece = std::size_t{1} << 20;
  const std::size_t last = mapping_->asked.exchange(begin + count);
  if (count < short_piece && last != 0 && last != begin && !mapping_->scattered.exchange(true)) {
    ::madvise(mapping_->address, mapping_->bytes, MADV_RANDOM);
  }
  // Advice: whatever comes of it, the pages can be touched.
  ::madvise(first - before, before + std::min(count, size_ - begin), MADV_WILLNEED);
}

std::size_t in_memory_limit() {
  const char* given = std::getenv("RTL_OUT_OF_CORE");
  if (given == nullptr || *given == '\0') {
    static const std::size_t most = detail::machine_memory().installed / 4;
    return most;
  }
  constexpr std::string_view units = "KMGT";
  const std::string_view text(given);
  std::size_t number = 0;
  const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<std::size_t>(stop - text.data()));
  const std::size_t place = unit.size() == 1 ? units.find(unit.front()) : std::string_view::npos;
  const std::size_t shift = unit.empty() ? 0 : 10 * (place + 1);
  if (fault != std::errc() || (!unit.empty() && place == std::string_view::npos) || number >> (63 - shift) != 0) {
    throw ValueError(fmt::format(
        "RTL_OUT_OF_CORE={}: give the bytes that a tensor may have in memory, for example 500M or 2G", text));
  }
  return number << shift;
}

}  // namespace rtl

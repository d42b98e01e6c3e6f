// Writing .npz archives by libzip into an AtomicFile.
#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <set>

#include "io/npy_header.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::io {
namespace {

/// An object that libzip reads from or writes to: `Derived::answer` may throw, and the exception waits in `fault` for
/// the end of the call of libzip.
template <typename Derived>
class Source {
 public:
  Source() { zip_error_init(&error_); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Owned by the archive that takes it; this object must live longer.
  zip_source_t* handle() {
    zip_source_t* source = zip_source_function_create(&Source::call, this, nullptr);
    if (source == nullptr) throw OutOfMemory("write_npz: no memory for the archive");
    return source;
  }
  void rethrow() const {
    if (fault_) std::rethrow_exception(fault_);
  }

 protected:
  zip_int64_t refuse(int code, int system_error = 0) {
    zip_error_set(&error_, code, system_error);
    return -1;
  }
  zip_error_t* error() { return &error_; }

 private:
  static zip_int64_t call(void* object, void* data, zip_uint64_t size, zip_source_cmd_t command) noexcept {
    auto& self = *static_cast<Source*>(object);
    if (command == ZIP_SOURCE_ERROR) return zip_error_to_data(&self.error_, data, size);
    try {
      return static_cast<Derived&>(self).answer(command, data, size);
    } catch (...) {
      if (!self.fault_) self.fault_ = std::current_exception();
      return self.refuse(ZIP_ER_INTERNAL);
    }
  }

  zip_error_t error_{};
  std::exception_ptr fault_;
};

/// A member: the header of a .npy file, then the array's own bytes.
class Array : public Source<Array> {
 public:
  explicit Array(ConstView values) : values_(values), prefix_(npy_prefix(values)) {}

  zip_int64_t answer(zip_source_cmd_t command, void* data, zip_uint64_t size) {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_READABLE;
      case ZIP_SOURCE_OPEN:
        open();
        return 0;
      case ZIP_SOURCE_READ:
        return read({static_cast<std::byte*>(data), size});
      case ZIP_SOURCE_STAT: {
        auto* stat = static_cast<zip_stat_t*>(data);
        stat->size = prefix_.size() + values_.bytes();
        stat->valid |= ZIP_STAT_SIZE;
        return sizeof(zip_stat_t);
      }
      case ZIP_SOURCE_CLOSE:
        copy_ = Bytes();
        return 0;
      case ZIP_SOURCE_FREE:
        return 0;
      default:
        return refuse(ZIP_ER_OPNOTSUPP);
    }
  }

 private:
  void open() {
    at_ = 0;
    body_ = {static_cast<const std::byte*>(values_.data()), values_.bytes()};
    if (!values_.device().is_cuda() || body_.empty()) return;
    copy_.resize(values_.bytes());
    const Device host = Device::cpu(1);
    copy_bytes(values_, View(copy_.data(), values_.dtype(), values_.shape(), host));
    body_ = copy_;
  }
  zip_int64_t read(std::span<std::byte> to) {
    std::size_t done = 0;
    std::size_t from = 0;  // of the part in the whole
    for (const std::span<const std::byte> part : {std::span<const std::byte>(prefix_), body_}) {
      if (at_ < from + part.size() && done < to.size()) {
        const std::size_t bytes = std::min(to.size() - done, from + part.size() - at_);
        std::memcpy(to.data() + done, part.data() + (at_ - from), bytes);
        done += bytes;
        at_ += bytes;
      }
      from += part.size();
    }
    return static_cast<zip_int64_t>(done);
  }

  ConstView values_;
  Bytes prefix_;
  Bytes copy_;  ///< of an array that is on a device
  std::span<const std::byte> body_;
  std::size_t at_ = 0;
};

/// The archive. libzip goes back to fill in a member's header when its data is written; until then the member waits in
/// memory, because what an AtomicFile has cannot be changed (it may be a pipe).
class Output : public Source<Output> {
 public:
  explicit Output(const std::string& path) : file_(path) {}

  zip_int64_t answer(zip_source_cmd_t command, void* data, zip_uint64_t size) {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_WRITABLE;
      case ZIP_SOURCE_STAT:
        return refuse(ZIP_ER_READ, ENOENT);  // a new archive: what the target holds is replaced
      case ZIP_SOURCE_WRITE:
        return write({static_cast<const std::byte*>(data), size});
      case ZIP_SOURCE_SEEK_WRITE:
        return seek(data, size);
      case ZIP_SOURCE_TELL_WRITE:
        return static_cast<zip_int64_t>(at_);
      case ZIP_SOURCE_COMMIT_WRITE:
        commit();
        return 0;
      case ZIP_SOURCE_BEGIN_WRITE:
      case ZIP_SOURCE_ROLLBACK_WRITE:
      case ZIP_SOURCE_FREE:
        return 0;
      default:
        return refuse(ZIP_ER_OPNOTSUPP);
    }
  }
  /// An archive without members, which libzip does not write: the record at its end.
  void write_empty() {
    constexpr std::string_view end_record("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22);
    write(std::as_bytes(std::span(end_record)));
    commit();
  }

 private:
  std::uint64_t end() const { return file_.size() + pending_.size(); }
  void flush() {
    file_.write(pending_);
    pending_.clear();
  }
  void commit() {
    flush();
    file_.commit();
  }
  zip_int64_t write(std::span<const std::byte> bytes) {
    const std::uint64_t at = at_ - file_.size();
    if (pending_.size() < at + bytes.size()) pending_.resize(at + bytes.size());
    std::memcpy(pending_.data() + at, bytes.data(), bytes.size());
    at_ += bytes.size();
    return static_cast<zip_int64_t>(bytes.size());
  }
  zip_int64_t seek(void* data, zip_uint64_t size) {
    const zip_int64_t to = zip_source_seek_compute_offset(at_, end(), data, size, error());
    if (to < 0) return -1;
    const auto target = static_cast<std::uint64_t>(to);
    if (target < file_.size()) return refuse(ZIP_ER_SEEK, ESPIPE);
    const bool forth_again = at_ < end() && target == end();
    at_ = target;
    if (forth_again) flush();
    return 0;
  }

  AtomicFile file_;
  Bytes pending_;
  std::uint64_t at_ = 0;
};

struct Discard {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};

void check_names(const std::string& path, const std::vector<std::pair<std::string, ConstView>>& arrays,
                 std::string_view suffix) {
  std::set<std::string> seen;
  for (const auto& [name, values] : arrays) {
    const auto fail = [&](const std::string& fault) {
      throw ValueError(fmt::format("write_npz({}): {}", path, fault));
    };
    if (name.empty() || name.size() > UINT16_MAX - suffix.size())
      fail("a name is empty or longer than 65531 characters");
    if (name.find('\0') != std::string::npos) fail("a name has a zero byte");
    if (!seen.insert(name).second) fail(fmt::format("'{}' is given twice", name));
  }
}

}  // namespace

void write_npz(const std::string& path, const std::vector<std::pair<std::string, ConstView>>& arrays, bool compress) {
  constexpr std::string_view suffix = ".npy";
  check_names(path, arrays, suffix);
  std::deque<Array> members;
  for (const auto& [name, values] : arrays) members.emplace_back(values);
  Output output(path);
  if (arrays.empty()) return output.write_empty();
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* target = output.handle();
  std::unique_ptr<zip_t, Discard> archive(zip_open_from_source(target, ZIP_CREATE, &error));
  if (archive == nullptr) {
    zip_source_free(target);
    throw IoError(path, std::string("cannot be written: ") + zip_error_strerror(&error));
  }
  const auto fail = [&] {
    throw IoError(path, std::string("cannot be written: ") + zip_error_strerror(zip_get_error(archive.get())));
  };
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::string name = arrays[i].first + std::string(suffix);
    zip_source_t* source = members[i].handle();
    const zip_int64_t index = zip_file_add(archive.get(), name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      throw ValueError(fmt::format("write_npz({}): the name '{}' is not taken: {}", path, name,
                                   zip_error_strerror(zip_get_error(archive.get()))));
    }
    constexpr zip_uint32_t level = 6;
    constexpr zip_uint16_t midnight = 0, first_day = (1 << 5) | 1;  // 1 January 1980: no archive depends on the clock
    const auto at = static_cast<zip_uint64_t>(index);
    if (zip_set_file_compression(archive.get(), at, compress ? ZIP_CM_DEFLATE : ZIP_CM_STORE, level) != 0 ||
        zip_file_set_dostime(archive.get(), at, midnight, first_day, 0) != 0)
      fail();
  }
  if (zip_close(archive.get()) != 0) {
    output.rethrow();
    for (const Array& member : members) member.rethrow();
    fail();
  }
  (void)archive.release();
}

}  // namespace rtl::io

// What fuzz targets share. A target is one file in targets/ with LLVMFuzzerTestOneInput, which gives its input to a
// reader and lets rtl::Error alone pass: any other exception, a sanitizer's report, or too much memory is a finding.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "rtl/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace rtl::fuzz {

/// A folder of this process in memory, removed at its end.
class Folder {
 public:
  Folder() {
    const std::filesystem::path memory = "/dev/shm";
    std::error_code error;
    path_ = (std::filesystem::is_directory(memory, error) ? memory : std::filesystem::temp_directory_path()) /
            ("rtl-fuzz-" + std::to_string(getpid()));
    std::filesystem::create_directories(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }

  std::string path(const std::string& name) const { return (path_ / name).string(); }
  /// Writes a file, in a folder below if the name has one, and returns its path.
  std::string write(const std::string& name, std::string_view content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path(name);
  }

 private:
  std::filesystem::path path_;
};

/// The one folder of this process.
inline const Folder& folder() {
  static const Folder one;
  return one;
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Calls a reader; an rtl::Error is what damaged input should give.
template <typename Read>
void read(const Read& reader) {
  try {
    reader();
  } catch (const Error&) {
  }
}

}  // namespace rtl::fuzz

// Data sets whose tensors lie in files, and limits that those in memory would break.
#pragma once

#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

namespace rtl::test {

/// A variable of the environment, set while it lives.
class Setting {
 public:
  Setting(std::string name, const std::string& value) : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str()); before != nullptr) before_ = before;
    ::setenv(name_.c_str(), value.c_str(), 1);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  ~Setting() { before_ ? ::setenv(name_.c_str(), before_->c_str(), 1) : ::unsetenv(name_.c_str()); }

 private:
  std::string name_;
  std::optional<std::string> before_;
};

/// Lets this process have `more` bytes of writable memory of its own than it has, while it lives. Pages of files are
/// none.
class OwnMemoryLimit {
 public:
  explicit OwnMemoryLimit(std::size_t more) {
    std::ifstream status("/proc/self/status");
    std::size_t kibibytes = 0;
    for (std::string word; status >> word && word != "VmData:";) continue;
    status >> kibibytes;
    ::getrlimit(RLIMIT_DATA, &before_);
    rlimit limit = before_;
    limit.rlim_cur = (kibibytes << 10) + more;
    ::setrlimit(RLIMIT_DATA, &limit);
  }
  OwnMemoryLimit(const OwnMemoryLimit&) = delete;
  OwnMemoryLimit& operator=(const OwnMemoryLimit&) = delete;
  ~OwnMemoryLimit() { ::setrlimit(RLIMIT_DATA, &before_); }

 private:
  rlimit before_{};
};

}  // namespace rtl::test

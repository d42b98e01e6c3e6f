// Carries an exception out of an OpenMP region or a thread, which none may leave by itself.
#pragma once

#include <exception>
#include <mutex>

namespace rtl {

class CapturedException {
 public:
  /// Calls f() and keeps what it throws, if nothing has been kept before.
  template <typename F>
  void guard(const F& f) noexcept {
    try {
      f();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!exception_) exception_ = std::current_exception();
    }
  }
  /// Behind the region, or after the threads: throws on what was kept.
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr exception_;
};

}  // namespace rtl

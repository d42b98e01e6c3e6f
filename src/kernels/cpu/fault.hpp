// Carries an exception out of an OpenMP region, which none may leave by itself.
#pragma once

#include <exception>

namespace rtl::kernels::cpu {

class Fault {
 public:
  /// Calls f() and keeps what it throws.
  template <typename F>
  void guard(const F& f) noexcept {
    try {
      f();
    } catch (...) {
#pragma omp critical(rtl_fault)
      fault_ = std::current_exception();
    }
  }
  /// Behind the region: throws on what was kept.
  void rethrow() const {
    if (fault_) std::rethrow_exception(fault_);
  }

 private:
  std::exception_ptr fault_;
};

}  // namespace rtl::kernels::cpu

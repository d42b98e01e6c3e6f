// Scratch memory of a host context that grows to the largest request and is kept; lent by a Lender.
#pragma once

#include <algorithm>
#include <cstdint>

#include "rtl/core/device.hpp"

namespace rtl::kernels::cpu {

/// Its contents are undefined (but initialised) at each call.
class Workspace {
 public:
  explicit Workspace(detail::Context& context) : context_(context) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() { context_.deallocate(memory_); }

  float* floats(std::int64_t count) {
    if (count > count_) {
      auto* larger = static_cast<float*>(context_.allocate(static_cast<std::size_t>(count) * sizeof(float)));
      // Rows of padding are computed with and thrown away; zeros keep them from being slow (subnormal) or undefined.
      std::fill(larger, larger + count, 0.0F);
      context_.deallocate(memory_);
      memory_ = larger;
      count_ = count;
    }
    return memory_;
  }

 private:
  detail::Context& context_;
  float* memory_ = nullptr;
  std::int64_t count_ = 0;
};

}  // namespace rtl::kernels::cpu

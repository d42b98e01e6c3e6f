// Scratch memory of a host context that grows to the largest request and is kept; lent by a Lender.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/lender.hpp"
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
    return static_cast<float*>(bytes(static_cast<std::size_t>(count) * sizeof(float)));
  }

  /// 64-byte aligned.
  void* bytes(std::size_t wanted) {
    if (wanted > size_ || memory_ == nullptr) {
      void* larger = context_.allocate(wanted);
      // Rows of padding are computed with and thrown away; zeros keep them from being slow (subnormal) or undefined.
      std::memset(larger, 0, wanted);
      context_.deallocate(memory_);
      memory_ = larger;
      size_ = wanted;
    }
    return memory_;
  }

 private:
  detail::Context& context_;
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

/// What arrays of numbers lie in; apart from the workspaces whose padding must stay what it is.
class ScratchMemory : public Workspace {
 public:
  using Workspace::Workspace;
};

/// An array of numbers for the length of a call, in a workspace of the device. Its contents are undefined. For the
/// calling thread only; the threads of its team share what it took.
template <typename T>
class Scratch {
 public:
  Scratch(const Device& device, std::int64_t count)
      : workspace_(Lender<ScratchMemory>::lend(device)),
        data_(static_cast<T*>(workspace_->bytes(static_cast<std::size_t>(count) * sizeof(T)))),
        count_(count) {}
  Scratch(const Device& device, std::int64_t count, T value) : Scratch(device, count) {
    std::fill(data_, data_ + count, value);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() const noexcept { return data_; }
  std::int64_t size() const noexcept { return count_; }
  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + count_; }
  T& operator[](std::int64_t i) const { return data_[i]; }

 private:
  Lender<ScratchMemory>::Loan workspace_;
  T* data_;
  std::int64_t count_;
};

}  // namespace rtl::kernels::cpu

// Scratch memory of a host context that grows to the largest request and is kept; lent by a Lender.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

/// What one array of numbers at a time lies in.
class ScratchMemory {
 public:
  explicit ScratchMemory(detail::Context& context) : context_(context) {}
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;
  ~ScratchMemory() { context_.deallocate(memory_); }

  void* take(std::size_t bytes) {
    if (memory_ == nullptr || bytes > bytes_) {
      void* larger = context_.allocate(bytes);
      context_.deallocate(memory_);
      memory_ = larger;
      bytes_ = bytes;
    }
    return memory_;
  }
  /// Memory of ordinary size stays here; more goes back to the pool.
  void give_back() noexcept {
    constexpr std::size_t most_kept = std::size_t{64} << 20;
    if (bytes_ <= most_kept) return;
    context_.deallocate(memory_);
    memory_ = nullptr;
    bytes_ = 0;
  }

 private:
  detail::Context& context_;
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// An array of numbers for the length of a call, in memory that the device lends. Its contents are undefined. For the
/// calling thread only; the threads of its team share what it took.
template <typename T>
class Scratch {
 public:
  Scratch(const Device& device, std::int64_t count)
      : workspace_(Lender<ScratchMemory>::lend(device)),
        data_(static_cast<T*>(workspace_->take(static_cast<std::size_t>(count) * sizeof(T)))),
        count_(count) {}
  Scratch(const Device& device, std::int64_t count, T value) : Scratch(device, count) {
    std::fill(data_, data_ + count, value);
  }
  ~Scratch() { workspace_->give_back(); }
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

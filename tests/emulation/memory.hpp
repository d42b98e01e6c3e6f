// The memory of the emulated device, and page-locked memory of the host.
#pragma once

#include <sys/mman.h>
#if RTL_EMULATION_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "emulation/runtime.hpp"

namespace emulation {

/// One range of addresses, of which blocks are taken; page by page, so that all of it can be locked with one call.
/// AddressSanitizer sees a block's exact size.
class DeviceMemory {
 public:
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (base_ == nullptr && !reserve()) return nullptr;
    const std::size_t size = (bytes / page + 2) * page;  // with a gap behind it
    std::byte* block = nullptr;
    if (const auto found = free_.find(size); found != free_.end()) {
      block = found->second;
      free_.erase(found);
    } else if (size <= reserved - used_) {
      block = base_ + used_;
      used_ += size;
      if (open_ > 0) protect(PROT_READ | PROT_WRITE);
    } else {
      return nullptr;
    }
    blocks_[block] = size;
#if RTL_EMULATION_ASAN
    __asan_unpoison_memory_region(block, bytes);
    __asan_poison_memory_region(block + bytes, size - bytes);
#endif
    return block;
  }
  void deallocate(void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(static_cast<std::byte*>(pointer));
    if (found == blocks_.end()) return;
#if RTL_EMULATION_ASAN
    __asan_poison_memory_region(found->first, found->second);
#endif
    if (found->second >= large) give_back(found->first, found->second);
    free_.emplace(found->second, found->first);
    blocks_.erase(found);
  }
  bool contains(const void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto* byte = static_cast<const std::byte*>(pointer);
    return base_ != nullptr && byte >= base_ && byte < base_ + used_;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) protect(PROT_NONE);
  }

 private:
  static constexpr std::size_t page = 4096, huge_page = std::size_t{2} << 20, large = 2 * huge_page,
                               reserved = std::size_t{1} << 38;

  static std::size_t rounded_up(std::size_t bytes) { return (bytes + huge_page - 1) / huge_page * huge_page; }

  // Locking takes its time for each page: all calls are about whole huge pages, since others would split them.
  bool reserve() {
    const std::size_t size = reserved + huge_page;
    void* range = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return false;
    base_ = static_cast<std::byte*>(range) + (rounded_up(address(range)) - address(range));
    madvise(base_, reserved, MADV_HUGEPAGE);
    return true;
  }
  void protect(int protection) {
    if (used_ > 0) mprotect(base_, rounded_up(used_), protection);
  }
  static void give_back(std::byte* block, std::size_t size) {
    const std::size_t before = rounded_up(address(block)) - address(block);
    madvise(block + before, (size - before) / huge_page * huge_page, MADV_DONTNEED);
  }
  static std::size_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

  std::mutex mutex_;
  std::byte* base_ = nullptr;
  std::size_t used_ = 0;
  int open_ = 0;
  std::map<std::byte*, std::size_t> blocks_;
  std::multimap<std::size_t, std::byte*> free_;
};

/// Never ends: tensors of static storage duration may be returned to it.
inline DeviceMemory& device_memory() {
  static DeviceMemory& instance = *new DeviceMemory;
  return instance;
}

/// Page-locked memory, and the copies from it that are still to be made, in the order in which they were queued.
class LateCopies {
 public:
  void* allocate(std::size_t bytes) {
    void* memory = std::malloc(bytes);
    const std::lock_guard lock(mutex_);
    if (memory != nullptr) locked_[static_cast<const std::byte*>(memory)] = bytes;
    return memory;
  }
  bool deallocate(void* memory) {
    make_until(nullptr, last());
    const std::lock_guard lock(mutex_);
    if (locked_.erase(static_cast<const std::byte*>(memory)) == 0) return false;
    std::free(memory);
    return true;
  }
  bool is_locked(const void* at) const {
    const std::lock_guard lock(mutex_);
    const auto* byte = static_cast<const std::byte*>(at);
    auto found = locked_.upper_bound(byte);
    if (found == locked_.begin()) return false;
    --found;
    return byte < found->first + found->second;
  }
  void queue(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    copies_.push_back({stream, ++last_, to, from, bytes});
    waiting_ = copies_.size();
  }
  std::size_t last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }
  /// Makes those of the stream, or of all streams, up to number `last`.
  void make_until(cudaStream_t stream, std::size_t last) {
    if (waiting_ == 0) return;
    const std::lock_guard lock(mutex_);
    const DeviceAccess access;
    std::erase_if(copies_, [&](const Copy& copy) {
      if ((stream != nullptr && copy.stream != stream) || copy.number > last) return false;
      std::memcpy(copy.to, copy.from, copy.bytes);
      return true;
    });
    waiting_ = copies_.size();
  }
  void make_all(cudaStream_t stream) {
    if (waiting_ > 0) make_until(stream, last());
  }

 private:
  struct Copy {
    cudaStream_t stream;
    std::size_t number;
    void* to;
    const void* from;
    std::size_t bytes;
  };

  mutable std::mutex mutex_;
  std::map<const std::byte*, std::size_t> locked_;
  std::vector<Copy> copies_;
  std::size_t last_ = 0;
  std::atomic<std::size_t> waiting_ = 0;
};

inline LateCopies& late_copies() {
  static LateCopies& instance = *new LateCopies;
  return instance;
}

}  // namespace emulation

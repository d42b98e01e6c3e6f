#include "graph/counts.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string_view>

namespace {

std::atomic<bool> counting = false;
std::atomic<std::size_t> ours = 0, others = 0;

/// Whether an address lies in a library that computes: what the standard library allocates, it does for us.
bool in_another_library(const void* address) {
  Dl_info caller{};
  if (dladdr(address, &caller) == 0 || caller.dli_fname == nullptr) return false;
  const std::string_view file = caller.dli_fname;
  return file.find("dnnl") != file.npos || file.find("blas") != file.npos || file.find("gomp") != file.npos;
}

/// Null if there is no memory.
void* allocate(std::size_t bytes, std::size_t alignment, const void* caller) noexcept {
  if (counting) ++(in_another_library(caller) ? others : ours);
  bytes = bytes == 0 ? 1 : bytes;
  return alignment <= alignof(std::max_align_t)
             ? std::malloc(bytes)
             : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment, const void* caller) {
  void* pointer = allocate(bytes, alignment, caller);
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}

}  // namespace

// All forms, as a sanitizer's own would not meet these.
void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, 1, __builtin_return_address(0)); }
void* operator new[](std::size_t bytes) { return allocate_or_throw(bytes, 1, __builtin_return_address(0)); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 1, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 1, __builtin_return_address(0));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void operator delete(void* pointer) noexcept { std::free(pointer); }
void operator delete[](void* pointer) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { std::free(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { std::free(pointer); }
void operator delete(void* pointer, const std::nothrow_t&) noexcept { std::free(pointer); }
void operator delete[](void* pointer, const std::nothrow_t&) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::align_val_t) noexcept { std::free(pointer); }
void operator delete[](void* pointer, std::align_val_t) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::size_t, std::align_val_t) noexcept { std::free(pointer); }
void operator delete[](void* pointer, std::size_t, std::align_val_t) noexcept { std::free(pointer); }

namespace rtl::graph::test {

Counting::Counting(const Device& device) : device_(device), before_(device.memory()) {
  ours = others = 0;
  counting = true;
}

Counting::~Counting() { counting = false; }

Counts Counting::counts() const {
  const MemoryStatistics now = device_.memory();
  return {now.requests - before_.requests, ours, others, now.waits - before_.waits};
}

}  // namespace rtl::graph::test
